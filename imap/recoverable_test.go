// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"testing"

	"pecd/storage"
)

// TestRecoverableFolder: what POP3 clients deleted is a folder like others to
// read and to take out of; nothing is put there, and it does not go away with
// messages in it.
func TestRecoverableFolder(t *testing.T) {
	f := newFixture(t)
	for _, m := range []string{"uno", "due", "tre"} {
		f.deliver("INBOX", message(m))
	}
	f.commit(&storage.Discard{From: f.folder("INBOX").ID, UIDs: []uint32{1, 2}, Name: "Eliminati via POP3"})
	s := f.open("INBOX")
	s.fails("NO [NOPERM] in questa cartella", `COPY 1 "Eliminati via POP3"`)
	s.fails("NO [NOPERM] in questa cartella", `MOVE 1 "Eliminati via POP3"`)
	s.send("a APPEND \"Eliminati via POP3\" {3+}\r\nx\r\n\r\n")
	s.expect(`^a NO \[NOPERM\]`)
	s.fails("NO [NOPERM] la cartella contiene", `DELETE "Eliminati via POP3"`)
	s.ok(`SELECT "Eliminati via POP3"`)
	if got := string(s.literal("FETCH 1 BODY[]")); got != message("uno") {
		t.Errorf("%q", got)
	}
	s.ok("MOVE 1 INBOX")
	s.ok(`STORE 1 +FLAGS (\Deleted)`)
	s.ok("EXPUNGE")
	s.ok("UNSELECT")
	s.ok(`DELETE "Eliminati via POP3"`)
	if got := f.folder("INBOX").Messages; got != 2 {
		t.Errorf("%d messages in INBOX", got)
	}
}
