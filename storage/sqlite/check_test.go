// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pecd/storage"
)

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
		{"UPDATE bodies SET skip = 1 WHERE id = 1", "body 1: has 300003 bytes, not 300004"},
		{"UPDATE bodies SET skip = 1, size = size - 1 WHERE id = 1", "body 1: SHA-256 is"},
		{"UPDATE blobs SET sum = zeroblob(32)", "blob 1: SHA-256 is"},
		{"UPDATE blobs SET size = 10, off = 299995", "blob 1: has 5 bytes, not 10"},
		{"UPDATE folders SET uidnext = 1", "uid 1: not below UIDNEXT 1"},
		{"UPDATE folders SET modseq = 1", "modseq 2 is above the folder's 1"},
		{"UPDATE folders SET unseen = 0", "folder 1: counts 2 messages, 0 unseen"},
		{"UPDATE folders SET messages = 7", "folder 1: counts 7 messages"},
		{"UPDATE mailboxes SET used = 3", "mailbox 1: counts 3 bytes"},
		{"UPDATE folders SET recoverable = 1", "mailbox 1: counts 300007 bytes, 2 messages; its folders hold 0, 0"},
		{"INSERT INTO uidls VALUES (1, 9, 'x')", "folder 1 uid 9: has an identifier of POP3"},
		{"UPDATE mailboxes SET uidvalidity = 0", "is above the mailbox's 0"},
		{"UPDATE folders SET name = 'x'", "mailbox 1: has no INBOX"},
		{"UPDATE records SET seq = 9 WHERE seq = 2", "record 3: has no predecessor"},
		{"DELETE FROM records WHERE seq = 3", "records: 3 were written, the last is 2"},
		{"UPDATE records SET data = x'01' WHERE seq = 2", "record 2: the chain breaks"},
		{"UPDATE records SET hash = zeroblob(32) WHERE seq = 3", "record 3: the chain breaks"},
		{"INSERT INTO vanished VALUES (1, 2, 1, 1)", "uid 1: is recorded as vanished"},
		{"UPDATE folders SET horizon = 9", "horizon 9, modseq 3"},
		{"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10001) INSERT INTO vanished SELECT 1, i, 0, 0 FROM n", "with 10001 ranges of expunged UIDs"},
		{"INSERT INTO vanished VALUES (1, 99, 8, 9)", "vanished to 9 at modseq 99"},
		{"DELETE FROM bodies WHERE id = 2", "refers to a row of bodies"},
		{"INSERT INTO seen VALUES (1, 'ugo', 1)", "uid 1: what ugo has seen is of no message"},
		{"UPDATE mailboxes SET personal_seen = 1; INSERT INTO seen VALUES (1, 'ugo', 1)", "folder 1: counts 0 unseen more for ugo; there are -1"},
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
				s.writer.eng.exec("PRAGMA foreign_keys = OFF")
				for sql := range strings.SplitSeq(c.damage, "; ") {
					if _, err := s.writer.eng.exec(sql); err != nil {
						t.Fatal(err)
					}
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
