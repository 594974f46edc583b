// SPDX-License-Identifier: EUPL-1.2

package connections

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pecd/clock"
	"pecd/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type fake struct {
	Deadlines
	hinted, cut atomic.Bool
}

func (f *fake) Hint() { f.hinted.Store(true) }
func (f *fake) Cut() {
	f.cut.Store(true)
	f.Deadlines.Cut()
}

func newFake(t *testing.T) *fake {
	a, b := net.Pipe()
	t.Cleanup(func() { a.Close(); b.Close() })
	f := &fake{}
	f.Raw, f.Cancel = a, func() {}
	return f
}

var (
	here  = netip.MustParsePrefix("192.0.2.1/32")
	there = netip.MustParsePrefix("2001:db8::/64")
)

func TestSetBounds(t *testing.T) {
	s := NewSet[*fake](clock.System{}, 3, 2)
	a, b, c, d := newFake(t), newFake(t), newFake(t), newFake(t)
	if !s.Admit(a, here) || !s.Admit(b, here) || s.Admit(c, here) {
		t.Fatal("not two of one client")
	}
	if !s.Admit(c, there) || s.Admit(d, there) || s.Len() != 3 {
		t.Fatal("not three in all")
	}
	s.Leave(a)
	if !s.Admit(d, here) {
		t.Fatal("who left still counts")
	}
	for _, f := range []*fake{b, c, d} {
		s.Leave(f)
	}
	if len(s.perClient) != 0 || s.Len() != 0 {
		t.Fatalf("left behind: %v", s.perClient)
	}
}

func listener(t *testing.T) net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestSetDeadlines: who sends nothing is woken, who takes nothing is cut.
func TestSetDeadlines(t *testing.T) {
	at := clock.NewManual(time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC))
	s := NewSet[*fake](at, 0, 0)
	l := listener(t)
	if !s.Open(l, time.Second) {
		t.Fatal("not opened")
	}
	silent, stuck, well := newFake(t), newFake(t), newFake(t)
	now := at.Now().UnixNano()
	silent.ReadBy.Store(now + 1)
	stuck.WriteBy.Store(now + 1)
	well.ReadBy.Store(now + int64(time.Hour))
	for _, f := range []*fake{silent, stuck, well} {
		s.Admit(f, here)
	}
	woken := make(chan error, 1)
	go func() {
		_, err := silent.Raw.Read(make([]byte, 1))
		woken <- err
	}()
	for err := error(nil); err == nil; {
		at.Advance(2 * time.Second) // the reaper may not wait for it yet
		select {
		case err = <-woken:
		case <-time.After(time.Millisecond):
		}
	}
	if _, err := stuck.Raw.Write([]byte("x")); err == nil {
		t.Error("who takes no output is still there")
	}
	if well.cut.Load() || well.Raw.SetDeadline(time.Time{}) != nil {
		t.Error("who is in time was cut")
	}
	for _, f := range []*fake{silent, stuck, well} {
		s.Leave(f)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestSetShutdown(t *testing.T) {
	s := NewSet[*fake](clock.System{}, 0, 0)
	l := listener(t)
	s.Open(l, time.Minute)
	good, deaf := newFake(t), newFake(t)
	s.Admit(good, here)
	s.Admit(deaf, there)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Shutdown(ctx) }()
	<-s.Stopping()
	for !deaf.hinted.Load() || !good.hinted.Load() {
		time.Sleep(time.Millisecond)
	}
	if _, err := l.Accept(); err == nil || !s.Closing() {
		t.Error("still listening")
	}
	if s.Admit(newFake(t), here) || s.Open(listener(t), time.Minute) {
		t.Error("taken in while closing")
	}
	s.Leave(good)
	select {
	case err := <-done:
		t.Fatalf("%v, with a connection left", err)
	case <-time.After(20 * time.Millisecond):
	}
	if deaf.cut.Load() {
		t.Error("cut while there was time")
	}
	cancel()
	for !deaf.cut.Load() {
		time.Sleep(time.Millisecond)
	}
	s.Leave(deaf)
	if err := <-done; !fault.Is(err, fault.Temporary) {
		t.Errorf("%v after a connection was cut", err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Errorf("again: %v", err)
	}
}
