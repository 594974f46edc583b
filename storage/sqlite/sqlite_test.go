// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	modernc "modernc.org/sqlite"

	"pecd/clock"
	"pecd/fault"
	"pecd/storage"
)

func openAt(t testing.TB, dir string, opts Options) *Store {
	t.Helper()
	s, err := Open(context.Background(), dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func commit(t testing.TB, s *Store, ops ...storage.Op) {
	t.Helper()
	if err := s.Commit(t.Context(), &storage.Step{Ops: ops}); err != nil {
		t.Fatal(err)
	}
}

// inboxOf creates a mailbox and returns its INBOX.
func inboxOf(t testing.TB, s *Store, addr string) storage.Folder {
	t.Helper()
	m := &storage.PutMailbox{Mailbox: storage.Mailbox{Address: addr}}
	commit(t, s, m)
	f, err := s.Folder(t.Context(), m.ID, "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func noise(n int) []byte {
	out := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}).Read(out)
	return out
}

// large returns operations that append a message with a blob, and their spool.
func large(s *Store, f storage.Folder, data []byte) (*storage.NewBody, *storage.Append, storage.Spool) {
	sp := s.NewSpool()
	sp.Write(data)
	b := &storage.NewBody{Head: []byte("head"), Blob: &storage.NewBlob{Spool: sp, Len: sp.Size()}}
	return b, &storage.Append{Folder: f.ID, Body: storage.BodyRef{New: b}}, sp
}

// files counts the files below blobs and spool.
func files(t testing.TB, s *Store) (blobs, spools int) {
	t.Helper()
	for _, p := range []struct {
		glob string
		n    *int
	}{{"blobs/*/*", &blobs}, {"spool/*", &spools}} {
		names, err := filepath.Glob(filepath.Join(s.files.dir, p.glob))
		if err != nil {
			t.Fatal(err)
		}
		*p.n = len(names)
	}
	return blobs, spools
}

func wantFiles(t testing.TB, s *Store, blobs, spools int) {
	t.Helper()
	if b, sp := files(t, s); b != blobs || sp != spools {
		t.Fatalf("%d blobs and %d spools, want %d and %d", b, sp, blobs, spools)
	}
}

func problems(t testing.TB, s *Store) []string {
	t.Helper()
	var out []string
	err := s.Check(t.Context(), func(p storage.Problem) error {
		out = append(out, p.Where+": "+p.What)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := all(t.Context(), s.read, scanBodyID, "SELECT id FROM jobs ORDER BY due, id")
	if err != nil {
		t.Fatal(err)
	}
	index := s.jobs.list("")
	if !slices.EqualFunc(rows, index, func(a storage.BodyID, b storage.JobID) bool { return int64(a) == int64(b) }) {
		out = append(out, fmt.Sprintf("jobs are %v, the index has %v", rows, index))
	}
	return out
}

func wantClean(t testing.TB, s *Store) {
	t.Helper()
	if p := problems(t, s); len(p) > 0 {
		t.Fatal(p)
	}
}

func TestGoroutines(t *testing.T) {
	defer goleak.VerifyNone(t)
	s := openAt(t, t.TempDir(), Options{})
	inboxOf(t, s, "a@x.it")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDirectoryInUse(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir, Options{})
	_, err := Open(t.Context(), dir, Options{})
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), fmt.Sprintf("in use by another process (pid %d)", os.Getpid())) {
		t.Fatalf("second open: %v", err)
	}
	s.Close()
	openAt(t, dir, Options{})
}

func TestSchemaVersions(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pecd.db")
	change := func(stmt string) {
		t.Helper()
		db, err := sql.Open("sqlite", path)
		if err == nil {
			_, err = db.Exec(stmt)
		}
		if err = errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	change("CREATE TABLE other (x); PRAGMA user_version = 3")
	if _, err := Open(t.Context(), dir, Options{}); !fault.Is(err, fault.Invalid) {
		t.Fatalf("foreign database: %v", err)
	}
	os.Remove(path)
	openAt(t, dir, Options{}).Close()
	change("PRAGMA user_version = 1000")
	if _, err := Open(t.Context(), dir, Options{}); !fault.Is(err, fault.Unsupported) || !strings.Contains(err.Error(), "newer pecd") {
		t.Fatalf("newer schema: %v", err)
	}
	os.WriteFile(path, bytes.Repeat([]byte("no database "), 1000), 0o600)
	if _, err := Open(t.Context(), dir, Options{}); !fault.Is(err, fault.Internal) {
		t.Fatalf("no database: %v", err)
	}
}

// TestDiskFull: the engine drops the transaction when the disk is full. The
// steps fail as Temporary, and the store goes on.
func TestDiskFull(t *testing.T) {
	s := openAt(t, t.TempDir(), Options{})
	in := inboxOf(t, s, "a@x.it")
	put := func() error {
		b := &storage.NewBody{Head: noise(50_000)}
		return s.Commit(t.Context(), new(storage.Step).Add(b, &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: b}}))
	}
	// The least possible is the present size. The writer is idle.
	if _, err := s.writer.eng.exec("PRAGMA max_page_count = 1"); err != nil {
		t.Fatal(err)
	}
	if err := put(); !fault.Is(err, fault.Temporary) {
		t.Fatalf("disk full: %v", err)
	}
	wantClean(t, s)
	if err := put(); err != nil { // on a connection without the limit
		t.Fatal(err)
	}
	wantClean(t, s)
}

// TestCommitOutcomeUnknown: COMMIT itself fails.
func TestCommitOutcomeUnknown(t *testing.T) {
	s := openAt(t, t.TempDir(), Options{})
	in := inboxOf(t, s, "a@x.it")
	job := &storage.Enqueue{Job: storage.Job{Kind: "k"}}
	commit(t, s, job)
	if js, err := s.TakeDue(t.Context(), "k", time.Now(), 1, 0); len(js) != 1 || err != nil {
		t.Fatal(js, err)
	}
	s.writer.eng.conn.(interface {
		RegisterCommitHook(modernc.CommitHookFn)
	}).RegisterCommitHook(func() int32 { return 1 })
	changed, cancel := s.Watch(in.ID)
	defer cancel()
	b, a, sp := large(s, in, noise(300_000))
	step := new(storage.Step).Add(b, a, &storage.Enqueue{Job: storage.Job{Kind: "k"}}, &storage.FinishJob{ID: job.ID})
	if err := s.Commit(t.Context(), step); !fault.Is(err, fault.Temporary) || a.UID != 0 {
		t.Fatalf("%v, UID %d", err, a.UID)
	}
	wantFiles(t, s, 1, 0) // a row may refer to it
	// The next step goes through on a new connection, with the same spool.
	commit(t, s, step.Ops...)
	sp.Close()
	if a.UID != 1 {
		t.Fatalf("UID %d", a.UID)
	}
	<-changed
	wantClean(t, s)
	if js, err := s.TakeDue(t.Context(), "k", time.Now(), 10, 0); len(js) != 1 || err != nil {
		t.Fatal(js, err)
	}
}

// TestGivenUp: a connection that is given up takes its transaction and its locks
// along, and one that is closed leaves no log behind.
func TestGivenUp(t *testing.T) {
	s := openAt(t, t.TempDir(), Options{})
	inboxOf(t, s, "a@x.it")
	// The writer is idle.
	for _, q := range []string{"BEGIN IMMEDIATE", "UPDATE mailboxes SET used = 7"} {
		if err := s.writer.exec(q); err != nil {
			t.Fatal(err)
		}
	}
	s.writer.giveUp()
	start := time.Now()
	inboxOf(t, s, "b@x.it")
	if d := time.Since(start); d > 5*time.Second {
		t.Fatalf("the next step took %v", d)
	}
	wantClean(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(s.files.dir, "pecd.db-wal")); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the log is left: %v", err)
	}
}

// TestClock: what the store dates itself comes from its clock.
func TestClock(t *testing.T) {
	now := time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC)
	clk := clock.NewManual(now)
	s := openAt(t, t.TempDir(), Options{Clock: clk})
	in := inboxOf(t, s, "a@x.it")
	if in.UIDValidity != uint32(now.Unix()) {
		t.Fatalf("UIDVALIDITY %d", in.UIDValidity)
	}
	clk.Advance(time.Hour)
	b := &storage.NewBody{Head: []byte("x")}
	commit(t, s, b, &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: b}})
	err := s.Messages(t.Context(), in.ID, 1, 0, func(m storage.Message) error {
		if !m.SavedDate.Equal(now.Add(time.Hour)) || !m.InternalDate.Equal(now.Add(time.Hour)) {
			return fmt.Errorf("%+v", m)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestPacked: a long segment takes less room than its bytes where it compresses.
func TestPacked(t *testing.T) {
	s := openAt(t, t.TempDir(), Options{})
	for _, c := range []struct {
		bytes []byte
		want  bool
	}{
		{[]byte(strings.Repeat("a", packAbove)), false},
		{[]byte(strings.Repeat("a", packAbove+1)), true},
		{noise(100_000), false},
	} {
		p := s.pack(c.bytes)
		got, err := unpack(p.bytes, p.size, p.deflated)
		if err != nil || !bytes.Equal(got, c.bytes) || p.deflated != c.want {
			t.Fatalf("%d bytes as %d, deflated %v: %v", len(c.bytes), len(p.bytes), p.deflated, err)
		}
	}
	p := s.pack([]byte(strings.Repeat("a", 20000)))
	for _, size := range []int{19999, 20001} {
		if _, err := unpack(p.bytes, size, true); err == nil {
			t.Fatalf("unpacked as %d bytes", size)
		}
	}
}
