// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestMailboxID: SELECT, STATUS, LIST and CREATE tell the same identifier of a
// folder, and it is the folder's for good.
func TestMailboxID(t *testing.T) {
	f := newFixture(t)
	s := f.open("")
	_, result := s.command("CREATE Uno")
	m := regexp.MustCompile(`^OK \[MAILBOXID \((F\d+)\)\] `).FindStringSubmatch(result)
	if m == nil {
		t.Fatal(result)
	}
	id := m[1]
	s.answers(`* STATUS "Uno" (MAILBOXID (`+id+`) MESSAGES 0)`, "STATUS Uno (MAILBOXID MESSAGES)")
	s.ok("RENAME Uno Due")
	if lines := s.ok("LIST \"\" Due RETURN (STATUS (MAILBOXID))"); !slices.Contains(lines, `* STATUS "Due" (MAILBOXID (`+id+`))`) {
		t.Errorf("%q", lines)
	}
	selected := strings.Join(s.ok("SELECT Due"), "\n")
	if !strings.Contains(selected, "\n* OK [MAILBOXID ("+id+")] ") {
		t.Error(selected)
	}
	s.ok("UNSELECT")
	s.ok("DELETE Due")
	_, result = s.command("CREATE Due")
	if strings.Contains(result, "("+id+")") || !strings.HasPrefix(result, "OK [MAILBOXID (F") {
		t.Error(result)
	}
}

func TestPartialFetch(t *testing.T) {
	f := newFixture(t)
	for range 6 {
		f.deliver("INBOX", message("x"))
	}
	s := f.open("INBOX")
	s.ok("STORE 3 +FLAGS (\\Deleted)")
	s.ok("EXPUNGE") // UIDs 1 2 4 5 6
	for _, c := range []struct{ set, page, want string }{
		{"1:*", "1:2", "1 2"}, {"1:*", "3:2", "2 4"}, {"1:*", "-1:-2", "5 6"}, {"1:*", "-3:-3", "4"}, {"1:*", "5:9", "6"}, {"1:*", "6:9", ""},
		{"2,5:6", "2:3", "5 6"}, {"5:6,1:2", "-2:-3", "2 5"}, {"1,5", "1:4294967295", "1 5"},
	} {
		var got []string
		for _, line := range s.ok("UID FETCH %s (UID) (PARTIAL %s)", c.set, c.page) {
			got = append(got, strings.TrimSuffix(line[strings.Index(line, "UID ")+4:], ")"))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s %s: %q, want %q", c.set, c.page, got, c.want)
		}
	}
	for _, c := range []string{"FETCH 1:* (UID) (PARTIAL 1:2)", "UID FETCH 1:* (UID) (PARTIAL 1:*)", "UID FETCH 1:* (UID) (PARTIAL 1:2 PARTIAL 1:2)", "UID FETCH 1:* (UID) (PARTIAL)"} {
		s.fails("BAD", "%s", c)
	}
}
