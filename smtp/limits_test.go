// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pecd/clock"
)

func TestLimits_Connections(t *testing.T) {
	addr := startMX(t, &fakePoint{}, ServerConfig{MaxConnsPerIP: 2})
	a, b := exchange(t, addr), exchange(t, addr)
	refused, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, refused)
	c.expect("421 4.7.0 troppe connessioni")
	c.closed()
	// STARTTLS keeps the place, QUIT gives it back.
	a.startTLS()
	a.cmd("QUIT", "221 ")
	a.closed()
	waitFor(t, func() bool {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		return strings.HasPrefix(newClient(t, nc).reply(), "220")
	})
	b.alive()
}

func TestLimits_TotalConnections(t *testing.T) {
	l := newConnLimits(2, -1)
	k := func(s string) netip.Prefix { return netip.MustParsePrefix(s) }
	if !l.enter(k("192.0.2.1/32")) || !l.enter(k("192.0.2.1/32")) || l.enter(k("192.0.2.2/32")) {
		t.Error("total limit")
	}
	l.leave(k("192.0.2.1/32"))
	if !l.enter(k("192.0.2.2/32")) || len(l.by) != 2 {
		t.Error("a place came free")
	}
}

func TestLimits_ClientKey(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.7:25":              "192.0.2.7/32",
		"[::ffff:192.0.2.7]:25":     "192.0.2.7/32",
		"[2001:db8:1:2:3:4:5:6]:25": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:25":         "fe80::/64",
	} {
		ap, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := clientKey(ap).String(); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}

func TestLimits_FailedLoginsComeBack(t *testing.T) {
	clk := clock.NewManual(time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC))
	l := newAuthLimits(clk)
	k := netip.MustParsePrefix("192.0.2.1/32")
	for i := range authBurst {
		if !l.take(k) {
			t.Fatalf("attempt %d refused", i)
		}
	}
	if l.take(k) {
		t.Error("one too many")
	}
	l.give(k)
	if !l.take(k) || l.take(k) {
		t.Error("a login that succeeded costs nothing")
	}
	clk.Advance(authRefill)
	if !l.take(k) || l.take(k) {
		t.Error("one attempt comes back")
	}
	for i := range authTable + 100 {
		l.take(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32))
	}
	if len(l.by) > authTable {
		t.Errorf("%d clients remembered", len(l.by))
	}
}

func TestLimits_IdleCommandsAndErrors(t *testing.T) {
	addr := startMX(t, &fakePoint{}, ServerConfig{})
	c := exchange(t, addr)
	for range maxJunk - 1 {
		c.cmd("NOOP", "250 ")
	}
	c.cmd("RSET", "421 4.7.0 ")
	c.closed()
	c = exchange(t, addr)
	for range 3 {
		c.cmd("WHATEVER", "500 5.5.2 ")
	}
	c.cmd("WHATEVER", "500 5.5.2 ")
	c.expect("421 4.7.0 ")
	c.closed()
	c = exchange(t, addr)
	for range DefaultMaxRecipients + maxJunk {
		c.cmd("RCPT TO:<x>", "501 ")
	}
	c.send("RCPT TO:<x>\r\n")
	c.expect("501 ")
	c.expect("421 4.7.0 ")
	c.closed()
}

// manual starts an MX on a clock that stands still.
func manual(t *testing.T, p *fakePoint, cfg ServerConfig) (*clock.Manual, string) {
	clk := clock.NewManual(time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC))
	cfg.Clock = clk
	return clk, startMX(t, p, cfg)
}

// ticking moves the clock by step every few milliseconds until stop is called.
func ticking(clk *clock.Manual, step time.Duration) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-quit:
				return
			case <-time.After(10 * time.Millisecond):
				clk.Advance(step)
			}
		}
	}()
	return func() { close(quit); <-done }
}

func TestTimeouts_IdleClient(t *testing.T) {
	clk, addr := manual(t, &fakePoint{}, ServerConfig{CommandTimeout: time.Minute})
	c := exchange(t, addr)
	for range 5 {
		clk.Advance(59 * time.Second)
		c.alive()
	}
	defer ticking(clk, time.Minute)()
	c.expect("421 4.4.2 ")
	c.closed()
}

func TestTimeouts_CommandInDribbles(t *testing.T) {
	clk, addr := manual(t, &fakePoint{}, ServerConfig{CommandTimeout: time.Minute})
	c := exchange(t, addr)
	defer ticking(clk, 10*time.Second)()
	go func() {
		for {
			if _, err := c.Conn.Write([]byte("N")); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	c.expect("421 4.4.2 ")
	c.Close()
}

func TestTimeouts_SlowButLiveMessage(t *testing.T) {
	var read atomic.Int64
	p := &fakePoint{submit: func(_ context.Context, r io.Reader) error {
		buf := make([]byte, 4096)
		for {
			n, err := r.Read(buf)
			read.Add(int64(n))
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
		}
	}}
	clk, addr := manual(t, p, ServerConfig{DataTimeout: time.Minute})
	c := exchange(t, addr)
	c.envelope("a@alfa.example", "b@beta.example")
	c.cmd("DATA", "354 ")
	block := strings.Repeat(strings.Repeat("x", 1022)+"\r\n", 64)
	// Six minutes for a message, but never a minute below 1 KiB a second.
	for i := range 12 {
		c.send(block)
		waitFor(t, func() bool { return read.Load() == int64((i+1)*len(block)) })
		clk.Advance(30 * time.Second)
	}
	c.cmd(".", "250 ")
}

func TestTimeouts_Slowloris(t *testing.T) {
	p := &fakePoint{}
	clk, addr := manual(t, p, ServerConfig{DataTimeout: time.Minute})
	c := exchange(t, addr)
	c.envelope("a@alfa.example", "b@beta.example")
	c.cmd("DATA", "354 ")
	defer ticking(clk, 10*time.Second)()
	go func() {
		for {
			if _, err := c.Conn.Write([]byte("x\r\n")); err != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	c.expect("421 4.4.2 ")
	c.Close()
	if len(p.messages()) != 0 {
		t.Error("kept")
	}
}

func TestTimeouts_ClientThatReadsNothing(t *testing.T) {
	clk, addr := manual(t, &fakePoint{}, ServerConfig{CommandTimeout: time.Minute, MaxRecipients: 1 << 30})
	c := exchange(t, addr)
	defer ticking(clk, 10*time.Second)()
	group := []byte(strings.Repeat("RCPT TO:<x>\r\n", 1000))
	_ = c.SetWriteDeadline(time.Now().Add(30 * time.Second))
	for {
		if _, err := c.Conn.Write(group); err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Error("the server is still waiting for us")
			}
			break
		}
	}
}

func TestShutdown_IdleConnectionsGet421(t *testing.T) {
	p := &fakePoint{}
	s := NewMX(quiet(ServerConfig{}), p)
	addr := serve(t, s, false)
	idle, secured, envelope := exchange(t, addr), exchange(t, addr), exchange(t, addr)
	secured.startTLS()
	secured.cmd("EHLO x", "250-")
	envelope.envelope("a@alfa.example", "b@beta.example")
	silent, err := net.Dial("tcp", addr) // has not said a word
	if err != nil {
		t.Fatal(err)
	}
	sc := newClient(t, silent)
	sc.expect("220 ")
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*client{idle, secured, envelope, sc} {
		c.expect("421 4.3.2 ")
		c.closed()
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("still listening")
	}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Errorf("again: %v", err)
	}
}

func TestShutdown_HandshakeThatNeverComes(t *testing.T) {
	s := NewMX(quiet(ServerConfig{}), &fakePoint{})
	silent, err := net.Dial("tcp", serve(t, s, true))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	waitFor(t, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.conns) == 1 })
	time.Sleep(20 * time.Millisecond)
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestShutdown_RunningMessageEnds(t *testing.T) {
	p := &fakePoint{}
	s := NewMX(quiet(ServerConfig{}), p)
	c := exchange(t, serve(t, s, false))
	c.envelope("a@alfa.example", "b@beta.example")
	c.cmd("DATA", "354 ")
	c.send("first half\r\n")
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(context.Background()) }()
	time.Sleep(50 * time.Millisecond)
	c.cmd("second half\r\n.", "250 ")
	c.expect("421 4.3.2 ")
	c.closed()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := p.messages(); len(got) != 1 || string(got[0].message) != "first half\r\nsecond half\r\n" {
		t.Errorf("took %+v", got)
	}
}

func TestShutdown_MessageThatTakesTooLongIsCutOff(t *testing.T) {
	p := &fakePoint{}
	s := NewMX(quiet(ServerConfig{}), p)
	c := exchange(t, serve(t, s, false))
	c.envelope("a@alfa.example", "b@beta.example")
	c.cmd("DATA", "354 ")
	c.send("first half\r\n")
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); err != context.DeadlineExceeded {
		t.Errorf("Shutdown: %v", err)
	}
	c.expect("421 4.3.2 ")
	c.closed()
	if len(p.messages()) != 0 || len(p.failures()) != 1 {
		t.Errorf("%d kept, failures %v", len(p.messages()), p.failures())
	}
}

func TestShutdown_CancelsThePoint(t *testing.T) {
	p := &fakePoint{submit: func(ctx context.Context, r io.Reader) error {
		_, _ = io.Copy(io.Discard, r)
		<-ctx.Done()
		return ctx.Err()
	}}
	s := NewMX(quiet(ServerConfig{}), p)
	c := exchange(t, serve(t, s, false))
	c.envelope("a@alfa.example", "b@beta.example")
	c.cmd("DATA", "354 ")
	c.send("x\r\n.\r\n")
	time.Sleep(20 * time.Millisecond)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_ = s.Shutdown(ctx)
	c.expect("421 4.3.2 ")
	c.closed()
}

func TestServe_EndsWithItsContext(t *testing.T) {
	p := &fakePoint{}
	s := NewMX(quiet(ServerConfig{}), p)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l, false) }()
	c := exchange(t, l.Addr().String())
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	// What is open is served on, STARTTLS and all, until Shutdown.
	c.startTLS()
	c.cmd("EHLO x", "250-")
	c.envelope("a@alfa.example", "b@beta.example")
	c.cmd("DATA", "354 ")
	c.cmd("x\r\n.", "250 ")
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	c.expect("421 ")
	if err := s.Serve(context.Background(), l, false); err != nil {
		t.Errorf("Serve after Shutdown: %v", err)
	}
}

func TestServe_ImplicitTLSNeedsACertificate(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := NewMX(ServerConfig{}, &fakePoint{}).Serve(context.Background(), l, true); err == nil {
		t.Error("served without a certificate")
	}
}

func TestMX_Basics(t *testing.T) {
	p := &fakePoint{mayFail: map[string]error{"x@altrove.example": fmt.Errorf("plain")}, text: "citt\u00e0 presa"}
	addr := startMX(t, p, ServerConfig{})
	c := dial(t, addr)
	if got := c.cmd("EHLO x", "250-"); strings.Contains(got, "AUTH") || !strings.Contains(got, "250-STARTTLS\r\n") {
		t.Errorf("EHLO: %q", got)
	}
	c.cmd("AUTH PLAIN "+plain("a", "b"), "502 5.5.1 ")
	c.cmd("MAIL FROM:<>", "250 2.1.0 ")
	c.cmd("RCPT TO:<x@altrove.example>", "451 4.3.0 ")
	c.cmd("RCPT TO:<x@beta.example>", "250 ")
	c.cmd("DATA", "354 ")
	c.cmd("..dot\r\n.", "250 2.0.0 citta' presa\r\n")
	got := p.messages()
	if len(got) != 1 || got[0].sender != "" || string(got[0].message) != ".dot\r\n" || got[0].peer.TLS != "" {
		t.Errorf("took %+v", got)
	}
	c.startTLS()
	if got := c.cmd("EHLO x", "250-"); strings.Contains(got, "AUTH") || strings.Contains(got, "STARTTLS") {
		t.Errorf("EHLO under TLS: %q", got)
	}
}
