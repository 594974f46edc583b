// SPDX-License-Identifier: EUPL-1.2

package smtp

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
	"encoding/base64"
	"io"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pecd/directory"
	"pecd/fault"
	"pecd/pipeline"
	"pecd/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// certificate is one key pair for 127.0.0.1, localhost and mx.beta.example,
// with the pool that trusts it.
var certificate = sync.OnceValues(newCertificate)

func newCertificate() (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost", "mx.beta.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

func serverTLS() *tls.Config {
	cert, _ := certificate()
	return &tls.Config{Certificates: []tls.Certificate{cert}}
}

func clientTLS() *tls.Config {
	_, pool := certificate()
	return &tls.Config{RootCAs: pool, ServerName: "localhost"}
}

// taken is one message that went through a door.
type taken struct {
	login, sender string
	recipients    []string
	peer          pipeline.Peer
	message       []byte
}

// fakePoint is both points: it records what they are handed.
type fakePoint struct {
	mu      sync.Mutex
	got     []taken
	failed  []error // what the readers ended with, where not well
	text    string
	mayFail map[string]error // address -> error of MaySend or MayReceive
	submit  func(ctx context.Context, r io.Reader) error
	allowed func(recipients int) (pipeline.Allowance, error)
}

func (f *fakePoint) may(address string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mayFail[address]
}

func (f *fakePoint) MaySend(_ context.Context, _, sender string) error    { return f.may(sender) }
func (f *fakePoint) MayReceive(_ context.Context, recipient string) error { return f.may(recipient) }

func (f *fakePoint) Allowance(_ context.Context, _ pipeline.Submission, recipients int) (pipeline.Allowance, error) {
	if f.allowed == nil {
		return pipeline.Allowance{Recipients: recipients}, nil
	}
	return f.allowed(recipients)
}

func (f *fakePoint) messages() []taken {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]taken(nil), f.got...)
}
func (f *fakePoint) failures() []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]error(nil), f.failed...)
}

func (f *fakePoint) Submit(ctx context.Context, s pipeline.Submission, r io.Reader) (string, error) {
	return f.take(ctx, taken{login: s.Login, sender: s.Sender, recipients: s.Recipients, peer: s.Peer}, r)
}

func (f *fakePoint) Receive(ctx context.Context, a pipeline.Arrival, r io.Reader) (string, error) {
	return f.take(ctx, taken{sender: a.Sender, recipients: a.Recipients, peer: a.Peer}, r)
}

func (f *fakePoint) take(ctx context.Context, t taken, r io.Reader) (string, error) {
	var err error
	if f.submit != nil {
		err = f.submit(ctx, r)
	} else {
		t.message, err = io.ReadAll(r)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.failed = append(f.failed, err)
		return "", err
	}
	f.got = append(f.got, t)
	if f.text != "" {
		return f.text, nil
	}
	return "2.6.0 accettato / accepted", nil
}

// fakeAuth knows one user.
type fakeAuth struct{}

const (
	testLogin    = "rossi@alfa.example"
	testPassword = "segretissima"
)

func (fakeAuth) Authenticate(_ context.Context, login, password string, by storage.Protocol) (directory.Principal, error) {
	switch {
	case login == "rotto@alfa.example":
		return directory.Principal{}, fault.New("fake", fault.Temporary, nil)
	case strings.EqualFold(login, testLogin) && password == testPassword && by == storage.BySubmission:
		return directory.Principal{Login: testLogin}, nil
	}
	return directory.Principal{}, fault.New("fake", fault.Denied, nil)
}

func (fakeAuth) AuthenticateToken(context.Context, string, string, storage.Protocol) (directory.Principal, error) {
	return directory.Principal{}, fault.New("fake", fault.Denied, nil)
}

func (fakeAuth) TakesTokens() bool { return false }

func (fakeAuth) MaySubmit(context.Context, directory.Principal, string) error { return nil }

func quiet(cfg ServerConfig) ServerConfig {
	if cfg.Hostname == "" {
		cfg.Hostname = "mx.alfa.example"
	}
	if cfg.TLS == nil {
		cfg.TLS = serverTLS()
	}
	if cfg.AuthDelay == 0 {
		cfg.AuthDelay = time.Millisecond
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	return cfg
}

// serve starts s on a new socket and ends it with the test.
func serve(t testing.TB, s *Server, implicit bool) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(context.Background(), l, implicit) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		_ = s.Shutdown(ctx)
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return l.Addr().String()
}

func startSubmission(t testing.TB, p *fakePoint, cfg ServerConfig) (addr string) {
	t.Helper()
	return serve(t, NewSubmission(quiet(cfg), fakeAuth{}, p), false)
}

func startMX(t testing.TB, p *fakePoint, cfg ServerConfig) (addr string) {
	t.Helper()
	return serve(t, NewMX(quiet(cfg), p), false)
}

// client is the other end of a test: it says exactly what it is told.
type client struct {
	t testing.TB
	net.Conn
	br *bufio.Reader
}

func dial(t testing.TB, addr string) *client {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	c := &client{t: t, Conn: nc, br: bufio.NewReader(nc)}
	c.expect("220 ")
	return c
}

func (c *client) send(s string) {
	c.t.Helper()
	_ = c.SetWriteDeadline(time.Now().Add(60 * time.Second))
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatalf("write %.40q: %v", s, err)
	}
}

// reply reads one reply of any number of lines; "" at the end of the stream.
func (c *client) reply() string {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(60 * time.Second))
	var b strings.Builder
	for {
		line, err := c.br.ReadString('\n')
		if err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				c.t.Fatalf("no reply in time, so far %q", b.String())
			}
			return b.String()
		}
		if !strings.HasSuffix(line, "\r\n") || len(line) > 512 {
			c.t.Errorf("malformed reply line %q", line)
		}
		for _, r := range strings.TrimRight(line, "\r\n") {
			if r < ' ' || r > '~' {
				c.t.Errorf("reply is not printable ASCII: %q", line)
			}
		}
		b.WriteString(line)
		if len(line) < 4 || line[3] != '-' {
			return b.String()
		}
	}
}

func (c *client) expect(prefix string) string {
	c.t.Helper()
	got := c.reply()
	if !strings.HasPrefix(got, prefix) {
		c.t.Fatalf("reply %q, want %q…", got, prefix)
	}
	return got
}

func (c *client) cmd(line, prefix string) string {
	c.t.Helper()
	c.send(line + "\r\n")
	return c.expect(prefix)
}

// closed asserts that the server ended the connection.
func (c *client) closed() {
	c.t.Helper()
	if got := c.reply(); got != "" {
		c.t.Fatalf("connection goes on with %q", got)
	}
}

// alive asserts that the connection is still usable.
func (c *client) alive() {
	c.t.Helper()
	c.cmd("NOOP", "250 ")
}

func (c *client) startTLS() {
	c.t.Helper()
	c.cmd("STARTTLS", "220 ")
	tc := tls.Client(c.Conn, clientTLS())
	if err := tc.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	c.Conn, c.br = tc, bufio.NewReader(tc)
}

func plain(login, password string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + login + "\x00" + password))
}

// submitter is an authenticated client under TLS.
func submitter(t testing.TB, addr string) *client {
	t.Helper()
	c := dial(t, addr)
	c.cmd("EHLO client.example", "250-")
	c.startTLS()
	c.cmd("EHLO client.example", "250-")
	c.cmd("AUTH PLAIN "+plain(testLogin, testPassword), "235 2.7.0 ")
	return c
}

func (c *client) envelope(from string, to ...string) {
	c.t.Helper()
	c.cmd("MAIL FROM:<"+from+">", "250 2.1.0 ")
	for _, r := range to {
		c.cmd("RCPT TO:<"+r+">", "250 2.1.5 ")
	}
}

// exchange is a cleartext client of an MX after EHLO.
func exchange(t testing.TB, addr string) *client {
	t.Helper()
	c := dial(t, addr)
	c.cmd("EHLO peer.example", "250-")
	return c
}

// repeated is a reader of n octets of CRLF lines, cheap enough for 100 MB.
type repeated struct {
	line []byte
	left int64
	off  int
}

func newRepeated(n int64) *repeated {
	return &repeated{line: append(bytes.Repeat([]byte{'x'}, 76), '\r', '\n'), left: n}
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) && r.left > 0 {
		k := copy(p[n:], r.line[r.off:])
		k = int(min(int64(k), r.left))
		n, r.off, r.left = n+k, (r.off+k)%len(r.line), r.left-int64(k)
	}
	return n, nil
}

func newClient(t testing.TB, nc net.Conn) *client {
	t.Cleanup(func() { nc.Close() })
	return &client{t: t, Conn: nc, br: bufio.NewReader(nc)}
}

func waitFor(t testing.TB, ok func() bool) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("it never happened")
}
