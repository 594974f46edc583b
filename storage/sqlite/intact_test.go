// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"os"
	"path/filepath"
	"testing"

	"pecd/fault"
	"pecd/storage"
)

// TestIntact: whatever the disk altered of a message is found when it is asked
// for, in head, tail, inline blob and file.
func TestIntact(t *testing.T) {
	for _, c := range []struct {
		name, damage string
		blob         int // octets
	}{
		{"nothing", "", 1000},
		{"nothing, in a file", "", 300_000},
		{"head", "UPDATE bodies SET head = x'62'", 1000},
		{"tail", "UPDATE bodies SET tail = x'62'", 1000},
		{"blob", "UPDATE blobs SET data = zeroblob(1000)", 1000},
		{"sum of the blob", "UPDATE blobs SET sum = zeroblob(32)", 1000},
		{"file", "file", 300_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := openAt(t, t.TempDir(), Options{})
			in := inboxOf(t, s, "a@x.it")
			sp := s.NewSpool()
			defer sp.Close()
			if _, err := sp.Write(noise(c.blob)); err != nil {
				t.Fatal(err)
			}
			b := &storage.NewBody{Head: []byte("a"), Blob: &storage.NewBlob{Spool: sp, Len: int64(c.blob)}, Tail: []byte("z")}
			commit(t, s, b, &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: b}})
			switch c.damage {
			case "":
			case "file":
				paths, _ := filepath.Glob(filepath.Join(s.files.dir, "blobs/*/*"))
				f, err := os.OpenFile(paths[0], os.O_WRONLY, 0)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := f.WriteAt([]byte("altered"), 200_000); err != nil {
					t.Fatal(err)
				}
				f.Close()
			default:
				if _, err := s.writer.eng.exec(c.damage); err != nil {
					t.Fatal(err)
				}
			}
			body, err := s.OpenBody(t.Context(), b.ID)
			if err != nil {
				t.Fatal(err)
			}
			defer body.Close()
			if err := body.Intact(); (err == nil) != (c.damage == "") || err != nil && !fault.Is(err, fault.Internal) {
				t.Fatal(err)
			}
		})
	}
}
