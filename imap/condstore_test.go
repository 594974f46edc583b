// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pecd/storage"
)

// same compares untagged responses.
func (s *script) same(got []string, want ...string) {
	s.t.Helper()
	if !slices.Equal(got, want) {
		s.t.Errorf("got  %q\nwant %q", got, want)
	}
}

// flag changes a message from outside of all sessions and returns its modseq.
func (f *fixture) flag(uid uint32, flags ...string) uint64 {
	f.t.Helper()
	op := &storage.SetFlags{Folder: f.folder("INBOX").ID, UIDs: []uint32{uid}, Mode: storage.ReplaceFlags, Flags: flags}
	f.commit(op)
	return op.ModSeq
}

func (f *fixture) expunge(uids ...uint32) uint64 {
	f.t.Helper()
	op := &storage.Expunge{Folder: f.folder("INBOX").ID, UIDs: uids}
	f.commit(op)
	return op.ModSeq
}

func (f *fixture) deliverSome(n int) {
	f.t.Helper()
	for i := range n {
		f.deliver("INBOX", message(fmt.Sprint(i)))
	}
}

func TestStoreUnchangedSince(t *testing.T) {
	f := newFixture(t)
	f.deliverSome(4) // modseqs 2 to 5
	s := f.open("INBOX")
	m := f.flag(2, "altra")
	got, result := s.command(`STORE 1:3 (UNCHANGEDSINCE %d) +FLAGS (\Flagged)`, m-1)
	if result != "OK [MODIFIED 2] STORE completed" {
		t.Error(result)
	}
	s.same(got, fmt.Sprintf("* OK [HIGHESTMODSEQ %d] highest", m-1), fmt.Sprintf(`* 1 FETCH (UID 1 FLAGS (\Flagged) MODSEQ (%d))`, m+1), fmt.Sprintf(`* 3 FETCH (UID 3 FLAGS (\Flagged) MODSEQ (%d))`, m+1),
		`* FLAGS (\Answered \Deleted \Draft \Flagged \Seen altra)`, fmt.Sprintf(`* 1 FETCH (UID 1 FLAGS (\Flagged) MODSEQ (%d))`, m+1),
		fmt.Sprintf(`* 2 FETCH (UID 2 FLAGS (altra) MODSEQ (%d))`, m), fmt.Sprintf(`* 3 FETCH (UID 3 FLAGS (\Flagged) MODSEQ (%d))`, m+1))
	// Silent: the modseq is told all the same. Nothing came between, so nothing is told twice.
	got, result = s.command(`UID STORE 2,4 (UNCHANGEDSINCE %d) FLAGS.SILENT (k)`, m)
	if result != "OK UID STORE completed" {
		t.Error(result)
	}
	s.same(got, `* FLAGS (\Answered \Deleted \Draft \Flagged \Seen altra k)`, fmt.Sprintf(`* 2 FETCH (UID 2 MODSEQ (%d))`, m+2), fmt.Sprintf(`* 4 FETCH (UID 4 MODSEQ (%d))`, m+2))
	for _, bad := range []string{"STORE 1 (UNCHANGEDSINCE) FLAGS ()", "STORE 1 (UNCHANGEDSINCE x) FLAGS ()", "STORE 1 (XYZZY 5) FLAGS ()", "STORE 1 () FLAGS (x)", "STORE 1 FLAGS",
		"STORE 1 *FLAGS (x)", `STORE 1 FLAGS (\Unknown)`, "STORE 9 FLAGS (x)", "STORE 1 FLAGS (a(b)"} {
		s.fails("BAD", "%s", bad)
	}
	if _, result := s.command(`UID STORE 1:2 (UNCHANGEDSINCE 0) FLAGS (x)`); result != "OK [MODIFIED 1:2] UID STORE completed" {
		t.Error(result)
	}
	f.expunge(1)
	if _, result := s.command(`STORE 1:4 (UNCHANGEDSINCE %d) +FLAGS (y)`, m+1); !strings.HasPrefix(result, "NO [MODIFIED 2,4]") {
		t.Error(result)
	}
	s.ok(`UID STORE 2 FLAGS \Seen \Flagged`)
	s.ok(`UID STORE 2 FLAGS ()`)
}

// Once a client has shown that it knows modseqs it hears them always.
func TestModSeqIsTold(t *testing.T) {
	for _, enabling := range []string{"ENABLE CONDSTORE", "SELECT INBOX (CONDSTORE)", "STATUS INBOX (HIGHESTMODSEQ)", "FETCH 1 MODSEQ", "FETCH 1 FLAGS (CHANGEDSINCE 1)",
		"SEARCH MODSEQ 1", "STORE 1 (UNCHANGEDSINCE 1) FLAGS (x)", `LIST "" * RETURN (STATUS (HIGHESTMODSEQ))`} {
		f := newFixture(t)
		f.deliverSome(2)
		s := f.open("INBOX")
		f.flag(1, `\Seen`)
		s.same(s.ok("NOOP"), `* 1 FETCH (UID 1 FLAGS (\Seen))`)
		s.ok("%s", enabling)
		m := f.flag(1, `\Flagged`)
		s.same(s.ok("NOOP"), fmt.Sprintf(`* 1 FETCH (UID 1 FLAGS (\Flagged) MODSEQ (%d))`, m))
		// Flags that are what they were have another modseq.
		f.flag(1)
		m = f.flag(1, `\Flagged`)
		s.same(s.ok("NOOP"), fmt.Sprintf(`* 1 FETCH (UID 1 FLAGS (\Flagged) MODSEQ (%d))`, m))
		s.same(s.ok(`STORE 2 +FLAGS.SILENT (\Seen)`), fmt.Sprintf("* 2 FETCH (UID 2 MODSEQ (%d))", m+1))
		s.literal("FETCH 1 BODY[TEXT]")
		s.same(s.ok("FETCH 1 (FLAGS MODSEQ)"), fmt.Sprintf(`* 1 FETCH (FLAGS (\Flagged \Seen) MODSEQ (%d))`, m+2))
		s.same(s.ok("NOOP"))
	}
}

func TestEnableWhileSelected(t *testing.T) {
	f := newFixture(t)
	f.deliverSome(1)
	s := f.open("INBOX")
	s.same(s.ok("ENABLE QRESYNC"), fmt.Sprintf("* OK [HIGHESTMODSEQ %d] highest", f.folder("INBOX").ModSeq), "* ENABLED QRESYNC")
}

// A modseq is not told while an expunge below it is held back.
func TestHighestModSeqIsNoLie(t *testing.T) {
	f := newFixture(t)
	f.deliverSome(3)
	s := f.open("INBOX")
	f.expunge(2)
	s.same(s.ok("FETCH 1 UID"), "* 1 FETCH (UID 1)") // held back
	s.same(s.ok("FETCH 1 MODSEQ"), "* 1 FETCH (MODSEQ (2))")
	s.same(s.ok("NOOP"), "* 2 EXPUNGE")
}

func TestFetchChangedSince(t *testing.T) {
	f := newFixture(t)
	f.deliverSome(6)
	s := f.open("INBOX")
	since := f.folder("INBOX").ModSeq
	m := f.flag(3, `\Seen`)
	f.flag(5, `\Seen`)
	s.same(s.ok("FETCH 1:4 (FLAGS) (CHANGEDSINCE %d)", since), fmt.Sprintf("* OK [HIGHESTMODSEQ %d] highest", since), fmt.Sprintf(`* 3 FETCH (FLAGS (\Seen) MODSEQ (%d))`, m),
		fmt.Sprintf(`* 3 FETCH (UID 3 FLAGS (\Seen) MODSEQ (%d))`, m), fmt.Sprintf(`* 5 FETCH (UID 5 FLAGS (\Seen) MODSEQ (%d))`, m+1))
	s.same(s.ok("UID FETCH 1:* RFC822.SIZE (CHANGEDSINCE %d)", m), fmt.Sprintf("* 5 FETCH (UID 5 RFC822.SIZE %d MODSEQ (%d))", len(message("4")), m+1))
	s.same(s.ok("FETCH 1:* FAST (CHANGEDSINCE %d)", m+1))
	s.fails("BAD", "UID FETCH 1:* FLAGS (CHANGEDSINCE %d VANISHED)", m) // not enabled
	s.ok("ENABLE QRESYNC")
	s.fails("BAD", "FETCH 1:* FLAGS (CHANGEDSINCE %d VANISHED)", m)
	s.fails("BAD", "UID FETCH 1:* FLAGS (VANISHED)")
	f.expunge(2, 6)
	s.same(s.ok("UID FETCH 1:* FLAGS (CHANGEDSINCE %d VANISHED)", m), fmt.Sprintf(`* 5 FETCH (UID 5 FLAGS (\Seen) MODSEQ (%d))`, m+1), "* VANISHED 2,6")
	s.same(s.ok("UID FETCH 1:* UID (CHANGEDSINCE %d VANISHED)", m+1), "* VANISHED (EARLIER) 2,6")
	s.same(s.ok("UID FETCH 3:5 UID (CHANGEDSINCE %d VANISHED)", m+1))
	s.same(s.ok("UID FETCH 1:4 UID (VANISHED CHANGEDSINCE %d)", m+1), "* VANISHED (EARLIER) 2")
}

func TestSearchModSeq(t *testing.T) {
	f := newFixture(t)
	f.deliverSome(5)
	s := f.open("INBOX")
	first := f.flag(2, `\Flagged`)
	second := f.flag(4, `\Flagged`)
	third := f.flag(1, `\Seen`)
	s.ok("ENABLE CONDSTORE")
	for command, want := range map[string]string{
		fmt.Sprintf("SEARCH MODSEQ %d", first):                                                fmt.Sprintf("* SEARCH 1 2 4 (MODSEQ %d)", third),
		fmt.Sprintf(`SEARCH MODSEQ "/flags/\\draft" all %d FLAGGED`, first):                   fmt.Sprintf("* SEARCH 2 4 (MODSEQ %d)", second),
		fmt.Sprintf("SEARCH OR FLAGGED MODSEQ %d", third):                                     fmt.Sprintf("* SEARCH 1 2 4 (MODSEQ %d)", third),
		fmt.Sprintf("SEARCH MODSEQ %d", third+1):                                              "* SEARCH",
		fmt.Sprintf("UID SEARCH RETURN (MIN) MODSEQ %d FLAGGED", first):                       fmt.Sprintf(` UID MIN 2 MODSEQ %d`, first),
		fmt.Sprintf("SEARCH RETURN (MAX) MODSEQ %d", first):                                   fmt.Sprintf(` MAX 4 MODSEQ %d`, second),
		fmt.Sprintf("SEARCH RETURN (MIN MAX) MODSEQ %d", first):                               fmt.Sprintf(` MIN 1 MAX 4 MODSEQ %d`, third),
		fmt.Sprintf("SEARCH RETURN (COUNT) MODSEQ %d", second):                                fmt.Sprintf(` COUNT 2 MODSEQ %d`, third),
		fmt.Sprintf("SEARCH RETURN () NOT MODSEQ %d", first):                                  fmt.Sprintf(` ALL 3,5 MODSEQ %d`, first-1),
		fmt.Sprintf(`SEARCH RETURN (ALL MIN) MODSEQ "/flags/\\seen" priv %d NOT SEEN`, first): fmt.Sprintf(` MIN 2 ALL 2,4 MODSEQ %d`, second),
	} {
		if got := s.ok("%s", command); len(got) != 1 || !strings.HasSuffix(got[0], want) {
			t.Errorf("%s: %q, want %q", command, got, want)
		}
	}
	for _, c := range []string{"SEARCH MODSEQ", "SEARCH MODSEQ x", `SEARCH MODSEQ "/flags/x" some 5`, `SEARCH MODSEQ "/flags/x" 5`} {
		s.fails("BAD", "%s", c)
	}
}
