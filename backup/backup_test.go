// SPDX-License-Identifier: EUPL-1.2

package backup_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pecd/backup"
	"pecd/clock"
	"pecd/fault"
	"pecd/storage"
	"pecd/storage/sqlite"
)

// world is a store in use and what copies it.
type world struct {
	t     *testing.T
	clk   *clock.Manual
	store *sqlite.Store
	in    storage.Folder
	src   backup.Source
	to    string
	n     byte
	heads [][32]byte // of the log at the end of each sealed day
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, clk: clock.NewManual(time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC)), to: filepath.Join(t.TempDir(), "copies")}
	dir := t.TempDir()
	var err error
	if w.store, err = sqlite.Open(t.Context(), dir, sqlite.Options{Clock: w.clk}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.store.Close() })
	box := &storage.PutMailbox{Mailbox: storage.Mailbox{Address: "a@x.it"}}
	w.commit(box)
	if w.in, err = w.store.Folder(t.Context(), box.ID, "INBOX"); err != nil {
		t.Fatal(err)
	}
	w.src = backup.Source{
		Store: w.store, Dir: dir, Still: func(fn func() error) error { return fn() }, Provider: "x.it", Node: "n",
	}
	return w
}

func (w *world) commit(ops ...storage.Op) {
	w.t.Helper()
	if err := w.store.Commit(w.t.Context(), new(storage.Step).Add(ops...)); err != nil {
		w.t.Fatal(err)
	}
}

// message puts a message into the mailbox whose blob is a file of its own.
func (w *world) message() {
	w.n++
	data := make([]byte, 100_000)
	rand.NewChaCha8([32]byte{w.n}).Read(data)
	sp := w.store.NewSpool()
	defer sp.Close()
	sp.Write(data)
	b := &storage.NewBody{Head: []byte("h"), Blob: &storage.NewBlob{Spool: sp, Len: sp.Size()}}
	w.commit(b, &storage.Append{Folder: w.in.ID, Body: storage.BodyRef{New: b}})
}

func (w *world) create(change func(*backup.Options)) (backup.Result, error) {
	w.clk.Advance(time.Minute)
	opts := backup.Options{Clock: w.clk, Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&opts)
	}
	w.src.Extras = []backup.Extra{{Name: "pecd.toml", Content: strings.NewReader("x = 1\n")}}
	return backup.Create(w.t.Context(), w.src, w.to, opts)
}

func (w *world) must(change func(*backup.Options)) backup.Result {
	w.t.Helper()
	res, err := w.create(change)
	if err != nil {
		w.t.Fatal(err)
	}
	return res
}

func verify(t *testing.T, p backup.Point) (all []string) {
	t.Helper()
	if err := p.Verify(t.Context(), clock.System{}, func(b backup.Problem) error { all = append(all, b.String()); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

func restore(t *testing.T, p backup.Point, to string, damaged bool) (all []string, err error) {
	t.Helper()
	r := backup.Restoring{Actor: "root", Clock: clock.System{}, Logger: slog.New(slog.DiscardHandler), Damaged: damaged}
	err = p.Restore(t.Context(), to, r, func(b backup.Problem) error { all = append(all, b.String()); return nil })
	return all, err
}

// messages counts the messages of a store that was put back.
func messages(t *testing.T, dir string) int {
	t.Helper()
	s, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Check(t.Context(), func(p storage.Problem) error { return fmt.Errorf("%+v", p) }); err != nil {
		t.Error(err)
	}
	c, err := s.Contents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c.Messages
}

// TestPoints: each copy is a state that the store can be put back to; files that
// two have in common are one; sha256sum reads the sums.
func TestPoints(t *testing.T) {
	if _, err := exec.LookPath("sha256sum"); err != nil {
		t.Fatal("sha256sum is missing; install it with: apt-get install -y coreutils")
	}
	w := newWorld(t)
	w.message()
	first := w.must(nil)
	w.message()
	w.commit(&storage.Expunge{Folder: w.in.ID, UIDs: []uint32{1}})
	w.message()
	w.message()
	second := w.must(nil)
	third := w.must(func(o *backup.Options) { o.Anew = true })
	if first.Linked != 0 || first.Copied != 3 || second.Linked != 0 || second.Copied != 5 || third.Linked != 0 {
		t.Fatalf("%+v %+v %+v", first, second, third)
	}
	fourth := w.must(nil)
	if fourth.Linked != 3 || fourth.Copied != 2 {
		t.Fatalf("nothing is shared with the copy before: %+v", fourth)
	}
	for _, p := range []backup.Result{first, second, third, fourth} {
		if got := verify(t, p.Point); got != nil {
			t.Errorf("%s: %q", p.Dir, got)
		}
		cmd := exec.Command("sha256sum", "-c", "--quiet", "--strict", "SHA256SUMS")
		cmd.Dir = p.Dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
	for _, c := range []struct {
		at   time.Time
		want backup.Result
		n    int
	}{{time.Time{}, fourth, 3}, {first.Instant, first, 1}, {second.Instant.Add(time.Second), second, 3}} {
		p, _, err := backup.Find(w.to, c.at)
		if err != nil || p.Dir != c.want.Dir {
			t.Fatalf("%v: %s, %v", c.at, p.Dir, err)
		}
		to := filepath.Join(t.TempDir(), "store")
		if all, err := restore(t, p, to, false); err != nil || all != nil {
			t.Fatalf("%q %v", all, err)
		}
		if n := messages(t, to); n != c.n {
			t.Errorf("%v: %d messages, want %d", c.at, n, c.n)
		}
		if _, err := restore(t, p, to, false); !fault.Is(err, fault.Conflict) {
			t.Errorf("put back over a store: %v", err)
		}
	}
	if _, _, err := backup.Find(w.to, first.Instant.Add(-time.Second)); !fault.Is(err, fault.NotFound) {
		t.Errorf("before the first: %v", err)
	}
	if res := w.must(func(o *backup.Options) { o.Keep = 2 }); len(res.Removed) != 3 {
		t.Errorf("removed: %q", res.Removed)
	}
	left, _, err := backup.Points(w.to)
	if err != nil || len(left) != 2 || left[0].Dir != fourth.Dir {
		t.Errorf("left: %v, %v", left, err)
	}
	for _, p := range left { // what they shared with removed ones is still theirs
		if got := verify(t, p); got != nil {
			t.Errorf("%s: %q", p.Dir, got)
		}
	}
}

// TestDamage: whatever is altered, missing or strange in a copy is found, and a
// damaged copy is put back only on demand.
func TestDamage(t *testing.T) {
	w := newWorld(t)
	w.message()
	w.message()
	res := w.must(nil)
	blobs, err := filepath.Glob(filepath.Join(res.Dir, "store/blobs/*/*"))
	if err != nil || len(blobs) != 2 {
		t.Fatal(blobs, err)
	}
	database := filepath.Join(res.Dir, "store/pecd.db")
	flip := func(path string, at int64) func() {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		bad := slices.Clone(b)
		bad[at] ^= 1
		put(t, path, bad)
		return func() { put(t, path, b) }
	}
	for _, c := range []struct {
		name string
		do   func() (undo func())
		want string
	}{
		{"blob", func() func() { return flip(blobs[0], 50_000) }, filepath.Base(blobs[0]) + ": alterato"},
		{"database", func() func() { return flip(database, 30_000) }, "pecd.db: alterato"},
		{"sums", func() func() { return flip(filepath.Join(res.Dir, "SHA256SUMS"), 3) }, "SHA256SUMS: alterato"},
		{"missing", func() func() {
			aside := filepath.Join(t.TempDir(), "x")
			if err := os.Rename(blobs[1], aside); err != nil {
				t.Fatal(err)
			}
			return func() { os.Rename(aside, blobs[1]) }
		}, filepath.Base(blobs[1]) + ": manca"},
		{"a pipe", func() func() {
			b := read(t, blobs[0])
			if err := errors.Join(os.Remove(blobs[0]), syscall.Mkfifo(blobs[0], 0o600)); err != nil {
				t.Fatal(err)
			}
			return func() { os.Remove(blobs[0]); put(t, blobs[0], b) }
		}, filepath.Base(blobs[0]) + ": non è un file"},
		{"a link", func() func() {
			aside := filepath.Join(t.TempDir(), "x")
			if err := errors.Join(os.Rename(blobs[1], aside), os.Symlink(aside, blobs[1])); err != nil {
				t.Fatal(err)
			}
			return func() { os.Rename(aside, blobs[1]) }
		}, filepath.Base(blobs[1]) + ": non è un file"},
		{"stray", func() func() {
			f := filepath.Join(res.Dir, "store/ledger/extra")
			put(t, f, nil)
			return func() { os.Remove(f) }
		}, "store/ledger/extra: non è della copia"},
		{"a line that leads out", func() func() {
			f := filepath.Join(res.Dir, "SHA256SUMS")
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			put(t, f, bytes.Replace(b, []byte("store/pecd.db"), []byte("../../pecd.db"), 1))
			return func() { put(t, f, b) }
		}, "SHA256SUMS: SHA256SUMS: no line"},
	} {
		t.Run(c.name, func(t *testing.T) {
			undo := c.do()
			defer undo()
			if got := strings.Join(verify(t, res.Point), "\n"); !strings.Contains(got, c.want) {
				t.Errorf("found %q, want %q", got, c.want)
			}
			if c.name == "stray" { // it is not put back
				return
			}
			to := t.TempDir()
			if _, err := restore(t, res.Point, to, false); !errors.Is(err, backup.ErrDamaged) {
				t.Errorf("put back: %v", err)
			}
			if left, err := os.ReadDir(to); len(left) != 1 || left[0].Name() != sqlite.LockName || err != nil {
				t.Errorf("left behind beside the lock: %v, %v", left, err)
			}
		})
	}
	undo := flip(blobs[0], 50_000)
	defer undo()
	to := t.TempDir()
	all, err := restore(t, res.Point, to, true)
	if err != nil || !strings.Contains(strings.Join(all, "\n"), "SHA-256") {
		t.Errorf("on demand: %q, %v", all, err)
	}
	if _, err := os.Stat(filepath.Join(to, "pecd.db")); err != nil {
		t.Error(err)
	}
	for _, lost := range []string{database, filepath.Join(res.Dir, "SHA256SUMS")} {
		aside := filepath.Join(t.TempDir(), "x")
		if err := os.Rename(lost, aside); err != nil {
			t.Fatal(err)
		}
		to := t.TempDir()
		if _, err := restore(t, res.Point, to, true); !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("without %s on demand: %v", filepath.Base(lost), err)
		}
		if _, err := os.Stat(filepath.Join(to, "pecd.db")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("without %s an empty store was put back: %v", filepath.Base(lost), err)
		}
		if err := os.Rename(aside, lost); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRefusals: one copy at a time, of one store, in a folder; what is broken off
// leaves nothing, and what a crash left is removed by the next.
func TestRefusals(t *testing.T) {
	w := newWorld(t)
	w.message()
	w.src.Still = func(func() error) error {
		if _, err := w.create(nil); !fault.Is(err, fault.Conflict) {
			t.Errorf("a second copy meanwhile: %v", err)
		}
		return errors.New("broken off")
	}
	if _, err := w.create(nil); err == nil {
		t.Fatal("done")
	}
	w.src.Still = func(fn func() error) error { return fn() }
	if left, err := filepath.Glob(filepath.Join(w.to, "*")); len(left) != 1 || err != nil {
		t.Fatalf("left beside the lock: %v, %v", left, err)
	}
	crashed := filepath.Join(w.to, ".partial-1", "store")
	if err := os.MkdirAll(crashed, 0o700); err != nil {
		t.Fatal(err)
	}
	res := w.must(nil)
	if _, err := os.Stat(crashed); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what a crash left is still there: %v", err)
	}
	other := newWorld(t)
	other.to = w.to
	if _, err := other.create(nil); !fault.Is(err, fault.Conflict) {
		t.Errorf("another store: %v", err)
	}
	if got := verify(t, res.Point); got != nil {
		t.Error(got)
	}
}

func put(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
