// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pecd/fault"
	"pecd/storage"
)

// TestBrokenLog: a log that is damaged before its end is refused; one that is
// torn in its last commit, or cut where the refusal says, is opened.
func TestBrokenLog(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir, Options{})
	m := &storage.PutMailbox{Mailbox: storage.Mailbox{Address: "a@x.it"}}
	if err := s.Commit(t.Context(), new(storage.Step).Add(m)); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		b := &storage.NewBody{Head: noise(20_000)}
		if err := s.Commit(t.Context(), new(storage.Step).Add(b, &storage.Append{Mailbox: m.ID, Body: storage.BodyRef{New: b}})); err != nil {
			t.Fatal(err)
		}
	}
	// As a crash leaves them.
	db, log := readFile(t, filepath.Join(dir, "pecd.db")), readFile(t, filepath.Join(dir, "pecd.db-wal"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	frames := (len(log) - logHeader) / (frameHeader + pageSize)
	if frames < 40 {
		t.Fatalf("%d frames", frames)
	}
	open := func(log []byte) error {
		at := t.TempDir()
		for name, b := range map[string][]byte{"pecd.db": db, "pecd.db-wal": log} {
			if err := os.WriteFile(filepath.Join(at, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s, err := Open(t.Context(), at, Options{})
		if err == nil {
			wantClean(t, s)
			err = s.Close()
		}
		return err
	}
	flipped := func(frame, octet int) []byte {
		b := append([]byte(nil), log...)
		b[logHeader+frame*(frameHeader+pageSize)+octet] ^= 1
		return b
	}
	for _, octet := range []int{5, 9, 20, 100} { // of the frame's header, its salt, its sum, its page
		damaged := flipped(frames/2, octet)
		err := open(damaged)
		if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "truncate -s") {
			t.Errorf("octet %d of a frame altered: %v", octet, err)
		}
		if err := open(damaged[:logHeader+frames/2*(frameHeader+pageSize)]); err != nil {
			t.Errorf("cut where it says: %v", err)
		}
	}
	for _, octet := range []int{2, 10, 18, 25} { // of the log's header
		damaged := append([]byte(nil), log...)
		damaged[octet] ^= 1
		if err := open(damaged); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "truncate -s 0 ") {
			t.Errorf("octet %d of the header altered: %v", octet, err)
		}
	}
	for name, b := range map[string][]byte{"whole": log, "torn in the last frame": flipped(frames-1, 1000), "without its end": log[:len(log)-5000], "no log": nil, "half a header": log[:20]} {
		if err := open(b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
