// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"strings"
	"testing"

	"pecd/alarm"
	"pecd/fault"
)

// TestClockOff: no day is closed by a clock that is known to be off; that is
// told of, and made up for.
func TestClockOff(t *testing.T) {
	e := newEnv(t, 2026, 11, 20)
	e.some(1)
	e.board.Raise(alarm.ClockDeviation, "test")
	e.turn(true) // there is nothing to close
	e.moveTo("2026-11-21 00:10:00")
	e.turn(false)
	e.wantAlarms(alarm.ClockDeviation)
	if err := e.book.SealNow(t.Context()); !fault.Is(err, fault.Temporary) {
		t.Error(err)
	}
	e.moveTo("2026-11-21 01:10:00")
	e.turn(false)
	e.wantAlarms(alarm.ClockDeviation, alarm.SealOverdue)
	if text := e.board.Raised()[1].Text; !strings.Contains(text, "the clock is off") {
		t.Error(text)
	}
	e.wantDays("")
	e.board.Clear(alarm.ClockDeviation)
	e.board.Raise(alarm.ClockUnchecked, "test") // is no reason to keep nothing
	e.turn(true)
	e.wantDays("1 2026-11-20 1-1")
	e.wantAlarms(alarm.ClockUnchecked)
	e.wantClean()
}

// TestClockRanAhead: what a clock closed that ran ahead stays closed; when it is
// set back, the alarm says that nothing is sealed, until the calendar has caught
// up. Then the sealing goes on with the next day, without a gap.
func TestClockRanAhead(t *testing.T) {
	e := newEnv(t, 2026, 11, 20)
	e.day(1)
	right := e.clk.Now()
	e.moveTo("2026-11-26 00:10:00")
	e.turn(true)
	ahead := []string{"1 2026-11-20 1-1", "2 2026-11-21 2-2", "3 2026-11-22 3-2", "4 2026-11-23 3-2", "5 2026-11-24 3-2", "6 2026-11-25 3-2"}
	e.wantDays(ahead...)
	e.clk.Advance(right.Sub(e.clk.Now()))
	e.turn(false)
	e.wantAlarms(alarm.SealOverdue)
	if text := e.board.Raised()[0].Text; !strings.Contains(text, "2026-11-25") || !strings.Contains(text, "the clock ran ahead") {
		t.Error(text)
	}
	if err := e.book.SealNow(t.Context()); !fault.Is(err, fault.Conflict) {
		t.Error(err)
	}
	e.moveTo("2026-11-24 12:00:00")
	e.some(1)
	e.turn(false)
	e.wantAlarms(alarm.SealOverdue)
	e.moveTo("2026-11-26 00:10:00")
	e.turn(true)
	e.wantAlarms()
	e.wantDays(ahead...)
	e.moveTo("2026-11-27 00:10:00")
	e.turn(true)
	state, err := e.store.LogState(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if seals := e.seals(); len(seals) != 7 || seals[6].Day != "2026-11-26" || seals[6].First != 3 || seals[6].Last != state.Last-1 {
		t.Errorf("%+v of %+v", seals, state)
	}
	e.wantClean()
}

// TestClosedJustNow: a day closed within the minutes that Run would have waited
// is no day to come.
func TestClosedJustNow(t *testing.T) {
	e := newEnv(t, 2026, 11, 20)
	e.some(1)
	e.moveTo("2026-11-21 00:01:00")
	if err := e.book.SealNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.turn(true)
	e.wantAlarms()
}

// TestBrokenOutlivesRestart: that the log was found broken is forgotten by
// nothing but a verification without problems.
func TestBrokenOutlivesRestart(t *testing.T) {
	e := newEnv(t, 2026, 11, 20)
	e.some(3)
	e.tamper(edit(2))
	e.day(0)
	e.wantAlarms(alarm.LedgerBroken)
	text := e.board.Raised()[0].Text
	for range 2 {
		e.board.Clear(alarm.LedgerBroken) // a new process has an empty board
		e.restart()
		e.wantAlarms(alarm.LedgerBroken)
		if got := e.board.Raised()[0].Text; got != text {
			t.Errorf("%q, was %q", got, text)
		}
	}
	for range 2 {
		if err := e.book.Cleared(); err != nil {
			t.Fatal(err)
		}
	}
	e.wantAlarms()
	e.restart()
	e.wantAlarms()
	if err := e.book.Broken("due problemi / two problems"); err != nil {
		t.Fatal(err)
	}
	e.board.Clear(alarm.LedgerBroken)
	e.restart()
	e.wantAlarms(alarm.LedgerBroken)
	if n := len(e.names()); n != 3 {
		t.Errorf("files: %q", e.names())
	}
}
