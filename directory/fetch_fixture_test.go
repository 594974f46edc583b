// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pecd/alarm"
	"pecd/clock"
	"pecd/signer"
	"pecd/signer/pki"
)

// authority is a CA with a publisher of the index, a server and a client.
type authority struct {
	ca             *pki.CA
	publisher      signer.Identity
	server, client tls.Certificate
	cert, key      string // PEM of the publisher
}

func newAuthority() (a authority, err error) {
	if a.ca, err = pki.NewCA("CA di prova", time.Now().Add(-time.Hour)); err != nil {
		return a, err
	}
	if a.publisher, err = a.ca.IssueSigner("Indice", "indice@igpec.example"); err != nil {
		return a, err
	}
	if a.server, err = a.ca.IssueTLS([]string{"127.0.0.1"}); err != nil {
		return a, err
	}
	if a.client, err = a.ca.IssueTLS([]string{"alfa.example"}); err != nil {
		return a, err
	}
	key, err := pki.EncodeKey(a.publisher.Key, nil)
	a.cert, a.key = string(pki.EncodeCertificates(a.publisher.Certificate)), string(key)
	return a, err
}

// The authority that counts, and a stranger. Making keys takes a while.
var (
	ours     = sync.OnceValues(newAuthority)
	stranger = sync.OnceValues(newAuthority)
)

func theAuthority(t testing.TB, which func() (authority, error)) authority {
	t.Helper()
	a, err := which()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// pool returns the authorities as TLS wants them.
func (a authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.ca.Certificate())
	return p
}

// sign returns an opaque signature of content, made by openssl now.
func (a authority) sign(t testing.TB, content []byte) []byte {
	t.Helper()
	dir := t.TempDir()
	for name, s := range map[string]string{"content": string(content), "cert": a.cert, "key": a.key} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return run(t, dir, "openssl", "cms", "-sign", "-nodetach", "-outform", "DER", "-binary",
		"-in", "content", "-signer", "cert", "-inkey", "key")
}

// run runs a program of the system in a folder and returns its output.
func run(t testing.TB, dir, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(tool(t, name), args...)
	cmd.Dir = dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, errs.Bytes())
	}
	return out.Bytes()
}

// tool finds a program, also where only administrators look.
func tool(t testing.TB, name string) string {
	t.Helper()
	for _, n := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(n); err == nil {
			return path
		}
	}
	t.Fatalf("%s is missing: apt-get install openssl slapd ldap-utils", name)
	return ""
}

// opener verifies with the authority that counts and reads the signing time.
func (a authority) opener(clk clock.Clock) func(p7m []byte) (SignedIndex, error) {
	v := signer.NewVerifier(signer.VerifierConfig{Roots: []*x509.Certificate{a.ca.Certificate()}})
	return func(p7m []byte) (SignedIndex, error) {
		o, err := v.OpenSigned(p7m, maxSignedIndex, clk.Now())
		if err != nil {
			return SignedIndex{}, err
		}
		return SignedIndex{LDIF: o.Content, SignedAt: o.SignedAt, By: o.By}, nil
	}
}

// press is a publisher's HTTPS server with a script, and a fetcher of its index.
type press struct {
	t      testing.TB
	clk    *clock.Manual
	board  *alarm.Board
	auth   authority
	url    string
	cert   atomic.Pointer[tls.Certificate] // of the server
	answer atomic.Pointer[http.HandlerFunc]
	asked  atomic.Int64

	cfg    FetcherConfig
	log    syncBuffer
	mu     sync.Mutex
	loaded []Summary
}

// newPress starts the server; the clock begins now, because openssl signs now.
func newPress(t testing.TB) *press {
	t.Helper()
	p := &press{t: t, clk: clock.NewManual(time.Now()), auth: theAuthority(t, ours)}
	p.cert.Store(&p.auth.server)
	p.answers(http.NotFound)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.asked.Add(1)
		(*p.answer.Load())(w, r)
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Listener = tls.NewListener(srv.Listener, &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.cert.Load(), nil },
		ClientAuth:     tls.RequireAndVerifyClientCert, ClientCAs: p.auth.pool(), Time: p.clk.Now,
	})
	srv.Start()
	t.Cleanup(srv.Close)
	p.url = "https://" + srv.Listener.Addr().String()
	logger := slog.New(slog.NewTextHandler(&p.log, nil))
	p.board = alarm.NewBoard(p.clk, logger)
	p.cfg = FetcherConfig{
		URL: p.url + "/igpec.ldif.p7m", File: filepath.Join(t.TempDir(), "igpec.ldif.p7m"),
		TLS:  &tls.Config{RootCAs: p.auth.pool(), Certificates: []tls.Certificate{p.auth.client}},
		Open: p.auth.opener(p.clk), Own: "Alfa", Random: func() float64 { return 0 },
		Loaded: func(_ context.Context, s Summary) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.loaded = append(p.loaded, s)
			return nil
		},
		Alarms: p.board, Clock: p.clk, Log: logger,
	}
	return p
}

func (p *press) answers(h http.HandlerFunc) { p.answer.Store(&h) }

// publishes makes the server answer with a file.
func (p *press) publishes(file []byte) {
	p.answers(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(file) })
}

// fetcher returns a fetcher, after a change of its configuration.
func (p *press) fetcher(edits ...func(*FetcherConfig)) *Fetcher {
	p.t.Helper()
	cfg := p.cfg
	for _, e := range edits {
		e(&cfg)
	}
	f, err := NewFetcher(cfg)
	if err != nil {
		p.t.Fatal(err)
	}
	return f
}

// first publishes an index and returns a fetcher that has it in use, and has told
// of it.
func (p *press) first(all []Provider, edits ...func(*FetcherConfig)) (*Fetcher, *LiveIndex) {
	p.t.Helper()
	p.publishes(p.auth.sign(p.t, ldifOf(p.t, all)))
	f := p.fetcher(edits...)
	live, err := f.First(context.Background())
	if err != nil {
		p.t.Fatal(err)
	}
	f.tellAgain(context.Background())
	return f, live
}

// raised returns the text of an alarm, "" where it is not raised.
func (p *press) raised(name string) string {
	for _, a := range p.board.Raised() {
		if a.Name == name {
			return a.Text
		}
	}
	return ""
}

func (p *press) file(suffix string) []byte {
	p.t.Helper()
	b, err := os.ReadFile(p.cfg.File + suffix)
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

// names lists the folder of the index.
func (p *press) names() string {
	p.t.Helper()
	entries, err := os.ReadDir(filepath.Dir(p.cfg.File))
	if err != nil {
		p.t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func (p *press) summaries() []Summary {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Summary(nil), p.loaded...)
}

// newPlainServer serves a file without TLS. Nobody may ask it.
func newPlainServer(t testing.TB, file []byte) *httptest.Server {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Error("asked without TLS")
		_, _ = w.Write(file)
	}))
	t.Cleanup(srv.Close)
	return srv
}
