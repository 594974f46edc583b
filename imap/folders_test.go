// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	imaplib "github.com/emersion/go-imap/v2"

	"pecd/storage"
)

func TestList(t *testing.T) {
	f := newFixture(t)
	s := f.open("")
	for _, name := range []string{"a/b/c", "a/d", "z"} {
		s.ok("CREATE %s", name)
	}
	s.ok("SUBSCRIBE a/b/c")
	s.ok("SUBSCRIBE z")
	cases := []struct {
		command string
		want    []string
	}{
		{`LIST "" ""`, []string{`(\Noselect) "/" ""`}},
		{`LIST "" %`, []string{`(\HasNoChildren) "/" INBOX`, `(\HasNoChildren \Drafts) "/" "Bozze"`, `(\HasNoChildren \Trash) "/" "Cestino"`,
			`(\HasNoChildren \Sent) "/" "Posta inviata"`, `(\HasChildren) "/" "a"`, `(\HasNoChildren) "/" "z"`}},
		{`LIST "" a/%`, []string{`(\HasChildren) "/" "a/b"`, `(\HasNoChildren) "/" "a/d"`}},
		{`LIST a/ *`, []string{`(\HasChildren) "/" "a/b"`, `(\HasNoChildren) "/" "a/b/c"`, `(\HasNoChildren) "/" "a/d"`}},
		{`LIST "" inbox`, []string{`(\HasNoChildren) "/" INBOX`}},
		{`LIST "" InB*`, []string{`(\HasNoChildren) "/" INBOX`}},
		{`LIST "" (a z)`, []string{`(\HasChildren) "/" "a"`, `(\HasNoChildren) "/" "z"`}},
		{`LIST (SUBSCRIBED) "" *`, []string{`(\HasNoChildren \Subscribed) "/" INBOX`, `(\HasNoChildren \Subscribed \Drafts) "/" "Bozze"`, `(\HasNoChildren \Subscribed \Trash) "/" "Cestino"`,
			`(\HasNoChildren \Subscribed \Sent) "/" "Posta inviata"`, `(\HasNoChildren \Subscribed) "/" "a/b/c"`, `(\HasNoChildren \Subscribed) "/" "z"`}},
		{`LIST (SUBSCRIBED RECURSIVEMATCH) "" a/%`, []string{`(\HasChildren) "/" "a/b" (CHILDINFO ("SUBSCRIBED"))`}},
		{`LIST (SUBSCRIBED RECURSIVEMATCH) "" a*`, []string{`(\HasNoChildren \Subscribed) "/" "a/b/c"`}},
		{`LIST (SPECIAL-USE) "" *`, []string{`(\HasNoChildren \Drafts) "/" "Bozze"`, `(\HasNoChildren \Trash) "/" "Cestino"`, `(\HasNoChildren \Sent) "/" "Posta inviata"`}},
		{`LIST "" z RETURN (SUBSCRIBED CHILDREN SPECIAL-USE)`, []string{`(\HasNoChildren \Subscribed) "/" "z"`}},
		{`LSUB "" %`, []string{`(\HasNoChildren) "/" INBOX`, `(\HasNoChildren \Drafts) "/" "Bozze"`, `(\HasNoChildren \Trash) "/" "Cestino"`, `(\HasNoChildren \Sent) "/" "Posta inviata"`,
			`(\Noselect \HasChildren) "/" "a"`, `(\HasNoChildren) "/" "z"`}},
		{`LSUB "" a/*`, []string{`(\HasNoChildren) "/" "a/b/c"`}},
	}
	for _, c := range cases {
		var got []string
		for _, l := range s.ok("%s", c.command) {
			l = strings.TrimPrefix(strings.TrimPrefix(l, "* LIST "), "* LSUB ")
			got = append(got, strings.ReplaceAll(l, `"INBOX"`, "INBOX"))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", c.command, got, c.want)
		}
	}
	f.deliver("INBOX", message("x"))
	got := s.ok(`LIST "" INBOX RETURN (STATUS (MESSAGES UIDNEXT))`)
	if len(got) != 2 || got[1] != "* STATUS INBOX (MESSAGES 1 UIDNEXT 2)" {
		t.Errorf("%q", got)
	}
	// A pattern that takes exponential time where wildcards are tried one by one.
	s.ok(`LIST "" "%s"`, strings.Repeat("*a", 400))
	s.fails("NO [LIMIT]", `LIST "" "%s"`, strings.Repeat("*", maxPattern+1))
	s.fails("BAD", `LIST "" (%s a)`, strings.Repeat("a ", 60))
}

// A name stays subscribed to when its folder is deleted, until somebody ends that
// (RFC 9051 §6.3.7).
func TestSubscribedAndGone(t *testing.T) {
	f := newFixture(t)
	s := f.open("")
	for _, name := range []string{"a", "b/c/d", "b/e", "z"} {
		s.ok("CREATE %s", name)
	}
	for _, name := range []string{"a", "b/c/d", "z"} {
		s.ok("SUBSCRIBE %s", name)
	}
	for _, name := range []string{"a", "b/c/d", "b/c"} {
		s.ok("DELETE %s", name)
	}
	wantLines(t, s.ok(`LIST (SUBSCRIBED) "" (a b* z)`),
		`* LIST (\HasNoChildren \Subscribed) "/" "z"`,
		`* LIST (\NonExistent \HasNoChildren \Subscribed) "/" "a"`,
		`* LIST (\NonExistent \HasNoChildren \Subscribed) "/" "b/c/d"`)
	wantLines(t, s.ok(`LIST (SUBSCRIBED) "" a RETURN (STATUS (MESSAGES))`), `* LIST (\NonExistent \HasNoChildren \Subscribed) "/" "a"`)
	wantLines(t, s.ok(`LIST "" (a b* z) RETURN (SUBSCRIBED)`),
		`* LIST (\HasChildren) "/" "b"`, `* LIST (\HasNoChildren) "/" "b/e"`, `* LIST (\HasNoChildren \Subscribed) "/" "z"`)
	wantLines(t, s.ok(`LIST (SUBSCRIBED RECURSIVEMATCH) "" b%%`), `* LIST (\HasChildren) "/" "b" (CHILDINFO ("SUBSCRIBED"))`)
	wantLines(t, s.ok(`LIST (SUBSCRIBED RECURSIVEMATCH) "" b/%%`), `* LIST (\NonExistent \HasNoChildren) "/" "b/c" (CHILDINFO ("SUBSCRIBED"))`)
	wantLines(t, s.ok(`LSUB "" a`), `* LSUB (\NonExistent \Noselect \HasNoChildren) "/" "a"`)
	wantLines(t, s.ok(`LSUB b/ %%`), `* LSUB (\NonExistent \Noselect \HasNoChildren) "/" "b/c"`)
	wantLines(t, s.ok(`LSUB b/ *`), `* LSUB (\NonExistent \Noselect \HasNoChildren) "/" "b/c/d"`)

	s.fails("NO [NONEXISTENT]", "SUBSCRIBE a") // there is nothing that could be
	s.fails("NO [NONEXISTENT]", "SELECT a")
	s.ok("UNSUBSCRIBE a")
	s.fails("NO [NONEXISTENT]", "UNSUBSCRIBE a")
	wantLines(t, s.ok(`LIST (SUBSCRIBED) "" a`))
	s.ok("RENAME z b/c/d")
	s.ok("CREATE a")
	wantLines(t, s.ok(`LIST "" (a b/c/* z) RETURN (SUBSCRIBED)`),
		`* LIST (\HasNoChildren) "/" "a"`, `* LIST (\HasNoChildren \Subscribed) "/" "b/c/d"`)
	wantLines(t, s.ok(`LIST (SUBSCRIBED) "" (a b* z)`), `* LIST (\HasNoChildren \Subscribed) "/" "b/c/d"`)
	s.ok("DELETE b/c/d")
	s.ok("CREATE b/c/d")
	wantLines(t, s.ok(`LIST (SUBSCRIBED) "" b*`), `* LIST (\HasNoChildren \Subscribed) "/" "b/c/d"`)

	// A folder that goes between the two readings is told once, and as a folder.
	if got := withGone([]storage.Folder{{ID: 1, Name: "x"}}, []string{"x", "x/y"}); len(got) != 2 || got[0].ID != 1 || got[1].Name != "x/y" {
		t.Errorf("%+v", got)
	}
}

func TestFolders(t *testing.T) {
	f := newFixture(t)
	f.deliver("INBOX", message("x"))
	s := f.open("")
	s.ok("CREATE Pratiche/2026/")
	f.folder("Pratiche")
	f.folder("Pratiche/2026")
	s.fails("NO [ALREADYEXISTS]", "CREATE Pratiche")
	s.fails("NO [ALREADYEXISTS]", "CREATE inbox")
	s.ok("CREATE inbox/sotto")
	f.folder("INBOX/sotto")
	for _, name := range []string{`""`, `"/"`, `"/a"`, `"a//b"`, `"a%%"`, `"a*"`, `"a/"/`, `"` + strings.Repeat("a/", 40) + `b"`, `"` + strings.Repeat("a", 1100) + `"`} {
		if _, result := s.command("CREATE " + name); !strings.HasPrefix(result, "NO") && !strings.HasPrefix(result, "BAD") {
			t.Errorf("CREATE %.20s: %s", name, result)
		}
	}
	s.ok(`CREATE Archivio (USE (\Archive))`)
	if got := f.folder("Archivio").SpecialUse; got != `\Archive` {
		t.Error(got)
	}
	s.fails("NO [USEATTR]", `CREATE Altro (USE (\Archive))`)
	s.fails("NO [USEATTR]", `CREATE Altro (USE (\All))`)
	s.fails("NO", "DELETE INBOX")
	s.fails("NO", "DELETE Pratiche") // has children
	s.fails("NO [NONEXISTENT]", "DELETE nessuna")
	s.ok("RENAME Pratiche Vecchie")
	f.folder("Vecchie/2026")
	s.fails("NO", "RENAME Vecchie Vecchie/2026/x")
	s.fails("NO [NONEXISTENT]", "RENAME nessuna x")
	s.fails("NO [ALREADYEXISTS]", "RENAME Vecchie Archivio")
	s.ok("RENAME INBOX Arrivata")
	if f.folder("INBOX").Messages != 0 || f.folder("Arrivata").Messages != 1 {
		t.Error("RENAME INBOX")
	}
	s.fails("NO [NONEXISTENT]", "SUBSCRIBE nessuna")
	s.ok("UNSUBSCRIBE Bozze")
	s.fails("NO [NONEXISTENT]", "SELECT nessuna")
	s.fails("NO [NONEXISTENT]", "STATUS nessuna (MESSAGES)")
	before := f.folder("Vecchie/2026").UIDValidity
	s.ok("DELETE Vecchie/2026")
	s.ok("CREATE Vecchie/2026")
	if after := f.folder("Vecchie/2026").UIDValidity; after <= before {
		t.Errorf("UIDVALIDITY %d after %d", after, before)
	}
}

func TestStatus(t *testing.T) {
	f := newFixture(t)
	f.deliver("INBOX", message("x"), `\Seen`)
	f.deliver("INBOX", message("y"), `\Deleted`)
	s := f.open("")
	fo := f.folder("INBOX")
	got := s.ok("STATUS inbox (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN SIZE DELETED DELETED-STORAGE APPENDLIMIT HIGHESTMODSEQ messages)")
	want := fmt.Sprintf("* STATUS INBOX (MESSAGES 2 RECENT 0 UIDNEXT 3 UIDVALIDITY %d UNSEEN 1 SIZE %d DELETED 1 DELETED-STORAGE %d APPENDLIMIT 104857600 HIGHESTMODSEQ %d)",
		fo.UIDValidity, fo.Bytes, len(message("y")), fo.ModSeq)
	if got[0] != want {
		t.Errorf("got  %s\nwant %s", got[0], want)
	}
	s.fails("BAD", "STATUS INBOX (XYZZY)")
}

func TestNamespaceAndListByClient(t *testing.T) {
	f := newFixture(t)
	c := f.login(nil)
	ns, err := c.Namespace().Wait()
	if err != nil || len(ns.Personal) != 1 || ns.Personal[0].Delim != '/' {
		t.Errorf("%+v %v", ns, err)
	}
	boxes, err := c.List("", "*", &imaplib.ListOptions{ReturnStatus: &imaplib.StatusOptions{NumMessages: true, Size: true}}).Collect()
	if err != nil || len(boxes) != 4 {
		t.Errorf("%d %v", len(boxes), err)
	}
}

func TestMatch(t *testing.T) {
	cases := []struct {
		pattern, name string
		want          bool
	}{
		{"*", "", true}, {"%", "a/b", false}, {"*", "a/b", true}, {"a*c", "abbc", true}, {"a%c", "ab/c", false},
		{"%/%", "a/b", true}, {"a", "a", true}, {"a", "ab", false}, {"", "", true}, {"", "a", false}, {"*%*", "a/b/c", true}, {"a%", "a", true},
	}
	for _, c := range cases {
		if got := match(c.pattern, c.name); got != c.want {
			t.Errorf("match(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
}
