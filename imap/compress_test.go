// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"bufio"
	"compress/flate"
	"crypto/rand"
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// deflated is the client's side of a connection after COMPRESS. What it sends
// goes out in pieces of a few octets, each a record of its own.
type deflated struct {
	net.Conn
	in  io.Reader
	out *flate.Writer
}

func deflateConn(conn net.Conn, pieces bool) *deflated {
	var w io.Writer = conn
	if pieces {
		w = pieceWriter{conn}
	}
	out, err := flate.NewWriter(w, 6)
	if err != nil {
		panic(err)
	}
	return &deflated{conn, flate.NewReader(bufio.NewReader(conn)), out}
}

type pieceWriter struct{ w io.Writer }

func (w pieceWriter) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), 1+len(rest)%5)
		if _, err := w.w.Write(rest[:n]); err != nil {
			return 0, err
		}
		rest = rest[n:]
	}
	return len(p), nil
}

func (d *deflated) Read(p []byte) (int, error) { return d.in.Read(p) }

func (d *deflated) Write(p []byte) (int, error) {
	n, err := d.out.Write(p)
	if err == nil {
		err = d.out.Flush()
	}
	return n, err
}

// compress turns compression on for a script.
func (s *script) compress(pieces bool) {
	s.t.Helper()
	s.ok("COMPRESS DEFLATE")
	s.conn = deflateConn(s.conn, pieces)
	s.r = bufio.NewReader(s.conn)
}

func TestCompress(t *testing.T) {
	f := newFixture(t)
	large := message("grande") + strings.Repeat("Riga di testo con poco dentro, e sempre la stessa.\r\n", 4_000)
	f.deliver("INBOX", large)
	f.deliver("INBOX", message("piccolo"))
	s := f.open("INBOX")
	if l := s.ok("CAPABILITY"); !strings.Contains(l[0], " COMPRESS=DEFLATE") {
		t.Error(l)
	}
	s.fails("BAD", "COMPRESS")
	s.fails("BAD", "COMPRESS LZW")
	s.compress(true)
	s.fails("NO [COMPRESSIONACTIVE]", "COMPRESS DEFLATE")
	if l := s.ok("CAPABILITY"); strings.Contains(l[0], " COMPRESS=DEFLATE") {
		t.Error(l)
	}
	if got := s.literal("FETCH 1 BODY.PEEK[]"); string(got) != large {
		t.Errorf("%d octets came, not the message", len(got))
	}
	noise := make([]byte, 20_000) // does not compress: stored blocks
	_, _ = rand.Read(noise)
	text := message("mandato") + strings.ReplaceAll(strings.ReplaceAll(string(noise), "\r", "x"), "\n", "y") + strings.Repeat("A", 60_000)
	s.send("a APPEND INBOX {%d}\r\n", len(text))
	s.expect(`^\+ `)
	s.send("%s\r\n", text)
	s.until("a")
	if got := s.literal("FETCH 3 BODY.PEEK[]"); string(got) != text {
		t.Errorf("%d octets came, not the message", len(got))
	}
	for i := range 60 { // the client's stream refers to what it sent long before
		s.ok("UID SEARCH OR SUBJECT %d BODY %q", i, strings.Repeat("Testo", i%7))
	}
	s.send("i IDLE\r\n")
	s.expect(`^\+ `)
	f.deliver("INBOX", message("nuovo"))
	s.expect(`^\* 4 EXISTS`)
	s.send("DONE\r\n")
	s.until("i")
	s.ok("LOGOUT")

	f.script().fails("BAD", "COMPRESS DEFLATE") // no password is ever compressed
	for _, sent := range []string{"a COMPRESS DEFLATE\r\nb NOOP\r\n", "a COMPRESS {7+}\r\nDEFLATE\r\n"} {
		s = f.open("")
		s.send("%s", sent)
		s.closed()
	}
}

// What a client sends is bounded by what comes out of it.
func TestCompressHostile(t *testing.T) {
	f := newFixture(t)
	for _, sent := range []string{
		"a SEARCH TEXT " + strings.Repeat("x", 8<<20) + "\r\n", "a NOOP {2000000000+}\r\n", strings.Repeat("\r\n", 2<<20) + "a XYZZY {9999999+}\r\n",
	} {
		s := f.open("")
		s.compress(false)
		go func() { _, _ = io.WriteString(s.conn, sent) }()
		for {
			if _, err := s.r.ReadString('\n'); err != nil {
				break
			}
		}
	}
	s := f.open("")
	s.ok("COMPRESS DEFLATE")
	s.send("\xff\xff\xff\xffnot a deflate stream")
	if rest, _ := io.ReadAll(s.conn); len(rest) > 200 {
		t.Errorf("%q", rest)
	}
	// The end of the stream is the end of the connection.
	s = f.open("")
	s.compress(false)
	if err := s.conn.(*deflated).out.Close(); err != nil {
		t.Fatal(err)
	}
	if rest, _ := io.ReadAll(s.r); len(rest) > 0 {
		t.Errorf("%q", rest)
	}
	f.open("").ok("NOOP")
}

// What an idle connection takes, with and without compression.
func TestIdleMemory(t *testing.T) {
	f := newFixture(t)
	f.deliverSome(100)
	const n = idleConns
	measure := func(compressed bool) int64 {
		var before, after runtime.MemStats
		settle := func(m *runtime.MemStats) {
			for range 3 {
				time.Sleep(50 * time.Millisecond)
				runtime.GC()
			}
			runtime.ReadMemStats(m)
		}
		conns := make([]net.Conn, n)
		settle(&before)
		for i := range conns {
			s := f.open("INBOX")
			raw := s.conn
			if compressed {
				s.compress(false)
			}
			s.ok("FETCH 1:* (UID FLAGS ENVELOPE)")
			s.send("i IDLE\r\n")
			s.expect(`^\+ `)
			conns[i] = raw
		}
		settle(&after)
		for _, c := range conns {
			c.Close()
		}
		return int64(after.HeapInuse+after.StackInuse-before.HeapInuse-before.StackInuse) / n
	}
	measure(true) // fills the pools
	plain, compressed := measure(false), measure(true)
	t.Logf("plain %d octets, compressed %d octets, with the client's side", plain, compressed)
	if more := compressed - plain; more > 12<<10 {
		t.Errorf("a compressed connection takes %d octets more", more)
	}
}

// How many octets a client reads of a list of receipts.
func TestCompressSaves(t *testing.T) {
	f := newFixture(t)
	for i := range 500 {
		f.deliver("INBOX", string(receipt(i)))
	}
	read := func(compressed bool) int64 {
		raw, err := net.Dial("tcp", f.tls.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		var octets atomic.Int64
		s := newScript(t, tls.Client(countedConn{raw, &octets}, f.client))
		s.line()
		s.ok("LOGIN %s %q", testUser, testPassword)
		s.ok("SELECT INBOX")
		if compressed {
			s.compress(false)
		}
		before := octets.Load()
		if l := s.ok("FETCH 1:* (UID FLAGS RFC822.SIZE ENVELOPE)"); len(l) != 500 {
			t.Errorf("%d lines", len(l))
		}
		return octets.Load() - before
	}
	plain, compressed := read(false), read(true)
	t.Logf("plain %d octets, compressed %d", plain, compressed)
	if compressed*3 > plain {
		t.Errorf("%d octets of %d", compressed, plain)
	}
}
