// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	imaplib "github.com/emersion/go-imap/v2"
)

func TestStore(t *testing.T) {
	f := newFixture(t)
	for range 3 {
		f.deliver("INBOX", message("x"))
	}
	s := f.open("INBOX")
	cases := []struct {
		command string
		want    []string
	}{
		{`STORE 1:2 FLAGS (\Seen \flagged parola)`, []string{`* FLAGS (\Answered \Deleted \Draft \Flagged \Seen parola)`, `* 1 FETCH (UID 1 FLAGS (\Flagged \Seen parola))`, `* 2 FETCH (UID 2 FLAGS (\Flagged \Seen parola))`}},
		{`STORE 1 -FLAGS (\Seen)`, []string{`* 1 FETCH (UID 1 FLAGS (\Flagged parola))`}},
		{`STORE 1 +FLAGS.SILENT (\Seen \Recent)`, nil},
		{`UID STORE 1,9 +FLAGS \Answered`, []string{`* 1 FETCH (UID 1 FLAGS (\Answered \Flagged \Seen parola))`}},
		{`STORE 3 FLAGS ()`, []string{`* 3 FETCH (UID 3 FLAGS ())`}},
		{`FETCH 1 FLAGS`, []string{`* 1 FETCH (FLAGS (\Answered \Flagged \Seen parola))`}},
	}
	for _, c := range cases {
		if got := s.ok("%s", c.command); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", c.command, got)
		}
	}
	s.fails("BAD", `STORE 1 FLAGS (\Boh)`)
	s.fails("BAD", "STORE 9 FLAGS ()")
	s.fails("BAD", "STORE 1 COLORS ()")

	// What somebody else changed is told also after a silent STORE.
	other := f.open("INBOX")
	other.ok(`STORE 2 +FLAGS (\Draft)`)
	if got := s.ok(`STORE 2 +FLAGS.SILENT (\Answered)`); !slices.Equal(got, []string{`* 2 FETCH (UID 2 FLAGS (\Answered \Draft \Flagged \Seen parola))`}) {
		t.Errorf("%q", got)
	}
	if got := other.ok("NOOP"); !slices.Equal(got, []string{`* 2 FETCH (UID 2 FLAGS (\Answered \Draft \Flagged \Seen parola))`}) {
		t.Errorf("%q", got)
	}
	if got := s.ok("NOOP"); len(got) > 0 {
		t.Errorf("told again: %q", got)
	}
}

func TestCopyMoveExpunge(t *testing.T) {
	f := newFixture(t)
	for _, subject := range []string{"a", "b", "c", "d"} {
		f.deliver("INBOX", message(subject), `\Seen`)
	}
	s := f.open("INBOX")
	if _, result := s.command("COPY 2:3 Bozze"); !strings.HasPrefix(result, "OK [COPYUID ") || !strings.Contains(result, " 2:3 1:2]") {
		t.Error(result)
	}
	if _, result := s.command("UID COPY 99 Bozze"); result != "OK UID COPY completed" {
		t.Error(result)
	}
	s.fails("NO [TRYCREATE]", "COPY 1 nessuna")
	s.fails("NO [TRYCREATE]", "MOVE 1 nessuna")
	got := s.ok("UID MOVE 2:3,77 Cestino")
	if len(got) != 3 || !strings.Contains(got[0], "COPYUID") || got[1] != "* 3 EXPUNGE" || got[2] != "* 2 EXPUNGE" {
		t.Errorf("%q", got)
	}
	if fo := f.folder("Cestino"); fo.Messages != 2 || fo.Unseen != 0 {
		t.Errorf("%+v", fo)
	}
	s.ok(`STORE 1:* +FLAGS.SILENT (\Deleted)`)
	if got := s.ok("UID EXPUNGE 4:9"); !slices.Equal(got, []string{"* 2 EXPUNGE"}) {
		t.Errorf("%q", got)
	}
	f.deliver("INBOX", message("e"), `\Deleted`) // not known to the client before
	if got := s.ok("EXPUNGE"); !slices.Equal(got, []string{"* 2 EXISTS", "* 2 EXPUNGE", "* 1 EXPUNGE"}) {
		t.Errorf("%q", got)
	}
	if got := s.ok("NOOP"); len(got) > 0 {
		t.Errorf("%q", got)
	}
	s.ok("UNSELECT")
	s.fails("BAD", "UNSELECT")
	s.fails("BAD", "FETCH 1 FLAGS")
	s.fails("BAD", "SEARCH ALL")
}

func TestAppend(t *testing.T) {
	f := newFixture(t)
	c := f.login(nil)
	at := time.Date(2020, 2, 3, 4, 5, 6, 0, time.FixedZone("", 3600))
	text := message("bozza")
	cmd := c.Append("Bozze", int64(len(text)), &imaplib.AppendOptions{Flags: []imaplib.Flag{imaplib.FlagDraft, "$Etichetta"}, Time: at})
	_, _ = io.WriteString(cmd, text)
	_ = cmd.Close()
	data, err := cmd.Wait()
	if err != nil || data.UID != 1 || data.UIDValidity != f.folder("Bozze").UIDValidity {
		t.Fatal(data, err)
	}
	s := f.open("Bozze")
	if got := s.ok("FETCH 1 (FLAGS INTERNALDATE)"); got[0] != `* 1 FETCH (FLAGS ($Etichetta \Draft) INTERNALDATE " 3-Feb-2020 03:05:06 +0000")` {
		t.Errorf("%q", got)
	}
	s.send("a APPEND Bozze UTF8 (~{3+}\r\nabc)\r\n")
	s.expect(`^\* 2 EXISTS`)
	s.expect(`^a OK \[APPENDUID`)
	s.send("a APPEND Bozze ~{3+}\r\na\x00c\r\n")
	s.expect(`^\* 3 EXISTS`)
	s.expect(`^a OK \[APPENDUID`)
	s.send("a APPEND {5+}\r\nBozze {3}\r\n")
	s.expect(`^\+ `)
	s.send("abc\r\n")
	s.expect(`^\* 4 EXISTS`)
	s.expect(`^a OK`)
	s.send("a APPEND nessuna {3}\r\n")
	s.expect(`^\+ `)
	s.send("abc\r\n")
	s.expect(`^a NO \[TRYCREATE\]`)
	s.send("a APPEND Bozze {0}\r\n")
	s.expect(`^\+ `)
	s.send("\r\n")
	s.expect(`^a NO`)

	// A connection that breaks leaves nothing.
	s.send("a APPEND Bozze {100}\r\nabc")
	s.conn.Close()
	f.open("")
	if n := f.folder("Bozze").Messages; n != 4 {
		t.Errorf("%d messages", n)
	}
}

func TestQuota(t *testing.T) {
	f := newFixture(t)
	small := f.addMailbox("piena@alfa.example", 1000)
	f.grant("piena@alfa.example", 31, small, "piena@alfa.example")
	s := f.script()
	s.ok("LOGIN piena@alfa.example %q", testPassword)
	s.send("a APPEND INBOX {600+}\r\n%s\r\n", strings.Repeat("x", 600))
	s.expect(`^a OK`)
	s.send("a APPEND INBOX {600+}\r\n%s\r\n", strings.Repeat("x", 600))
	s.expect(`^a NO \[OVERQUOTA\]`)
	s.ok("SELECT INBOX")
	s.fails("NO [OVERQUOTA]", "COPY 1 Bozze")
	s.ok("MOVE 1 Bozze") // needs no more room
}
