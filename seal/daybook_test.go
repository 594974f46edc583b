// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pecd/alarm"
	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// TestWeek_2_3: every day gets its own sealed and stamped file, without gaps,
// whether something happened or not, and over both changes of the hour (RFC 6109
// §2.3: the log is saved at least daily).
func TestWeek_2_3(t *testing.T) {
	for _, c := range []struct {
		name       string
		month      time.Month
		day        int
		hours      time.Duration // of the Sunday
		sunday     string
		lastBefore string
	}{
		{"spring", time.March, 26, 23, "2026-03-29", "2026-03-29 23:59:59"},
		{"autumn", time.October, 22, 25, "2026-10-25", "2026-10-25 23:59:59"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEnv(t, 2026, c.month, c.day)
			e.day(3) // Thursday
			e.day(0)
			e.day(2)
			if got := endOf(dayOf(e.clk.Now(), e.zone), e.zone).Sub(endOf(dayOf(e.clk.Now().AddDate(0, 0, -1), e.zone), e.zone)); got != c.hours*time.Hour {
				t.Fatalf("the day has %v", got)
			}
			e.moveTo(c.lastBefore)
			last := e.write(ledger.Event{Kind: ledger.Access})
			e.clk.Advance(2 * time.Second)
			e.write(ledger.Event{Kind: ledger.Access})
			e.moveTo(c.sunday[:8] + fmt.Sprintf("%02d 00:10:00", c.day+4))
			e.turn(true)
			d := func(n int) string { return fmt.Sprintf("%s%02d", c.sunday[:8], c.day+n) }
			e.wantDays("1 "+d(0)+" 1-3", "2 "+d(1)+" 4-4", "3 "+d(2)+" 5-7", fmt.Sprintf("4 %s 8-%d", c.sunday, last))
			e.wantClean()
			e.wantAlarms()
		})
	}
}

// TestOutage: days on which the node did not run are sealed one by one, the
// empty ones too, before the next.
func TestOutage(t *testing.T) {
	e := newEnv(t, 2026, 11, 20)
	e.some(2)
	e.moveTo("2026-11-21 03:00:00")
	e.some(2)
	e.store.Close()
	e.moveTo("2026-11-25 08:00:00")
	e.open()
	e.some(1)
	e.turn(true)
	e.wantDays("1 2026-11-20 1-2", "2 2026-11-21 3-4", "3 2026-11-22 5-4", "4 2026-11-23 5-4", "5 2026-11-24 5-4")
	sum := e.wantClean()
	if sum.Records != 10 || sum.SealedTo != 4 || sum.Last != 10 || sum.Seals != 5 {
		t.Errorf("%+v", sum)
	}
	e.turn(true) // nothing more to do
	e.moveTo("2026-11-26 00:05:00")
	e.turn(true)
	if got := e.days(); !strings.HasSuffix(got, "\n6 2026-11-25 5-10") {
		t.Error(got)
	}
	e.wantClean()
}

// TestCut: a record belongs to a day by its number; instants out of order put
// nothing into two days or into none (ADR 0006 #3).
func TestCut(t *testing.T) {
	e := newEnv(t, 2026, 11, 24)
	for _, at := range []string{
		"2026-11-24 12:00:00", "2026-11-24 23:59:59", "2026-11-25 00:00:00", "2026-11-24 23:59:58", // began before, ended later
		"2030-01-01 00:00:00", // a clock that ran ahead
		"2026-11-25 13:00:00", "2026-11-26 01:00:00",
	} {
		e.write(ledger.Event{Kind: ledger.Access, At: e.at(at)})
	}
	e.moveTo("2026-11-26 02:00:00")
	e.turn(true)
	e.wantDays("1 2026-11-24 1-4", "2 2026-11-25 5-6")
	e.write(ledger.Event{Kind: ledger.Access, At: e.at("2026-11-25 23:00:00")}) // after its day was closed
	e.moveTo("2026-11-27 02:00:00")
	e.turn(true)
	e.wantDays("1 2026-11-24 1-4", "2 2026-11-25 5-6", "3 2026-11-26 7-10")
	e.wantClean()
}

// TestNothingYet: a log without records has no first day, and the present day
// is never closed.
func TestNothingYet(t *testing.T) {
	e := newEnv(t, 2026, 11, 24)
	e.moveTo("2026-11-25 12:00:00")
	if err := e.book.SealNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.wantDays("")
	e.some(1)
	if err := e.book.SealNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.wantDays("")
	e.wantClean()
	e.moveTo("2026-11-26 00:00:00")
	e.turn(true) // not yet: what was under way at midnight is given time
	e.wantDays("")
	if err := e.book.SealNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.wantDays("1 2026-11-25 1-1")
	e.wantClean()
}

// TestFirstDayOfAWrongClock: a record dated decades ago does not make decades
// of empty seals.
func TestFirstDayOfAWrongClock(t *testing.T) {
	e := newEnv(t, 2026, 11, 24)
	e.write(ledger.Event{Kind: ledger.Access, At: time.Unix(0, 0)})
	first, ok, err := e.book.nextDay(t.Context(), storage.Seal{}, e.clk.Now())
	if err != nil || !ok || first.Format(time.DateOnly) != "2024-05-24" {
		t.Errorf("%v, %v, %v", first, ok, err)
	}
}

// TestStampsLate: while the authority is silent days go on being sealed; then
// the stamps are had in order, none left out (ADR 0006 #4).
func TestStampsLate(t *testing.T) {
	e := newEnv(t, 2026, 11, 20)
	e.day(1)
	e.tsa.fail = true
	for day := 22; day <= 24; day++ {
		e.some(1)
		e.moveTo(fmt.Sprintf("2026-11-%d 00:06:00", day))
		e.turn(false)
		e.moveTo(fmt.Sprintf("2026-11-%d 00:30:00", day))
		e.turn(false)
		if day == 22 {
			e.wantAlarms() // not yet
		}
		e.moveTo(fmt.Sprintf("2026-11-%d 01:10:00", day))
		e.turn(false)
		e.wantAlarms(alarm.StampOverdue)
	}
	e.wantDays("1 2026-11-20 1-1", "2 2026-11-21 2-3!", "3 2026-11-22 4-5!", "4 2026-11-23 6-7!")
	if sum := e.wantClean(); sum.Unstamped != 3 {
		t.Errorf("%+v", sum)
	}
	for _, d := range e.tsa.asked[1:] {
		if d != e.seals()[1].Sum {
			t.Fatal("the oldest was not asked for first")
		}
	}
	e.tsa.fail, e.tsa.asked = false, nil
	e.restart()
	e.clk.Advance(time.Hour)
	e.turn(true)
	e.wantAlarms()
	e.wantDays("1 2026-11-20 1-1", "2 2026-11-21 2-3", "3 2026-11-22 4-5", "4 2026-11-23 6-7")
	for i, s := range e.seals()[1:] {
		if e.tsa.asked[i] != s.Sum {
			t.Error("not in order")
		}
		tsr, err := os.ReadFile(filepath.Join(e.folder(), StampName(s.File)))
		if err != nil || string(tsr) != string(s.Stamp) {
			t.Errorf("stamp %d beside its file: %v", s.Number, err)
		}
	}
	if sum := e.wantClean(); sum.Unstamped != 0 {
		t.Errorf("%+v", sum)
	}
}

func TestNoAuthority(t *testing.T) {
	e := newEnv(t, 2026, 11, 20)
	e.book.cfg.Stamper = nil
	e.turn(true) // nothing to stamp, nothing to complain of
	e.some(1)
	e.moveTo("2026-11-21 02:00:00")
	e.turn(false)
	e.moveTo("2026-11-21 03:00:00")
	e.turn(false)
	e.wantDays("1 2026-11-20 1-1!")
	e.wantAlarms(alarm.StampOverdue)
}

// TestSignerFails: what could not be signed is sealed later, day by day.
func TestSignerFails(t *testing.T) {
	e := newEnv(t, 2026, 11, 20)
	e.signer.fail = true
	e.some(2)
	e.moveTo("2026-11-21 00:05:00")
	e.turn(false)
	e.wantAlarms()
	e.some(1)
	e.signer.fail, e.signer.half = false, true
	e.moveTo("2026-11-22 00:05:00")
	e.turn(false)
	e.wantAlarms(alarm.SealOverdue)
	if err := e.book.SealNow(t.Context()); err == nil {
		t.Error("SealNow tells of no failure")
	}
	e.wantDays("")
	if n := e.names(); len(n) > 0 {
		t.Errorf("left behind: %q", n)
	}
	e.wantClean()
	e.signer.half = false
	e.turn(true)
	e.wantAlarms()
	e.wantDays("1 2026-11-20 1-2", "2 2026-11-21 3-3")
	e.wantClean()
}

// TestBrokenChain: a record that was altered before its day was closed is sealed
// as it is, and told of; the days after it go on.
func TestBrokenChain(t *testing.T) {
	e := newEnv(t, 2026, 11, 20)
	e.some(3)
	e.tamper("UPDATE records SET data = CAST(replace(data, 'Oggetto', 'oggetto') AS BLOB) WHERE seq = 2")
	e.day(0)
	e.wantAlarms(alarm.LedgerBroken)
	e.day(1)
	e.wantDays("1 2026-11-20 1-3", "2 2026-11-21 4-5")
	found, sum := e.verify()
	if len(found) != 1 || found[0].Seq != 2 || sum.Altered == nil {
		t.Errorf("found:\n%s", lines(found))
	}
	if alone, _ := e.verifyFolder(); len(alone) != 1 || alone[0].Seq != 2 {
		t.Errorf("found in the folder:\n%s", lines(alone))
	}
}

// TestRun: the loop wakes shortly after each midnight, and ends with its context.
func TestRun(t *testing.T) {
	e := newEnv(t, 2026, 11, 20)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	e.some(1)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.book.Run(ctx)
	}()
	for _, want := range []int{1, 2, 3} {
		for limit := time.Now().Add(20 * time.Second); len(e.seals()) < want || e.seals()[want-1].Stamp == nil; {
			if time.Now().After(limit) {
				t.Fatalf("no seal %d:\n%s", want, e.days())
			}
			e.clk.Advance(10 * time.Minute)
			time.Sleep(time.Millisecond)
		}
	}
	cancel()
	<-done
	e.wantClean()
	for _, s := range e.seals() {
		day, _ := time.Parse(time.DateOnly, s.Day)
		if late := s.At.Sub(endOf(day, e.zone)); late < settle {
			t.Errorf("seal %d made %v after midnight", s.Number, late)
		}
	}
}

// TestWait: the loop sleeps until the next closing, an hour at most, and after
// failures ever longer, but never beyond a closing.
func TestWait(t *testing.T) {
	e := newEnv(t, 2026, 11, 20)
	for _, c := range []struct {
		at     string
		failed int
		want   time.Duration
	}{
		{"2026-11-20 12:00:00", 0, time.Hour},
		{"2026-11-20 12:00:00", 1, time.Minute},
		{"2026-11-20 12:00:00", 4, 8 * time.Minute},
		{"2026-11-20 12:00:00", 40, time.Hour},
		{"2026-11-20 23:55:00", 0, 10 * time.Minute},
		{"2026-11-20 23:55:00", 9, 10 * time.Minute},
		{"2026-11-21 00:00:00", 0, 5 * time.Minute},
		{"2026-11-21 00:05:00", 0, time.Hour},
	} {
		e.moveTo(c.at)
		if got := e.book.wait(c.failed); got != c.want {
			t.Errorf("%s after %d failures: %v, want %v", c.at, c.failed, got, c.want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(Config{Dir: t.TempDir(), Months: 29}); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
	if _, err := New(Config{Dir: filepath.Join(t.TempDir(), "no", "ledger")}); !fault.Is(err, fault.Temporary) {
		t.Error(err)
	}
}
