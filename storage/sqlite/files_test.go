// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"pecd/fault"
	"pecd/storage"
)

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

// TestPublishFails: a file that cannot be published leaves no name behind, and
// the disk is not asked again for its bytes.
func TestPublishFails(t *testing.T) {
	s := openAt(t, t.TempDir(), Options{})
	in := inboxOf(t, s, "a@x.it")
	b, a, sp := large(s, in, noise(300_000))
	name := sp.(*spool).name
	// Nobody makes a directory here, not even root.
	if err := os.WriteFile(s.files.blobDir(name), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	step := new(storage.Step).Add(b, a)
	for range 2 {
		if err := s.Commit(t.Context(), step); !fault.Is(err, fault.Temporary) {
			t.Fatalf("published in a file: %v", err)
		}
		wantFiles(t, s, 0, 0)
	}
	if err := sp.Close(); err != nil {
		t.Fatal(err)
	}
	// The same for a file that is a copy of a part.
	for sub := range 256 {
		os.WriteFile(s.files.blobDir(fmt.Sprintf("%02x", sub)), nil, 0o600)
	}
	b, a, sp = large(s, in, noise(400_000))
	b.Blob.Len = 100_000
	if err := s.Commit(t.Context(), new(storage.Step).Add(b, a)); !fault.Is(err, fault.Temporary) {
		t.Fatalf("copied into a file: %v", err)
	}
	wantFiles(t, s, 0, 1) // the whole is the caller's still
	sp.Close()
	wantFiles(t, s, 0, 0)
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
