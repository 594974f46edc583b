// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"context"
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
	for range 2 {
		if !l.enter(k("192.0.2.1/32")) {
			t.Error("refused within the limit")
		}
	}
	if l.enter(k("192.0.2.2/32")) {
		t.Error("total limit")
	}
	l.leave(k("192.0.2.1/32"))
	if !l.enter(k("192.0.2.2/32")) || len(l.by) != 2 {
		t.Error("a place came free")
	}
}

// stalled begins a message and sends n octets of it, which the server has
// when stalled returns.
func stalled(t *testing.T, s *Server, c *client, n int) {
	t.Helper()
	before := s.flight.octets.Load()
	c.envelope(testLogin, "x@beta.example")
	c.cmd("DATA", "354 ")
	c.send(strings.Repeat("x", n-2) + "\r\n")
	waitFor(t, func() bool { return s.flight.octets.Load() == before+int64(n) })
}

func TestLimits_OctetsInFlight(t *testing.T) {
	p := &fakePoint{}
	s := NewMX(quiet(ServerConfig{MaxInFlight: 1000}), p)
	addr := serve(t, s, false)
	a, b, c := exchange(t, addr), exchange(t, addr), exchange(t, addr)
	stalled(t, s, a, 500)
	stalled(t, s, b, 600)
	c.envelope(testLogin, "x@beta.example")
	c.cmd("DATA", "452 4.3.1 ")
	// What has begun goes on.
	a.send(strings.Repeat("x", 5000) + "\r\n")
	a.cmd(".", "250 ")
	if n := s.flight.octets.Load(); n != 600 {
		t.Errorf("%d octets in flight", n)
	}
	c.cmd("DATA", "354 ")
	c.cmd("x\r\n.", "250 ")
	// What is broken off counts no more.
	stalled(t, s, a, 500)
	c.envelope(testLogin, "x@beta.example")
	c.cmd("DATA", "452 4.3.1 ")
	b.Close()
	waitFor(t, func() bool { return s.flight.octets.Load() == 500 })
	c.cmd("DATA", "354 ")
	c.cmd("a\nb\r\n.", "5")
	a.cmd(".", "250 ")
	if n := s.flight.octets.Load(); n != 0 {
		t.Errorf("%d octets in flight after all", n)
	}
}

func TestLimits_OctetsInFlightDefaults(t *testing.T) {
	for _, tt := range []struct {
		s    *Server
		want int64
	}{
		{NewSubmission(ServerConfig{}, fakeAuth{}, &fakePoint{}), 8 << 30},
		{NewMX(ServerConfig{}, &fakePoint{}), 4 << 30},
		{NewMX(ServerConfig{MaxInFlight: 7}, &fakePoint{}), 7},
	} {
		if tt.s.flight.limit != tt.want {
			t.Errorf("limit %d, want %d", tt.s.flight.limit, tt.want)
		}
	}
	none := inFlight{limit: -1}
	none.octets.Store(1 << 60)
	if none.full() {
		t.Error("no limit")
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

// stepped is a submission listener on a clock that stands still.
func stepped(t *testing.T, cfg ServerConfig) (*clock.Manual, string) {
	clk := clock.NewManual(time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC))
	cfg.Clock = clk
	return clk, startSubmission(t, &fakePoint{}, cfg)
}

func TestTimeouts_Login(t *testing.T) {
	clk, addr := stepped(t, ServerConfig{CommandTimeout: time.Hour})
	late, early := dial(t, addr), dial(t, addr)
	for _, c := range []*client{late, early} {
		c.cmd("EHLO x", "250-")
		c.startTLS()
		c.cmd("EHLO x", "250-")
	}
	early.cmd("AUTH PLAIN "+plain(testLogin, testPassword), "235 ")
	dribbling, silent := dial(t, addr), dial(t, addr)
	// Commands do not help, nor does half a login.
	for n := range 7 {
		clk.Advance(DefaultLoginTimeout / 8)
		late.alive()
		early.alive()
		if n < 4 { // what a server leaves unread may cost its last reply
			dribbling.send("N")
		}
	}
	late.cmd("AUTH LOGIN", "334 ")
	stop := ticking(clk, DefaultLoginTimeout/16)
	for _, c := range []*client{late, dribbling, silent} {
		c.expect("421 4.4.2 ")
		c.closed()
	}
	stop()
	early.alive()
	clk.Advance(DefaultLoginTimeout)
	early.alive()
}

func TestTimeouts_STARTTLSDoesNotRestartTheLogin(t *testing.T) {
	clk, addr := stepped(t, ServerConfig{LoginTimeout: time.Minute})
	a, b := dial(t, addr), dial(t, addr)
	for _, c := range []*client{a, b} {
		c.cmd("EHLO x", "250-")
	}
	clk.Advance(59 * time.Second)
	a.startTLS()
	a.cmd("EHLO x", "250-")
	b.cmd("STARTTLS", "220 ") // and no handshake
	defer ticking(clk, time.Second)()
	a.expect("421 4.4.2 ")
	a.closed()
	b.closed()
}

func TestTimeouts_NoLoginAtTheMX(t *testing.T) {
	clk, addr := manual(t, &fakePoint{}, ServerConfig{LoginTimeout: time.Second})
	c := exchange(t, addr)
	clk.Advance(time.Minute)
	c.alive()
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
