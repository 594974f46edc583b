// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"context"
	"strings"
	"sync"
	"testing"

	"pecd/fault"
)

// gateStub is an Admission that says what it is told to.
type gateStub struct {
	mu           sync.Mutex
	ready, enter error
	hang         bool
	in, left     int
	asked        []string
	deliveries   int
	octets       int64
}

func (g *gateStub) Ready(client string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, client)
	return g.ready
}

func (g *gateStub) Enter(ctx context.Context, client string, deliveries int, octets int64) (func(), error) {
	g.mu.Lock()
	hang, err := g.hang, g.enter
	g.deliveries, g.octets = deliveries, octets
	if err == nil && !hang {
		g.in++
	}
	g.mu.Unlock()
	if hang {
		<-ctx.Done()
		return nil, fault.New("test", fault.Temporary, ctx.Err())
	}
	return func() { g.mu.Lock(); g.left++; g.mu.Unlock() }, err
}

func (g *gateStub) set(f func()) { g.mu.Lock(); defer g.mu.Unlock(); f() }

func (g *gateStub) counts() (in, left int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.in, g.left
}

// TestAdmission: who is sent away hears it at MAIL, or at DATA before 354, may
// try again on the same connection, and every place is given back once.
func TestAdmission(t *testing.T) {
	g := new(gateStub)
	p := new(fakePoint)
	c := submitter(t, startSubmission(t, p, ServerConfig{Admission: g}))
	g.set(func() { g.ready = fault.New("test", fault.Busy, nil) })
	c.cmd("MAIL FROM:<anna@alfa.example>", "451 4.3.2")
	g.set(func() { g.ready = fault.New("test", fault.NoSpace, nil) })
	c.cmd("MAIL FROM:<anna@alfa.example>", "452 4.3.1")
	g.set(func() { g.ready, g.enter = nil, fault.New("test", fault.Busy, nil) })
	c.cmd("MAIL FROM:<anna@alfa.example> SIZE=77", "250")
	c.cmd("RCPT TO:<bruno@alfa.example>", "250")
	c.cmd("RCPT TO:<carla@alfa.example>", "250")
	c.cmd("DATA", "451 4.3.2")
	if in, left := g.counts(); in != 0 || left != 0 || g.deliveries != 2 || g.octets != 77 {
		t.Errorf("in %d, left %d, %d recipients, %d octets", in, left, g.deliveries, g.octets)
	}
	if len(p.messages()) != 0 {
		t.Error("something came in")
	}
	g.set(func() { g.enter = nil })
	c.cmd("DATA", "354")
	if in, left := g.counts(); in != 1 || left != 0 {
		t.Errorf("in %d, left %d", in, left)
	}
	c.send("Subject: x\r\n\r\nx\r\n.\r\n")
	c.expect("250")
	if in, left := g.counts(); in != 1 || left != 1 {
		t.Errorf("in %d, left %d", in, left)
	}
	c.cmd("DATA", "503") // without recipients nobody is asked
	c.cmd("MAIL FROM:<anna@alfa.example>", "250")
	c.cmd("RCPT TO:<bruno@alfa.example>", "250")
	c.cmd("DATA", "354")
	c.Close() // in the middle
	waitFor(t, func() bool { in, left := g.counts(); return in == 2 && left == 2 })
	for _, who := range g.asked {
		if !strings.Contains(who, "@") {
			t.Errorf("%q was asked for, not who logged in", who)
		}
	}
}

// TestAdmissionEnds: who waits for a place does not keep the server from ending.
func TestAdmissionEnds(t *testing.T) {
	g := &gateStub{hang: true}
	s := NewMX(quiet(ServerConfig{Admission: g}), new(fakePoint))
	addr := serve(t, s, false)
	c := exchange(t, addr)
	c.cmd("MAIL FROM:<x@mail.example>", "250")
	c.cmd("RCPT TO:<bruno@alfa.example>", "250")
	c.send("DATA\r\n")
	waitFor(t, func() bool { g.mu.Lock(); defer g.mu.Unlock(); return g.deliveries == 1 })
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	c.expect("421 4.3.2")
	if g.asked[0] != "127.0.0.1/32" {
		t.Errorf("%q was asked for, not the network", g.asked[0])
	}
}

// TestTurns: a message waits for its turn, and gives it back while its client
// is silent and when it ends.
func TestTurns(t *testing.T) {
	turns := NewTurns(1)
	p := new(fakePoint)
	addr := startSubmission(t, p, ServerConfig{Turns: turns})
	c := submitter(t, addr)
	c.envelope("anna@alfa.example", "bruno@alfa.example")
	c.cmd("DATA", "354")
	turns.take() // another message is being worked on
	c.send("Subject: x\r\n\r\n" + strings.Repeat("un testo\r\n", 10_000) + ".\r\n")
	other := submitter(t, addr)
	other.cmd("NOOP", "250") // whoever brings no message does not wait
	if len(p.messages()) != 0 {
		t.Error("worked on without a turn")
	}
	turns.give()
	c.expect("250")
	if len(turns.free) != 0 || len(p.messages()) != 1 {
		t.Errorf("%d turns taken, %d messages", len(turns.free), len(p.messages()))
	}
}
