// SPDX-License-Identifier: EUPL-1.2

package conduct_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pecd/clock"
	"pecd/conduct"
	"pecd/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const anna = "anna@alfa.example"

// house is the rest of the program: a log of what was done, and the store.
type house struct {
	mu      sync.Mutex
	broken  bool
	did     []string
	blocked map[string]string
	busiest int
	alarm   string
	told    chan string
}

func (h *house) note(format string, args ...any) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.broken {
		return errors.New("no disk")
	}
	h.did = append(h.did, fmt.Sprintf(format, args...))
	return nil
}

func (h *house) Busiest(_ context.Context, mailbox string, from, to time.Time) (int, error) {
	return h.busiest, h.note("busiest %s %s", mailbox, to.Sub(from).Round(24*time.Hour))
}

func (h *house) Throttled(_ context.Context, mailbox, reason string) error {
	return h.note("throttled %s %s", mailbox, reason)
}

func (h *house) Block(_ context.Context, mailbox, reason string) error {
	err := h.note("block %s %s", mailbox, reason)
	if err == nil {
		h.mu.Lock()
		h.blocked[mailbox] = reason
		h.mu.Unlock()
	}
	return err
}

func (h *house) Blocked(_ context.Context, of ...string) (map[string]string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := maps.Clone(h.blocked)
	maps.DeleteFunc(all, func(m, _ string) bool { return len(of) > 0 && !slices.Contains(of, m) })
	return all, nil
}

func (h *house) Alarm(text string) { h.told <- text }

// scene is a Watcher with its Keeper at work.
type scene struct {
	*conduct.Watcher
	t   *testing.T
	clk *clock.Manual
	h   *house
}

func newScene(t *testing.T, lim conduct.Limits, blocked map[string]string) *scene {
	clk := clock.NewManual(time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC))
	h := &house{blocked: maps.Clone(blocked), told: make(chan string)}
	if h.blocked == nil {
		h.blocked = make(map[string]string)
	}
	w := conduct.New(clk, lim)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		conduct.Keeper{Watcher: w, Actions: h, Clock: clk, Logger: slog.New(slog.DiscardHandler)}.Run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		for {
			select {
			case <-h.told:
			case <-done:
				return
			}
		}
	})
	s := &scene{w, t, clk, h}
	h.alarm = <-h.told
	return s
}

// until waits for an alarm with a text, "" for none.
func (s *scene) until(want string) {
	s.t.Helper()
	for range 50 {
		if s.h.alarm == want || want != "" && strings.Contains(s.h.alarm, want) {
			return
		}
		select {
		case s.h.alarm = <-s.h.told:
		case <-time.After(5 * time.Second):
			s.t.Fatalf("the alarm is %q, want %q", s.h.alarm, want)
		}
	}
	s.t.Fatalf("the alarm is %q, want %q", s.h.alarm, want)
}

// did returns what was done, but for looking.
func (s *scene) did() string {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	return strings.Join(slices.DeleteFunc(slices.Clone(s.h.did), func(d string) bool { return strings.HasPrefix(d, "busiest") }), "\n")
}

func fifty() (int, error) { return 50, nil }

// may asks as the access point does: the store first.
func (s *scene) may(take bool) error {
	s.h.mu.Lock()
	reason, on := s.h.blocked[anna]
	s.h.mu.Unlock()
	if on {
		return conduct.Refusal("test", reason)
	}
	return s.MaySend(anna, take, fifty)
}

// quiet lets time pass until there is nothing to tell.
func (s *scene) quiet() {
	s.t.Helper()
	for range 200 {
		if s.settle(); s.h.alarm == "" {
			return
		}
		s.clk.Advance(time.Minute)
	}
	s.t.Fatalf("the alarm stays: %s", s.h.alarm)
}

// sends tries to send n messages now and returns how many are let through.
func (s *scene) sends(login string, n int) (let int) {
	for range n {
		if s.may(false) == nil && s.may(true) == nil {
			s.Submitted(conduct.Sent{Mailbox: anna, Login: login})
			let++
		}
	}
	return let
}

func (s *scene) refused(kind fault.Kind, text string) {
	s.t.Helper()
	err := s.may(true)
	if !fault.Is(err, kind) || !strings.Contains(fault.TextOf(err), text) {
		s.t.Fatalf("%v %q, want %v and %q", err, fault.TextOf(err), kind, text)
	}
}

// TestMassDay: a public body that writes to five hundred addresses in ten minutes,
// as it never did, is told to operators and goes on.
func TestMassDay(t *testing.T) {
	s := newScene(t, conduct.DefaultLimits(), nil)
	for range 10 {
		if n := s.sends(anna, 50); n != 50 {
			t.Fatalf("%d of 50 were let through", n)
		}
		s.Outcome(anna, s.clk.Now(), 48, 2) // some addresses are always old
		s.clk.Advance(time.Minute)
	}
	s.until(anna + " (molti più invii del solito")
	if did := s.did(); did != "" {
		t.Errorf("done: %s", did)
	}
	s.quiet()
}

// TestHabit: who sends that much every week is not told.
func TestHabit(t *testing.T) {
	s := newScene(t, conduct.DefaultLimits(), nil)
	s.h.busiest = 100
	s.sends(anna, 800)
	s.settle()
	if s.h.alarm != "" {
		t.Errorf("told: %s", s.h.alarm)
	}
	if !slices.Contains(s.h.did, "busiest "+anna+" 336h0m0s") {
		t.Errorf("its habit was not looked at: %q", s.h.did)
	}
	s.sends(anna, 400)
	s.until("molti più invii")
}

// TestUnknownRecipients: a list of dead addresses slows a mailbox down; one that
// goes on with it is blocked, until a person says otherwise.
func TestUnknownRecipients(t *testing.T) {
	s := newScene(t, conduct.DefaultLimits(), nil)
	first := s.clk.Now()
	s.sends(anna, 1)
	s.clk.Advance(10 * time.Second)
	s.Outcome(anna, first, 10, 29)
	if n := s.sends(anna, 20); n != 20 {
		t.Fatalf("29 of 39 do not exist: %d of 20 let through", n)
	}
	s.Outcome(anna, first, 0, 1)
	if n := s.sends(anna, 20); n != 5 {
		t.Fatalf("slowed down, %d of 20 let through in a minute", n)
	}
	s.refused(fault.Limited, "rallentato")
	s.until("rallentata / slowed down (molti destinatari inesistenti")
	s.Outcome(anna, first, 0, 1000) // the rest of the same message is no second offence
	s.clk.Advance(time.Minute)
	if n := s.sends(anna, 20); n != 5 {
		t.Fatalf("%d of 20 let through in the second minute", n)
	}
	s.Outcome(anna, s.clk.Now(), 10, 40)
	s.refused(fault.Denied, "invio sospeso")
	s.until("bloccata / blocked (molti destinatari inesistenti")
	reason := string(conduct.ByUnknown)
	if did := s.did(); did != "throttled "+anna+" "+reason+"\nblock "+anna+" "+reason {
		t.Errorf("done: %s", did)
	}
	s.clk.Advance(48 * time.Hour) // it does not end by itself
	s.settle()
	s.refused(fault.Denied, "invio sospeso")

	s.h.mu.Lock()
	delete(s.h.blocked, anna) // on another node, or by whatever door
	s.h.mu.Unlock()
	if n := s.sends(anna, 20); n != 20 {
		t.Fatalf("after the block: %d of 20", n)
	}
	s.quiet()
	s.Outcome(anna, s.clk.Now().Add(time.Second), 10, 29)
	if n := s.sends(anna, 20); n != 20 {
		t.Error("what was before the block still counts")
	}
}

// TestThrottleEnds: who stops is let through again after an hour, and begins anew
// after a day.
func TestThrottleEnds(t *testing.T) {
	s := newScene(t, conduct.DefaultLimits(), nil)
	for day := range 3 {
		s.Outcome(anna, s.clk.Now(), 0, 30)
		if n := s.sends(anna, 20); n != 5 {
			t.Fatalf("day %d: %d of 20", day, n)
		}
		s.clk.Advance(time.Hour)
		if n := s.sends(anna, 20); n != 20 {
			t.Fatalf("day %d, an hour later: %d of 20", day, n)
		}
		s.clk.Advance(23 * time.Hour)
	}
	if did := s.did(); strings.Contains(did, "block") {
		t.Errorf("done: %s", did)
	}
}

// TestIntercepts: five messages stopped for what is in them slow a mailbox down,
// five more block it.
func TestIntercepts(t *testing.T) {
	s := newScene(t, conduct.DefaultLimits(), nil)
	for range 4 {
		s.Intercepted(anna)
		s.clk.Advance(20 * time.Minute) // four in an hour and twenty minutes
	}
	s.Intercepted(anna)
	if n := s.sends(anna, 20); n != 20 {
		t.Fatalf("slowed down for five in eighty minutes: %d of 20", n)
	}
	s.clk.Advance(time.Hour)
	for range 5 {
		s.Intercepted(anna)
	}
	s.until("rallentata")
	for range 4 {
		s.Intercepted(anna)
	}
	s.refusedAfter(5, fault.Limited)
	s.Intercepted(anna)
	s.refused(fault.Denied, "fermati per il loro contenuto")
	s.until("bloccata")
}

// refusedAfter sends n and wants the next one refused.
func (s *scene) refusedAfter(n int, kind fault.Kind) {
	s.t.Helper()
	if let := s.sends(anna, n); let != n {
		s.t.Fatalf("%d of %d let through", let, n)
	}
	s.refused(kind, "")
}

// TestBurst: a login from a new network after many wrong passwords, and then
// thirty messages in ten minutes, more than the mailbox ever sends.
func TestBurst(t *testing.T) {
	for _, c := range []struct {
		name    string
		login   string
		busiest int
		every   time.Duration
		let     int // of 60
	}{
		{"a burst", "anna", 0, 10 * time.Second, 30},
		{"slowly", "anna", 0, 21 * time.Second, 60},
		{"somebody else", "bea", 0, 10 * time.Second, 60},
		{"as always", "anna", 40, 10 * time.Second, 60},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t, conduct.DefaultLimits(), nil)
			s.h.busiest = c.busiest
			s.Pressed("anna")
			let := 0
			for range 60 {
				let += s.sends(c.login, 1)
				if let == 30 { // its habit is looked up
					s.settle()
				}
				s.clk.Advance(c.every)
			}
			if slowed := let < 60; slowed != (c.let < 60) {
				t.Errorf("%d of 60 let through, want about %d", let, c.let)
			}
		})
	}
}

// settle waits until the Keeper has done what it was told.
func (s *scene) settle() {
	for {
		select {
		case s.h.alarm = <-s.h.told:
		case <-time.After(10 * time.Millisecond):
			return
		}
	}
}

// TestMassTiers: a mailbox of a mass tier with an old list is told to operators.
func TestMassTiers(t *testing.T) {
	s := newScene(t, conduct.DefaultLimits(), nil)
	for range 1000 {
		s.Submitted(conduct.Sent{Mailbox: anna, Login: anna, Application: true})
	}
	s.settle()
	s.Outcome(anna, s.clk.Now(), 0, 50)
	s.until("molti destinatari inesistenti")
	if n := s.sends(anna, 100); n != 100 {
		t.Errorf("%d of 100", n)
	}
}

// TestReach: operators choose how far it goes.
func TestReach(t *testing.T) {
	for reach, want := range map[conduct.Reach][2]int{conduct.Watch: {20, 20}, conduct.Slow: {5, 5}, conduct.Blocking: {5, 0}} {
		lim := conduct.DefaultLimits()
		lim.Act = reach
		s := newScene(t, lim, nil)
		for i := range want {
			s.Outcome(anna, s.clk.Now().Add(time.Second), 0, 50)
			s.clk.Advance(time.Minute)
			if n := s.sends(anna, 20); n != want[i] {
				t.Errorf("%s: %d of 20 at step %d, want %d", reach, n, i+1, want[i])
			}
		}
	}
}

// TestStoreFails: while the store cannot be written a block holds in memory, and
// is written when it can; what was blocked before the start is told.
func TestStoreFails(t *testing.T) {
	s := newScene(t, conduct.DefaultLimits(), map[string]string{"bea@alfa.example": "prima / before"})
	s.until("bea@alfa.example: bloccata / blocked (prima / before)")
	s.h.mu.Lock()
	s.h.broken = true
	s.h.mu.Unlock()
	for range 10 {
		s.Intercepted(anna)
	}
	s.refused(fault.Denied, "")
	s.until(anna)
	s.h.mu.Lock()
	s.h.broken = false
	s.h.mu.Unlock()
	for range 20 {
		s.clk.Advance(5 * time.Second)
		s.settle()
		s.refused(fault.Denied, "")
		if strings.Contains(s.did(), "block "+anna) {
			return
		}
	}
	t.Errorf("never written: %s", s.did())
}
