// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"fmt"
	"io"
	"log"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	imaplib "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
)

// The tests in this file hold what ADR 0004 says of the library version in use,
// without the filter. One that fails after an update tells that a workaround
// may have become needless, or that a new one is needed.

// bare is the library's server with its own in-memory store.
type bare struct {
	t        *testing.T
	listener net.Listener
	sessions []*recorder
	mu       sync.Mutex
	writes   atomic.Int64
	deadline atomic.Int64 // of the last SetReadDeadline, from then
}

// recorder notes what the library asks of a session.
type recorder struct {
	imapserver.Session
	calls    []string
	readOnly bool
}

func (r *recorder) Select(name string, o *imaplib.SelectOptions) (*imaplib.SelectData, error) {
	r.calls = append(r.calls, "Select")
	r.readOnly = o.ReadOnly
	return r.Session.Select(name, o)
}

func (r *recorder) Store(w *imapserver.FetchWriter, set imaplib.NumSet, f *imaplib.StoreFlags, o *imaplib.StoreOptions) error {
	r.calls = append(r.calls, "Store")
	return r.Session.Store(w, set, f, o)
}

func (r *recorder) Expunge(w *imapserver.ExpungeWriter, uids *imaplib.UIDSet) error {
	r.calls = append(r.calls, "Expunge")
	return r.Session.Expunge(w, uids)
}

func (r *recorder) Search(k imapserver.NumKind, c *imaplib.SearchCriteria, o *imaplib.SearchOptions) (*imaplib.SearchData, error) {
	r.calls = append(r.calls, fmt.Sprintf("Search smaller=%d", c.Smaller))
	return r.Session.Search(k, c, o)
}

func (r *recorder) Namespace() (*imaplib.NamespaceData, error) {
	return r.Session.(imapserver.SessionNamespace).Namespace()
}

func (r *recorder) Move(w *imapserver.MoveWriter, set imaplib.NumSet, dest string) error {
	return r.Session.(imapserver.SessionMove).Move(w, set, dest)
}

// bareConn counts writes and notes deadlines.
type bareConn struct {
	net.Conn
	b *bare
}

func (c bareConn) Write(p []byte) (int, error) {
	c.b.writes.Add(1)
	return c.Conn.Write(p)
}

func (c bareConn) SetReadDeadline(t time.Time) error {
	c.b.deadline.Store(int64(time.Until(t)))
	return c.Conn.SetReadDeadline(t)
}

func (b *bare) Accept() (net.Conn, error) {
	c, err := b.listener.Accept()
	if err != nil {
		return nil, err
	}
	return bareConn{c, b}, nil
}
func (b *bare) Close() error   { return b.listener.Close() }
func (b *bare) Addr() net.Addr { return b.listener.Addr() }

func newBare(t *testing.T, caps ...imaplib.Cap) *bare {
	t.Helper()
	mem := imapmemserver.New()
	user := imapmemserver.NewUser("u", "p")
	if err := user.Create("INBOX", nil); err != nil {
		t.Fatal(err)
	}
	mem.AddUser(user)
	set := imaplib.CapSet{imaplib.CapIMAP4rev1: {}, imaplib.CapIdle: {}}
	for _, c := range caps {
		set[c] = struct{}{}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &bare{t: t, listener: l}
	srv := imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			r := &recorder{Session: mem.NewSession()}
			b.mu.Lock()
			b.sessions = append(b.sessions, r)
			b.mu.Unlock()
			return r, nil, nil
		},
		Caps: set, InsecureAuth: true, Logger: log.New(io.Discard, "", 0),
	})
	done := make(chan error, 1)
	go func() { done <- srv.Serve(b) }()
	t.Cleanup(func() { srv.Close(); <-done })
	return b
}

// script returns a connection; with login it is logged in and has INBOX selected.
func (b *bare) script(login bool) *script {
	b.t.Helper()
	c, err := net.Dial("tcp", b.Addr().String())
	if err != nil {
		b.t.Fatal(err)
	}
	s := newScript(b.t, c)
	s.line()
	if login {
		s.ok("LOGIN u p")
		s.ok("SELECT INBOX")
	}
	return s
}

// calls returns what session i was asked for.
func (b *bare) calls(i int) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sessions[i].calls
}

func TestLibraryMended(t *testing.T) {
	b := newBare(t)
	s := b.script(false)
	s.ok("ID NIL") // before login: once BAD and BYE
	s.send("\r\n") // an empty line: once the end
	s.ok("LOGIN u p")
	s.ok("SELECT INBOX")
	text := "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
	s.send("a APPEND INBOX {%d+}\r\n%s\r\n", len(text), text)
	s.until("a")
	s.ok("FETCH 1 BODYSTRUCTURE") // of an empty multipart: once a panic
}

// A small literal that is refused for any other reason than its size is
// executed as commands.
func TestLibraryExecutesRefusedLiterals(t *testing.T) {
	b := newBare(t)
	for i, command := range []string{`a APPEND INBOX "ieri" {%d+}`, "a XYZZY {%d+}", "a APPEND INBOX {%d+}"} {
		s := b.script(true)
		literal := fmt.Sprintf("x CREATE rubata%d\r\n", i)
		if i == 2 { // above LITERAL-, which the library advertises
			literal += strings.Repeat("y NOOP\r\n", 600)
		}
		s.send(command+"\r\n%s\r\n", len(literal), literal)
		s.ok("NOOP")
		if l := s.ok(`LIST "" rubata%d`, i); len(l) == 0 {
			t.Errorf("%s: mended", command)
		}
	}
}

// What the library cannot decode it takes for its own fault.
func TestLibraryBlamesItself(t *testing.T) {
	b := newBare(t)
	s := b.script(true)
	for _, command := range []string{`CREATE "bad&name"`, "CREATE \"Attivit\xe0\"", `APPEND INBOX "01-Jan-2024 10:00:00 GMT" {3}`} {
		if _, result := s.command("%s", command); " "+result+"\r\n" != libraryBug {
			t.Errorf("%s: mended: %s", command, result)
		}
	}
}

func TestLibraryLosesUpdateBeforeIDLE(t *testing.T) {
	b := newBare(t)
	s, other := b.script(true), b.script(true)
	other.send("a APPEND INBOX {3+}\r\nabc\r\n")
	other.until("a")
	s.send("a IDLE\r\n")
	s.expect(`^\+ `)
	_ = s.conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if l, err := s.r.ReadString('\n'); err == nil {
		t.Errorf("mended: %q", l)
	}
}

func TestLibraryWritesEveryLine(t *testing.T) {
	b := newBare(t)
	s := b.script(true)
	for i := range 50 {
		s.ok("CREATE f%d", i)
	}
	before := b.writes.Load()
	lines := int64(len(s.ok(`LIST "" *`)))
	if n := b.writes.Load() - before; n < lines {
		t.Errorf("mended: %d lines in %d writes", lines, n)
	}
}

func TestLibraryLiteralDeadline(t *testing.T) {
	b := newBare(t)
	s := b.script(true)
	s.send("a APPEND INBOX {10}\r\n")
	s.expect(`^\+ `)
	for range 5 { // the deadline is set after the continuation is written, and once
		s.send("x")
		time.Sleep(10 * time.Millisecond)
	}
	if d := time.Duration(b.deadline.Load()); d < 4*time.Minute || d > 5*time.Minute {
		t.Errorf("a literal has %v", d)
	}
	s.send("xxxxx\r\n")
	s.until("a")
}

func TestLibraryWantsDONEInCapitals(t *testing.T) {
	b := newBare(t)
	s := b.script(true)
	s.send("a IDLE\r\n")
	s.expect(`^\+ `)
	s.send("done\r\n")
	s.expect(`^a BAD`)
}

func TestLibraryLeavesReadOnlyToTheSession(t *testing.T) {
	b := newBare(t)
	s := b.script(false)
	s.ok("LOGIN u p")
	s.send("a APPEND INBOX {3+}\r\nabc\r\n")
	s.until("a")
	s.ok("EXAMINE INBOX")
	s.ok(`STORE 1 +FLAGS (\Deleted)`)
	s.ok("CLOSE")
	calls := b.calls(0)
	if !slices.Contains(calls, "Store") || !slices.Contains(calls, "Expunge") {
		t.Errorf("mended: %q", calls)
	}
}

func TestLibraryForgetsSmaller(t *testing.T) {
	b := newBare(t)
	s := b.script(true)
	s.ok("SEARCH SMALLER 10 SINCE 1-Jan-2020")
	if calls := b.calls(0); !slices.Contains(calls, "Search smaller=0") {
		t.Errorf("mended: %q", calls)
	}
}

// With IMAP4rev2 advertised every client's folder names are taken for UTF-8, and
// CONDSTORE and QRESYNC are offered with it.
func TestLibraryRev2(t *testing.T) {
	b := newBare(t, imaplib.CapIMAP4rev2)
	s := b.script(true)
	caps := s.ok("CAPABILITY")[0]
	if !strings.Contains(caps, "QRESYNC") {
		t.Errorf("mended: %q", caps)
	}
	s.ok(`CREATE "Attivit&AOA-"`)
	s.ok("ENABLE UTF8=ACCEPT")
	if l := s.ok(`LIST "" Att*`); strings.Contains(l[0], "Attività") {
		t.Errorf("mended: %q", l)
	}
}

// An empty challenge is sent as "=", which is for initial responses alone.
func TestLibraryChallenge(t *testing.T) {
	b := newBare(t)
	s := b.script(false)
	s.send("a AUTHENTICATE PLAIN\r\n")
	if l := s.line(); l != "+ =" {
		t.Errorf("mended: %q", l)
	}
}

// The rest of a line above the limit is taken for a command, and a command
// without a verb ends the connection.
func TestLibraryLongAndEmptyCommands(t *testing.T) {
	b := newBare(t)
	s := b.script(true)
	s.send("a FETCH 1 (%sFLAGS)\r\n", strings.Repeat("FLAGS ", 10000))
	s.expect(`^a NO`)
	if l := s.line(); strings.HasPrefix(l, "a ") { // an answer to what nobody asked
		t.Errorf("mended: %q", l)
	}
	s = b.script(true)
	s.send("a\r\n")
	if _, err := s.r.ReadString('\n'); err == nil {
		t.Error("mended")
	}
}

// A literal above 4096 octets that is no message gets no answer: the library
// goes on reading, and takes what comes for the argument.
func TestLibraryRefusesSilently(t *testing.T) {
	b := newBare(t)
	s := b.script(true)
	s.send("a CREATE {5000}\r\n")
	s.send("b NOOP\r\n")
	if l := s.line(); strings.HasPrefix(l, "+ ") || strings.HasPrefix(l, "b OK") {
		t.Errorf("mended: %q", l)
	}
}

// A line ends at a bare CR for one who reports an error in it.
func TestLibraryStopsAtCR(t *testing.T) {
	b := newBare(t)
	s := b.script(true)
	s.send("a XYZZY x\ry CREATE rubata\r\n")
	s.expect(`^a BAD`)
	if l := s.line(); l != "y OK CREATE completed" {
		t.Errorf("mended: %q", l)
	}
}

// An ENVELOPE is made anew from decoded values.
func TestLibraryReencodesEnvelope(t *testing.T) {
	b := newBare(t)
	s := b.script(true)
	text := "Subject: =?utf-8?Q?Citt=C3=A0?=\r\nTo: Gruppo: due@x.example;\r\n\r\n"
	s.send("a APPEND INBOX {%d+}\r\n%s\r\n", len(text), text)
	s.until("a")
	if l := s.ok("FETCH 1 ENVELOPE"); strings.Contains(l[0], "=?utf-8?Q?") && strings.Contains(l[0], "Gruppo") {
		t.Errorf("mended: %q", l)
	}
}
