// SPDX-License-Identifier: EUPL-1.2

package ratelimittest

import (
	"context"
	"errors"
	"strings"
	"time"

	"pecd/fault"
	"pecd/ratelimit"
)

// testRecipients: the recipients have bounds of their own, of all messages together.
func testRecipients(w *World) {
	f := ratelimit.Figures{PerMinute: 50, PerDay: 500, RecipientsPerMinute: 10, RecipientsPerDay: 25}
	ctx, l, start := context.Background(), w.Limiters[0], w.Clock.Now()
	if _, err := l.Take(ctx, box, f, 11); !fault.Is(err, fault.TooMany) || !strings.Contains(fault.TextOf(err), "10") {
		w.Fatalf("a message that never passes: %v", err)
	}
	for _, n := range []int{4, 5} {
		if err := w.take(l, f, n); err != nil {
			w.Fatal(err)
		}
		w.advance(time.Second)
	}
	w.refused(f, 2, ratelimit.RecipientsMinute, start.Add(time.Minute))
	w.refused(f, 6, ratelimit.RecipientsMinute, start.Add(61*time.Second))
	w.passes(f, 1)
	w.advance(time.Minute)
	if err := w.take(l, f, 10); err != nil {
		w.Fatal(err)
	}
	w.advance(time.Minute)
	w.refused(f, 6, ratelimit.RecipientsDay, time.Date(2026, 6, 4, 0, 0, 0, 0, w.Location))
	if err := w.take(l, f, 5); err != nil {
		w.Fatal(err)
	}
}

// testGiveBack: what could not be stored does not count, in any window.
func testGiveBack(w *World) {
	f := ratelimit.Figures{PerMinute: 2, PerDay: 3, RecipientsPerMinute: 9, RecipientsPerDay: 9}
	ctx, l := context.Background(), w.Limiters[0]
	for range 5 {
		h, err := l.Take(ctx, box, f, 9)
		if err != nil {
			w.Fatal(err)
		}
		w.refused(f, 1, ratelimit.RecipientsDay, time.Date(2026, 6, 4, 0, 0, 0, 0, w.Location))
		h.GiveBack(ctx)
		h.GiveBack(ctx) // does nothing more
		h.Keep()
	}
	first, err := l.Take(ctx, box, f, 1)
	if err != nil {
		w.Fatal(err)
	}
	start := w.Clock.Now()
	w.advance(time.Second)
	w.passes(f, 1)
	w.refused(f, 1, ratelimit.Minute, start.Add(time.Minute))
	first.GiveBack(ctx)
	w.passes(f, 1)
	w.refused(f, 1, ratelimit.Minute, start.Add(61*time.Second))
	w.advance(time.Minute)
	w.passes(f, 1)
	w.refused(f, 1, ratelimit.Day, time.Date(2026, 6, 4, 0, 0, 0, 0, w.Location))
}

// testDoubt: after a commit of unknown outcome the record tells.
func testDoubt(w *World) {
	f := standard
	f.PerMinute = 3
	ctx, l := context.Background(), w.Limiters[0]
	w.passes(f, 1)
	open, err := l.Take(ctx, box, f, 1)
	if err != nil {
		w.Fatal(err)
	}
	for _, stored := range []bool{false, true} {
		h, err := l.Take(ctx, box, f, 1)
		if err != nil {
			w.Fatalf("stored %t: %v", stored, err)
		}
		if stored {
			w.Record.Add(box, h.At, 1)
		}
		h.Doubt(ctx)
	}
	_, err = l.Take(ctx, box, f, 1)
	if !fault.Is(err, fault.Limited) {
		w.Fatalf("three count: %v", err)
	}
	open.GiveBack(ctx)
	w.passes(f, 1)
	_, err = l.Take(ctx, box, f, 1)
	if !fault.Is(err, fault.Limited) {
		w.Fatalf("three count: %v", err)
	}
}

// testDoubtBesides: what was stored already, and whose hold had not ended when the
// record was read for the doubt about another, counts once.
func testDoubtBesides(w *World) {
	f := standard
	f.PerMinute, f.PerDay = 3, 3
	ctx, l := context.Background(), w.Limiters[0]
	var holds [2]*ratelimit.Hold
	for i := range holds {
		h, err := l.Take(ctx, box, f, 1)
		if err != nil {
			w.Fatal(err)
		}
		holds[i] = h
	}
	w.Record.Add(box, holds[0].At, 1)
	holds[1].Doubt(ctx)
	w.passes(f, 1)
	holds[0].Keep()
	w.passes(f, 1)
	_, err := l.Take(ctx, box, f, 1)
	if !fault.Is(err, fault.Limited) {
		w.Fatalf("three count: %v", err)
	}
}

// testPeek: asking counts nothing, and tells how many recipients there is room for.
func testPeek(w *World) {
	f := ratelimit.Figures{PerMinute: 2, PerDay: 500, RecipientsPerMinute: 10, RecipientsPerDay: 100}
	ctx, l, start := context.Background(), w.Limiters[0], w.Clock.Now()
	peek := func(recipients, want int) {
		w.Helper()
		if room, err := l.Peek(ctx, box, f, recipients); err != nil || room != want {
			w.Fatalf("room for %d: %v, want %d", room, err, want)
		}
	}
	for range 5 {
		peek(10, 10)
	}
	if err := w.take(l, f, 7); err != nil {
		w.Fatal(err)
	}
	peek(3, 3)
	_, err := l.Peek(ctx, box, f, 4)
	w.reached(err, ratelimit.RecipientsMinute, start.Add(time.Minute))
	w.passes(f, 1)
	_, err = l.Peek(ctx, box, f, 1)
	w.reached(err, ratelimit.Minute, start.Add(time.Minute))
	w.advance(time.Minute)
	peek(1, 10)
	if room, err := l.Peek(ctx, "bianchi@alfa.example", f, 1); err != nil || room != 10 {
		w.Fatalf("another mailbox: %d, %v", room, err)
	}
}

func testUse(w *World) {
	f := ratelimit.Figures{PerMinute: 2, PerDay: 3, RecipientsPerMinute: 10, RecipientsPerDay: 100}
	start := w.Clock.Now()
	use := func() ratelimit.Use {
		w.Helper()
		u, err := w.Limiters[0].Use(context.Background(), box, f)
		if err != nil {
			w.Fatal(err)
		}
		return u
	}
	if got := use(); got != (ratelimit.Use{Figures: f}) {
		w.Errorf("%+v of nothing", got)
	}
	w.passes(f, 2)
	got := use()
	if !got.MinuteOpens.Equal(start.Add(time.Minute)) || !got.DayOpens.IsZero() || got.Minute != (ratelimit.Count{Messages: 2, Recipients: 2}) || got.Day != got.Minute {
		w.Errorf("%+v", got)
	}
	for _, one := range got.Windows() {
		if closed := !one.Opens.IsZero(); closed != (one.Window == ratelimit.Minute) || one.Used != 2 {
			w.Errorf("%+v", one)
		}
	}
	w.advance(time.Minute)
	w.passes(f, 1)
	got = use()
	if !got.MinuteOpens.IsZero() || !got.DayOpens.Equal(time.Date(2026, 6, 4, 0, 0, 0, 0, w.Location)) || got.Day.Messages != 3 || got.Minute.Messages != 1 {
		w.Errorf("%+v", got)
	}
}

// testRestart: what is on record counts after a restart, at most a second longer.
func testRestart(w *World) {
	f := standard
	f.PerDay = 60
	start := w.Clock.Now() // a quarter of a second has passed
	w.passes(f, 20)
	w.advance(30 * time.Second)
	w.passes(f, 30)
	h, err := w.Limiters[0].Take(context.Background(), box, standard, 1)
	if err == nil {
		h.GiveBack(context.Background())
		w.Fatal("51 passed")
	}
	w.Limiters[0] = w.Restart()
	ends := start.Truncate(time.Second).Add(time.Second)
	w.refused(f, 1, ratelimit.Minute, ends.Add(time.Minute))
	w.until(ends.Add(time.Minute))
	w.passes(f, 10)
	w.refused(f, 1, ratelimit.Day, time.Date(2026, 6, 4, 0, 0, 0, 0, w.Location))
	// A message that was in hand when the node ended is not on record.
	w.until(time.Date(2026, 6, 4, 0, 0, 0, 0, w.Location))
	if _, err := w.Limiters[0].Take(context.Background(), box, f, 1); err != nil {
		w.Fatal(err)
	}
	w.Limiters[0] = w.Restart()
	w.passes(f, 50)
	w.advance(2 * time.Minute)
	w.passes(f, 10)
	w.refused(f, 1, ratelimit.Day, time.Date(2026, 6, 5, 0, 0, 0, 0, w.Location))
}

// testIdle: a mailbox that was forgotten for its silence is known again.
func testIdle(w *World) {
	f := standard
	f.PerDay = 3
	w.passes(f, 2)
	for range 30 {
		w.advance(time.Minute)
		if _, err := w.Limiters[0].Peek(context.Background(), "altra@alfa.example", f, 1); err != nil {
			w.Fatal(err)
		}
	}
	w.passes(f, 1)
	w.refused(f, 1, ratelimit.Day, time.Date(2026, 6, 4, 0, 0, 0, 0, w.Location))
}

// testClockBack: a clock that is put back opens nothing, and closes nothing for
// longer than a minute from then.
func testClockBack(w *World) {
	f := standard
	f.PerMinute = 2
	w.passes(f, 2)
	w.advance(-30 * time.Second)
	w.refused(f, 1, ratelimit.Minute, w.Clock.Now().Add(time.Minute))
	w.advance(time.Minute)
	w.passes(f, 2)
	f.PerDay = 4
	w.advance(-24 * time.Hour)
	w.refused(f, 1, ratelimit.Minute, w.Clock.Now().Add(time.Minute))
	w.advance(time.Minute)
	w.passes(f, 2)
	w.advance(24 * time.Hour)
	w.refused(f, 1, ratelimit.Day, time.Date(2026, 6, 4, 0, 0, 0, 0, w.Location))
}

// testRecordFails: where it is not known what was sent, nothing is.
func testRecordFails(w *World) {
	w.Record.Err = fault.New("test", fault.Temporary, errors.New("no record"))
	_, err := w.Limiters[0].Take(context.Background(), box, standard, 1)
	if !fault.Is(err, fault.Temporary) {
		w.Fatalf("taken: %v", err)
	}
	w.Record.Err = nil
	w.passes(standard, 50)
}

// testFiguresChange: other figures hold at once, for what was sent before, too.
func testFiguresChange(w *World) {
	start := w.Clock.Now()
	w.passes(standard, 20)
	w.advance(time.Second)
	w.passes(standard, 30)
	w.refused(standard, 1, ratelimit.Minute, start.Add(time.Minute))
	raised, lowered := standard, standard
	raised.PerMinute, lowered.PerMinute = 51, 10
	w.passes(raised, 1)
	w.refused(raised, 1, ratelimit.Minute, start.Add(time.Minute))
	w.refused(lowered, 1, ratelimit.Minute, start.Add(61*time.Second))
}
