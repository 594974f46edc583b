// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pecd/clock"
	"pecd/fault"
	"pecd/storage"
)

// copyMost copies the database to dir/pecd.db but for its last piece.
func copyMost(t testing.TB, s *Store, dir string) *DatabaseCopy {
	t.Helper()
	c := begin(t, s, dir)
	advance(t, c, func() {})
	return c
}

func begin(t testing.TB, s *Store, dir string) *DatabaseCopy {
	t.Helper()
	c, err := s.CopyDatabase(t.Context(), filepath.Join(dir, "pecd.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func advance(t testing.TB, c *DatabaseCopy, between func()) {
	t.Helper()
	for {
		_, ready, err := c.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if ready {
			return
		}
		between()
	}
}

// TestCopyInUse: a copy that is made while steps are committed, fail and are
// rolled back holds every step that was acknowledged before its end, begins
// anew for none of them, and is as sound as the store.
func TestCopyInUse(t *testing.T) {
	s := openAt(t, t.TempDir(), Options{})
	in := inboxOf(t, s, "a@x.it")
	add := func(n int) error {
		b := &storage.NewBody{Head: append(fmt.Appendf(nil, "%d", n), noise(5000+n%3000)...)}
		return s.Commit(t.Context(), new(storage.Step).Add(b, &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: b}}))
	}
	const there = 100
	step := new(storage.Step)
	for n := range there {
		b := &storage.NewBody{Head: append(fmt.Appendf(nil, "%d", n), noise(50_000)...)}
		step.Add(b, &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: b}})
	}
	if err := s.Commit(t.Context(), step); err != nil {
		t.Fatal(err)
	}
	var done, failures, ended atomic.Int64
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for n := 0; ended.Load() == 0; n++ {
				if w == 0 { // writes, then fails: the group is undone
					b := &storage.NewBody{Head: noise(9000)}
					err := s.Commit(t.Context(), new(storage.Step).Add(b, &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: b}}, &storage.FinishJob{ID: 1 << 40}))
					if fault.Is(err, fault.NotFound) {
						failures.Add(1)
					}
				} else if err := add(n); err != nil {
					t.Error(err)
				} else {
					done.Add(1)
				}
			}
		})
	}
	dir := t.TempDir()
	var again atomic.Int64
	left := 1 << 30
	c := begin(t, s, dir)
	advance(t, c, func() {
		for d, f := done.Load(), failures.Load(); done.Load() == d || failures.Load() == f; {
			time.Sleep(time.Millisecond)
		}
		_, now := c.Pages()
		again.Add(int64(btoi(now > left+copyPages)))
		left = now
	})
	before := done.Load()
	if err := c.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := done.Load()
	ended.Store(1)
	wg.Wait()
	if before < 8 {
		t.Fatalf("only %d steps and %d failures during the copy", before, failures.Load())
	}
	if again.Load() > 0 {
		t.Fatalf("what remained grew %d times", again.Load())
	}
	if err := os.Mkdir(filepath.Join(dir, "blobs"), 0o700); err != nil {
		t.Fatal(err)
	}
	r, err := OpenCopy(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	wantClean(t, r)
	contents, err := r.Contents(t.Context())
	if err != nil || int64(contents.Messages) < there+before || int64(contents.Messages) > there+after+4 {
		t.Fatalf("%+v, %v: %d to %d were acknowledged", contents, err, there+before, there+after)
	}
	if err := r.Commit(t.Context(), new(storage.Step).Add(&storage.PutMailbox{Mailbox: storage.Mailbox{Address: "b@x.it"}})); !errors.Is(err, errClosed) {
		t.Fatalf("a copy was written to: %v", err)
	}
	wantClean(t, s)
}

// TestCopyKeepsFiles: files whose messages go away during the copy stay until it
// is closed, and go then.
func TestCopyKeepsFiles(t *testing.T) {
	s := openAt(t, t.TempDir(), Options{})
	in := inboxOf(t, s, "a@x.it")
	b, a, sp := large(s, in, noise(200_000))
	commit(t, s, b, a)
	sp.Close()
	c := copyMost(t, s, t.TempDir())
	if _, err := s.CopyDatabase(t.Context(), filepath.Join(t.TempDir(), "second.db")); !fault.Is(err, fault.Conflict) {
		t.Fatalf("two copies at once: %v", err)
	}
	commit(t, s, &storage.Expunge{Folder: in.ID, UIDs: []uint32{1}})
	wantFiles(t, s, 1, 0)
	if err := c.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, s, 1, 0)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, s, 0, 0)
}

// TestCopyBroken: a copy whose connection is given up fails, keeps nobody from
// writing, and can be made again.
func TestCopyBroken(t *testing.T) {
	s := openAt(t, t.TempDir(), Options{})
	inboxOf(t, s, "a@x.it")
	c := copyMost(t, s, t.TempDir())
	if err := s.chore(t.Context(), func() error { s.writer.giveUp(); return nil }); err != nil {
		t.Fatal(err)
	}
	inboxOf(t, s, "b@x.it")
	if err := c.Finish(t.Context()); !errors.Is(err, errCopyBroken) {
		t.Fatalf("finished: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	again := copyMost(t, s, t.TempDir())
	if err := again.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil { // with a copy that nobody closed
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestBeginAnew: a store that was put back has another identity, gives out no
// UID twice, and does nothing that may have been done.
func TestBeginAnew(t *testing.T) {
	now := time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC)
	clk := clock.NewManual(now)
	s := openAt(t, t.TempDir(), Options{Clock: clk})
	in := inboxOf(t, s, "a@x.it")
	create := &storage.CreateFolder{Mailbox: in.Mailbox, Name: "Archivio"}
	commit(t, s, create, &storage.Enqueue{Job: storage.Job{Kind: "relay", Due: now}})
	first, err := s.Identity(t.Context())
	if err != nil || len(first.ID) != 32 || !first.Copied.IsZero() {
		t.Fatalf("%+v, %v", first, err)
	}
	clk.Advance(time.Hour)
	rec := &storage.AppendRecord{Record: storage.Record{At: clk.Now(), Event: "store.restored", Data: []byte("{}")}}
	if err := s.BeginAnew(t.Context(), now, rec); err != nil {
		t.Fatal(err)
	}
	second, err := s.Identity(t.Context())
	if err != nil || second.ID == first.ID || !second.Copied.Equal(now) || !second.Since.Equal(clk.Now()) {
		t.Fatalf("%+v, %v", second, err)
	}
	// Whatever was created after the copy had the time as its UIDVALIDITY.
	least := uint32(clk.Now().Unix())
	fs, err := s.Folders(t.Context(), in.Mailbox)
	if err != nil || len(fs) != 2 || fs[0].UIDValidity <= least || fs[1].UIDValidity <= least || fs[0].UIDValidity == fs[1].UIDValidity {
		t.Fatalf("%+v, %v", fs, err)
	}
	later := &storage.CreateFolder{Mailbox: in.Mailbox, Name: "Nuova"}
	commit(t, s, later)
	if later.Folder.UIDValidity <= max(fs[0].UIDValidity, fs[1].UIDValidity) {
		t.Fatalf("%+v", later.Folder)
	}
	if later.Folder.ID <= create.Folder.ID+1<<31 {
		t.Fatalf("folder %d after %d", later.Folder.ID, create.Folder.ID)
	}
	if jobs, err := s.TakeDue(t.Context(), "relay", clk.Now(), 10, 0); len(jobs) != 0 || err != nil {
		t.Fatalf("%+v, %v", jobs, err)
	}
	if jobs, err := s.TakeDue(t.Context(), storage.SetAside+"relay", clk.Now(), 10, 0); len(jobs) != 1 || err != nil {
		t.Fatalf("%+v, %v", jobs, err)
	}
	if rec.Seq != 1 {
		t.Fatalf("record %d", rec.Seq)
	}
	wantClean(t, s)
}

// TestUnfinishedRestore: a store is not begun where one is being put back.
func TestUnfinishedRestore(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, Restoring), 0o700); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(t.Context(), dir, Options{}); !fault.Is(err, fault.Conflict) {
		s.Close()
		t.Fatalf("opened: %v", err)
	}
	for _, name := range []string{"blobs", "spool", "pecd.db"} { // it would be in the way
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s was made: %v", name, err)
		}
	}
}
