// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"pecd/alarm"
	"pecd/clock"
	"pecd/ledger"
	"pecd/storage"
)

// TestKeepUntil_2_3: thirty calendar months, never a day less (RFC 6109 §2.3).
func TestKeepUntil_2_3(t *testing.T) {
	zone := rome(t)
	for _, c := range []struct{ sealed, until string }{
		{"2026-11-26 00:05:00", "2029-05-27 00:00:00"},
		{"2026-08-31 00:05:00", "2029-03-01 00:00:00"}, // February has no 31st
		{"2026-08-30 00:05:00", "2029-03-01 00:00:00"},
		{"2026-08-28 23:59:59", "2029-03-01 00:00:00"},
		{"2026-08-27 00:05:00", "2029-02-28 00:00:00"},
		{"2025-08-29 00:05:00", "2028-03-01 00:00:00"}, // a leap year
		{"2026-10-01 00:05:00", "2029-04-02 00:00:00"},
		{"2027-01-01 00:05:00", "2029-07-02 00:00:00"},
	} {
		at, err := time.ParseInLocation("2006-01-02 15:04:05", c.sealed, zone)
		if err != nil {
			t.Fatal(err)
		}
		if got := keepUntil(at, Months, zone).Format("2006-01-02 15:04:05"); got != c.until {
			t.Errorf("%s: %s, want %s", c.sealed, got, c.until)
		}
	}
}

// TestPurge_2_3: what was kept long enough goes, rows first, and what is left is
// still proven from its first record on. PECD_LONG=1 lives through the
// thirty-one months, otherwise the time of keeping is one.
func TestPurge_2_3(t *testing.T) {
	months := 1
	if os.Getenv("PECD_LONG") != "" {
		months = Months
	}
	e := newEnv(t, 2026, 1, 1)
	e.book.cfg.Months = months
	for end := e.clk.Now().AddDate(0, months+2, 0); e.clk.Now().Before(end); {
		e.day(2)
	}
	seals := e.seals()
	var first storage.Seal
	for _, s := range seals {
		if due := keepUntil(s.At, months, e.zone); s.Purged != !e.clk.Now().Before(due) {
			t.Errorf("seal %d of %s, to be kept until %v: purged %v", s.Number, s.Day, due, s.Purged)
		}
		if !s.Purged && first.Number == 0 {
			first = s
		}
	}
	sum := e.wantClean()
	if sum.First != first.First || sum.Purged != first.Number-1 || sum.Purged < 28 || sum.Seals != int64(len(seals))-sum.Purged {
		t.Errorf("%+v, the first kept is %+v", sum, first)
	}
	if n := len(e.names()); n != 2*int(sum.Seals) {
		t.Errorf("%d files for %d seals", n, sum.Seals)
	}
	state, err := e.store.LogState(t.Context())
	if err != nil || state.First != first.First || state.Before != first.Before {
		t.Errorf("the log begins at %+v, %v", state, err)
	}
	// The first records that are kept are proven by the seal before, which is gone.
	victim := int64(0)
	err = Search(t.Context(), e.store, Query{Kind: ledger.SubmissionAccepted}, func(r storage.Record, _ ledger.Event) error {
		victim = r.Seq
		return errStop
	})
	if !errors.Is(err, errStop) || victim > sum.First+5 {
		t.Fatal(victim, err)
	}
	e.tamper(edit(int(victim)))
	e.book.cfg.Months = months
	found, _ := e.verify()
	if len(found) != 1 || found[0].Seq != victim {
		t.Errorf("found:\n%s", lines(found))
	}
}

func (e *env) kept() (kept, purged int) {
	for _, s := range e.seals() {
		if s.Purged {
			purged++
		} else {
			kept++
		}
	}
	return kept, purged
}

// TestPurgeCrash: a seal that was purged loses its files later, if need be.
func TestPurgeCrash(t *testing.T) {
	for name, crash := range map[string]func(*env){
		"before the row": func(e *env) { e.faulty.before = onOp[*storage.PurgeSeal] },
		"after the row":  func(e *env) { e.faulty.after = onOp[*storage.PurgeSeal] },
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, 2026, 1, 1)
			e.book.cfg.Months = 1
			for range 30 {
				e.day(1)
			}
			crash(e)
			e.moveTo("2026-02-04 00:05:00")
			e.turn(false)
			if found, _ := e.verify(); len(found) > 0 {
				t.Errorf("problems:\n%s", lines(found))
			}
			e.restart()
			e.book.cfg.Months = 1
			e.clk.Advance(time.Minute)
			e.turn(true)
			if kept, purged := e.kept(); kept != 32 || purged != 2 {
				t.Errorf("%d kept, %d purged", kept, purged)
			}
			for _, n := range e.names() {
				if strings.HasPrefix(n, "000001-") || strings.HasPrefix(n, "000002-") {
					t.Errorf("left: %s", n)
				}
			}
			if sum := e.wantClean(); sum.Purged != 2 {
				t.Errorf("%+v", sum)
			}
		})
	}
}

// TestPurgeWaitsForStamp: what has no time stamp is kept until it has one.
func TestPurgeWaitsForStamp(t *testing.T) {
	e := newEnv(t, 2026, 1, 1)
	e.book.cfg.Months = 1
	e.day(1)
	e.tsa.fail = true
	e.moveTo("2026-03-01 00:05:00")
	e.turn(false)
	if kept, purged := e.kept(); kept != 59 || purged != 0 {
		t.Errorf("%d kept, %d purged: no stamp says yet that the time is over", kept, purged)
	}
	e.tsa.fail = false
	e.turn(true)
	if kept, purged := e.kept(); kept != 58 || purged != 1 {
		t.Errorf("%d kept, %d purged: the days sealed today begin their time today", kept, purged)
	}
	var purges int
	err := Search(t.Context(), e.store, Query{Kind: ledger.LedgerPurged}, func(_ storage.Record, ev ledger.Event) error {
		purges++
		if !strings.Contains(ev.Detail, "000001-2026-01-01.log.p7m") {
			return fmt.Errorf("detail %q", ev.Detail)
		}
		return nil
	})
	if err != nil || purges != 1 {
		t.Errorf("%d purges in the log, %v", purges, err)
	}
	e.wantClean()
}

// TestPurgeNeedsTrustedTime: a clock that ran ahead removes nothing: neither
// before a time stamp says that the time is over, nor while the clock is in
// doubt; and never more than a week in one turn.
func TestPurgeNeedsTrustedTime(t *testing.T) {
	e := newEnv(t, 2026, 1, 1)
	e.book.cfg.Months = 1
	for range 10 {
		e.day(1)
	}
	purged := func(want int) {
		t.Helper()
		if _, n := e.kept(); n != want {
			t.Fatalf("%d purged, want %d", n, want)
		}
	}
	// The authority knows better than this clock.
	e.tsa.clk = clock.NewManual(e.clk.Now())
	e.moveTo("2026-03-01 00:10:00")
	e.turn(true)
	purged(0)
	e.tsa.clk = e.clk
	for _, name := range []string{alarm.ClockDeviation, alarm.ClockUnchecked} {
		e.moveTo(map[string]string{alarm.ClockDeviation: "2026-03-02 00:10:00", alarm.ClockUnchecked: "2026-03-03 00:10:00"}[name])
		e.board.Raise(name, "test")
		e.book.turn(t.Context())
		e.board.Clear(name)
		if name == alarm.ClockDeviation { // which closes no day, and so has no stamp either
			if err := e.book.SealNow(t.Context()); err != nil {
				t.Fatal(err)
			}
			e.board.Raise(name, "test")
			e.turn(true)
			e.board.Clear(name)
		}
		purged(0)
	}
	e.turn(true)
	purged(7)
	e.turn(true)
	purged(10) // what was sealed on the first of March is kept
	e.turn(true)
	purged(10)
}

// TestPurgeCountsFromStamp: a day that was stamped late is kept for the whole
// time from its stamp on.
func TestPurgeCountsFromStamp(t *testing.T) {
	e := newEnv(t, 2026, 1, 1)
	e.book.cfg.Months = 1
	e.some(1)
	e.tsa.fail = true
	e.moveTo("2026-01-02 00:10:00")
	e.turn(false)
	e.tsa.fail = false
	e.moveTo("2026-01-20 00:10:00")
	e.turn(true)
	e.moveTo("2026-02-10 00:10:00")
	e.turn(true)
	if _, n := e.kept(); n != 0 {
		t.Errorf("%d purged", n)
	}
	e.moveTo("2026-02-21 00:10:00")
	e.turn(true)
	if _, n := e.kept(); n != 7 {
		t.Errorf("%d purged", n)
	}
	e.wantClean()
}
