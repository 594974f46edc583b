// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

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
