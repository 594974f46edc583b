// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"fmt"
	"math"
	"testing"
	"time"

	"pecd/clock"
	"pecd/storage"
)

// TestDestinationFallsBack: what is in the way of the folder brings the message
// to INBOX, and never the step down.
func TestDestinationFallsBack(t *testing.T) {
	fill := fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO folders (mailbox, name, special_use, subscribed, uidvalidity) SELECT 1, 'f' || i, '', 0, 1 FROM n`, maxFolders)
	for _, c := range []struct{ name, change, use, want string }{
		{"too many", fill, "", "INBOX"},
		{"too many for the second", fill + fmt.Sprintf("; DELETE FROM folders WHERE name = 'f%d' OR name = 'f1'", maxFolders), "", "INBOX"},
		{"recoverable", "UPDATE folders SET recoverable = 1 WHERE name = 'R/1'", "", "INBOX"},
		{"UIDs used up", fmt.Sprintf("UPDATE folders SET uidnext = %d WHERE name = 'R/1'", math.MaxUint32), "", "INBOX"},
		{"recoverable with the use", `UPDATE folders SET recoverable = 1, special_use = '\Sent' WHERE name = 'A'`, `\Sent`, "R/1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := openAt(t, t.TempDir(), Options{})
			in := inboxOf(t, s, "a@x.it")
			if c.change[:4] != "WITH" {
				commit(t, s, &storage.CreateFolder{Mailbox: in.Mailbox, Name: "R/1"}, &storage.CreateFolder{Mailbox: in.Mailbox, Name: "A"})
			}
			if err := s.writer.eng.script(c.change); err != nil {
				t.Fatal(err)
			}
			b := &storage.NewBody{Head: []byte("x")}
			a := &storage.Append{Mailbox: in.Mailbox, Into: &storage.Destination{Use: c.use, Name: "R/1"}, Body: storage.BodyRef{New: b}}
			commit(t, s, b, a)
			if f, err := s.FolderByID(t.Context(), a.In); err != nil || f.Name != c.want || f.Messages != 1 {
				t.Errorf("in %+v, %v, want %s", f, err, c.want)
			}
		})
	}
}

// TestSentWindow: copies come together within the window, across a clock that
// was set back, too; afterwards both are kept, and what was noted goes away.
func TestSentWindow(t *testing.T) {
	clk := clock.NewManual(time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC))
	s := openAt(t, t.TempDir(), Options{Clock: clk})
	in := inboxOf(t, s, "a@x.it")
	put := func(id string, client bool) bool {
		t.Helper()
		b := &storage.NewBody{Head: []byte("x")}
		a := &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: b}, Sent: &storage.SentCopy{MessageID: id, ByClient: client}}
		commit(t, s, b, a)
		return a.Sent.Met
	}
	for _, c := range []struct {
		after time.Duration
		met   bool
	}{{storage.SentWindow, true}, {storage.SentWindow + time.Second, false}, {-time.Minute, true}, {-time.Hour, false}} {
		id := c.after.String()
		put(id, false)
		clk.Advance(c.after)
		if met := put(id, true); met != c.met {
			t.Errorf("after %v: met %v", c.after, met)
		}
		clk.Advance(3 * time.Hour)
	}
	rows := func() (n int) {
		t.Helper()
		if err := s.read.row(t.Context(), "SELECT count(*) FROM sent_copies", nil, &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for i := range 10 * forgottenAtOnce {
		put(fmt.Sprint(i), true)
	}
	for range 3 * waitingCopies {
		put("over and over", true)
	}
	before := rows()
	if before > 12*forgottenAtOnce+waitingCopies {
		t.Errorf("%d rows", before)
	}
	clk.Advance(storage.SentWindow + time.Second)
	for i := range 10 {
		put(fmt.Sprint("later", i), true)
	}
	if n := rows(); n > before-9*forgottenAtOnce+10 || n < 10 {
		t.Errorf("%d rows, were %d", n, before)
	}
	wantClean(t, s)
}
