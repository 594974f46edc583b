// SPDX-License-Identifier: EUPL-1.2

package pop3

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"pecd/clock"
	"pecd/storage"
)

// TestBytes: what was stored comes out, whatever it is; only line ends that POP3
// cannot carry are made CRLF.
func TestBytes(t *testing.T) {
	long := "Subject: x\r\n\r\n" + strings.Repeat("y", 200<<10) + "\r\n.\r\n..\r\n"
	cases := []struct{ stored, sent string }{
		{".\r\n", ".\r\n"}, {"..\r\n.x\r\n", "..\r\n.x\r\n"}, {"a\r\n.\r\nb\r\n", "a\r\n.\r\nb\r\n"}, {"\r\n\r\n", "\r\n\r\n"},
		{"a", "a\r\n"}, {"a\r", "a\r\n"}, {"a\n.b\n", "a\r\n.b\r\n"}, {"\n.\n", "\r\n.\r\n"}, {"a\r\r\n.\r\n", "a\r\r\n.\r\n"}, {"a\rb\r.\r\n", "a\rb\r.\r\n"},
		{"\x00\xff\xfe\r\n", "\x00\xff\xfe\r\n"}, {long, long},
	}
	// Pieces end anywhere in a line.
	for n := bufferSize - 3; n <= bufferSize+3; n++ {
		m := strings.Repeat("z", n) + "\r\n.\r\n.x\r\n"
		cases = append(cases, struct{ stored, sent string }{m, m})
	}
	f := newFixture(t)
	for _, c := range cases {
		f.deliver(c.stored)
	}
	s := f.login()
	for i, c := range cases {
		if got := s.multi("RETR %d", i+1); got != c.sent {
			t.Errorf("%.20q (%d): got %.40q (%d)", c.stored, len(c.stored), got, len(got))
		}
		if got := s.multi("TOP %d 100000", i+1); got != c.sent {
			t.Errorf("TOP of %.20q (%d): got %.40q (%d)", c.stored, len(c.stored), got, len(got))
		}
	}
}

// TestTop: the header's end is found wherever a piece ends.
func TestTop(t *testing.T) {
	f := newFixture(t)
	var want []string
	for n := bufferSize - 6; n <= bufferSize+3; n++ {
		head := "A: " + strings.Repeat("z", n-5) + "\r\n\r\n"
		f.deliver(head + "one\r\ntwo\r\nthree\r\n")
		want = append(want, head+"one\r\n")
	}
	f.deliver("only: header\r\n")
	f.deliver("a: b\n\none\ntwo\n")
	want = append(want, "only: header\r\n", "a: b\r\n\r\none\r\n")
	s := f.login()
	for i, w := range want {
		if got := s.multi("TOP %d 1", i+1); got != w {
			t.Errorf("%d: %q, want %q", i+1, got[max(0, len(got)-20):], w[max(0, len(w)-20):])
		}
	}
}

// TestBeforeTLS: nothing that tells a password is taken in the clear, and nothing
// sent in the clear is believed later (RFC 2595 §4).
func TestBeforeTLS(t *testing.T) {
	f := newFixture(t)
	f.deliver(message("uno"))
	s := f.clear()
	if got := s.multi("CAPA"); !strings.Contains(got, "STLS\r\n") || strings.Contains(got, "USER") || strings.Contains(got, "SASL") {
		t.Errorf("%q", got)
	}
	for _, c := range []string{"USER " + testUser, "PASS x", "AUTH PLAIN", "AUTH"} {
		s.fails("prima STLS", "%s", c)
	}
	s.fails("prima l'accesso", "STAT")
	s.ok("STLS")
	secure := tls.Client(s.conn, f.client)
	s = newScript(t, secure)
	if got := s.multi("CAPA"); strings.Contains(got, "STLS") || !strings.Contains(got, "USER\r\nSASL PLAIN LOGIN\r\n") {
		t.Errorf("%q", got)
	}
	s.fails("TLS e' gia' attivo", "STLS")
	s.ok("USER %s", testUser)
	s.ok("PASS %s", testPassword)
	s.multi("RETR 1")
	s.ok("UTF8")

	s = f.clear()
	s.send("STLS\r\nUSER %s\r\n", testUser)
	s.expect("^-ERR dati dopo STLS")
	s.closed()

	s = f.clear()
	s.ok("STLS")
	s.send("no handshake at all\r\n")
	if b, _ := io.ReadAll(s.r); bytes.Contains(b, []byte("-ERR")) {
		t.Errorf("%q", b)
	}
}

// TestPipelined: many commands at once are answered in order, and the output of
// the small ones is written together.
func TestPipelined(t *testing.T) {
	f := newFixture(t)
	const n = 1000
	for i := range n {
		f.deliver(message(fmt.Sprint("m", i)))
	}
	s := f.login()
	sent := make(chan error, 1)
	go func() {
		var b bytes.Buffer
		for i := range n {
			fmt.Fprintf(&b, "TOP %d 0\r\nRETR %d\r\n", i+1, i+1)
		}
		b.WriteString("DELE 1\r\nQUIT\r\n")
		_, err := s.conn.Write(b.Bytes())
		sent <- err
	}()
	for i := range n {
		want := message(fmt.Sprint("m", i))
		s.expect(`^\+OK`)
		if got := s.rest(); got != want[:strings.Index(want, "Testo")] {
			t.Fatalf("TOP %d: %q", i+1, got)
		}
		s.expect(`^\+OK`)
		if got := s.rest(); got != want {
			t.Fatalf("RETR %d: %q", i+1, got)
		}
	}
	s.expect(`^\+OK$`)
	s.expect(`^\+OK 1 messaggi spostati`)
	s.closed()
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

func TestLongLines(t *testing.T) {
	f := newFixture(t)
	s := f.script()
	s.send("%s\r\n", strings.Repeat("x", maxToken+1))
	s.expect("^-ERR riga troppo lunga")
	s.closed()
	s = f.script()
	s.fails(`\[AUTH\]|risposta`, "AUTH PLAIN %s", base64.StdEncoding.EncodeToString([]byte("\x00a\x00"+strings.Repeat("p", 8000))))
	s = f.login()
	s.fails("comando sconosciuto", "%s", strings.Repeat("x", maxCommand-2))
	s.send("RETR %s\r\n", strings.Repeat("1", maxCommand))
	s.expect("^-ERR riga troppo lunga")
	s.closed()
	s = f.script()
	for range maxMistakes - 1 {
		s.fails("comando sconosciuto", "HELP")
	}
	s.fails("troppi errori", "HELP")
	s.closed()
}

// TestEndlessLine: a line without an end is not collected.
func TestEndlessLine(t *testing.T) {
	f := newFixture(t)
	s := f.script()
	piece := bytes.Repeat([]byte("x"), 64<<10)
	sent := 0
	for sent < 64<<20 {
		n, err := s.conn.Write(piece)
		sent += n
		if err != nil {
			break
		}
	}
	if sent >= 64<<20 {
		t.Errorf("%d octets of one line were taken", sent)
	}
}

// TestSlowReader: a client that takes nothing is cut, holds little memory while it
// is there, and hinders nobody.
func TestSlowReader(t *testing.T) {
	f := newFixture(t, func(_ *Config, l *timing) { l.progress, l.tick = 500*time.Millisecond, 20*time.Millisecond })
	f.deliver("Subject: gross\r\n\r\n" + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 800_000)) // 62 MB
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const clients = 10
	slow := make([]*script, clients)
	for i := range slow {
		slow[i] = f.login()
		slow[i].send("RETR 1\r\n")
	}
	other := f.login()
	other.ok("STAT")
	runtime.GC()
	runtime.ReadMemStats(&during)
	if grown := int64(during.HeapInuse) - int64(before.HeapInuse); grown > 20<<20 {
		t.Errorf("%d slow readers hold %d bytes", clients, grown)
	}
	time.Sleep(time.Second)
	for _, s := range slow {
		if n, err := io.Copy(io.Discard, s.r); err == nil || n > 30<<20 {
			t.Errorf("not cut: %d octets, %v", n, err)
		}
	}
	other.ok("STAT")
}

// TestDeadlines: by the injected clock, and without an answer (RFC 1939 §3).
func TestDeadlines(t *testing.T) {
	clk := clock.NewManual(time.Unix(1.8e9, 0))
	f := newFixture(t, func(c *Config, _ *timing) { c.Clock = clk })
	f.deliver(message("uno"))
	pass := func(d time.Duration) {
		for end := d; end > 0; end -= time.Second { // the reaper looks every second
			clk.Advance(time.Second)
			time.Sleep(200 * time.Microsecond)
		}
	}
	silent, half := f.script(), f.login()
	half.ok("DELE 1")
	half.send("QU")
	time.Sleep(50 * time.Millisecond)
	pass(61 * time.Second)
	half.closed()
	idle := f.login()
	idle.ok("DELE 1")
	pass(61 * time.Second)
	silent.closed()
	idle.ok("NOOP")
	pass(10 * time.Minute)
	idle.ok("NOOP")
	pass(11*time.Minute + 2*time.Second)
	idle.closed()
	if got := f.texts("INBOX"); len(got) != 1 {
		t.Error("a session that was logged out deleted a message")
	}
	raw, err := net.Dial("tcp", f.tls.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	mute := newScript(t, raw) // never shakes hands
	time.Sleep(50 * time.Millisecond)
	pass(2*time.Minute + 2*time.Second)
	mute.closed()
}

func TestConnections(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *timing) { c.MaxConns, c.MaxConnsPerIP = 3, 2 })
	a, b := f.clear(), f.clear()
	conn, err := net.Dial("tcp", f.plain.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := newScript(t, conn)
	c.expect(`^-ERR \[SYS/TEMP\] troppe connessioni`)
	c.closed()
	a.ok("QUIT")
	a.closed()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) { // leave comes after close
		n := f.server.conns.Len()
		if n == 1 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d connections are counted", n)
		}
	}
	f.clear()
	b.ok("QUIT")
}

// TestSessionsOfAMailbox are bounded, and others are not concerned.
func TestSessionsOfAMailbox(t *testing.T) {
	f := newFixture(t)
	other := f.addMailbox("bea@alfa.example", 1<<20)
	f.grant("bea@alfa.example", storage.MayAll, other, "bea@alfa.example")
	for range maxPerMailbox - 1 {
		f.login()
	}
	last := f.login()
	s := f.script()
	s.ok("USER %s", testUser)
	s.fails(`\[IN-USE\]`, "PASS %s", testPassword)
	s.ok("USER bea@alfa.example")
	s.ok("PASS %s", testPassword)
	last.ok("QUIT")
	last.closed()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		n := f.server.cfg.Sessions.of(f.mailbox)
		if n < maxPerMailbox {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d sessions are counted", n)
		}
	}
	f.login()
}

// TestSessionsOfANode: the listeners of a node count together.
func TestSessionsOfANode(t *testing.T) {
	shared := func(s *Sessions) func(*Config, *timing) { return func(c *Config, _ *timing) { c.Sessions = s } }
	node := new(Sessions)
	f, g := newFixture(t, shared(node)), newFixture(t, shared(node))
	if f.mailbox != g.mailbox {
		t.Fatalf("mailboxes %d and %d: nothing to count together", f.mailbox, g.mailbox)
	}
	for range maxPerMailbox {
		f.login()
	}
	s := g.script()
	s.ok("USER %s", testUser)
	s.fails(`\[IN-USE\]`, "PASS %s", testPassword)
}

// TestShutdown: whoever waits is sent away at once, what is under way is finished,
// and what was marked stays.
func TestShutdown(t *testing.T) {
	f := newFixture(t)
	big := "Subject: x\r\n\r\n" + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 100_000)
	f.deliver(big)
	f.deliver(message("due"))
	idle, busy, mute := f.login(), f.login(), f.clear()
	idle.ok("DELE 2")
	busy.ok("RETR 1")
	done := make(chan error, 1)
	start := time.Now()
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		done <- f.server.Shutdown(ctx)
	}()
	idle.closed()
	mute.closed()
	if got := busy.rest(); got != big {
		t.Errorf("%d octets of %d", len(got), len(big))
	}
	busy.closed()
	if err := <-done; err != nil || time.Since(start) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
	if got := f.texts("INBOX"); len(got) != 2 {
		t.Errorf("%d messages left", len(got))
	}
}

// panicking panics where a message is opened.
type panicking struct{ storage.Store }

func (panicking) OpenBody(context.Context, storage.BodyID) (storage.Body, error) {
	panic("a message text")
}

func TestPanicEndsOneConnection(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *timing) { c.Store = panicking{c.Store} })
	f.mayPanic = true
	f.deliver(message("uno"))
	s, other := f.login(), f.login()
	s.send("RETR 1\r\n")
	s.closed()
	other.ok("NOOP")
	if l := f.logs.String(); !strings.Contains(l, "panic in a session") || strings.Contains(l, "a message text") {
		t.Error(l)
	}
}

// cutBody is a message that cannot be read to its end.
type cutBody struct{ storage.Body }

func (c cutBody) ReadAt(p []byte, off int64) (int, error) {
	if off > 0 {
		return 0, io.ErrUnexpectedEOF
	}
	return c.Body.ReadAt(p, off)
}

type cutting struct{ storage.Store }

func (c cutting) OpenBody(ctx context.Context, id storage.BodyID) (storage.Body, error) {
	b, err := c.Store.OpenBody(ctx, id)
	return cutBody{b}, err
}

// TestUnreadable: half a message never looks like a whole one.
func TestUnreadable(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *timing) { c.Store = cutting{c.Store} })
	f.deliver("a: b\r\n\r\n" + strings.Repeat("x\r\n", 30_000))
	s := f.login()
	s.ok("RETR 1")
	b, _ := io.ReadAll(s.r)
	if bytes.HasSuffix(b, []byte("\r\n.\r\n")) || len(b) > bufferSize+10 {
		t.Errorf("%d octets, ended by %q", len(b), b[max(0, len(b)-8):])
	}
}
