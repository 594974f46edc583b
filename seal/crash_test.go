// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pecd/alarm"
	"pecd/storage"
)

// TestCrash: wherever the sealing of a day ends, the next run brings it to its
// end: one seal a day, the same numbers and ranges, nothing left lying about.
func TestCrash(t *testing.T) {
	leave := func(name string) func(*env) {
		return func(e *env) {
			path := filepath.Join(e.folder(), name)
			if err := os.WriteFile(path, []byte("half of somethi"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name  string
		crash func(*env)
		end   func(*env) // of the fault
	}{
		{"while the day file is written", leave(tempPrefix + "000002-2026-11-21.log"), nil},
		{"while it is signed", leave(tempPrefix + "000002-2026-11-21.log.p7m"), nil},
		{"while the stamp is written", leave(tempPrefix + "000001-2026-11-20.log.tsr"), nil},
		{"with a torn file under its name", leave("000002-2026-11-21.log.p7m"), nil},
		{"before the row", func(e *env) { e.faulty.before = onOp[*storage.PutSeal] }, nil},
		{"after the row", func(e *env) { e.faulty.after = onOp[*storage.PutSeal] }, nil},
		{"before the stamp", func(e *env) { e.tsa.fail = true }, func(e *env) { e.tsa.fail = false }},
		{"between the stamp's file and its row", func(e *env) { e.faulty.before = onOp[*storage.StampSeal] }, nil},
		{"after the stamp's row", func(e *env) { e.faulty.after = onOp[*storage.StampSeal] }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEnv(t, 2026, 11, 20)
			e.day(3)
			e.some(2)
			c.crash(e)
			e.moveTo("2026-11-22 00:05:00")
			e.book.turn(t.Context())
			e.restart()
			e.some(1)
			if c.end != nil {
				c.end(e)
			}
			e.clk.Advance(1)
			e.turn(true)
			e.turn(true)
			e.wantDays("1 2026-11-20 1-3", "2 2026-11-21 4-6")
			e.wantClean()
			want := []string{"000001-2026-11-20.log.p7m", "000001-2026-11-20.log.tsr", "000002-2026-11-21.log.p7m", "000002-2026-11-21.log.tsr"}
			if got := e.names(); !slices.Equal(got, want) {
				t.Errorf("files: %q", got)
			}
			e.wantAlarms()
		})
	}
}

// TestFileWithoutRow: until the next run a file that no seal names is told of.
func TestFileWithoutRow(t *testing.T) {
	e := newEnv(t, 2026, 11, 20)
	e.day(1)
	e.faulty.before = onOp[*storage.PutSeal]
	e.moveTo("2026-11-22 00:05:00")
	e.turn(false)
	found, _ := e.verify()
	if len(found) != 1 || found[0].File != "000002-2026-11-21.log.p7m" || found[0].Seal != 0 {
		t.Errorf("found:\n%s", lines(found))
	}
}

// TestOlderStore: a store that was put back from a copy does not write over
// stamped files that it does not know.
func TestOlderStore(t *testing.T) {
	e := newEnv(t, 2026, 11, 20)
	e.day(1)
	old := t.TempDir()
	if err := e.store.Close(); err != nil {
		t.Fatal(err)
	}
	copyFile(t, filepath.Join(e.dir, "pecd.db"), filepath.Join(old, "pecd.db"))
	e.open()
	e.day(1)
	stamped := read(t, filepath.Join(e.folder(), "000002-2026-11-21.log.p7m"))
	e.store.Close()
	os.Remove(filepath.Join(e.dir, "pecd.db-wal"))
	os.Remove(filepath.Join(e.dir, "pecd.db-shm"))
	copyFile(t, filepath.Join(old, "pecd.db"), filepath.Join(e.dir, "pecd.db"))
	e.open()
	e.some(4)
	e.moveTo("2026-11-23 02:00:00")
	e.turn(false)
	e.wantAlarms(alarm.LedgerBroken, alarm.SealOverdue)
	if string(read(t, filepath.Join(e.folder(), "000002-2026-11-21.log.p7m"))) != string(stamped) {
		t.Error("the file was written over")
	}
	if found, _ := e.verify(); len(found) != 2 || !strings.Contains(found[0].What, "no seal names it") || !strings.Contains(found[1].What, "is the last one") {
		t.Errorf("found:\n%s", lines(found))
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	write(t, to, read(t, from))
}
