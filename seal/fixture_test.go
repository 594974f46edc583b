// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pecd/alarm"
	"pecd/clock"
	"pecd/ledger"
	"pecd/storage"
	"pecd/storage/sqlite"
)

const provider = "Alfa PEC S.p.A."

func rome(t testing.TB) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// env is a store with its daybook, on a clock that the test moves.
type env struct {
	testing.TB
	dir    string
	zone   *time.Location
	clk    *clock.Manual
	store  *sqlite.Store
	faulty *faulty
	signer *fakeSigner
	tsa    *fakeTSA
	board  *alarm.Board
	book   *Daybook
}

// newEnv begins on a day at noon in Rome.
func newEnv(t testing.TB, year int, month time.Month, day int) *env {
	t.Helper()
	e := &env{TB: t, dir: t.TempDir(), zone: rome(t)}
	e.clk = clock.NewManual(time.Date(year, month, day, 12, 0, 0, 0, e.zone))
	e.signer, e.tsa = newFakeSigner(1), newFakeTSA(2, e.clk)
	e.board = alarm.NewBoard(e.clk, slog.New(slog.DiscardHandler))
	e.open()
	t.Cleanup(func() { e.store.Close() })
	return e
}

// clone returns a copy of a closed store, opened.
func (e *env) clone(t testing.TB) *env {
	t.Helper()
	c := *e
	c.TB, c.dir = t, t.TempDir()
	if err := os.CopyFS(c.dir, os.DirFS(e.dir)); err != nil {
		t.Fatal(err)
	}
	c.open()
	t.Cleanup(func() { c.store.Close() })
	return &c
}

// open opens the store and its daybook, as after a start.
func (e *env) open() {
	e.Helper()
	store, err := sqlite.Open(context.Background(), e.dir, sqlite.Options{Clock: e.clk})
	if err != nil {
		e.Fatal(err)
	}
	e.store, e.faulty = store, &faulty{Store: store}
	e.book, err = New(Config{
		Store: e.faulty, Dir: e.folder(), Provider: provider, Zone: e.zone, Clock: e.clk,
		Signer: e.signer, Stamper: e.tsa, Alarms: e.board, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		e.Fatal(err)
	}
}

// restart is a crash and a start: nothing that was in memory is left.
func (e *env) restart() {
	e.Helper()
	if err := e.store.Close(); err != nil {
		e.Fatal(err)
	}
	e.open()
}

func (e *env) folder() string { return filepath.Join(e.dir, "ledger") }

// tamper changes the database behind the store's back.
func (e *env) tamper(statements ...string) {
	e.Helper()
	if err := e.store.Close(); err != nil {
		e.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(e.dir, "pecd.db"))
	if err != nil {
		e.Fatal(err)
	}
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			e.Fatal(s, err)
		}
	}
	if err := db.Close(); err != nil {
		e.Fatal(err)
	}
	e.open()
}

// at is an instant in Rome.
func (e *env) at(text string) time.Time {
	e.Helper()
	t, err := time.ParseInLocation("2006-01-02 15:04:05", text, e.zone)
	if err != nil {
		e.Fatal(err)
	}
	return t
}

// moveTo moves the clock forward to an instant in Rome.
func (e *env) moveTo(text string) {
	e.Helper()
	d := e.at(text).Sub(e.clk.Now())
	if d < 0 {
		e.Fatalf("%s is past", text)
	}
	e.clk.Advance(d)
}

// write appends events to the log and returns the number of the last.
func (e *env) write(events ...ledger.Event) int64 {
	e.Helper()
	step := new(storage.Step)
	var last *storage.AppendRecord
	for _, ev := range events {
		if ev.At.IsZero() {
			ev.At = e.clk.Now()
		}
		last = event(ev)
		step.Add(last)
	}
	if err := e.store.Commit(e.Context(), step); err != nil {
		e.Fatal(err)
	}
	return last.Seq
}

// some appends n plain events at the present instant.
func (e *env) some(n int) {
	e.Helper()
	for i := range n {
		e.write(ledger.Event{Kind: ledger.SubmissionAccepted, ID: fmt.Sprintf("id%d.%d@alfa.example", e.clk.Now().Unix(), i), Subject: "Oggetto è <prova>"})
	}
}

// turn does what Run does when it wakes.
func (e *env) turn(want bool) {
	e.Helper()
	if got := e.book.turn(e.Context()); got != want {
		e.Fatalf("the turn was %v, want %v; alarms: %+v", got, want, e.board.Raised())
	}
}

// day lives through one day: events at noon, and the closing after midnight.
func (e *env) day(events int) {
	e.Helper()
	e.some(events)
	now := e.clk.Now()
	e.clk.Advance(endOf(dayOf(now, e.zone), e.zone).Add(10 * time.Minute).Sub(now))
	e.turn(true)
	now = e.clk.Now().In(e.zone)
	e.clk.Advance(time.Date(now.Year(), now.Month(), now.Day(), 12, 0, 0, 0, e.zone).Sub(now))
}

func (e *env) seals() (all []storage.Seal) {
	e.Helper()
	err := e.store.Seals(e.Context(), 1, func(s storage.Seal) error {
		all = append(all, s)
		return nil
	})
	if err != nil {
		e.Fatal(err)
	}
	return all
}

// days lists the seals as "number day first-last", with "!" where unstamped and
// "-" where purged.
func (e *env) days() string {
	e.Helper()
	var out []string
	for _, s := range e.seals() {
		text := fmt.Sprintf("%d %s %d-%d", s.Number, s.Day, s.First, s.Last)
		if s.Stamp == nil {
			text += "!"
		}
		if s.Purged {
			text += "-"
		}
		out = append(out, text)
	}
	return strings.Join(out, "\n")
}

func (e *env) wantDays(want ...string) {
	e.Helper()
	if got := e.days(); got != strings.Join(want, "\n") {
		e.Fatalf("seals:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
}

func (e *env) wantAlarms(want ...string) {
	e.Helper()
	var got []string
	for _, a := range e.board.Raised() {
		got = append(got, a.Name)
	}
	if !slices.Equal(got, want) {
		e.Fatalf("alarms %q, want %q", got, want)
	}
}

// proof judges what the fakes made.
func (e *env) proof() Proof { return Proof{Open: e.signer.open, Stamp: e.tsa.verify} }

// verify returns the problems that Verify tells of.
func (e *env) verify() ([]Problem, Summary) {
	e.Helper()
	var found []Problem
	late := int64(0)
	sum, err := Verify(e.Context(), e.verification(), func(p Problem) error {
		if p.Late {
			late++
			return nil
		}
		found = append(found, p)
		return nil
	})
	if err != nil {
		e.Fatal(err)
	}
	if sum.Problems != int64(len(found)) || sum.Late != late || sum.Provider != provider {
		e.Fatalf("%d problems and %d late told, counted: %+v", len(found), late, sum)
	}
	return found, sum
}

func (e *env) verification() Verification {
	return Verification{
		Log: e.store, Dir: e.folder(), Provider: provider, Zone: e.zone, Now: e.clk.Now(), Proof: e.proof(), Months: e.book.cfg.Months,
	}
}

func (e *env) verifyFolder() ([]Problem, Summary) {
	e.Helper()
	var found []Problem
	sum, err := VerifyFolder(e.Context(), e.folder(), e.proof(), func(p Problem) error {
		if !p.Late {
			found = append(found, p)
		}
		return nil
	})
	if err != nil {
		e.Fatal(err)
	}
	return found, sum
}

// wantClean wants a log and a folder without problems.
func (e *env) wantClean() Summary {
	e.Helper()
	found, sum := e.verify()
	alone, sumAlone := e.verifyFolder()
	if len(found)+len(alone) > 0 {
		e.Fatalf("problems:\n%s\n%s", lines(found), lines(alone))
	}
	if sum.Seals != sumAlone.Seals || sum.SealedTo != sumAlone.SealedTo || sumAlone.Seals > 0 && sum.First != sumAlone.First {
		e.Fatalf("the log is %+v, the folder %+v", sum, sumAlone)
	}
	return sum
}

func lines(found []Problem) string {
	var b strings.Builder
	for _, p := range found {
		b.WriteString(p.String() + "\n")
	}
	return b.String()
}

// names lists the directory of the sealed files.
func (e *env) names() (out []string) {
	e.Helper()
	entries, err := os.ReadDir(e.folder())
	if err != nil {
		e.Fatal(err)
	}
	for _, f := range entries {
		out = append(out, f.Name())
	}
	return out
}
