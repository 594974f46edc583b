// SPDX-License-Identifier: EUPL-1.2

package imap

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
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"
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
	testPassword = "correct horse"
)

// users is an Authenticator over a table.
type users struct {
	calls  atomic.Int64
	tokens bool // taken; set before the server starts
	mu     sync.Mutex
	grants map[string][]storage.Grant
}

func (u *users) Authenticate(_ context.Context, login, password string, by storage.Protocol) (directory.Principal, error) {
	u.calls.Add(1)
	u.mu.Lock()
	defer u.mu.Unlock()
	grants, ok := u.grants[strings.ToLower(login)]
	if !ok || password != testPassword || by != storage.ByIMAP {
		return directory.Principal{}, fault.New("test.Authenticate", fault.Denied, nil)
	}
	return directory.Principal{Login: strings.ToLower(login), By: by, Grants: grants}, nil
}

// testToken is a token of every user in a directory that takes tokens.
const testToken = "ya29.token"

func (u *users) AuthenticateToken(ctx context.Context, login, token string, by storage.Protocol) (directory.Principal, error) {
	if token != testToken {
		return directory.Principal{}, fault.New("test.AuthenticateToken", fault.Denied, nil)
	}
	return u.Authenticate(ctx, login, testPassword, by)
}

// Still lets a login stay as long as it is in the table.
func (u *users) Still(_ context.Context, p directory.Principal) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, ok := u.grants[p.Login]; !ok {
		return fault.Say("test.Still", fault.Denied, "accesso revocato / access was revoked")
	}
	return nil
}

func (u *users) TakesTokens() bool { return u.tokens }

// fixture is a server with one mailbox, on real sockets.
type fixture struct {
	t       testing.TB
	store   storage.Store
	users   *users
	server  *Server
	mailbox storage.MailboxID
	tls     net.Listener // implicit TLS
	plain   net.Listener // STARTTLS
	client  *tls.Config
	caFile  string
	logs    *lockedBuffer

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

// take returns what was written since the last time.
func (l *lockedBuffer) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return l.b.String()
}

// newFixture starts a server; change may adjust it before it serves.
func newFixture(t testing.TB, change ...func(*Config, *timing)) *fixture {
	t.Helper()
	ctx := context.Background()
	st, err := sqlite.Open(ctx, t.TempDir(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	f := &fixture{t: t, store: st, users: &users{grants: map[string][]storage.Grant{}}, logs: &lockedBuffer{}}
	f.mailbox = f.addMailbox(testUser, 10<<30)
	f.grant(testUser, storage.MayAll, f.mailbox, testUser)

	serverTLS, clientTLS, caFile := testTLS(t)
	f.client, f.caFile = clientTLS, caFile
	cfg := Config{
		Store: st, Directory: f.users, Clock: clock.System{}, TLS: serverTLS,
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
		if strings.Contains(f.logs.String(), testPassword) {
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
	go func() { done <- f.server.Serve(context.Background(), l, implicit) }()
	f.t.Cleanup(func() {
		l.Close()
		if err := <-done; err != nil && !errors.Is(err, net.ErrClosed) { // the test may end before it began
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
	domain := address[strings.IndexByte(address, '@')+1:]
	box := &storage.PutMailbox{Mailbox: storage.Mailbox{Address: address, Domain: domain, Tier: "t" + address, State: storage.MailboxActive}}
	f.commit(
		&storage.PutTier{Tier: storage.Tier{Code: "t" + address, Name: "prova", Figures: storage.Figures{QuotaBytes: quota}}},
		&storage.PutDomain{Domain: storage.Domain{Name: domain, State: storage.DomainCertified}},
		box,
		&storage.CreateFolderIn{New: box, Name: "Bozze", SpecialUse: `\Drafts`, Subscribed: true},
		&storage.CreateFolderIn{New: box, Name: "Posta inviata", SpecialUse: `\Sent`, Subscribed: true},
		&storage.CreateFolderIn{New: box, Name: "Cestino", SpecialUse: `\Trash`, Subscribed: true},
	)
	return box.ID
}

func (f *fixture) grant(login string, p storage.Permission, m storage.MailboxID, address string) {
	f.t.Helper()
	f.commit(&storage.PutUser{User: storage.User{Login: login}}, &storage.PutGrant{Login: login, Mailbox: m, Permission: p})
	f.users.mu.Lock()
	defer f.users.mu.Unlock()
	f.users.grants[login] = append(f.users.grants[login], storage.Grant{Login: login, Mailbox: m, Address: address, Permission: p})
}

// deliver puts a message into a folder and returns its UID.
func (f *fixture) deliver(folder, text string, flags ...string) uint32 {
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
	op := &storage.Append{
		Mailbox: f.mailbox, Name: folder, Body: storage.BodyRef{New: body}, Flags: flags,
		InternalDate: time.Date(2026, 6, 3, 10, 15, 5, 0, time.UTC),
	}
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

// message is a small message with the given subject.
func message(subject string) string {
	return "From: Anna <anna@alfa.example>\r\nTo: bruno@beta.example\r\nSubject: " + subject +
		"\r\nDate: Wed, 3 Jun 2026 12:15:05 +0200\r\nMessage-ID: <" + subject + "@alfa.example>\r\n\r\nTesto di " + subject + "\r\n"
}

// login returns a client that is logged in, over implicit TLS.
func (f *fixture) login(options *imapclient.Options) *imapclient.Client {
	f.t.Helper()
	conn, err := tls.Dial("tcp", f.tls.Addr().String(), f.client)
	if err != nil {
		f.t.Fatal(err)
	}
	c := imapclient.New(conn, options)
	f.t.Cleanup(func() { c.Close() })
	if err := c.Login(testUser, testPassword).Wait(); err != nil {
		f.t.Fatal(err)
	}
	return c
}

// testTLS makes a certificate for 127.0.0.1.
func testTLS(t testing.TB) (server, client *tls.Config, caFile string) {
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
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		&tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}, caFile
}

// chunked is a reader that gives at most size octets at a time.
type chunked struct {
	s    string
	size int
}

func (c *chunked) Read(p []byte) (int, error) {
	if c.s == "" {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.size)], c.s)
	c.s = c.s[n:]
	return n, nil
}
