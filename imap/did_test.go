// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"fmt"
	"strings"
	"testing"

	"pecd/ledger"
	"pecd/storage"
)

// deeds are the records of what was done with messages, a line each.
func deeds(all []ledger.Event) []string {
	var lines []string
	for _, e := range all {
		if e.Kind == ledger.Access && e.Mailbox == testUser {
			continue
		}
		lines = append(lines, strings.TrimRight(fmt.Sprintf("%s %s %s %s %q %s %d %s %q %s",
			e.Kind, e.Protocol, e.User, e.Mailbox, e.Folder, e.UIDs, e.Messages, e.To, e.Detail, e.ToUIDs), " "))
		if (e.ToUIDs == "") != (e.ToValidity == 0) {
			lines = append(lines, fmt.Sprintf("%s to UIDVALIDITY %d", e.ToUIDs, e.ToValidity))
		}
	}
	return lines
}

func TestS4_017_DeedsAreRecorded(t *testing.T) {
	option, written := recording(t, true)
	f := newFixture(t, option)
	box := f.addMailbox(bando, 1<<20)
	f.grant(testUser, storage.MayAll, box, bando)
	for _, subject := range []string{"uno", "due", "tre", "quattro"} {
		f.deliver("INBOX", message(subject))
	}
	s := f.open("INBOX")
	s.ok("FETCH 1:4 (FLAGS ENVELOPE BODYSTRUCTURE RFC822.SIZE BODY.PEEK[HEADER] PREVIEW)")
	s.ok("SEARCH TEXT Testo")
	s.literal("FETCH 1 BODY.PEEK[]")
	s.literal("FETCH 2 RFC822.TEXT")
	s.literal("FETCH 3 BODY[1]")
	s.literal("FETCH 3 BODY[HEADER.FIELDS (SUBJECT)]")
	s.literal("FETCH 4 BINARY.PEEK[1]")
	s.ok(`STORE 1:2 +FLAGS (\Deleted)`)
	s.ok(`STORE 1:2 +FLAGS (\Flagged \Deleted)`)
	s.ok("EXPUNGE")
	s.ok("COPY 1 Bozze")
	s.ok("MOVE 2 %q", atBando+"/INBOX")
	s.send("a APPEND Bozze {3+}\r\nabc\r\n")
	s.expect(`^a OK`)
	s.ok("SELECT %q", atBando+"/INBOX")
	s.ok("SELECT INBOX")
	s.ok("SELECT %q", atBando+"/INBOX")
	s.ok("DELETE Bozze")
	s.ok("RENAME INBOX Vecchi")
	s.ok("LOGOUT")
	a := testUser
	wantLines(t, deeds(written(f)),
		`message.marked imap `+a+` `+a+` "INBOX" 1:2 2  ""`,
		`message.expunged imap `+a+` `+a+` "INBOX" 1:2 2  ""`,
		`message.copied imap `+a+` `+a+` "INBOX" 3 1 `+a+` "Bozze" 1`,
		`message.moved imap `+a+` `+a+` "INBOX" 4 1 `+bando+` "INBOX" 1`,
		`message.appended imap `+a+` `+a+` "Bozze" 2 1  ""`,
		`message.expunged imap `+a+` `+a+` "Bozze" 1:2 2  ""`,
		`message.moved imap `+a+` `+a+` "INBOX" 3 1 `+a+` "Vecchi" 1`,
		`access imap `+a+` `+bando+` ""  0  ""`,
		`message.read imap `+a+` `+a+` "INBOX" 1:4 4  ""`)
}

// What is handed out of ten thousand messages is few records, and no commit of a
// session's own.
func TestReadingsAreGathered(t *testing.T) {
	option, written := recording(t, true)
	f := newFixture(t, option)
	const n = 10000
	body := &storage.NewBody{Head: []byte(message("uno"))}
	step := new(storage.Step).Add(body)
	for range n {
		step.Add(&storage.Append{Mailbox: f.mailbox, Body: storage.BodyRef{New: body}})
	}
	f.commit(step.Ops...)
	s := f.open("INBOX")
	if got := s.ok("FETCH 1:* BODY.PEEK[TEXT]"); len(got) < n {
		t.Fatalf("%d lines", len(got))
	}
	s.ok("LOGOUT")
	wantLines(t, deeds(written(f)), `message.read imap `+testUser+` `+testUser+` "INBOX" 1:10000 10000  ""`)
}
