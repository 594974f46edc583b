// SPDX-License-Identifier: EUPL-1.2

package crash

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Mailboxes of each provider that take part. Senders send, and receive; the
// others receive. What lies in the mailbox of a mover is moved about by IMAP,
// and in that of a keeper nothing but what IMAP puts there.
const (
	boxes   = 24
	senders = 5
	filers  = 2 // senders, the first ones, whose submissions are filed
	movers  = 2 // those that come after the senders
	keepers = 1 // strutturata001…
)

// outsideDomain is the domain of ordinary mail.
const outsideDomain = "mail.example"

// site is two providers on one folder, each a process of its own.
type site struct {
	dir      string
	password string
	roots    *x509.CertPool
	nodes    []*node // alfa, beta
	sink     *sink
	loads    int // that it has had
}

// node is one provider.
type node struct {
	name, domain, config          string
	submission, mx, imap, metrics string
	site                          *site
	proc                          *process
	wrap                          []string // runs the program under another one
	signer                        *x509.Certificate
}

// template makes a stopped site in a new folder of the suite; sites are copies of it.
func template(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "template")
	base, err := freeBase()
	if err != nil {
		t.Fatal(err)
	}
	p, err := start(pecd(t), "demo", "--dir", dir, "--quiet", "--all-tier", "xl", "--standard", strconv.Itoa(boxes), "--base-port", strconv.Itoa(base))
	if err == nil {
		err = p.ready(2 * time.Minute)
	}
	if err == nil {
		err = p.terminate()
	}
	if err != nil {
		t.Fatal(err)
	}
	cheapLogins(t, dir)
	for _, name := range []string{"alfa", "beta"} {
		for i := range filers {
			box := fmt.Sprintf("standard%03d@%s.example", i+1, name)
			if code, stdout, stderr := run(pecd(t), "mailbox", "set", box, "--file-sent", "--config", filepath.Join(dir, name+".toml")); code != 0 {
				t.Fatalf("mailbox set %s: exit %d\n%s%s", box, code, stdout, stderr)
			}
		}
	}
	return dir
}

// files tells whether the submissions of a mailbox are filed.
func files(box string) bool {
	local, _, _ := strings.Cut(box, "@")
	n, err := strconv.Atoi(strings.TrimPrefix(local, "standard"))
	return err == nil && n <= filers
}

// freeBase picks a base port whose neighbourhood is free, below the range from
// which the kernel gives outgoing connections theirs.
func freeBase() (int, error) {
	offsets := []int{587, 465, 25, 143, 993, 110, 995, 7080, 7443, 8180}
next:
	for range 200 {
		base := 2000 + rand.IntN(12000)
		for _, o := range offsets {
			for _, port := range []int{base + o, base + o + 10000} {
				l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
				if err != nil {
					continue next
				}
				l.Close()
			}
		}
		return base, nil
	}
	return 0, errors.New("no free ports for two providers")
}

// newSite copies a template to dir, a new folder, and opens a sink for its ordinary mail.
func newSite(t testing.TB, from, dir string) *site {
	t.Helper()
	if err := copyTree(from, dir); err != nil {
		t.Fatal(err)
	}
	env, err := readEnv(filepath.Join(dir, "demo.env"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	s := &site{dir: dir, password: env["PASSWORD"], roots: x509.NewCertPool(), sink: newSink(t)}
	s.roots.AppendCertsFromPEM(ca)
	for _, name := range []string{"alfa", "beta"} {
		up := strings.ToUpper(name)
		n := &node{
			name: name, domain: env[up+"_DOMAIN"], config: filepath.Join(dir, name+".toml"), site: s,
			submission: env[up+"_SUBMISSION"], mx: env[up+"_MX"], imap: env[up+"_IMAPS"], metrics: env[up+"_METRICS"],
		}
		s.nodes = append(s.nodes, n)
		n.route(t, outsideDomain, s.sink.addr)
		if n.signer, err = readCertificate(filepath.Join(dir, name, "sign.pem")); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(s.kill)
	return s
}

// route adds a line to the table [relay.routes] of the node's configuration.
func (n *node) route(t testing.TB, domain, addr string) {
	n.edit(t, `(?m)^\[relay\.routes\][^\n]*\n`, "${0}\""+domain+"\" = \""+addr+"\"\n")
}

// edit replaces what matches in the node's configuration.
func (n *node) edit(t testing.TB, pattern, with string) {
	t.Helper()
	b, err := os.ReadFile(n.config)
	if err != nil {
		t.Fatal(err)
	}
	re := regexp.MustCompile(pattern)
	if !re.Match(b) {
		t.Fatalf("%s has no %s", n.config, pattern)
	}
	if err := os.WriteFile(n.config, re.ReplaceAll(b, []byte(with)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// copyTree copies directories and files with their modes; sockets are left out.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		switch {
		case info.IsDir():
			return os.MkdirAll(target, info.Mode().Perm())
		case !info.Mode().IsRegular():
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, b, info.Mode().Perm())
	})
}

func readCertificate(path string) (*x509.Certificate, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s: no PEM", path)
	}
	return x509.ParseCertificate(block.Bytes)
}

func readEnv(path string) (map[string]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	env := make(map[string]string)
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			env[key] = value
		}
	}
	return env, nil
}

// tls trusts the site's authority and nothing else.
func (s *site) tls() *tls.Config {
	return &tls.Config{RootCAs: s.roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
}

func (s *site) other(n *node) *node {
	return s.nodes[1-slices.Index(s.nodes, n)]
}

func (s *site) kill() {
	for _, n := range s.nodes {
		if n.proc != nil && n.proc.alive() {
			n.proc.kill()
		}
	}
}

// start starts the node and does not wait for it.
func (n *node) start(t testing.TB) {
	t.Helper()
	args := append(slices.Clone(n.wrap), pecd(t), "serve", "--config", n.config)
	var err error
	if n.proc, err = start(args[0], args[1:]...); err != nil {
		t.Fatal(err)
	}
}

// up starts the node and waits until it serves.
func (n *node) up(t testing.TB) {
	t.Helper()
	n.start(t)
	if err := n.proc.ready(time.Minute); err != nil {
		t.Fatal(err)
	}
}

// command runs a command on the node, which may be running or not.
func (n *node) command(t testing.TB, args ...string) (code int, out string) {
	t.Helper()
	code, stdout, stderr := run(pecd(t), append(args, "--config", n.config)...)
	return code, stdout + stderr
}

// verify wants store and log to be without a problem.
func (n *node) verify(t testing.TB) {
	t.Helper()
	for _, args := range [][]string{{"verify", "--json"}, {"ledger", "verify"}} {
		if code, out := n.command(t, args...); code != 0 {
			t.Errorf("pecd %v at %s: exit %d\n%.6000s", args, n.name, code, out)
		}
	}
}

// verifyCopy is verify of a copy: it brings the copy's database back, and leaves
// that of the node to the node's next start.
func (n *node) verifyCopy(t testing.TB) {
	t.Helper()
	dir := filepath.Join(n.site.dir, n.name, "copy")
	defer os.RemoveAll(dir)
	if err := copyTree(n.store(), dir); err != nil {
		t.Fatal(err)
	}
	c := *n
	c.config = filepath.Join(n.site.dir, n.name+"-copy.toml")
	b, err := os.ReadFile(n.config)
	if err == nil {
		err = os.WriteFile(c.config, []byte(strings.Replace(string(b), n.name+"/store", n.name+"/copy", 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.verify(t)
}

func (n *node) store() string { return filepath.Join(n.site.dir, n.name, "store") }

// box is the address of the i-th mailbox, from 1.
func (n *node) box(i int) string    { return fmt.Sprintf("standard%03d@%s", i, n.domain) }
func (n *node) keeper(i int) string { return fmt.Sprintf("strutturata%03d@%s", i, n.domain) }
func (n *node) service() string     { return "ricevute@" + n.domain }
