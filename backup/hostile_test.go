// SPDX-License-Identifier: EUPL-1.2

package backup_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pecd/backup"
	"pecd/clock"
	"pecd/fault"
	"pecd/storage/sqlite"
)

// TestDamagedBefore: what is damaged in a folder of copies keeps no new one from
// being made, hides no good one, and is not built upon.
func TestDamagedBefore(t *testing.T) {
	w := newWorld(t)
	w.message()
	bad := w.must(nil)
	put(t, filepath.Join(bad.Dir, "manifest.json"), []byte("{"))
	good := w.must(func(o *backup.Options) { o.Keep = 1 })
	if good.Linked != 0 || len(good.Removed) != 0 {
		t.Errorf("beside an unreadable one: %+v", good)
	}
	points, unreadable, err := backup.Points(w.to)
	if err != nil || len(points) != 1 || points[0].Dir != good.Dir || len(unreadable) != 1 || unreadable[0].File != filepath.Base(bad.Dir) {
		t.Errorf("%v, %v, %v", points, unreadable, err)
	}
	if err := os.Rename(bad.Dir, filepath.Join(w.to, "20300101T000000.000Z")); err != nil {
		t.Fatal(err)
	}
	if p, unreadable, err := backup.Find(w.to, good.Instant); err != nil || p.Dir != good.Dir || len(unreadable) != 1 {
		t.Errorf("found %s, %v, %v", p.Dir, unreadable, err)
	}
	sums := filepath.Join(good.Dir, "SHA256SUMS")
	whole := read(t, sums)
	for _, b := range [][]byte{whole[1:], append(bytes.Repeat([]byte("0"), 64), whole[64:]...), whole[:len(whole)/2]} {
		put(t, sums, b)
		res := w.must(nil)
		if res.Linked != 0 {
			t.Errorf("shares files with a copy whose sums are damaged: %+v", res)
		}
		if got := verify(t, res.Point); got != nil {
			t.Error(got)
		}
		if err := os.RemoveAll(res.Dir); err != nil {
			t.Fatal(err)
		}
	}
	put(t, sums, whole)
	if res := w.must(nil); res.Linked != 1 {
		t.Errorf("shares nothing with a good one: %+v", res)
	}
}

// TestNodeDuringRestore: a node that starts on the directory meanwhile refuses,
// and is not in the way of the store.
func TestNodeDuringRestore(t *testing.T) {
	w := newWorld(t)
	w.message()
	res := w.must(nil)
	put(t, filepath.Join(res.Dir, "SHA256SUMS"), append(read(t, filepath.Join(res.Dir, "SHA256SUMS")), '\n')) // told of while it is put back
	to, tried := t.TempDir(), 0
	r := backup.Restoring{Actor: "root", Clock: clock.System{}, Logger: slog.New(slog.DiscardHandler), Damaged: true}
	err := res.Restore(t.Context(), to, r, func(backup.Problem) error {
		tried++
		s, err := sqlite.Open(t.Context(), to, sqlite.Options{})
		if !fault.Is(err, fault.Conflict) {
			t.Errorf("a node began a store: %v", err)
			s.Close()
		}
		return nil
	})
	if err != nil || tried == 0 {
		t.Fatalf("%d tries, %v", tried, err)
	}
	if n := messages(t, to); n != 1 {
		t.Errorf("%d messages", n)
	}
}

// TestKeepAfterClockSetBack: the copy just made stays where older ones have
// names of the future.
func TestKeepAfterClockSetBack(t *testing.T) {
	w := newWorld(t)
	old := w.must(nil)
	ahead := filepath.Join(w.to, "20300101T000000.000Z")
	if err := os.Rename(old.Dir, ahead); err != nil {
		t.Fatal(err)
	}
	res := w.must(func(o *backup.Options) { o.Keep = 1 })
	if _, err := os.Stat(res.Dir); err != nil || !slices.Equal(res.Removed, []string{ahead}) {
		t.Errorf("removed %q, the new one: %v", res.Removed, err)
	}
}
