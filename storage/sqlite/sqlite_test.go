// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	engine "modernc.org/sqlite"

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

// TestBlobFiles: where the bytes of blobs lie, and that they go with their last
// reference.
func TestBlobFiles(t *testing.T) {
	s := openAt(t, t.TempDir(), Options{})
	in := inboxOf(t, s, "a@x.it")
	data := noise(300_000)
	b, a, sp := large(s, in, data)
	wantFiles(t, s, 0, 1)
	commit(t, s, b, a)
	wantFiles(t, s, 1, 0)
	sp.Close()
	wantFiles(t, s, 1, 0)

	b2, a2, sp2 := large(s, in, data)
	commit(t, s, b2, a2)
	wantFiles(t, s, 1, 1) // known already: never published
	sp2.Close()
	wantFiles(t, s, 1, 0)

	small, as, sp3 := large(s, in, noise(64<<10))
	commit(t, s, small, as)
	sp3.Close()
	wantFiles(t, s, 1, 0) // inline

	part, ap, sp4 := large(s, in, noise(400_000))
	part.Blob.Len = 100_000
	commit(t, s, part, ap)
	sp4.Close()
	wantFiles(t, s, 2, 0)
	if info := s.blobInfo(t, part.Blob.ID); info.Size() != 100_000 {
		t.Fatalf("a quarter of a spool is copied, not moved: %d bytes", info.Size())
	}
	memory, am, sp5 := large(s, in, noise(100_000))
	wantFiles(t, s, 2, 0)
	commit(t, s, memory, am)
	sp5.Close()
	wantFiles(t, s, 3, 0)

	commit(t, s, &storage.Expunge{Folder: in.ID, UIDs: []uint32{a.UID}})
	wantFiles(t, s, 3, 0)
	commit(t, s, &storage.Expunge{Folder: in.ID, UIDs: []uint32{a2.UID, as.UID, ap.UID, am.UID}})
	wantFiles(t, s, 0, 0)
	wantClean(t, s)
}

func (s *Store) blobInfo(t testing.TB, id storage.BlobID) os.FileInfo {
	t.Helper()
	var name string
	err := s.read.row(t.Context(), "SELECT f.name FROM blobs l JOIN files f ON f.id = l.file WHERE l.id = ?", []any{id}, &name)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(s.files.blobPath(name))
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// TestFailedStepFiles: a step that fails leaves no file behind once its spool is closed.
func TestFailedStepFiles(t *testing.T) {
	s := openAt(t, t.TempDir(), Options{})
	in := inboxOf(t, s, "a@x.it")
	for _, size := range []int{100_000, 300_000} {
		b, a, sp := large(s, in, noise(size))
		a.Quota = 1
		if err := s.Commit(t.Context(), new(storage.Step).Add(b, a)); !fault.Is(err, fault.Quota) {
			t.Fatal(err)
		}
		sp.Close()
		wantFiles(t, s, 0, 0)
	}
}

// TestSweep: files without a row go at the next start, others stay.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir, Options{})
	in := inboxOf(t, s, "a@x.it")
	b, a, sp := large(s, in, noise(300_000))
	commit(t, s, b, a)
	sp.Close()
	os.MkdirAll(s.files.blobDir("ab"), 0o700)
	for _, name := range []string{"ab00", "ab01"} {
		os.WriteFile(s.files.blobPath(name), []byte("x"), 0o600)
	}
	os.WriteFile(s.files.spoolPath("cd"), []byte("x"), 0o600)
	wantClean(t, s)
	wantFiles(t, s, 3, 1)
	s.Close()
	s = openAt(t, dir, Options{})
	wantFiles(t, s, 1, 0)
	wantClean(t, s)
}

// TestBlobGone: a blob that was there when a step was prepared is deleted before
// the step's turn.
func TestBlobGone(t *testing.T) {
	s := openAt(t, t.TempDir(), Options{})
	in := inboxOf(t, s, "a@x.it")
	data := noise(300_000)
	b, a, sp := large(s, in, data)
	commit(t, s, b, a)
	sp.Close()
	b2, a2, sp2 := large(s, in, data)
	defer sp2.Close()
	step := new(storage.Step).Add(b2, a2)
	p := newPrepared()
	if err := s.prepare(t.Context(), p, step, false); err != nil || len(p.files) != 0 {
		t.Fatalf("%d files, %v", len(p.files), err)
	}
	commit(t, s, &storage.Expunge{Folder: in.ID, UIDs: []uint32{1}})
	q := &request{changes: p.changes, done: make(chan struct{})}
	if err := s.submit(t.Context(), q); !errors.Is(err, errBlobGone) {
		t.Fatal(err)
	}
	// Commit tries again with the bytes, which works even where they are known.
	if err := s.commitOnce(t.Context(), step, true); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, s, 1, 0)
	wantClean(t, s)
}

func TestSpoolNoRoom(t *testing.T) {
	s := openAt(t, t.TempDir(), Options{})
	os.RemoveAll(s.files.spoolPath(""))
	sp := s.NewSpool()
	_, err := sp.Write(noise(300_000))
	if !fault.Is(err, fault.Temporary) {
		t.Fatal(err)
	}
	if _, again := sp.Write([]byte("x")); again == nil {
		t.Fatal("a broken spool took more bytes")
	}
	if err := sp.Close(); err != nil {
		t.Fatal(err)
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
	if _, err := s.writer.conn.ExecContext(t.Context(), "PRAGMA max_page_count = 1"); err != nil {
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
	err := s.writer.conn.Raw(func(c any) error {
		c.(interface {
			RegisterCommitHook(engine.CommitHookFn)
		}).RegisterCommitHook(func() int32 { return 1 })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
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

// TestCheckFinds: Check tells of every kind of damage.
func TestCheckFinds(t *testing.T) {
	for _, c := range []struct{ damage, want string }{
		{"UPDATE bodies SET refs = refs + 1 WHERE id = 1", "body 1: 2 references are counted, 1 are there"},
		{"UPDATE blobs SET refs = 5", "blob 1: 5 references are counted"},
		{"UPDATE files SET refs = 5", "5 references are counted"},
		{"UPDATE bodies SET head = x'00' WHERE id = 1", "body 1: head: segment has 1 bytes, not 4"},
		{"UPDATE bodies SET head = x'00000000' WHERE id = 1", "body 1: SHA-256 is"},
		{"UPDATE bodies SET size = 1 WHERE id = 1", "folder 1 uid 1: size 300004, its body 1 has 1"},
		{"UPDATE bodies SET packed = 1 WHERE id = 1", "body 1: head: segment of 4 bytes"},
		{"UPDATE blobs SET sum = zeroblob(32)", "blob 1: SHA-256 is"},
		{"UPDATE blobs SET size = 10, off = 299995", "blob 1: has 5 bytes, not 10"},
		{"UPDATE folders SET uidnext = 1", "uid 1: not below UIDNEXT 1"},
		{"UPDATE folders SET modseq = 1", "modseq 2 is above the folder's 1"},
		{"UPDATE folders SET unseen = 0", "folder 1: counts 2 messages, 0 unseen"},
		{"UPDATE folders SET messages = 7", "folder 1: counts 7 messages"},
		{"UPDATE mailboxes SET used = 3", "mailbox 1: counts 3 bytes"},
		{"UPDATE mailboxes SET uidvalidity = 0", "is above the mailbox's 0"},
		{"UPDATE folders SET name = 'x'", "mailbox 1: has no INBOX"},
		{"UPDATE records SET seq = 9 WHERE seq = 2", "record 3: has no predecessor"},
		{"DELETE FROM records WHERE seq = 3", "records: 3 were written, the last is 2"},
		{"INSERT INTO vanished VALUES (1, 2, 1, 1)", "uid 1: is recorded as vanished"},
		{"INSERT INTO vanished VALUES (1, 99, 8, 9)", "vanished to 9 at modseq 99"},
		{"DELETE FROM bodies WHERE id = 2", "refers to a row of bodies"},
		{"file", "is missing"},
		{"truncate", "has 5 bytes, not 300000"},
		{"flip", "blob 1: SHA-256 is"},
	} {
		t.Run(c.damage, func(t *testing.T) {
			s := openAt(t, t.TempDir(), Options{})
			in := inboxOf(t, s, "a@x.it")
			b, a, sp := large(s, in, noise(300_000))
			b2 := &storage.NewBody{Head: []byte("two")}
			rec := storage.Record{Event: "x"}
			commit(t, s, b, a, b2, &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: b2}},
				&storage.AppendRecord{Record: rec}, &storage.AppendRecord{Record: rec}, &storage.AppendRecord{Record: rec})
			sp.Close()
			wantClean(t, s)
			paths, _ := filepath.Glob(filepath.Join(s.files.dir, "blobs/*/*"))
			switch c.damage {
			case "file":
				os.Remove(paths[0])
			case "truncate":
				os.Truncate(paths[0], 5)
			case "flip":
				f, _ := os.OpenFile(paths[0], os.O_WRONLY, 0)
				f.WriteAt([]byte("damage"), 150_000)
				f.Close()
			default:
				s.writer.conn.ExecContext(t.Context(), "PRAGMA foreign_keys = OFF")
				if _, err := s.writer.conn.ExecContext(t.Context(), c.damage); err != nil {
					t.Fatal(err)
				}
			}
			if p := strings.Join(problems(t, s), "\n"); !strings.Contains(p, c.want) {
				t.Fatalf("found: %s, want %s", p, c.want)
			}
			stop := errors.New("stop")
			if err := s.Check(t.Context(), func(storage.Problem) error { return stop }); !errors.Is(err, stop) {
				t.Fatalf("error of report: %v", err)
			}
		})
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
		{[]byte(strings.Repeat("a", 4096)), false},
		{[]byte(strings.Repeat("a", 4097)), true},
		{noise(100_000), false},
	} {
		p := s.pack(c.bytes)
		got, err := unpack(p.bytes, p.size, p.deflated)
		if err != nil || !bytes.Equal(got, c.bytes) || p.deflated != c.want {
			t.Fatalf("%d bytes as %d, deflated %v: %v", len(c.bytes), len(p.bytes), p.deflated, err)
		}
	}
	p := s.pack([]byte(strings.Repeat("a", 5000)))
	for _, size := range []int{4999, 5001} {
		if _, err := unpack(p.bytes, size, true); err == nil {
			t.Fatalf("unpacked as %d bytes", size)
		}
	}
}
