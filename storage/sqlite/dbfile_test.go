// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"bytes"
	"database/sql"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pecd/fault"
)

// TestDatabaseMissing: a new database beside the files of another one is
// refused, and nothing is lost once the other one is back.
func TestDatabaseMissing(t *testing.T) {
	const files = "accanto a 1 file di messaggi"
	for _, c := range []struct {
		name, want string
		instead    func(t *testing.T, path string)
	}{
		{"missing", files, func(*testing.T, string) {}},
		{"empty", files, func(t *testing.T, path string) {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{"without a schema", files, func(t *testing.T, path string) {
			db, err := sql.Open("sqlite", path)
			if err == nil {
				_, err = db.Exec("CREATE TABLE t (x); DROP TABLE t")
			}
			if err = errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
			if n, err := fileSize(path); n == 0 || err != nil {
				t.Fatal("not written", err)
			}
		}},
		{"missing beside its log", "pecd.db-wal", func(t *testing.T, path string) {
			blobs := filepath.Join(filepath.Dir(path), "blobs")
			if err := errors.Join(os.Rename(blobs, blobs+".away"), os.WriteFile(path+"-wal", []byte("log"), 0o600)); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if log, err := os.ReadFile(path + "-wal"); err != nil || string(log) != "log" {
					t.Errorf("the log is %q: %v", log, err)
				}
			})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "pecd.db")
			s := openAt(t, dir, Options{})
			b, a, sp := large(s, inboxOf(t, s, "a@x.it"), noise(300_000))
			commit(t, s, b, a)
			if err := errors.Join(sp.Close(), s.Close(), os.Rename(path, path+".away")); err != nil {
				t.Fatal(err)
			}
			c.instead(t, path)
			for range 2 { // the first refusal leaves nothing that lets the second start pass
				if _, err := Open(t.Context(), dir, Options{}); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), c.want) {
					t.Fatalf("opened beside files: %v", err)
				}
			}
			if c.want != files {
				return
			}
			// The log of the database that was refused is not the other one's.
			os.Remove(path + "-wal")
			os.Remove(path + "-shm")
			if err := os.Rename(path+".away", path); err != nil {
				t.Fatal(err)
			}
			s = openAt(t, dir, Options{})
			wantFiles(t, s, 1, 0)
			wantClean(t, s)
		})
	}
}

// TestModes: nobody but the owner reads the store, whatever the files were before.
func TestModes(t *testing.T) {
	var log bytes.Buffer
	opts := Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	dir := filepath.Join(t.TempDir(), "a", "store")
	path := filepath.Join(dir, "pecd.db")
	want := func() {
		t.Helper()
		for _, name := range []string{"", "-wal", "-shm"} {
			if info, err := os.Stat(path + name); err != nil || info.Mode().Perm() != 0o600 {
				t.Fatalf("pecd.db%s: %v, %v", name, info, err)
			}
		}
	}
	s := openAt(t, dir, opts)
	inboxOf(t, s, "a@x.it")
	want()
	for _, d := range []string{filepath.Dir(dir), dir, filepath.Join(dir, "blobs"), filepath.Join(dir, "spool")} {
		if info, err := os.Stat(d); err != nil || info.Mode().Perm() != 0o700 {
			t.Fatalf("%s: %v, %v", d, info, err)
		}
	}
	// As a crash leaves it: with a log.
	was := make(map[string][]byte)
	for _, name := range []string{"", "-wal"} {
		data, err := os.ReadFile(path + name)
		if err != nil || len(data) == 0 {
			t.Fatal(name, err)
		}
		was[name] = data
	}
	s.Close()
	if log.Len() > 0 {
		t.Fatalf("logged: %s", &log)
	}
	for name, data := range was {
		os.Remove(path + name)
		if err := errors.Join(os.WriteFile(path+name, data, 0o644), os.Chmod(path+name, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, dir, opts)
	want()
	wantClean(t, s)
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "open to others") {
		t.Fatalf("logged: %s", &log)
	}
}

// TestSweep: a file without a row is set aside at the next start, others stay.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	opts := Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	s := openAt(t, dir, opts)
	b, a, sp := large(s, inboxOf(t, s, "a@x.it"), noise(300_000))
	commit(t, s, b, a)
	sp.Close()
	if _, err := os.Stat(s.files.lostDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("lost/ is there before it has a use: %v", err)
	}
	put := func(what string) {
		t.Helper()
		err := errors.Join(os.MkdirAll(s.files.blobDir("ab"), 0o700), os.WriteFile(s.files.spoolPath("cd"), []byte("x"), 0o600))
		for _, name := range []string{"ab00", "ab01"} {
			err = errors.Join(err, os.WriteFile(s.files.blobPath(name), []byte(what+name), 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for round, what := range []string{"first ", "second "} {
		put(what)
		wantClean(t, s)
		wantFiles(t, s, 3, 1)
		s.Close()
		log.Reset()
		s = openAt(t, dir, opts)
		wantFiles(t, s, 1, 0)
		wantClean(t, s)
		if !strings.Contains(log.String(), `level=WARN msg="moved message files that no row names to lost/" count=2`) {
			t.Fatalf("logged: %s", &log)
		}
		found := make(map[string]bool)
		names, _ := filepath.Glob(filepath.Join(s.files.lostDir(), "ab0*"))
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			found[string(data)] = true
		}
		// A second file of one name does not replace the first.
		if len(found) != 2*(round+1) || !found["first ab00"] || !found[what+"ab01"] {
			t.Fatalf("lost/ holds %v", found)
		}
	}
}
