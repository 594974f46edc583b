// SPDX-License-Identifier: EUPL-1.2

package ratelimittest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pecd/clock"
	"pecd/fault"
	"pecd/ratelimit"
)

// World is what a limiter under test stands in.
type World struct {
	*testing.T
	Clock    *clock.Manual
	Location *time.Location
	Record   *Record
	// Limiters are those of several nodes that share everything. The first is
	// the one that most tests use.
	Limiters []ratelimit.Limiter
	// Beat has the nodes speak to each other, as they do every second.
	Beat func()
	// Restart starts the first one anew, with nothing in memory.
	Restart func() ratelimit.Limiter
}

// Run runs the suite. open makes the limiters of a world; many tells whether
// counting tens of thousands of messages is cheap.
func Run(t *testing.T, many bool, open func(w *World)) {
	for _, c := range []struct {
		name string
		run  func(*World)
	}{
		{"Minute", testMinute}, {"Day", testDay}, {"Midnight", testMidnight}, {"ClocksChange", testClocksChange},
		{"Recipients", testRecipients}, {"GiveBack", testGiveBack}, {"Doubt", testDoubt}, {"DoubtBesides", testDoubtBesides}, {"Peek", testPeek}, {"Use", testUse},
		{"Restart", testRestart}, {"Idle", testIdle}, {"ClockBack", testClockBack}, {"Concurrent", testConcurrent},
		{"RecordFails", testRecordFails}, {"FiguresChange", testFiguresChange},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(newWorld(t, open, noon)) })
	}
	for _, tier := range Tiers() {
		t.Run("Tier/"+tier.Name, func(t *testing.T) {
			if !many && tier.PerDay > 500 {
				t.Skip("the long form counts all tiers")
			}
			testTier(newWorld(t, open, noon), tier.Figures)
		})
	}
}

// noon is an instant within a second of an ordinary day.
var noon = time.Date(2026, 6, 3, 10, 0, 0, 250e6, time.UTC)

func newWorld(t *testing.T, open func(*World), at time.Time) *World {
	t.Helper()
	loc, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Fatal(err)
	}
	w := &World{T: t, Clock: clock.NewManual(at), Location: loc, Record: new(Record)}
	open(w)
	return w
}

const box = "rossi@alfa.example"

var standard = ratelimit.Figures{PerMinute: 50, PerDay: 500, RecipientsPerMinute: 2000, RecipientsPerDay: 20000}

// Tier is a tier of the catalogue.
type Tier struct {
	Name string
	ratelimit.Figures
}

// Tiers are the six, with the figures of S4-012 to S4-033.
func Tiers() []Tier {
	of := func(name string, minute, day int) Tier {
		return Tier{name, ratelimit.Figures{
			PerMinute: minute, PerDay: day, RecipientsPerMinute: max(2000, 10*minute), RecipientsPerDay: max(20000, 10*day),
		}}
	}
	return []Tier{of("standard", 50, 500), of("strutturata", 50, 500), of("small", 250, 5000), of("medium", 1200, 12000), of("large", 2500, 25000), of("xl", 5000, 50000)}
}

// take sends one message, and has it on record.
func (w *World) take(l ratelimit.Limiter, f ratelimit.Figures, recipients int) error {
	h, err := l.Take(context.Background(), box, f, recipients)
	if err == nil {
		w.Record.Add(box, h.At, recipients)
		h.Keep()
	}
	return err
}

// passes sends n messages that must pass, each at the same instant.
func (w *World) passes(f ratelimit.Figures, n int) {
	w.Helper()
	for i := range n {
		if err := w.take(w.Limiters[0], f, 1); err != nil {
			w.Fatalf("message %d of %d: %v", i+1, n, err)
		}
	}
}

// refused wants a message refused, and when it opens; and that a moment before
// it opens it is refused still.
func (w *World) refused(f ratelimit.Figures, recipients int, window ratelimit.Window, opens time.Time) {
	w.Helper()
	h, err := w.Limiters[0].Take(context.Background(), box, f, recipients)
	if err == nil {
		h.GiveBack(context.Background())
		w.Fatalf("a message too many at %v passed", w.Clock.Now())
	}
	w.reached(err, window, opens)
}

func (w *World) reached(err error, window ratelimit.Window, opens time.Time) {
	w.Helper()
	var r *ratelimit.Reached
	if !errors.As(err, &r) || !fault.Is(err, fault.Limited) || fault.TextOf(err) == "" {
		w.Fatalf("%v is no limit", err)
	}
	if r.Window != window || !r.Opens.Equal(opens) || r.Reduced {
		w.Fatalf("%+v, want %s until %v", r, window, opens)
	}
}

func (w *World) until(at time.Time) { w.advance(at.Sub(w.Clock.Now())) }

func (w *World) advance(by time.Duration) {
	w.Clock.Advance(by)
	if w.Beat != nil {
		w.Beat()
	}
}

// testTier: S4-012 to S4-033, S4-013: the N-th of a minute and of a day passes,
// the next does not, and passes when it was said to.
func testTier(w *World, f ratelimit.Figures) {
	start := w.Clock.Now()
	w.passes(f, f.PerMinute)
	w.refused(f, 1, ratelimit.Minute, start.Add(time.Minute))
	w.until(start.Add(time.Minute - time.Microsecond))
	w.refused(f, 1, ratelimit.Minute, start.Add(time.Minute))
	w.until(start.Add(time.Minute))
	for sent := f.PerMinute; sent < f.PerDay; {
		n := min(f.PerMinute, f.PerDay-sent)
		w.passes(f, n)
		sent += n
		if sent < f.PerDay {
			w.advance(time.Minute)
		}
	}
	midnight := time.Date(2026, 6, 4, 0, 0, 0, 0, w.Location)
	w.refused(f, 1, ratelimit.Day, midnight)
	w.until(midnight.Add(-time.Microsecond))
	w.refused(f, 1, ratelimit.Day, midnight)
	w.until(midnight)
	w.passes(f, f.PerMinute)
}

// testMinute: the minute slides: each message opens its own place.
func testMinute(w *World) {
	f := standard
	f.PerMinute = 3
	start := w.Clock.Now()
	for range 3 {
		w.passes(f, 1)
		w.advance(10 * time.Second)
	}
	for i := range 3 {
		opens := start.Add(time.Duration(i)*10*time.Second + time.Minute)
		w.refused(f, 1, ratelimit.Minute, opens)
		w.until(opens)
		w.passes(f, 1)
	}
	w.refused(f, 1, ratelimit.Minute, start.Add(2*time.Minute))
}

func testDay(w *World) {
	f := standard
	f.PerDay = 2
	w.passes(f, 1)
	w.advance(3 * time.Hour)
	w.passes(f, 1)
	w.advance(3 * time.Hour)
	midnight := time.Date(2026, 6, 4, 0, 0, 0, 0, w.Location)
	w.refused(f, 1, ratelimit.Day, midnight)
	// Where both bounds are reached, the answer is the one that lasts.
	f.PerMinute = 1
	w.until(midnight.Add(-time.Second))
	w.refused(f, 1, ratelimit.Day, midnight)
	w.until(midnight)
	w.passes(f, 1)
	w.refused(f, 1, ratelimit.Minute, midnight.Add(time.Minute))
}

// testMidnight: the day begins anew at midnight of legal time, the minute does not.
func testMidnight(w *World) {
	midnight := time.Date(2026, 6, 4, 0, 0, 0, 0, w.Location)
	w.until(midnight.Add(-time.Second))
	f := standard
	f.PerDay = 50
	w.passes(f, 50)
	w.refused(f, 1, ratelimit.Minute, midnight.Add(59*time.Second))
	f.PerMinute = 60
	w.refused(f, 1, ratelimit.Day, midnight)
	w.until(midnight)
	w.passes(f, 10)
	w.refused(f, 1, ratelimit.Minute, midnight.Add(59*time.Second))
}

// testClocksChange: days of 23 and of 25 hours are one day each.
func testClocksChange(w *World) {
	f := standard
	f.PerDay = 3
	for _, d := range []struct {
		month time.Month
		day   int
		hours time.Duration
	}{{10, 25, 25}, {3, 28, 23}} { // of 2026 and of 2027
		year := 2026
		if d.month == 3 {
			year = 2027
		}
		begin, end := time.Date(year, d.month, d.day, 0, 0, 0, 0, w.Location), time.Date(year, d.month, d.day+1, 0, 0, 0, 0, w.Location)
		if end.Sub(begin) != d.hours*time.Hour {
			w.Fatalf("%v has %v", begin, end.Sub(begin))
		}
		w.until(begin)
		w.passes(f, 1)
		w.advance(2*time.Hour + 30*time.Minute) // 02:30, once or for the first time; 03:30 in spring
		w.passes(f, 1)
		w.advance(time.Hour)
		w.passes(f, 1)
		w.refused(f, 1, ratelimit.Day, end)
		w.until(end.Add(-time.Millisecond))
		w.refused(f, 1, ratelimit.Day, end)
		w.until(end)
		w.passes(f, 1)
	}
}

// testConcurrent: however many send at once at whichever node, N pass.
func testConcurrent(w *World) {
	f := standard
	f.PerDay = 60 // of them 50 in the first minute
	for minute, want := range []int64{50, 10, 0} {
		var passed atomic.Int64
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				for range 8 {
					l := w.Limiters[i%len(w.Limiters)]
					h, err := l.Take(context.Background(), box, f, 2)
					switch {
					case err == nil && i%4 == 3:
						h.GiveBack(context.Background())
					case err == nil:
						passed.Add(1)
						h.Keep()
					case !fault.Is(err, fault.Limited):
						w.Error(err)
					}
				}
			})
		}
		all.Wait()
		// Those given back may have kept the last ones out.
		for w.take(w.Limiters[0], f, 2) == nil {
			passed.Add(1)
		}
		if passed.Load() != want {
			w.Errorf("minute %d: %d passed, want %d", minute, passed.Load(), want)
		}
		w.advance(time.Minute)
	}
}
