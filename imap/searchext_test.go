// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"regexp"
	"testing"
	"time"

	"pecd/clock"
)

func TestWithin(t *testing.T) {
	now := clock.NewManual(time.Date(2026, 6, 3, 11, 0, 0, 0, time.UTC))
	f := newFixture(t, func(c *Config, _ *timing) { c.Clock = now })
	for _, minute := range []int{0, 30, 59} {
		f.deliverAt(minute, message("x"))
	}
	s := f.open("INBOX")
	s.answers("* SEARCH 1 2", "SEARCH OLDER 1800")
	s.answers("* SEARCH 2 3", "SEARCH YOUNGER 1800")
	s.answers("* SEARCH 1", "SEARCH NOT YOUNGER 1800")
	s.answers("* SEARCH 2", "SEARCH OLDER 1800 YOUNGER 1800")
	s.answers("* SEARCH", "SEARCH YOUNGER 1")
	s.answers("* SEARCH 1 2 3", "SEARCH YOUNGER 9223372036854775807")
	for _, c := range []string{"OLDER", "OLDER 0", "YOUNGER -1", "YOUNGER x", "OLDER 9223372036854775808"} {
		s.fails("BAD", "SEARCH %s", c)
	}
}

func TestSaveDate(t *testing.T) {
	f := newFixture(t)
	f.deliver("INBOX", message("uno")) // arrived on 3 June 2026, saved now
	s := f.open("INBOX")
	line := s.ok("FETCH 1 (SAVEDATE)")[0]
	m := regexp.MustCompile(`^\* 1 FETCH \(SAVEDATE "([^"]+)"\)$`).FindStringSubmatch(line)
	if m == nil {
		t.Fatal(line)
	}
	saved, err := time.Parse("_2-Jan-2006 15:04:05 -0700", m[1])
	if err != nil || time.Since(saved).Abs() > time.Minute {
		t.Error(m[1], err)
	}
	day := saved.UTC()
	const layout = "2-Jan-2006"
	s.answers("* SEARCH 1", "SEARCH SAVEDON %s", day.Format(layout))
	s.answers("* SEARCH 1", "SEARCH SAVEDSINCE %s", day.Format(layout))
	s.answers("* SEARCH", "SEARCH SAVEDBEFORE %s", day.Format(layout))
	s.answers("* SEARCH 1", "SEARCH SAVEDBEFORE %s SAVEDATESUPPORTED", day.AddDate(0, 0, 1).Format(layout))
	s.answers("* SEARCH", "SEARCH SAVEDON 3-Jun-2026")
	s.answers("* SEARCH 1", "SEARCH ON 3-Jun-2026")
	s.fails("BAD", "SEARCH SAVEDON today")
}

// TestEmailID: a copy is the same message, another one is not, and a copy taken
// back into the folder still is.
func TestEmailID(t *testing.T) {
	f := newFixture(t)
	f.deliver("INBOX", message("uno"))
	f.deliver("INBOX", message("due"))
	s := f.open("INBOX")
	id := func(seq int) string {
		t.Helper()
		line := s.ok("FETCH %d (THREADID EMAILID)", seq)[0]
		m := regexp.MustCompile(`^\* \d FETCH \(THREADID NIL EMAILID \(([A-Za-z0-9_-]{1,255})\)\)$`).FindStringSubmatch(line)
		if m == nil {
			t.Fatal(line)
		}
		return m[1]
	}
	first, second := id(1), id(2)
	if first == second {
		t.Error(first)
	}
	s.ok("COPY 1 Cestino")
	s.ok("MOVE 1 Bozze")
	if id(1) != second {
		t.Error("another identifier after a MOVE")
	}
	s.ok("SELECT Cestino")
	if id(1) != first {
		t.Error("another identifier in the copy")
	}
	s.answers("* SEARCH 1", "SEARCH EMAILID %s", first)
	s.answers("* SEARCH", "SEARCH EMAILID %s", second)
	s.answers("* SEARCH", "SEARCH THREADID %s", first)
	s.fails("BAD", "SEARCH EMAILID \"a b\"")
	s.fails("BAD", "SEARCH THREADID \"\"")
}
