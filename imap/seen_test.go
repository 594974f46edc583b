// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"slices"
	"strings"
	"testing"

	"pecd/storage"
)

// personal sets the option of a mailbox.
func (f *fixture) personal(box storage.MailboxID, on bool) {
	f.t.Helper()
	m, err := f.store.MailboxByID(f.t.Context(), box)
	if err != nil {
		f.t.Fatal(err)
	}
	m.PersonalSeen = on
	f.commit(&storage.PutMailbox{Mailbox: m})
}

// Two people read one mailbox, each with \Seen of their own, and each hears at
// once of what is shared.
func TestPersonalSeen(t *testing.T) {
	f := newFixture(t)
	f.grant("bruno@alfa.example", storage.MayAll, f.mailbox, testUser)
	f.personal(f.mailbox, true)
	f.deliver("INBOX", message("uno"))
	f.deliver("INBOX", message("due"))
	anna, bruno := f.open("INBOX"), f.as("bruno@alfa.example", "INBOX")

	anna.literal("FETCH 1 BODY[]")
	wantLines(t, anna.ok("FETCH 1 FLAGS"), `* 1 FETCH (FLAGS (\Seen))`)
	wantLines(t, bruno.ok("NOOP"))
	wantLines(t, bruno.ok("FETCH 1 FLAGS"), `* 1 FETCH (FLAGS ())`)
	wantLines(t, bruno.ok("STATUS INBOX (UNSEEN)"), "* STATUS INBOX (UNSEEN 2)")
	wantLines(t, anna.ok("STATUS INBOX (UNSEEN)"), "* STATUS INBOX (UNSEEN 1)")
	wantLines(t, bruno.ok("SEARCH UNSEEN"), "* SEARCH 1 2")
	wantLines(t, anna.ok("SEARCH UNSEEN"), "* SEARCH 2")
	if l := anna.ok(`LIST "" INBOX RETURN (STATUS (UNSEEN))`); !contains(l, "(UNSEEN 1)") {
		t.Errorf("%q", l)
	}
	if l := f.open("").ok("SELECT INBOX"); !contains(l, "[UNSEEN 2]") {
		t.Errorf("%q", l)
	}

	// Bruno idles: what Anna sees is nothing to him, what she flags is.
	bruno.send("i IDLE\r\n")
	bruno.expect(`^\+ `)
	anna.ok(`STORE 2 +FLAGS.SILENT (\Seen)`)
	anna.ok(`STORE 2 +FLAGS.SILENT (\Flagged)`)
	bruno.expect(`^\* 2 FETCH \(UID 2 FLAGS \(\\Flagged\)\)$`)
	bruno.send("DONE\r\n")
	if l, _ := bruno.until("i"); len(l) > 0 {
		t.Errorf("told as well: %q", l)
	}
	// Anna idles: the other way round.
	anna.send("i IDLE\r\n")
	anna.expect(`^\+ `)
	wantLines(t, bruno.ok(`STORE 1:2 +FLAGS (\Seen \Answered)`),
		`* 1 FETCH (UID 1 FLAGS (\Answered \Seen))`, `* 2 FETCH (UID 2 FLAGS (\Answered \Flagged \Seen))`)
	anna.expect(`^\* 1 FETCH \(UID 1 FLAGS \(\\Answered \\Seen\)\)$`)
	anna.expect(`^\* 2 FETCH \(UID 2 FLAGS \(\\Answered \\Flagged \\Seen\)\)$`)
	anna.send("DONE\r\n")
	anna.until("i")

	// Her other session hears of her own \Seen.
	second := f.open("INBOX")
	anna.ok(`STORE 1 -FLAGS (\Seen)`)
	wantLines(t, second.ok("NOOP"), `* 1 FETCH (UID 1 FLAGS (\Answered))`)
	wantLines(t, bruno.ok("FETCH 1 FLAGS"), `* 1 FETCH (FLAGS (\Answered \Seen))`)

	// What each has seen goes with a message.
	bruno.ok("MOVE 1 Cestino")
	if l := anna.ok("EXAMINE Cestino"); !contains(l, "[UNSEEN 1]") {
		t.Errorf("%q", l)
	}
	wantLines(t, bruno.ok("STATUS Cestino (MESSAGES UNSEEN)"), `* STATUS "Cestino" (MESSAGES 1 UNSEEN 0)`)

	// The end of the option is told like any other change.
	f.personal(f.mailbox, false)
	wantLines(t, bruno.ok("NOOP"), `* 1 FETCH (UID 2 FLAGS (\Answered \Flagged))`)
}

// Who may only read still has \Seen of his own where it is personal.
func TestPersonalSeenOfReader(t *testing.T) {
	f := newFixture(t)
	f.grant("lettore", storage.MayRead|storage.MayUseClient, f.mailbox, testUser)
	f.personal(f.mailbox, true)
	f.deliver("INBOX", message("uno"))
	s := f.as("lettore", "")
	lines, result := s.command("SELECT INBOX")
	if !strings.HasPrefix(result, "OK [READ-WRITE]") || !contains(lines, `[PERMANENTFLAGS (\Seen)]`) {
		t.Errorf("%q %q", lines, result)
	}
	s.literal("FETCH 1 BODY[TEXT]")
	wantLines(t, s.ok("FETCH 1 FLAGS"), `* 1 FETCH (FLAGS (\Seen))`)
	wantLines(t, s.ok(`STORE 1 -FLAGS (\Seen)`), `* 1 FETCH (UID 1 FLAGS ())`)
	for _, c := range []string{`STORE 1 +FLAGS (\Seen \Deleted)`, `STORE 1 FLAGS (\Seen)`, "STORE 1 +FLAGS (x)", "EXPUNGE", "MOVE 1 Cestino"} {
		s.fails("NO [NOPERM]", "%s", c)
	}
	// Once the option is gone there is nothing that he may change.
	f.personal(f.mailbox, false)
	s.fails("NO [NOPERM]", `STORE 1 +FLAGS (\Seen)`)
	s.literal("FETCH 1 BODY[TEXT]")
	if f.folder("INBOX").Unseen != 1 {
		t.Error("the shared flag was changed")
	}
	f.personal(f.mailbox, true)
	lines, result = s.command("EXAMINE INBOX")
	if !strings.HasPrefix(result, "OK [READ-ONLY]") || !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "[PERMANENTFLAGS ()]") }) {
		t.Errorf("%q %q", lines, result)
	}
	s.literal("FETCH 1 BODY[TEXT]")
	s.fails("NO [NOPERM]", `STORE 1 +FLAGS (\Seen)`)
	wantLines(t, s.ok("STATUS INBOX (UNSEEN)"), "* STATUS INBOX (UNSEEN 1)")
}
