// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pecd/storage"
)

// missedBy opens INBOX with QRESYNC parameters and returns what the client is
// told to have missed.
func (s *script) missedBy(format string, args ...any) []string {
	s.t.Helper()
	var told []string
	for _, l := range s.ok("SELECT INBOX (QRESYNC ("+format+"))", args...) {
		if strings.Contains(l, "VANISHED") || strings.Contains(l, "FETCH") {
			told = append(told, l)
		}
	}
	return told
}

func TestSelectResync(t *testing.T) {
	f := newFixture(t)
	f.deliverSome(10)
	fo := f.folder("INBOX")
	s := f.open("")
	s.ok("ENABLE QRESYNC")
	m := f.flag(4, `\Seen`)
	f.expunge(2, 3, 9)
	f.deliver("INBOX", message("nuovo"), "nuova")
	seen := fmt.Sprintf(`* 2 FETCH (UID 4 FLAGS (\Seen) MODSEQ (%d))`, m)
	fresh := fmt.Sprintf(`* 8 FETCH (UID 11 FLAGS (nuova) MODSEQ (%d))`, m+2)
	v := fo.UIDValidity
	s.same(s.missedBy("%d %d", v, fo.ModSeq), "* VANISHED (EARLIER) 2:3,9", seen, fresh)
	s.same(s.missedBy("%d %d 1:10", v, fo.ModSeq), "* VANISHED (EARLIER) 2:3,9", seen)
	s.same(s.missedBy("%d %d 4:8", v, fo.ModSeq), seen)
	s.same(s.missedBy("%d %d 1,3,5 (1,3 1,3)", v, fo.ModSeq), "* VANISHED (EARLIER) 3")
	s.same(s.missedBy("%d %d (1,3 1,3)", v, m), "* VANISHED (EARLIER) 2:3,9", fresh)
	s.same(s.missedBy("%d %d", v, m+2))
	s.same(s.missedBy("%d %d", v+1, 1)) // another folder: nothing the client knows is in it
	s.same(s.missedBy("%d %d", v, uint64(1<<62)))
	for _, c := range []string{"QRESYNC", "QRESYNC ()", "QRESYNC (1)", "QRESYNC (0 1)", "QRESYNC (1 1 )", "QRESYNC (1 1 (1 1)", "QRESYNC (1 1 1 1)", "QRESYNC (1 x)", "XYZZY", "QRESYNC (1 1 (1))"} {
		s.fails("BAD", "SELECT INBOX (%s)", c)
	}
	s.same(s.ok("NOOP"))
}

// A client that takes the parameters for ENABLE.
func TestSelectResyncWithoutEnable(t *testing.T) {
	f := newFixture(t)
	f.deliverSome(3)
	since := f.folder("INBOX")
	f.expunge(2)
	s := f.open("")
	s.ok("SELECT INBOX (CONDSTORE QRESYNC (1 1))")
	got := s.ok("SELECT INBOX (CONDSTORE QRESYNC (%d %d))", since.UIDValidity, since.ModSeq)
	if !slices.Contains(got, "* VANISHED (EARLIER) 2") || got[0] != "* OK [CLOSED] cartella chiusa / previous mailbox closed" {
		t.Errorf("%q", got)
	}
	f.expunge(1)
	s.same(s.ok("NOOP"), "* VANISHED 1")
}

func TestVanishedInsteadOfExpunge(t *testing.T) {
	f := newFixture(t)
	f.deliverSome(9)
	s := f.open("INBOX")
	s.ok("ENABLE QRESYNC")
	s.ok(`UID STORE 1:3,7 +FLAGS.SILENT (\Deleted)`)
	got, result := s.command("UID EXPUNGE 1:3")
	s.same(got, "* VANISHED 1:3")
	if want := fmt.Sprintf("OK [HIGHESTMODSEQ %d] UID EXPUNGE completed", f.folder("INBOX").ModSeq); result != want {
		t.Errorf("%s, want %s", result, want)
	}
	f.expunge(5)
	s.same(s.ok("FETCH 1 UID"), "* 1 FETCH (UID 4)") // held back
	got, result = s.command("EXPUNGE")
	s.same(got, "* VANISHED 5", "* VANISHED 7")
	if !strings.Contains(result, fmt.Sprintf("[HIGHESTMODSEQ %d]", f.folder("INBOX").ModSeq)) {
		t.Error(result)
	}
	got, result = s.command("EXPUNGE")
	if len(got) != 0 || result != "OK EXPUNGE completed" {
		t.Error(got, result)
	}
	got, result = s.command("UID MOVE 8 Bozze")
	if len(got) != 2 || !strings.HasPrefix(got[0], "* OK [COPYUID ") || got[1] != "* VANISHED 8" || !strings.Contains(result, "[HIGHESTMODSEQ ") {
		t.Error(got, result)
	}
	s.send("i IDLE\r\n")
	s.expect(`^\+ `)
	f.expunge(4)
	s.expect(`^\* VANISHED 4$`)
	s.send("DONE\r\n")
	s.expect("^i OK")
	s.ok(`STORE 1:* +FLAGS.SILENT (\Deleted)`)
	got, result = s.command("CLOSE")
	if want := fmt.Sprintf("OK [HIGHESTMODSEQ %d] CLOSE completed", f.folder("INBOX").ModSeq); len(got) != 0 || result != want {
		t.Errorf("%q %s, want %s", got, result, want)
	}
	if n := f.folder("INBOX").Messages; n != 0 {
		t.Errorf("%d messages", n)
	}
}

func TestRev2(t *testing.T) {
	f := newFixture(t)
	f.deliverSome(2)
	s := f.open("")
	s.ok("CREATE Attivit&AOA-")
	s.same(s.ok(`LIST "" A*`), `* LIST (\HasNoChildren) "/" "Attivit&AOA-"`)
	s.ok("ENABLE IMAP4rev2")
	s.same(s.ok(`LIST "" A*`), `* LIST (\HasNoChildren) "/" "Attività"`)
	s.ok(`STATUS "Attività" (MESSAGES)`)
	s.send("a APPEND \"Attività\" {3+}\r\nabc\r\n")
	s.expect("^a OK")
	got := s.ok("SELECT INBOX")
	for _, l := range got {
		if strings.Contains(l, "RECENT") || strings.Contains(l, "UNSEEN") {
			t.Error(l)
		}
	}
	if !slices.Contains(got, `* LIST () "/" INBOX`) {
		t.Errorf("%q", got)
	}
	s.same(s.ok("SEARCH ALL"), fmt.Sprintf(`* ESEARCH (TAG "c%d") ALL 1:2`, s.n))
	s.same(s.ok("UID SEARCH FLAGGED"), fmt.Sprintf(`* ESEARCH (TAG "c%d") UID`, s.n))
	s.same(s.ok(`COPY 1 "Attività"`))

	s = f.open("") // a client of revision 1 beside it
	s.fails("BAD", `DELETE "a&b"`)
	if got := s.ok("SELECT INBOX"); !slices.Contains(got, "* 0 RECENT") || !slices.Contains(got, "* OK [UNSEEN 1] first unseen") {
		t.Errorf("%q", got)
	}
	s.same(s.ok("SEARCH ALL"), "* SEARCH 1 2")
}

func TestSelectOther(t *testing.T) {
	f := newFixture(t)
	s := f.script()
	s.fails("BAD", "SELECT INBOX")
	s = f.open("INBOX")
	s.same(s.ok("UNSELECT"))
	s.fails("BAD", "UNSELECT")
	s.fails("BAD", "CLOSE")
	s.fails("BAD", "EXPUNGE")
	s.ok("SELECT INBOX")
	got, result := s.command("SELECT nessuna")
	s.same(got, "* OK [CLOSED] cartella chiusa / previous mailbox closed")
	if !strings.HasPrefix(result, "NO [NONEXISTENT]") {
		t.Error(result)
	}
	s.fails("BAD", "FETCH 1 UID")
	if _, result := s.command("EXAMINE INBOX"); result != "OK [READ-ONLY] EXAMINE completed" {
		t.Error(result)
	}
	if _, result := s.command("SELECT INBOX"); result != "OK [READ-WRITE] SELECT completed" {
		t.Error(result)
	}
}

func TestAbsent(t *testing.T) {
	v := newView(storage.Folder{UIDNext: 21}, false)
	for _, uid := range []uint32{3, 4, 10, 20} {
		v.add(uid, nil)
	}
	for _, c := range []struct {
		known, match string
		want         string
	}{
		{"1:20", "", "[{1 2} {5 9} {11 19}]"},
		{"1:4294967295", "", "[{1 2} {5 9} {11 19}]"},
		{"5,7:8,3,19:25", "", "[{5 5} {7 8} {19 19}]"},
		{"1:20", "1:3 3,4,10", "[{11 19}]"},
		{"1:20", "1,3 3,10", "[{11 19}]"},
		{"1:20", "1:2 3,5", "[{5 9} {11 19}]"},
		{"1:20", "9 20", "[{1 2} {5 9} {11 19}]"},
		{"1:20", "4 20", "[]"},
		{"*", "", "[]"},
		{"15:*", "", "[{15 19}]"},
	} {
		text := "(1 1 " + c.known
		if c.match != "" {
			text += " (" + c.match + ")"
		}
		r := (&parser{b: []byte(text + ")")}).resync()
		if got := fmt.Sprint(v.absent(r.known.within(v.last(), v.end()-1), v.agreed(r))); got != c.want {
			t.Errorf("%s: %s, want %s", text, got, c.want)
		}
	}
}

// busyStore has something happen to a folder while it is read.
type busyStore struct {
	storage.Store
	meanwhile *func()
}

func (s busyStore) Flags(ctx context.Context, id storage.FolderID, first, last uint32, fn func(uint32, []string) error) error {
	err := s.Store.Flags(ctx, id, first, last, fn)
	(*s.meanwhile)()
	return err
}

// A client that opens a folder counts its messages, and takes every VANISHED for
// what it missed: what happens meanwhile is told with the next command.
func TestSelectWhileThingsHappen(t *testing.T) {
	meanwhile := func() {}
	f := newFixture(t, func(c *Config, _ *timing) { c.Store = busyStore{c.Store, &meanwhile} })
	f.deliverSome(3)
	s := f.open("INBOX")
	s.ok("ENABLE QRESYNC")
	in := f.folder("INBOX")
	meanwhile = func() { f.expunge(2) }
	lines := s.ok("SELECT INBOX (QRESYNC (%d %d))", in.UIDValidity, in.ModSeq)
	meanwhile = func() {}
	for _, l := range lines {
		if strings.HasPrefix(l, "* VANISHED") || strings.HasSuffix(l, "EXISTS") && l != "* 3 EXISTS" {
			t.Errorf("in the answer to SELECT: %s", l)
		}
	}
	s.same(s.ok("NOOP"), "* VANISHED 2")
}
