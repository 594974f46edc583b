// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pecd/storage"
)

// deliverAt puts a message into INBOX that arrived at minute.
func (f *fixture) deliverAt(minute int, text string) {
	f.t.Helper()
	body := &storage.NewBody{Head: []byte(text)}
	f.commit(body, &storage.Append{
		Mailbox: f.mailbox, Body: storage.BodyRef{New: body},
		InternalDate: time.Date(2026, 6, 3, 10, minute, 0, 0, time.UTC),
	})
}

// answers sends a command that must succeed and be answered by one line, in which
// $tag stands for the tag of the command.
func (s *script) answers(want, format string, args ...any) {
	s.t.Helper()
	want = strings.ReplaceAll(want, "$tag", fmt.Sprintf("c%d", s.n+1))
	if lines := s.ok(format, args...); len(lines) != 1 || lines[0] != want {
		s.t.Errorf("%s:\n%q, want\n%q", fmt.Sprintf(format, args...), lines, want)
	}
}

func TestSort(t *testing.T) {
	f := newFixture(t)
	f.deliverAt(30, "From: \"B, the first\" <carla@x>\r\nTo: uno@x\r\nSubject: b\r\nDate: Wed, 3 Jun 2026 10:00:00 +0200\r\n\r\n1")
	f.deliverAt(10, "From: =?iso-8859-1?q?=E0lbero?= <anna@x>\r\nTo: Gruppo: zz@x, yy@x;\r\nSubject: Re: =?utf-8?b?QQ==?=\r\nDate: Wed, 3 Jun 2026 10:00:00 -0200\r\n\r\n22")
	f.deliverAt(20, "From: ANNA@y\r\nCc: b@x, a@x\r\nSubject: [lista] fwd: B (fwd)\r\n\r\n3")
	f.deliverAt(20, "From: zeta\r\nTo: =?us-ascii?q?uno?= <a@x>\r\nCc: a@x\r\nDate: Wed, 3 Jun 2026 23:00:00 +1500\r\n\r\n"+strings.Repeat("x", 500))
	f.deliverAt(40, "\r\nno header")
	s := f.open("INBOX")
	s.ok("UID EXPUNGE 1")
	for _, c := range []struct{ keys, want string }{
		{"ARRIVAL", "2 3 4 1 5"}, {"REVERSE ARRIVAL", "5 1 3 4 2"},
		{"DATE", "1 4 3 5 2"}, // 08:00, 08:00 of the zone, 10:20 and 10:40 of arrival, 12:00
		{"REVERSE DATE", "2 5 3 1 4"},
		{"SIZE", "5 3 1 2 4"}, {"FROM", "5 2 3 1 4"}, {"REVERSE FROM", "4 1 2 3 5"}, {"FROM REVERSE ARRIVAL", "5 3 2 1 4"},
		{"SUBJECT", "4 5 2 1 3"}, {"SUBJECT REVERSE SIZE", "4 5 2 1 3"}, {"REVERSE SUBJECT ARRIVAL", "3 1 2 4 5"},
		{"TO", "3 5 4 2 1"}, {"CC", "1 2 5 4 3"},
		{"DISPLAYFROM", "5 3 2 1 4"}, {"DISPLAYTO", "3 5 2 4 1"}, {"CC SUBJECT REVERSE CC", "5 2 1 4 3"},
	} {
		s.answers("* SORT "+c.want, "SORT (%s) UTF-8 ALL", c.keys)
	}
	s.answers("* SORT 3 4", "SORT (ARRIVAL) us-ascii NOT DELETED CC a@x")
	s.answers("* SORT", "SORT (ARRIVAL) us-ascii SUBJECT nowhere")
	s.answers("* SORT 2", "SORT (DATE) iso-8859-1 FROM \"\xe0l\"")
	s.answers("* SEARCH 2", "SEARCH CHARSET ISO-8859-1 FROM \"\xc0LB\"")

	// RFC 5267: the order is that of the sort, also for the ends.
	s.answers(`* ESEARCH (TAG "$tag") MIN 2 MAX 5 COUNT 5 ALL 2:4,1,5`, "SORT RETURN (MIN MAX COUNT ALL) (ARRIVAL) UTF-8 ALL")
	s.answers(`* ESEARCH (TAG "$tag") ALL 5,1,3:4,2`, "SORT RETURN () (REVERSE ARRIVAL) UTF-8 ALL")
	s.answers(`* ESEARCH (TAG "$tag") UID PARTIAL (2:3 3:4)`, "UID SORT RETURN (PARTIAL 3:2) (ARRIVAL) UTF-8 ALL")
	s.answers(`* ESEARCH (TAG "$tag") PARTIAL (-1:-2 1,5)`, "SORT RETURN (PARTIAL -2:-1) (ARRIVAL) UTF-8 ALL")
	s.answers(`* ESEARCH (TAG "$tag") COUNT 5 PARTIAL (6:9 NIL)`, "SORT RETURN (PARTIAL 6:9 COUNT) (ARRIVAL) UTF-8 ALL")
	s.answers(`* ESEARCH (TAG "$tag") COUNT 0`, "SORT RETURN (MIN MAX COUNT ALL) (ARRIVAL) UTF-8 DELETED")
}

func TestSortRefusals(t *testing.T) {
	f := newFixture(t)
	f.deliver("INBOX", message("uno"))
	s := f.open("")
	s.fails("BAD", "SORT (ARRIVAL) UTF-8 ALL")
	s.ok("SELECT INBOX")
	for _, c := range []string{
		"SORT () UTF-8 ALL", "SORT ARRIVAL UTF-8 ALL", "SORT (ARRIVAL) ALL", "SORT (REVERSE) UTF-8 ALL", "SORT (AGE) UTF-8 ALL", "SORT (DATE)UTF-8 ALL",
		"SORT (" + strings.Repeat("DATE ", 60) + "DATE) UTF-8 ALL", "SORT RETURN (PARTIAL 1:2 ALL) (DATE) UTF-8 ALL", "SORT RETURN (PARTIAL 1:2 PARTIAL 1:2) (DATE) UTF-8 ALL",
		"SORT (DATE) \"\" ALL", "THREAD UTF-8 ALL", "THREAD JWZ UTF-8 ALL", "THREAD REFERENCES UTF-8", "THREAD RETURN () REFERENCES UTF-8 ALL",
	} {
		s.fails("BAD", "%s", c)
	}
	for _, r := range []string{"1", "1:*", "*:1", "0:1", "-1:1", "1:-1", "1:4294967296", ":", "-1"} {
		s.fails("BAD", "SEARCH RETURN (PARTIAL %s) ALL", r)
	}
	s.fails("NO [BADCHARSET (UTF-8 ", "SORT (DATE) utf-7 ALL")
	s.fails("NO [BADCHARSET (UTF-8 ", "THREAD REFERENCES x-none ALL")
}

// TestSortedSearchRes: "$" after SORT is a set of messages, and nothing after one
// that fails.
func TestSortedSearchRes(t *testing.T) {
	f := newFixture(t)
	for _, subject := range []string{"c", "a", "d", "b"} {
		f.deliver("INBOX", message(subject))
	}
	s := f.open("INBOX")
	for _, c := range []struct{ options, want string }{
		{"SAVE", "1 2 3 4"}, {"SAVE MIN", "2"}, {"SAVE MAX", "3"}, {"SAVE MIN MAX", "2 3"}, {"SAVE MIN COUNT", "1 2 3 4"},
		{"SAVE PARTIAL 2:3", "1 4"}, {"SAVE PARTIAL 2:3 MAX", "1 3 4"}, {"SAVE PARTIAL 2:3 COUNT", "1 2 3 4"}, {"SAVE PARTIAL -1:-1 MAX", "3"},
	} {
		s.ok("SORT RETURN (%s) (SUBJECT) UTF-8 ALL", c.options)
		s.answers("* SEARCH "+c.want, "SEARCH $")
	}
	s.fails("NO [LIMIT]", "SORT RETURN (SAVE) (SUBJECT) UTF-8 OR%s BODY x BODY x", strings.Repeat(" BODY x OR", maxNeedles))
	s.answers("* SEARCH", "SEARCH $")
	s.ok("SEARCH RETURN (SAVE) ALL")
	s.fails("NO [BADCHARSET", "SEARCH RETURN (SAVE) CHARSET x-none ALL")
	s.answers("* SEARCH", "SEARCH $")
}

// TestSortProperties: the result is a permutation of what SEARCH finds, sorted
// whatever the criteria, and the other way round when reversed.
func TestSortProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := &orderer{texts: newTexts()}
		keys := rapid.SliceOfNDistinct(rapid.Uint8Range(0, 8), 1, 4, rapid.ID).Draw(t, "keys")
		for _, k := range keys {
			o.columns = append(o.columns, column{criterion: criterion{key: sortKey(k), reverse: rapid.Bool().Draw(t, "reverse")}})
		}
		n := rapid.IntRange(0, 40).Draw(t, "messages")
		raw := make([][]string, n) // of each message, what each key compares
		for i := range n {
			o.indexes = append(o.indexes, 2*i)
			for c := range o.columns {
				if o.columns[c].key <= keySize {
					v := rapid.Int64Range(-3, 3).Draw(t, "value")
					o.columns[c].keys = append(o.columns[c].keys, v)
					raw[i] = append(raw[i], fmt.Sprintf("%02d", v+10))
					continue
				}
				text := rapid.StringMatching(`[a-cA-C]{0,2}`).Draw(t, "text")
				number, err := o.texts.number(text)
				if err != nil {
					t.Fatal(err)
				}
				o.columns[c].keys = append(o.columns[c].keys, number)
				raw[i] = append(raw[i], strings.ToUpper(text))
			}
		}
		o.rank()
		got := o.sorted()
		want := slices.Clone(o.indexes)
		slices.SortStableFunc(want, func(a, b int) int {
			for c := range o.columns {
				if d := strings.Compare(raw[a/2][c], raw[b/2][c]); d != 0 && o.columns[c].reverse {
					return -d
				} else if d != 0 {
					return d
				}
			}
			return 0
		})
		if !slices.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}

// TestTextsBounded: what a sort holds does not grow without end.
func TestTextsBounded(t *testing.T) {
	tx := newTexts()
	for i := range 1 << 20 {
		if _, err := tx.number(fmt.Sprintf("%d %s", i, strings.Repeat("X", 2*maxText))); err != nil {
			if tx.octets > maxTexts+maxText+100 {
				t.Error(tx.octets)
			}
			return
		}
	}
	t.Error("no bound")
}

// TestSortWaits: only so many commands gather at a time, and one that waits for
// its turn ends when the client leaves.
func TestSortWaits(t *testing.T) {
	f := newFixture(t)
	f.deliver("INBOX", message("uno"))
	for range cap(f.server.orders) {
		f.server.orders <- struct{}{}
	}
	s := f.open("INBOX")
	s.send("x SORT (SUBJECT) UTF-8 ALL\r\n")
	s.conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		n := f.server.conns.Len()
		if n == 0 {
			break
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("still waiting")
		}
	}
	for range cap(f.server.orders) {
		<-f.server.orders
	}
	f.open("INBOX").answers("* SORT 1", "SORT (SUBJECT) UTF-8 ALL")
}

// FuzzSort feeds the parsers of SORT and THREAD, and tells results by what they
// read.
func FuzzSort(f *testing.F) {
	for _, seed := range []string{
		" (REVERSE DATE SUBJECT) UTF-8 ALL", " RETURN (MIN MAX COUNT SAVE) (DISPLAYFROM) iso-8859-1 FROM \"\xe0\"", " RETURN (PARTIAL -1:-3) (SIZE) us-ascii OLDER 5",
		" REFERENCES utf-8 SUBJECT {1}\r\n\xc3", " ORDEREDSUBJECT \"x\" EMAILID M1", " (CC) UTF-8 (", " REFERENCES UTF-8 SAVEDON 1-Jan-2020 MODSEQ 5",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, args []byte) {
		if q, _, ok := parseSort(args); ok {
			if len(q.criteria) == 0 || len(q.criteria) > 9 {
				t.Errorf("%+v", q.criteria)
			}
			for _, nums := range [][]uint32{nil, {7}, {3, 4, 5, 1}} {
				text := string(appendReturned(nil, &q.searchQuery, nums))
				if strings.Contains(text, "  ") || q.partial.given() && !strings.HasSuffix(text, ")") {
					t.Errorf("%q", text)
				}
				hits := make([]int, len(nums))
				if chosen := q.chosen(hits); len(chosen) > len(hits)+2 {
					t.Error(chosen)
				}
			}
		}
		if by, q, _, ok := parseThread(args); ok && (by > references || len(q.key.keys) == 0) {
			t.Errorf("%v %+v", by, q)
		}
	})
}
