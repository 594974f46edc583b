// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// popClient is a program that fetches by POP3 and deletes what it has fetched.
type popClient struct {
	name    string
	dir     string
	program string
	args    []string
	nothing int    // exit code where there is nothing to fetch
	mail    string // pattern of the files it puts messages into
	refolds bool   // it writes header fields anew
}

// fetch runs the program once.
func (c *popClient) fetch(t testing.TB) {
	t.Helper()
	r := runIn(t, c.dir, 2*minute, c.program, c.args...)
	if r.code != 0 && r.code != c.nothing {
		t.Fatalf("%s: exit %d\n%s%s", c.name, r.code, r.stdout, r.stderr)
	}
}

// fetched returns the messages, with LF line ends.
func (c *popClient) fetched(t testing.TB) [][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(c.dir, c.mail))
	if err != nil {
		t.Fatal(err)
	}
	out := make([][]byte, len(files))
	for i, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = b
	}
	return out
}

// popConfig writes a client's configuration, which holds the password.
func popConfig(t testing.TB, dir, content string) string {
	t.Helper()
	path := filepath.Join(dir, "rc")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// fetchmail over implicit TLS; one message a run of the delivery command.
func (d *demo) fetchmail(t testing.TB, a account) *popClient {
	t.Helper()
	need(t, "fetchmail")
	dir := t.TempDir()
	_, port := d.hostPort(t, a.provider+"_POP3S")
	rc := popConfig(t, dir, fmt.Sprintf(`set invisible
poll localhost protocol POP3 service %s
user %q password %q ssl sslproto "TLS1.2+" sslcertck sslcertfile %q
nokeep no rewrite mda "cat > $(mktemp %s/m.XXXXXX)"
`, port, a.address, d.password(t), d.file(t, "CA_FILE"), dir))
	return &popClient{"fetchmail", dir, "fetchmail", []string{"-f", rc, "--pidfile", filepath.Join(dir, "pid")}, 1, "m.*", false}
}

// getmail over implicit TLS; it remembers what it has seen by UIDL. As root it
// delivers by a command only.
func (d *demo) getmail(t testing.TB, a account) *popClient {
	t.Helper()
	need(t, "getmail")
	dir := t.TempDir()
	_, port := d.hostPort(t, a.provider+"_POP3S")
	rc := popConfig(t, dir, fmt.Sprintf(`[retriever]
type = SimplePOP3SSLRetriever
server = localhost
port = %s
username = %s
password = %s
ca_certs = %s
[destination]
type = MDA_external
path = /bin/sh
arguments = ("-c", "cat >$(mktemp %s/m.XXXXXX)")
allow_root_commands = true
[options]
delete = true
read_all = false
delivered_to = false
received = false
verbose = 0
`, port, a.address, d.password(t), d.file(t, "CA_FILE"), dir))
	return &popClient{"getmail", dir, "getmail", []string{"--getmaildir", dir, "--rcfile", rc}, 0, "m.*", true}
}

// mpop over STLS, with pipelined commands.
func (d *demo) mpop(t testing.TB, a account) *popClient {
	t.Helper()
	need(t, "mpop")
	dir := t.TempDir()
	for _, sub := range []string{"new", "cur", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, "mail", sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	_, port := d.hostPort(t, a.provider+"_POP3")
	rc := popConfig(t, dir, fmt.Sprintf(`account default
host localhost
port %s
user %s
password %s
auth plain
tls on
tls_starttls on
tls_trust_file %s
pipelining on
keep off
received_header off
delivery maildir %s/mail
uidls_file %s/uidls
`, port, a.address, d.password(t), d.file(t, "CA_FILE"), dir, dir))
	return &popClient{"mpop", dir, "mpop", []string{"--file=" + rc}, 0, "mail/new/*", false}
}
