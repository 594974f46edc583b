// SPDX-License-Identifier: EUPL-1.2

package pop3

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pecd/clock"
	"pecd/directory"
	"pecd/fault"
	"pecd/storage"
	"pecd/storage/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testUser     = "anna@alfa.example"
	testPassword = " correct horse "
)

// users is an Authenticator over a table.
type users struct {
	mu      sync.Mutex
	grants  map[string][]storage.Grant
	err     error  // answered instead
	token   string // that is good, "" where none are taken
	revoked bool
}

func (u *users) TakesTokens() bool { return u.token != "" }

func (u *users) AuthenticateToken(ctx context.Context, login, token string, by storage.Protocol) (directory.Principal, error) {
	if token != u.token {
		token = "wrong"
	} else {
		token = testPassword
	}
	return u.Authenticate(ctx, login, token, by)
}

func (u *users) Still(context.Context, directory.Principal) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.revoked {
		return fault.New("test.Still", fault.Denied, nil)
	}
	return nil
}

func (u *users) Authenticate(_ context.Context, login, password string, by storage.Protocol) (directory.Principal, error) {
	if by != storage.ByPOP3 {
		return directory.Principal{}, fault.New("test.Authenticate", fault.Internal, errors.New("another protocol"))
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err != nil {
		return directory.Principal{}, u.err
	}
	grants, ok := u.grants[strings.ToLower(login)]
	if !ok || password != testPassword {
		return directory.Principal{}, fault.New("test.Authenticate", fault.Denied, &directory.Refusal{Reason: "password del test"})
	}
	return directory.Principal{Login: strings.ToLower(login), Grants: grants}, nil
}

// fixture is a server with one mailbox, on real sockets.
type fixture struct {
	t        testing.TB
	dir      string
	store    storage.Store
	users    *users
	server   *Server
	counters Counters
	mailbox  storage.MailboxID
	tls      net.Listener // implicit TLS
	plain    net.Listener // STLS
	client   *tls.Config
	logs     *lockedBuffer

	mayPanic bool
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newFixture starts a server; change may adjust it before it serves.
func newFixture(t testing.TB, change ...func(*Config, *timing)) *fixture {
	t.Helper()
	ctx := context.Background()
	f := &fixture{t: t, dir: t.TempDir(), users: &users{grants: map[string][]storage.Grant{}}, logs: &lockedBuffer{}}
	st, err := sqlite.Open(ctx, f.dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	f.store = st
	f.mailbox = f.addMailbox(testUser, 1<<30)
	f.grant(testUser, storage.MayAll, f.mailbox, testUser)

	var serverTLS *tls.Config
	serverTLS, f.client = testTLS(t)
	cfg := Config{
		Store: st, Directory: f.users, Clock: clock.System{}, TLS: serverTLS, Counters: &f.counters,
		Logger: slog.New(slog.NewTextHandler(f.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	limits := defaultTiming()
	limits.failDelay = time.Millisecond
	for _, c := range change {
		c(&cfg, &limits)
	}
	f.server = NewServer(cfg)
	f.server.timing = limits
	f.tls, f.plain = f.listen(true), f.listen(false)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if err := f.server.Shutdown(ctx); err != nil {
			t.Error("shutdown:", err)
		}
		if !f.mayPanic && strings.Contains(f.logs.String(), "panic") {
			t.Error(f.logs.String())
		}
		if strings.Contains(f.logs.String(), "correct horse") {
			t.Error("the log contains a password")
		}
	})
	return f
}

func (f *fixture) listen(implicit bool) net.Listener {
	f.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- f.server.Serve(ctx, l, implicit) }()
	f.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			f.t.Error("serve:", err)
		}
	})
	return l
}

func (f *fixture) commit(ops ...storage.Op) {
	f.t.Helper()
	if err := f.store.Commit(context.Background(), (&storage.Step{}).Add(ops...)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) addMailbox(address string, quota int64) storage.MailboxID {
	f.t.Helper()
	_, domain, _ := strings.Cut(address, "@")
	box := &storage.PutMailbox{Mailbox: storage.Mailbox{Address: address, Domain: domain, Tier: "t" + address, State: storage.MailboxActive}}
	f.commit(
		&storage.PutTier{Tier: storage.Tier{Code: "t" + address, Name: "prova", Figures: storage.Figures{QuotaBytes: quota}}},
		&storage.PutDomain{Domain: storage.Domain{Name: domain, State: storage.DomainCertified}},
		box,
	)
	return box.ID
}

func (f *fixture) grant(login string, p storage.Permission, m storage.MailboxID, address string) {
	f.users.mu.Lock()
	defer f.users.mu.Unlock()
	f.users.grants[login] = append(f.users.grants[login], storage.Grant{Login: login, Mailbox: m, Address: address, Permission: p})
}

// deliver puts a message into INBOX and returns its UID.
func (f *fixture) deliver(text string, flags ...string) uint32 { return f.imported("", text, flags...) }

// imported is deliver of a message with an identifier.
func (f *fixture) imported(uidl, text string, flags ...string) uint32 {
	f.t.Helper()
	body := &storage.NewBody{Head: []byte(text)}
	if len(text) > 64<<10 {
		spool := f.store.NewSpool()
		defer spool.Close()
		if _, err := io.WriteString(spool, text); err != nil {
			f.t.Fatal(err)
		}
		body = &storage.NewBody{Blob: &storage.NewBlob{Spool: spool, Len: spool.Size()}}
	}
	op := &storage.Append{Mailbox: f.mailbox, Body: storage.BodyRef{New: body}, Flags: flags, UIDL: uidl}
	f.commit(body, op)
	return op.UID
}

func (f *fixture) folder(name string) storage.Folder {
	f.t.Helper()
	fo, err := f.store.Folder(context.Background(), f.mailbox, name)
	if err != nil {
		f.t.Fatal(err)
	}
	return fo
}

// texts returns the messages of a folder.
func (f *fixture) texts(name string) []string {
	f.t.Helper()
	var out []string
	ctx := context.Background()
	err := f.store.Messages(ctx, f.folder(name).ID, 0, 0, func(m storage.Message) error {
		b, err := f.store.OpenBody(ctx, m.Body)
		if err != nil {
			return err
		}
		defer b.Close()
		text, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
		out = append(out, string(text))
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

// message is a small message with the given subject.
func message(subject string) string {
	return "From: anna@alfa.example\r\nSubject: " + subject + "\r\n\r\nTesto di " + subject + "\r\n.punto\r\nfine\r\n"
}

// script is a raw connection.
type script struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

func newScript(t testing.TB, conn net.Conn) *script {
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
	return &script{t, conn, bufio.NewReaderSize(conn, 64<<10)}
}

// script returns a raw TLS connection after the greeting.
func (f *fixture) script() *script {
	f.t.Helper()
	conn, err := tls.Dial("tcp", f.tls.Addr().String(), f.client)
	if err != nil {
		f.t.Fatal(err)
	}
	s := newScript(f.t, conn)
	s.expect(`^\+OK pecd POP3$`)
	return s
}

// clear returns a raw connection without TLS, after the greeting.
func (f *fixture) clear() *script {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.plain.Addr().String())
	if err != nil {
		f.t.Fatal(err)
	}
	s := newScript(f.t, conn)
	s.expect(`^\+OK pecd POP3$`)
	return s
}

// login returns a raw connection that is logged in.
func (f *fixture) login() *script {
	f.t.Helper()
	s := f.script()
	s.ok("USER %s", testUser)
	s.ok("PASS %s", testPassword)
	return s
}

func (s *script) send(format string, args ...any) {
	s.t.Helper()
	if _, err := fmt.Fprintf(s.conn, format, args...); err != nil {
		s.t.Fatal(err)
	}
}

func (s *script) line() string {
	s.t.Helper()
	l, err := s.r.ReadString('\n')
	if err != nil {
		s.t.Fatalf("reading: %v (%q)", err, l)
	}
	if !strings.HasSuffix(l, "\r\n") {
		s.t.Fatalf("line without CRLF: %q", l)
	}
	return l[:len(l)-2]
}

func (s *script) expect(pattern string) string {
	s.t.Helper()
	l := s.line()
	if !regexp.MustCompile(pattern).MatchString(l) {
		s.t.Fatalf("got %q, want %s", l, pattern)
	}
	return l
}

// ok sends a command that must succeed and returns what follows +OK.
func (s *script) ok(format string, args ...any) string {
	s.t.Helper()
	s.send(format+"\r\n", args...)
	return strings.TrimPrefix(strings.TrimPrefix(s.expect(`^\+OK`), "+OK"), " ")
}

// fails sends a command that must be refused with a text that matches.
func (s *script) fails(pattern, format string, args ...any) {
	s.t.Helper()
	s.send(format+"\r\n", args...)
	s.expect(`^-ERR ` + pattern)
}

// rest reads the lines of an answer up to its end and undoes the stuffing.
func (s *script) rest() string {
	s.t.Helper()
	var b strings.Builder
	for {
		l := s.line()
		if l == "." {
			return b.String()
		}
		b.WriteString(strings.TrimPrefix(l, ".") + "\r\n")
	}
}

// multi sends a command with an answer of several lines and returns them.
func (s *script) multi(format string, args ...any) string {
	s.t.Helper()
	s.ok(format, args...)
	return s.rest()
}

// closed checks that the connection ends without a further line.
func (s *script) closed() {
	s.t.Helper()
	if l, err := s.r.ReadString('\n'); err == nil {
		s.t.Fatalf("got %q, want the connection closed", l)
	}
}

// testTLS makes a certificate for 127.0.0.1.
func testTLS(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		&tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
}
