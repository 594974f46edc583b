// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"
)

// curlAs asks for something of a folder with curl as a user; verb "" fetches the
// message with UID 1.
func (p people) curlAs(login, folder, verb string) string {
	p.t.Helper()
	need(p.t, "curl")
	args := []string{"--silent", "--show-error", "--cacert", p.d.file(p.t, "CA_FILE"), "--user", login + ":una password lunga"}
	where := "imaps://" + p.d.get(p.t, "ALFA_IMAPS") + "/"
	if verb == "" {
		return string(run(p.t, "curl", append(args, where+url.PathEscape(folder)+";UID=1")...))
	}
	return string(run(p.t, "curl", append(args, "--request", verb, where)...))
}

// TestSharedMailboxByClients: the second mailbox of a login is there for curl and
// isync under its address, each user has read marks of his own in it, the log tells
// who read what, and who is shut out is out.
func TestSharedMailboxByClients(t *testing.T) {
	d := newDemo(t, "--quiet")
	p := people{t, d, filepath.Join(d.dir, "alfa.toml")}
	own, office := d.box(t, "ALFA", "strutturata001"), d.box(t, "ALFA", "strutturata002")
	for _, login := range []string{"anna", "bruno"} {
		p.do("user", "add", login)
		p.do("user", "grant", login, own.address, "--may", "all")
	}
	p.do("user", "grant", "anna", office.address, "--may", "read,write,client")
	p.do("user", "grant", "bruno", office.address, "--may", "read,client")
	p.do("mailbox", "set", office.address, "--personal-seen")
	inbox := "Altre caselle/" + office.address + "/INBOX"

	d.submit(t, own, []string{office.address}, []byte("From: <"+own.address+">\r\nTo: <"+office.address+">\r\nSubject: Bando\r\n\r\nTesto\r\n"))
	until(t, minute, "the envelope in the office", func() (bool, string) {
		said := p.curlAs("bruno", "", fmt.Sprintf("STATUS %q (MESSAGES UNSEEN)", inbox))
		return strings.Contains(said, "(MESSAGES 1 UNSEEN 1)"), said
	})
	if said := p.curlAs("anna", "", `LIST "" "Altre caselle/*"`); strings.Count(said, "\n") < 6 || !strings.Contains(said, `"`+inbox+`"`) {
		t.Errorf("LIST:\n%s", said)
	}
	envelope := p.curlAs("anna", inbox, "")
	if !strings.Contains(envelope, "POSTA CERTIFICATA: Bando") {
		t.Errorf("fetched:\n%.300s", envelope)
	}
	status := fmt.Sprintf("STATUS %q (UNSEEN)", inbox)
	if anna, bruno := p.curlAs("anna", "", status), p.curlAs("bruno", "", status); !strings.Contains(anna, "(UNSEEN 0)") || !strings.Contains(bruno, "(UNSEEN 1)") {
		t.Errorf("anna: %s bruno: %s", anna, bruno)
	}
	if said := p.curlAs("anna", "", fmt.Sprintf("GETQUOTAROOT %q", inbox)); !strings.Contains(said, `* QUOTA "`+office.address+`" (STORAGE `) {
		t.Errorf("quota: %s", said)
	}

	near := p.mbsyncAll("anna", "Altre caselle/*")
	files, err := filepath.Glob(filepath.Join(near, inbox, "*", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("isync brought %q, %v", files, err)
	}
	got, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.ReplaceAll(envelope, "\r\n", "\n"); string(withoutTUID(got)) != want {
		t.Errorf("isync brought %d octets, curl %d", len(got), len(want))
	}
	if !strings.HasSuffix(files[0], ":2,S") {
		t.Errorf("anna has read it, isync brought %s", filepath.Base(files[0]))
	}

	host, _ := d.hostPort(t, "ALFA_IMAPS")
	session, err := imapclient.DialTLS(d.get(t, "ALFA_IMAPS"), &imapclient.Options{TLSConfig: d.tls(t, host)})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if err := session.Login("bruno", "una password lunga").Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := session.Select(inbox, nil).Wait(); err != nil {
		t.Fatal(err)
	}
	p.do("user", "revoke", "bruno", office.address)
	if err := session.Noop().Wait(); err == nil {
		t.Error("bruno goes on")
	}

	read := p.records([]string{"message.read", "access"}, "--address", office.address)
	if !slices.ContainsFunc(read, func(e map[string]any) bool {
		return e["kind"] == "message.read" && e["user"] == "anna" && e["folder"] == "INBOX" && e["uids"] == "1" && e["mailbox"] == office.address
	}) {
		t.Errorf("not on record that anna read it: %v", read)
	}
}

// mbsyncAll brings down what matches patterns with isync, finds nothing to do the
// second time, and returns where it is.
func (p people) mbsyncAll(login, patterns string) string {
	p.t.Helper()
	need(p.t, "mbsync")
	dir := p.t.TempDir()
	_, port := p.d.hostPort(p.t, "ALFA_IMAPS")
	config := fmt.Sprintf(`IMAPStore far
Host localhost
Port %s
User %s
Pass "una password lunga"
SSLType IMAPS
CertificateFile %s

MaildirStore near
Path %s/
Inbox %s/unused
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns %q
Create Near
SyncState *
`, port, login, p.d.file(p.t, "CA_FILE"), dir, dir, patterns)
	rc := filepath.Join(dir, "mbsyncrc")
	if err := os.WriteFile(rc, []byte(config), 0o600); err != nil {
		p.t.Fatal(err)
	}
	run(p.t, "mbsync", "-c", rc, "all")
	before := tree(p.t, dir)
	run(p.t, "mbsync", "-c", rc, "all")
	if after := tree(p.t, dir); !slices.Equal(after, before) {
		p.t.Errorf("isync has more to do the second time:\n%q\n%q", before, after)
	}
	return dir
}

// tree lists the messages below a directory.
func tree(t testing.TB, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && (strings.Contains(path, "/cur/") || strings.Contains(path, "/new/")) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
