// SPDX-License-Identifier: EUPL-1.2

package deviation

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pecd/alarm"
	"pecd/clock"
)

// settable gives the bench's wall clock a hand that is moved without time passing:
// what settimeofday does.
func (b *bench) settable() (set func(by time.Duration)) {
	var mu sync.Mutex
	var moved time.Duration
	b.read = func() (time.Time, time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		now := b.clk.Now()
		return now.Add(moved), now.Sub(noon)
	}
	return func(by time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		moved += by
	}
}

// TestJump: a step of the wall clock is judged when it is seen, and measured
// soon after.
func TestJump(t *testing.T) {
	b := newBench(t, ahead(0))
	set := b.settable()
	b.next()
	due := b.due

	b.clk.Advance(time.Minute)
	set(50 * time.Millisecond)
	if b.look() || b.due != due {
		t.Error("a step of 50 ms counts as a jump")
	}
	set(3 * time.Second)
	if !b.look() {
		t.Fatal("a jump of 3 s was not seen")
	}
	if offset, _, _ := b.Last(); !near(offset, -3*time.Second) {
		t.Errorf("after a jump forwards the clock is to be moved by %v", offset)
	}
	if names, text := b.alarms(); !slices.Equal(names, []string{alarm.ClockDeviation}) || !strings.Contains(text, "3.000 s fast after a jump") {
		t.Errorf("raised: %v %q", names, text)
	}
	if b.due != b.steady {
		t.Errorf("measured again in %v", b.due-b.steady)
	}
	if b.look() {
		t.Error("the same jump was seen twice")
	}
	set(-3 * time.Second)
	b.look()
	if names, _ := b.alarms(); names != nil {
		t.Errorf("set right again: %v", names)
	}
}

// TestJump_AsksNoServerTooOften: a clock that jumps all the time does not make
// the servers say RATE.
func TestJump_AsksNoServerTooOften(t *testing.T) {
	b := newBench(t, ahead(0))
	set := b.settable()
	b.next()
	for range 5 {
		b.clk.Advance(time.Second)
		set(time.Second)
		b.look()
	}
	if left := b.due - b.asked; left != shortest {
		t.Errorf("asked again after %v, want %v", left, shortest)
	}
}

// TestJump_BeforeAnyMeasurement: what is not known is not judged.
func TestJump_BeforeAnyMeasurement(t *testing.T) {
	b := newBench(t, silent)
	b.settable()(time.Hour)
	b.look()
	if names, _ := b.alarms(); names != nil {
		t.Errorf("raised: %v", names)
	}
}

// TestJump_WhileMeasuring: the half-right figure is not used.
func TestJump_WhileMeasuring(t *testing.T) {
	var set func(time.Duration)
	b := newBench(t, func(p packet) []byte {
		set(10 * time.Second)
		return p.bytes()
	})
	set = b.settable()
	b.next()
	if _, at, ok := b.Last(); ok {
		t.Errorf("a measurement at %v was kept", at)
	}
	if b.due-b.asked != shortest {
		t.Errorf("measured again after %v", b.due-b.asked)
	}
}

// TestRun: measured at once, every five minutes, and after a jump.
func TestRun(t *testing.T) {
	b := newBench(t, ahead(0))
	set := b.settable()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { b.Run(ctx) })
	defer func() { cancel(); wg.Wait() }()

	// reaches moves the clock second by second until the server was asked that often.
	reaches := func(rounds int64, within time.Duration) {
		t.Helper()
		start := b.clk.Now()
		for b.servers[0].asked.Load() < rounds {
			if b.clk.Now().Sub(start) > within {
				t.Fatalf("not asked %d times within %v", rounds, within)
			}
			b.clk.Advance(time.Second)
			time.Sleep(time.Millisecond)
		}
	}
	for end := time.Now().Add(5 * time.Second); b.servers[0].asked.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not measured at the start")
		}
	}
	reaches(2, DefaultEvery+30*time.Second)
	set(time.Minute)
	reaches(3, time.Minute)
}

// TestRun_EndsWhileAServerIsSilent: nobody waits for an answer that is not
// wanted any more.
func TestRun_EndsWhileAServerIsSilent(t *testing.T) {
	b := newBench(t, silent)
	b.cfg.Timeout = time.Minute
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { b.Run(ctx); close(done) }()
	for b.servers[0].asked.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Fatal("still waiting for the server")
	}
	if names, _ := b.alarms(); names != nil {
		t.Errorf("raised: %v", names)
	}
}

// TestSystemClock: with the machine's clock, wall and steady scale go together.
func TestSystemClock(t *testing.T) {
	b := newBench(t)
	m := New(Config{Clock: clock.System{}, Alarms: b.board})
	for range 20 {
		time.Sleep(5 * time.Millisecond)
		if m.look() {
			t.Fatal("a jump of a clock that nobody set")
		}
	}
	if m.steady < 100*time.Millisecond || time.Since(m.wall).Abs() > time.Minute {
		t.Errorf("read %v, %v", m.wall, m.steady)
	}
}
