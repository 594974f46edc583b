// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
)

// TestDemoFirstStart is acceptance line 1: within 60 s the demo prints the time
// line of a message that went from alfa to beta, and demo.env is complete. It
// then stops, starts again and still has its mail.
func TestDemoFirstStart(t *testing.T) {
	binary := pecd(t)
	began := time.Now()
	d := newDemo(t)
	timeline := regexp.MustCompile(`(?is)accettazione.*presa[- ]in[- ]carico.*consegna`)
	for !timeline.MatchString(d.out.String()) {
		if time.Since(began) > time.Minute || !d.alive() {
			t.Fatalf("no time line accettazione → presa in carico → consegna after %v:\n%s", time.Since(began), d.out.tail())
		}
		time.Sleep(50 * time.Millisecond)
	}
	if out := d.out.String(); !regexp.MustCompile(`(?i)accredit`).MatchString(out) {
		t.Errorf("the demo does not say that it is no accredited provider:\n%s", out)
	}

	t.Run("env", func(t *testing.T) { checkEnv(t, d) })
	// Through the admin sockets of the nodes that hold the stores.
	t.Run("verify while running", func(t *testing.T) {
		verifyClean(t, filepath.Join(d.dir, "alfa.toml"))
		verifyClean(t, filepath.Join(d.dir, "beta.toml"))
	})

	sender := d.openInbox(t, d.named(t, "ALFA_STANDARD"))
	count := len(sender.refresh())
	if count == 0 {
		// The message may come from any demo user; beta's side tells which.
		t.Log("the first message was not sent by ALFA_STANDARD")
	}
	sender.client.Close()

	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(d.dir, "demo.env")); err != nil {
		t.Error(err)
	}
	if err := d.start(binary); err != nil {
		t.Fatal(err)
	}
	if after := len(d.openInbox(t, d.named(t, "ALFA_STANDARD")).refresh()); after < count {
		t.Errorf("after a restart the sender's INBOX holds %d messages, before it held %d", after, count)
	}
}

func checkEnv(t *testing.T, d *demo) {
	keys := []string{"CA_FILE", "PASSWORD"}
	for _, p := range []string{"ALFA", "BETA"} {
		for _, k := range []string{"DOMAIN", "SUBMISSION", "SMTPS", "MX", "IMAP", "IMAPS", "POP3", "POP3S", "HTTP", "HTTPS", "METRICS", "CERT", "INDEX",
			"STANDARD", "STRUTTURATA", "SMALL", "MEDIUM", "LARGE", "XL"} {
			keys = append(keys, p+"_"+k)
		}
	}
	keys = append(keys, "ALFA_SERVICE")
	for _, k := range keys {
		if d.env[k] == "" {
			t.Errorf("demo.env lacks %s", k)
		}
	}
	for _, k := range []string{"ALFA_STANDARD", "BETA_XL", "ALFA_STRUTTURATA", "ALFA_SERVICE"} {
		if provider, _, _ := strings.Cut(k, "_"); !strings.HasSuffix(d.env[k], "@"+d.env[provider+"_DOMAIN"]) {
			t.Errorf("%s=%s is no address of that provider", k, d.env[k])
		}
	}
	for _, k := range []string{"CA_FILE", "ALFA_CERT", "BETA_CERT"} {
		b, err := os.ReadFile(d.file(t, k))
		if err != nil {
			t.Error(err)
			continue
		}
		block, _ := pem.Decode(b)
		if block == nil {
			t.Errorf("%s is not PEM", k)
		} else if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			t.Errorf("%s: %v", k, err)
		}
	}
	for _, k := range []string{"ALFA_INDEX", "BETA_INDEX"} {
		if b, err := os.ReadFile(d.file(t, k)); err != nil || !strings.Contains(strings.ToLower(string(b)), "manageddomains") {
			t.Errorf("%s is no provider index: %v", k, err)
		}
	}
	for _, name := range []string{"alfa.toml", "beta.toml"} {
		var any map[string]any
		if _, err := toml.DecodeFile(filepath.Join(d.dir, name), &any); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The customer of the source document: 40 Standard, 70 Strutturata, the mass tiers.
	for _, name := range []string{"standard001", "standard040", "strutturata001", "strutturata070", "small001", "medium001", "large001", "xl001"} {
		for _, p := range []string{"ALFA", "BETA"} {
			in, err := d.tryInbox(t, d.box(t, p, name))
			if err != nil {
				t.Error(err)
				continue
			}
			in.client.Close()
		}
	}
}

// TestServeAlone runs one provider of the demo from its own configuration file.
func TestServeAlone(t *testing.T) {
	d := newDemo(t, "--quiet")
	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	p := startServe(t, d, "alfa.toml")
	d.openInbox(t, d.standard(t, "ALFA", 1)).client.Close()
	if s, err := dialSMTP(d.get(t, "BETA_MX")); err == nil {
		s.Close()
		t.Error("serve --config alfa.toml listens for beta too")
	}
	if err := p.terminate(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"alfa.toml", "beta.toml"} {
		verifyClean(t, filepath.Join(d.dir, name))
	}
}

// startServe runs `pecd serve` with a configuration of the demo's directory.
func startServe(t testing.TB, d *demo, name string) *proc {
	t.Helper()
	p, err := startProc(pecd(t), "serve", "--config", filepath.Join(d.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.alive() {
			if err := p.terminate(); err != nil {
				t.Error(err)
			}
		}
	})
	if err := p.waitReady(minute); err != nil {
		t.Fatal(err)
	}
	return p
}

// verifyClean wants `pecd verify` of a node, running or stopped, to find nothing.
func verifyClean(t testing.TB, config string) {
	t.Helper()
	r := runWithin(t, 10*minute, pecd(t), "verify", "--config", config, "--json")
	if r.code != 0 {
		t.Errorf("pecd verify --config %s: exit %d\n%.4000s%.4000s", config, r.code, r.stdout, r.stderr)
	}
}

func TestCommandLine(t *testing.T) {
	binary := pecd(t)
	t.Run("config reference is TOML with comments", func(t *testing.T) {
		out := run(t, binary, "config", "reference")
		var any map[string]any
		if _, err := toml.Decode(string(out), &any); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		if !strings.Contains(string(out), "\n# ") && !strings.HasPrefix(string(out), "# ") {
			t.Error("the reference explains nothing")
		}
	})
	usage := [][]string{
		{"no-such-command"},
		{"demo", "--no-such-flag"},
		{"demo", "--dir", t.TempDir(), "--base-port", "seven"},
		{"unwrap"},
		{"verify"},
	}
	for _, args := range usage {
		if r := runWithin(t, minute, binary, args...); r.code != 2 || len(r.stderr)+len(r.stdout) == 0 {
			t.Errorf("pecd %v: exit %d, want 2 with an explanation; %s%s", args, r.code, r.stdout, r.stderr)
		}
	}
	failures := [][]string{
		{"serve", "--config", "/nonexistent/alfa.toml"},
		{"verify", "--config", "/nonexistent/alfa.toml"},
		{"serve", "--config", write(t, "unknown.toml", []byte("no_such_key = 1\n"))},
	}
	for _, args := range failures {
		if r := runWithin(t, minute, binary, args...); r.code != 1 || len(r.stderr) == 0 {
			t.Errorf("pecd %v: exit %d, want 1 and an error text; %s%s", args, r.code, r.stdout, r.stderr)
		}
	}
	if r := runWithin(t, minute, binary, "serve", "--config", write(t, "unknown.toml", []byte("no_such_key = 1\n"))); !strings.Contains(string(r.stderr), "no_such_key") {
		t.Errorf("the error does not name the unknown key: %s", r.stderr)
	}
}
