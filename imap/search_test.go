// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	imaplib "github.com/emersion/go-imap/v2"

	"pecd/storage"
)

func TestSearch(t *testing.T) {
	f := newFixture(t)
	f.deliver("INBOX", message("uno"), `\Seen`, "Lavoro")
	f.deliver("INBOX", nested, `\Flagged`, `\Answered`)
	f.deliver("INBOX", "From: x@y.example\r\nSubject: =?iso-8859-1?Q?Perch=E9?=\r\nDate: Thu, 1 Jan 2026 23:30:00 -0500\r\n"+
		"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: base64\r\n\r\nUXVlc3RvIOggVU4gdGVzdG8gYWNjZW50YXRv\r\n", `\Deleted`, `\Draft`)
	s := f.open("INBOX")
	cases := []struct {
		criteria string
		want     string
	}{
		{"ALL", "1 2 3"}, {"1:2", "1 2"}, {"*", "3"}, {"NOT 2", "1 3"}, {"4", ""}, {"2:9", "2 3"}, {"9:2", "2 3"}, {"4:*", "3"}, {"NOT 7", "1 2 3"}, {"UID 2:*", "2 3"}, {"2,3 NOT UID 3", "2"},
		{"SEEN", "1"}, {"UNSEEN", "2 3"}, {"ANSWERED", "2"}, {"UNANSWERED", "1 3"}, {"DELETED", "3"}, {"UNDELETED", "1 2"},
		{"DRAFT", "3"}, {"UNDRAFT", "1 2"}, {"FLAGGED", "2"}, {"UNFLAGGED", "1 3"}, {"KEYWORD lavoro", "1"}, {"UNKEYWORD Lavoro", "2 3"},
		{"NEW", ""}, {"OLD", "1 2 3"}, {"RECENT", ""},
		{fmt.Sprintf("LARGER %d", len(nested)-1), "2"}, {fmt.Sprintf("SMALLER %d", len(nested)), "1 3"}, {"SMALLER 10", ""},
		{"ON 3-Jun-2026", "1 2 3"}, {"SINCE 3-Jun-2026", "1 2 3"}, {"BEFORE 3-Jun-2026", ""}, {`SINCE "4-Jun-2026"`, ""},
		{"SENTON 1-Jan-2026", "3"}, {"SENTSINCE 2-Jan-2026", "1 2"}, {"SENTBEFORE 2-Jan-2026", "3"},
		{"FROM anna", "1"}, {`FROM "citta"`, "2"}, {"FROM \"citta\u0300\"", "2"}, {`FROM "CITTÀ"`, "2"}, {"TO gruppo", "2"}, {"CC x", ""}, {"BCC x", ""}, {`SUBJECT "perché"`, "3"}, {`SUBJECT ""`, "1 2 3"},
		{"HEADER message-id nested", "2"}, {`HEADER In-Reply-To ""`, "2"}, {"HEADER X y", ""},
		{`BODY "testo di UNO"`, "1"}, {`BODY "è un testo"`, "3"}, {"BODY interno", "2"}, {"BODY dentro", "2"}, {"BODY piegato", ""}, {`BODY "città ="`, "2"},
		{"TEXT piegato", "2"}, {"TEXT alternative", "2"}, {"TEXT accentato", "3"}, {`TEXT ""`, "1 2 3"}, {`BODY "\""`, ""},
		{"OR SEEN FLAGGED", "1 2"}, {"OR (SEEN 1) OR DELETED 2", "1 2 3"}, {"(FLAGGED TEXT interno)", "2"}, {"NOT TEXT interno", "1 3"},
		{"OR SEEN TEXT accentato", "1 3"}, {"NOT (OR SEEN TEXT accentato)", "2"}, {"NOT NOT SEEN", "1"},
		{`CHARSET UTF-8 SUBJECT "perché"`, "3"}, {"CHARSET US-ASCII ALL", "1 2 3"},
	}
	for _, c := range cases {
		if got := strings.TrimSpace(strings.TrimPrefix(s.ok("SEARCH %s", c.criteria)[0], "* SEARCH")); got != c.want {
			t.Errorf("%s: got %q, want %q", c.criteria, got, c.want)
		}
	}
	s.send("a SEARCH SUBJECT {7+}\r\nperch\xc3\xa9 UNSEEN\r\n")
	s.expect(`^\* SEARCH 3$`)
	s.until("a")
	for _, bad := range []string{"XYZZY", "", "SEEN,", "(SEEN", "SEEN )", "OR SEEN", "NOT", "UID", "UID 0", "SINCE ieri", "LARGER x", "RETURN (X) ALL", "KEYWORD", "  ALL", "HEADER x"} {
		s.fails("BAD", "SEARCH %s", bad)
	}
	s.fails("BAD", "SEARCH %sSEEN", strings.Repeat("NOT ", 5000))
	s.fails("BAD", "SEARCH %sSEEN%s", strings.Repeat("(", 5000), strings.Repeat(")", 5000))
	s.fails("NO [BADCHARSET", "SEARCH CHARSET utf-7 ALL")
	if l := s.ok("NOOP"); len(l) > 0 {
		t.Error(l)
	}
}

func TestSearchResults(t *testing.T) {
	f := newFixture(t)
	for i := range 6 {
		flags := []string{`\Seen`}
		if i%2 == 0 {
			flags = nil
		}
		f.deliver("INBOX", message(fmt.Sprint(i)), flags...)
	}
	f.commit(&storage.Expunge{Folder: f.folder("INBOX").ID, UIDs: []uint32{2}})
	s := f.open("INBOX") // UIDs 1 3 4 5 6; unseen 1 3 5
	cases := []struct{ command, want string }{
		{"SEARCH RETURN () UNSEEN", "ALL 1:2,4"},
		{"UID SEARCH RETURN (ALL) UNSEEN", "UID ALL 1,3,5"},
		{"UID SEARCH RETURN (MIN MAX COUNT) UNSEEN", "UID MIN 1 MAX 5 COUNT 3"},
		{"SEARCH RETURN (MIN COUNT) KEYWORD x", "COUNT 0"},
		{"SEARCH RETURN (ALL) KEYWORD x", ""},
	}
	for _, c := range cases {
		got := s.ok("%s", c.command)
		want := strings.TrimSpace(fmt.Sprintf(`* ESEARCH (TAG "c%d") %s`, s.n, c.want))
		if len(got) != 1 || got[0] != want {
			t.Errorf("%s: got %q, want %q", c.command, got, want)
		}
	}
	// SEARCHRES
	if l := s.ok("UID SEARCH RETURN (SAVE) UNSEEN"); len(l) != 0 {
		t.Errorf("%q", l)
	}
	if l := s.ok("FETCH $ UID"); !slices.Equal(l, []string{"* 1 FETCH (UID 1)", "* 2 FETCH (UID 3)", "* 4 FETCH (UID 5)"}) {
		t.Errorf("%q", l)
	}
	if l := s.ok("SEARCH NOT $"); l[0] != "* SEARCH 3 5" {
		t.Errorf("%q", l)
	}
	if l := s.ok("UID SEARCH UID $ 2:*"); l[0] != "* SEARCH 3 5" {
		t.Errorf("%q", l)
	}
	s.ok("UID STORE $ +FLAGS.SILENT (\\Deleted)")
	s.ok("UID EXPUNGE $")
	if l := s.ok("FETCH $ UID"); len(l) != 0 {
		t.Errorf("%q", l)
	}
	s.ok("SEARCH RETURN (SAVE MAX) ALL")
	if l := s.ok("FETCH $ UID"); !slices.Equal(l, []string{"* 2 FETCH (UID 6)"}) {
		t.Errorf("%q", l)
	}
	s.ok("COPY $ Bozze")
	if n := f.folder("Bozze").Messages; n != 1 {
		t.Errorf("%d copies", n)
	}
}

func TestSearchByClient(t *testing.T) {
	f := newFixture(t)
	f.deliver("INBOX", message("uno"))
	f.deliver("INBOX", message("due"))
	c := f.login(nil)
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	data, err := c.UIDSearch(&imaplib.SearchCriteria{Text: []string{"Testo di due"}, Since: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}, nil).Wait()
	if err != nil || !slices.Equal(data.AllUIDs(), []imaplib.UID{2}) {
		t.Errorf("%v %v", data, err)
	}
}

func TestStreamContains(t *testing.T) {
	text := strings.Repeat("è", 100000) + "AGO" + strings.Repeat("ò", 10)
	for _, c := range []struct {
		needle string
		want   bool
	}{{"ago", true}, {"èagoò", true}, {"agoa", false}, {strings.Repeat("ò", 10), true}, {strings.Repeat("ò", 11), false}} {
		for _, size := range []int{1, 2, 3, 7, 4096, 1 << 20} {
			h := &haystack{needles: []needle{{text: "NIRGENDS"}, {text: collate(c.needle)}}, found: make([]bool, 2), open: 2}
			if err := h.stream(context.Background(), &chunked{text, size}); err != nil || h.found[0] || h.found[1] != c.want {
				t.Errorf("%.10q in chunks of %d: %v %v", c.needle, size, h.found, err)
			}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	h := &haystack{needles: []needle{{text: "x"}}, found: make([]bool, 1), open: 1}
	if err := h.stream(ctx, &chunked{text, 10}); !errors.Is(err, context.Canceled) {
		t.Error("the search went on:", err)
	}
}

// Sequence numbers that no message has are no error in a search, but they are
// elsewhere.
func TestSearchInEmptyFolder(t *testing.T) {
	f := newFixture(t)
	s := f.open("INBOX")
	for _, c := range []string{"UID SEARCH 1:* NOT DELETED", "SEARCH 1:*", "SEARCH *", "SEARCH 1", "UID SEARCH 5:2 TEXT x"} {
		if l := s.ok("%s", c); l[0] != "* SEARCH" {
			t.Errorf("%s: %q", c, l)
		}
	}
	for _, c := range []string{"FETCH 1 FLAGS", "FETCH 1:* FLAGS", `STORE 1 +FLAGS (\\Seen)`, "COPY 1 Bozze"} {
		s.fails("BAD", "%s", c)
	}
}

func TestSearchTextKeysAreBounded(t *testing.T) {
	f := newFixture(t)
	f.deliver("INBOX", message("uno"))
	s := f.open("INBOX")
	s.ok("SEARCH%s", strings.Repeat(" TEXT testo", maxNeedles))
	s.ok("SEARCH%s", strings.Repeat(" SUBJECT uno", 100))
	s.fails("NO [LIMIT]", "SEARCH%s BODY x", strings.Repeat(" TEXT testo", maxNeedles))
	s.ok("NOOP")
}

// slowStore opens no body before the test says so.
type slowStore struct {
	storage.Store
	opening chan struct{} // told of every body that is asked for
}

func (s slowStore) OpenBody(ctx context.Context, _ storage.BodyID) (storage.Body, error) {
	s.opening <- struct{}{}
	<-ctx.Done()
	return nil, ctx.Err()
}

func slow(change ...func(*timing)) (func(*Config, *timing), chan struct{}) {
	opening := make(chan struct{}, 10)
	return func(c *Config, limits *timing) {
		c.Store = slowStore{c.Store, opening}
		for _, f := range change {
			f(limits)
		}
	}, opening
}

// A search ends when it takes too long …
func TestSearchDeadline(t *testing.T) {
	change, _ := slow(func(l *timing) { l.work = 50 * time.Millisecond })
	f := newFixture(t, change)
	f.deliver("INBOX", message("uno"))
	f.deliver("INBOX", message("due"))
	s := f.open("INBOX")
	s.fails("NO [LIMIT]", "SEARCH TEXT x")
	s.send("a SEARCH TEXT x\r\nb NOOP\r\n") // pipelined
	s.expect(`^a NO \[LIMIT\]`)
	s.expect(`^b OK`)
	time.Sleep(20 * time.Millisecond)
	s.ok("SEARCH ALL")
}

// … when the client is gone, and when the server stops.
func TestSearchIsAbandoned(t *testing.T) {
	change, opening := slow()
	f := newFixture(t, change)
	f.deliver("INBOX", message("uno"))
	s := f.open("INBOX")
	s.send("a SEARCH TEXT x\r\n")
	<-opening
	s.conn.Close()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		n := f.server.conns.Len()
		if n == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the search outlives its client")
		}
	}
	s = f.open("INBOX")
	s.send("a SEARCH TEXT x\r\n")
	<-opening
	go func() { _ = f.server.Shutdown(context.Background()) }()
	s.expect(`^a NO \[UNAVAILABLE\]`)
	s.closed()
}

// TestSearchAddresses: an address is found although something stands in the
// middle of it.
func TestSearchAddresses(t *testing.T) {
	f := newFixture(t)
	f.deliver("INBOX", "From: \"Rossi, \\\"Anna\\\"\" <anna (at home) @ (work) alfa.example>\r\nTo: Gruppo: b@x, \"c d\" @y;\r\nCc: (none) ;\r\n\r\nx")
	f.deliver("INBOX", "From: =?utf-8?q?Per_conto_di=3A?= <a@x> (x)\r\n\r\nx")
	s := f.open("INBOX")
	for _, c := range []struct{ criteria, want string }{
		{"FROM anna@alfa.example", " 1"}, {"FROM \"home\"", " 1"}, {"FROM \"rossi, \\\"anna\"", " 1"}, {"FROM <anna@alfa", " 1"}, {"TO \"c d@y\"", " 1"}, {"TO gruppo", " 1"},
		{"CC none", " 1"}, {"FROM anna@x", ""}, {"FROM \"di: <a@\"", " 2"}, {"HEADER FROM anna@alfa.example", ""}, {"SUBJECT anna@alfa.example", ""},
	} {
		s.answers("* SEARCH"+c.want, "SEARCH %s", c.criteria)
	}
}
