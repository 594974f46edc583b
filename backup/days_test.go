// SPDX-License-Identifier: EUPL-1.2

package backup_test

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"pecd/storage"
)

// sealDay closes a day of the log in which nothing but one record happened.
func (w *world) sealDay(number int64, day string) {
	w.t.Helper()
	w.commit(&storage.AppendRecord{Record: storage.Record{At: w.clk.Now(), Event: "x", Data: []byte("{}")}})
	log, err := w.store.LogState(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	var before [32]byte
	if number > 1 {
		before = w.heads[number-2]
	}
	w.heads = append(w.heads, log.Head)
	dir := filepath.Join(w.src.Dir, "ledger")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		w.t.Fatal(err)
	}
	content := []byte("sealed " + day)
	put(w.t, filepath.Join(dir, day), content)
	w.commit(&storage.PutSeal{Seal: storage.Seal{
		Number: number, Day: day, First: log.Last, Last: log.Last, Before: before, Head: log.Head, File: day, Sum: sha256.Sum256(content), At: w.clk.Now(),
	}})
}

// TestDays: sealed days are taken before sealing stands still, but for those that
// come and go until then; one of the copy before is shared.
func TestDays(t *testing.T) {
	w := newWorld(t)
	w.sealDay(1, "2026-06-01")
	w.src.Still = func(fn func() error) error {
		early, err := filepath.Glob(filepath.Join(w.to, ".partial-*", "store", "ledger", "2026-06-01"))
		if err != nil || len(early) != 1 {
			t.Errorf("not taken before sealing stands still: %v, %v", early, err)
		}
		w.commit(&storage.StampSeal{Number: 1, Stamp: []byte("s"), At: w.clk.Now()})
		w.commit(&storage.PurgeSeal{Number: 1})
		if err := os.Remove(filepath.Join(w.src.Dir, "ledger", "2026-06-01")); err != nil {
			t.Error(err)
		}
		w.sealDay(2, "2026-06-02")
		return fn()
	}
	first := w.must(nil)
	if got := verify(t, first.Point); got != nil {
		t.Error(got)
	}
	if _, err := os.Stat(filepath.Join(first.Dir, "store/ledger/2026-06-01")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the day that was purged: %v", err)
	}
	if got := string(read(t, filepath.Join(first.Dir, "store/ledger/2026-06-02"))); got != "sealed 2026-06-02" {
		t.Errorf("the day that came meanwhile: %q", got)
	}
	w.src.Still = func(fn func() error) error { return fn() }
	second := w.must(nil)
	if got := verify(t, second.Point); got != nil || second.Linked != 1 {
		t.Errorf("%+v, %q", second, got)
	}
}
