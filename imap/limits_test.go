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

// What the library cannot parse is the client's error, not ours.
func TestSyntaxIsAnsweredBAD(t *testing.T) {
	f := newFixture(t)
	s := f.open("INBOX")
	for _, c := range []string{
		`CREATE "bad&name"`, "CREATE \"Attivit\xe0\"", `SELECT "a&b"`, `LIST "" "a&b"`, `COPY 1:* "a&b"`, `STATUS "a&" (MESSAGES)`,
	} {
		s.fails("BAD sintassi", "%s", c)
	}
	s.send("a APPEND INBOX \"01-Jan-2024 10:00:00 GMT\" {16}\r\n")
	s.expect(`^a BAD sintassi`)
	s.send("b APPEND INBOX \"01-Jan-2024 10:00:00 GMT\" {17+}\r\nx CREATE rubata\r\n\r\n")
	s.expect(`^b BAD sintassi`)
	s.ok("NOOP")
	if l := s.ok(`LIST "" *`); len(l) != 4 {
		t.Errorf("%q", l)
	}
	s.ok("SELECT Bozze") // a failure of the session is none of syntax
	f.commit(&storage.DeleteFolder{Mailbox: f.mailbox, Name: "Bozze"})
	s.send("c EXPUNGE\r\n")
	s.expect(`^\* BYE`)
	s.closed()
}

// Names and patterns are compared in NFC, as the store keeps them.
func TestFolderNamesInOtherForms(t *testing.T) {
	const composed, decomposed = "Attivit\u00e0", "Attivita\u0300"
	f := newFixture(t)
	s := f.open("")
	s.ok("ENABLE UTF8=ACCEPT")
	s.ok("CREATE %q", decomposed)
	f.folder(composed)
	for _, pattern := range []string{decomposed, composed, "*" + decomposed[7:], decomposed + "*"} {
		if l := s.ok(`LIST "" "%s"`, pattern); len(l) != 1 || !strings.Contains(l[0], composed) {
			t.Errorf("LIST %q: %q", pattern, l)
		}
	}
	if l := s.ok(`LSUB "" "%s"`, decomposed); len(l) != 0 {
		t.Errorf("%q", l)
	}
	for _, c := range []string{`STATUS "%s" (MESSAGES)`, `SUBSCRIBE "%s"`, `SELECT "%s"`, `UNSUBSCRIBE "%s"`, `RENAME "%[1]s" "%[1]s/sotto"`} {
		if strings.HasPrefix(c, "RENAME") {
			s.fails("NO [CANNOT]", c, decomposed)
			continue
		}
		s.ok(c, decomposed)
	}
	s.fails("NO [ALREADYEXISTS]", `CREATE "%s"`, composed)
	s.ok(`RENAME "%s" altra`, decomposed)
	s.fails("NO [NONEXISTENT]", `DELETE "%s"`, decomposed)
	s.ok("UNSELECT")
	s.ok("DELETE altra")
}

// How many and how long folders and keywords may be is the store's to decide.
func TestLimitsAreTheStores(t *testing.T) {
	f := newFixture(t)
	f.deliver("INBOX", message("uno"))
	s := f.open("INBOX")
	s.ok("CREATE %s", strings.Repeat("a", 255))
	s.ok("CREATE %sb", strings.Repeat("a/", 19))
	s.ok(`LIST "" %s`, strings.Repeat("a", 255))
	s.fails("NO [CANNOT]", "CREATE %s", strings.Repeat("a", 256))
	s.fails("NO [CANNOT]", "CREATE %sb", strings.Repeat("a/", 20))
	s.fails("NO [CANNOT]", "CREATE a//b")
	s.fails("NO [CANNOT]", "RENAME a %s", strings.Repeat("b", 256))

	var words []string
	for i := range 50 {
		words = append(words, fmt.Sprintf("k%d", i))
	}
	s.ok("STORE 1 FLAGS (%s)", strings.Join(words, " "))
	s.fails("NO [CANNOT]", "STORE 1 +FLAGS (k50)")
	s.ok("STORE 1 FLAGS (%s)", strings.Repeat("k", 100))
	s.fails("NO [CANNOT]", "STORE 1 FLAGS (%s)", strings.Repeat("k", 101))
	s.send("a APPEND INBOX (%s) {3+}\r\nabc\r\n", strings.Repeat("k", 101))
	s.expect(`^a NO \[CANNOT\]`)
}

// A keyword is announced before it is used, whoever set it.
func TestKeywordsAreAnnounced(t *testing.T) {
	f := newFixture(t)
	f.deliver("INBOX", message("uno"))
	f.deliver("INBOX", message("due"))
	s := f.open("INBOX")
	flags := func(words string) string { return `* FLAGS (\Answered \Deleted \Draft \Flagged \Seen ` + words + ")" }
	if l := s.ok("STORE 1 +FLAGS (mia)"); !slices.Equal(l, []string{flags("mia"), "* 1 FETCH (UID 1 FLAGS (mia))"}) {
		t.Errorf("%q", l)
	}
	if l := s.ok("STORE 2 +FLAGS.SILENT (muta)"); !slices.Equal(l, []string{flags("mia muta")}) {
		t.Errorf("%q", l)
	}
	if l := s.ok("STORE 1:2 FLAGS.SILENT (mia)"); len(l) != 0 {
		t.Errorf("%q", l)
	}
	f.commit(&storage.SetFlags{Folder: f.folder("INBOX").ID, UIDs: []uint32{2}, Mode: storage.ReplaceFlags, Flags: []string{"altrui"}})
	want := []string{flags("altrui mia muta"), fmt.Sprintf("* 2 FETCH (FLAGS (altrui) RFC822.SIZE %d)", len(message("due")))}
	if l := s.ok("FETCH 2 (FLAGS RFC822.SIZE)"); !slices.Equal(l, want) {
		t.Errorf("%q", l)
	}
	if l := s.ok("NOOP"); len(l) != 0 {
		t.Errorf("%q", l)
	}
}

// broken panics where changes are asked for.
type broken struct{ storage.Store }

func (b broken) Changes(context.Context, storage.FolderID, uint64) (storage.Changes, error) {
	panic("a message text")
}

// A panic while changes are pushed ends one connection, not the process.
func TestPanicInIdle(t *testing.T) {
	f := newFixture(t, func(c *Config, _ *timing) { c.Store = broken{c.Store} })
	f.mayPanic = true
	s, other := f.script(), f.script()
	s.ok("LOGIN %s %q", testUser, testPassword)
	s.send("a SELECT INBOX\r\n")
	s.until("a")
	s.send("b IDLE\r\n")
	for {
		if _, err := s.r.ReadString('\n'); err != nil {
			break
		}
	}
	other.ok("NOOP")
	if l := f.logs.String(); !strings.Contains(l, "panic in a goroutine") || strings.Contains(l, "a message text") {
		t.Error(l)
	}
}
