// SPDX-License-Identifier: EUPL-1.2

package managesieve_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/migadu/go-managesieve/managesieveclient"
	"go.uber.org/goleak"

	"pecd/clock"
	"pecd/directory"
	"pecd/ledger"
	"pecd/managesieve"
	"pecd/storage"
	"pecd/storage/sqlite"
	"pecd/trail"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ugo, ufficio = "ugo@alfa.example", "ufficio@alfa.example"
	password     = "una password lunga"
)

// house is a server on a real socket over a directory with two mailboxes.
type house struct {
	t       *testing.T
	users   *directory.Directory
	store   *sqlite.Store
	address string
	ca      string // file
	logs    logbook
}

// logbook is a log that is read while it is written.
type logbook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newHouse(t *testing.T, change ...func(*managesieve.Config)) *house {
	t.Helper()
	ctx := context.Background()
	st, err := sqlite.Open(ctx, t.TempDir(), sqlite.Options{})
	check(t, err)
	h := &house{t: t, store: st, users: directory.New(st, clock.System{})}
	check(t, h.users.Seed(ctx))
	check(t, h.users.CreateDomain(ctx, "alfa.example", storage.DomainCertified))
	for _, a := range []string{ugo, ufficio} {
		_, err := h.users.CreateMailbox(ctx, directory.NewMailbox{Address: a, Tier: "strutturata", User: &directory.NewUser{Password: password}})
		check(t, err)
	}
	certificate, file := testCertificate(t)
	h.ca = file
	log := slog.New(slog.NewTextHandler(&h.logs, nil))
	record := trail.New(trail.Config{Store: st, Clock: clock.System{}, Logger: log, Shared: h.users.Shared})
	cfg := managesieve.Config{
		Directory: h.users, Clock: clock.System{}, Logger: log, Trail: record,
		TLS: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
	}
	for _, c := range change {
		c(&cfg)
	}
	srv := managesieve.NewServer(cfg)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	h.address = l.Addr().String()
	running, stop := context.WithCancel(ctx)
	served, recorded := make(chan error, 1), make(chan struct{})
	go func() { served <- srv.Serve(running, l, false) }()
	go func() { record.Run(running); close(recorded) }()
	t.Cleanup(func() {
		ending, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		began := time.Now()
		check(t, srv.Shutdown(ending))
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("stopping took %v", took)
		}
		stop()
		check(t, <-served)
		<-recorded
		check(t, st.Close())
	})
	return h
}

// testCertificate is a certificate of 127.0.0.1 that signed itself, and its file.
func testCertificate(t *testing.T) (tls.Certificate, string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	check(t, err)
	file := filepath.Join(t.TempDir(), "ca.pem")
	check(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// dial connects, takes TLS and logs in.
func (h *house) dial(mailbox, login, secret string) (*managesieveclient.Client, error) {
	h.t.Helper()
	ctx := context.Background()
	text, err := os.ReadFile(h.ca)
	check(h.t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	c, err := managesieveclient.Dial(ctx, h.address, managesieveclient.Options{STARTTLS: true, TLSConfig: &tls.Config{RootCAs: pool, ServerName: "localhost"}})
	check(h.t, err)
	h.t.Cleanup(func() { c.Close() })
	return c, c.AuthenticatePlain(ctx, mailbox, login, secret)
}

// says sends a command and wants an answer that begins like that.
func (h *house) says(c *managesieveclient.Client, command, want string) {
	h.t.Helper()
	got, err := c.Cmd(context.Background(), command)
	if err != nil && got == "" {
		got = err.Error()
	}
	if !strings.Contains(got, want) {
		h.t.Errorf("%s: %q, want %q", command, got, want)
	}
}

// connect runs sieve-connect with commands and returns what it printed.
func (h *house) connect(user, commands string, more ...string) (string, error) {
	h.t.Helper()
	host, port, err := net.SplitHostPort(h.address)
	check(h.t, err)
	script := filepath.Join(h.t.TempDir(), "commands")
	check(h.t, os.WriteFile(script, []byte(commands), 0o600))
	r, w, err := os.Pipe()
	check(h.t, err)
	defer r.Close()
	_, err = io.WriteString(w, password+"\n")
	check(h.t, err)
	w.Close()
	args := append([]string{"--server", host, "--port", port, "--user", user, "--passwordfd", "3", "--authmech", "PLAIN",
		"--tlscafile", h.ca, "--tlshostname", "localhost", "--exec", script}, more...)
	cmd := exec.Command("sieve-connect", args...)
	cmd.Dir, cmd.ExtraFiles = h.t.TempDir(), []*os.File{r}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestSieveConnect edits scripts with Debian's client.
func TestSieveConnect(t *testing.T) {
	if _, err := exec.LookPath("sieve-connect"); err != nil {
		t.Fatal("sieve-connect is missing: apt-get install sieve-connect")
	}
	h := newHouse(t)
	script := filepath.Join(t.TempDir(), "ferie.sieve")
	check(t, os.WriteFile(script, []byte("require \"fileinto\";\nfileinto \"Perché\";\n"), 0o600))
	out, err := h.connect(ugo, "upload "+script+" ferie\nactivate ferie\nlist\n")
	if err != nil || !strings.Contains(out, "\"ferie\" ACTIVE") {
		t.Errorf("%v\n%s", err, out)
	}
	f, err := h.users.Filter(context.Background(), ugo, "ferie")
	if err != nil || !f.Active || !strings.Contains(f.Script, "Perché") {
		t.Errorf("stored: %+v, %v", f, err)
	}
	back := filepath.Join(t.TempDir(), "back.sieve")
	out, err = h.connect(ugo, "download ferie "+back+"\ndeactivate\ndelete ferie\nlist\n")
	got, rerr := os.ReadFile(back)
	if err != nil || rerr != nil || strings.TrimSpace(string(got)) != strings.TrimSpace(f.Script) {
		t.Errorf("%v, %v\n%s\n%s", err, rerr, out, got)
	}
	if all, err := h.users.Filters(context.Background(), ugo); err != nil || len(all) != 0 {
		t.Errorf("left: %v, %v", all, err)
	}
	if strings.Contains(h.logs.String(), password) {
		t.Error("the password is in the log")
	}
}

func TestCommands(t *testing.T) {
	h := newHouse(t)
	c, err := h.dial("", ugo, password)
	check(t, err)
	h.says(c, `PUTSCRIPT "a" "keep;"`, "OK")
	h.says(c, `PUTSCRIPT "b" "discard;"`, "riga 1: discard non")
	h.says(c, `CHECKSCRIPT "redirect \"x\";"`, "riga 1: indirizzo di inoltro")
	h.says(c, `CHECKSCRIPT "stop;"`, "OK")
	h.says(c, `SETACTIVE "manca"`, "(NONEXISTENT)")
	h.says(c, `SETACTIVE "a"`, "OK")
	h.says(c, `DELETESCRIPT "a"`, "(ACTIVE)")
	h.says(c, `PUTSCRIPT "b" "stop;"`, "OK")
	h.says(c, `RENAMESCRIPT "a" "b"`, "(ALREADYEXISTS)")
	h.says(c, `RENAMESCRIPT "a" "c"`, "OK")
	h.says(c, `SETACTIVE ""`, "OK")
	h.says(c, `DELETESCRIPT "c"`, "OK")
	for i := range directory.MaxFilters - 1 {
		h.says(c, fmt.Sprintf(`PUTSCRIPT "s%d" "stop;"`, i), "OK")
	}
	h.says(c, `HAVESPACE "altro" 10`, "(QUOTA/MAXSCRIPTS)")
	h.says(c, `HAVESPACE "s1" 10`, "OK")
	h.says(c, `PUTSCRIPT "altro" "stop;"`, "(QUOTA/MAXSCRIPTS)")
	h.says(c, `HAVESPACE "s1" 70000`, "(QUOTA/MAXSIZE)")
	check(t, h.users.SetUserDisabled(context.Background(), ugo, true))
	h.says(c, `SETACTIVE "s1"`, "accesso revocato")
}

// Who may change no settings edits no scripts; who may of several mailboxes names
// the one he means.
func TestPermissions(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	check(t, h.users.CreateUser(ctx, directory.NewUser{Login: "anna", Password: password}))
	check(t, h.users.Grant(ctx, "anna", ugo, storage.MayAll&^storage.MayChangeSettings))
	if _, err := h.dial("", "anna", password); err == nil || !strings.Contains(err.Error(), "nessuna casella") {
		t.Errorf("without the permission: %v", err)
	}
	check(t, h.users.Grant(ctx, "anna", ufficio, storage.MayChangeSettings|storage.MayUseClient))
	c, err := h.dial("", "anna", password)
	check(t, err)
	h.says(c, `PUTSCRIPT "di anna" "keep;"`, "OK")
	if _, err := h.users.Filter(ctx, ufficio, "di anna"); err != nil {
		t.Error(err)
	}
	if _, err := h.dial(ugo, "anna", password); err == nil {
		t.Error("a mailbox whose settings are not hers")
	}
	check(t, h.users.Grant(ctx, ufficio, ugo, storage.MayAll))
	if c, err = h.dial(ugo, ufficio, password); err != nil {
		t.Fatal(err)
	}
	h.says(c, `PUTSCRIPT "di ufficio" "keep;"`, "OK")
	if _, err := h.users.Filter(ctx, ugo, "di ufficio"); err != nil {
		t.Error(err)
	}
	found := false
	check(t, h.store.FindRecords(ctx, storage.RecordQuery{Event: string(ledger.FilterChanged), Mailbox: ugo}, func(r storage.Record) error {
		e, err := ledger.Decode(r.Data)
		found = found || e.Actor == ufficio
		return err
	}))
	if !found {
		t.Error("who changed it is not on record")
	}
}

// Nothing before TLS, and few wrong passwords.
func TestLogin(t *testing.T) {
	h := newHouse(t)
	raw, err := managesieveclient.Dial(context.Background(), h.address, managesieveclient.Options{})
	check(t, err)
	defer raw.Close()
	if s := raw.Capabilities()["SASL"]; s != "" {
		t.Errorf("offered in clear: %q", s)
	}
	if err := raw.AuthenticatePlain(context.Background(), "", ugo, password); err == nil {
		t.Error("logged in in clear")
	}
	if _, err := h.dial("", ugo, "sbagliata"); err == nil || !strings.Contains(err.Error(), "nome utente o password errati") {
		t.Errorf("a wrong password: %v", err)
	}
	if _, err := h.dial("", "sbagliata", password); err == nil {
		t.Error("no such user")
	}
	if strings.Contains(h.logs.String(), "sbagliata") {
		t.Errorf("what was tried is in the log:\n%s", h.logs.String())
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	h := newHouse(t, func(c *managesieve.Config) { c.MaxConnsPerIP = 1 })
	c, err := h.dial("", ugo, password)
	check(t, err)
	raw, err := net.Dial("tcp", h.address)
	check(t, err)
	defer raw.Close()
	answer, err := io.ReadAll(raw)
	if err != nil || !strings.HasPrefix(string(answer), "BYE (TRYLATER)") {
		t.Errorf("%q, %v", answer, err)
	}
	h.says(c, "NOOP", "OK")
}
