// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"pecd/rfc822"
	"pecd/storage"
	"pecd/summary"
)

// countedStore counts the bodies that are opened; forget drops every summary
// that is asked for, and damage alters it.
type countedStore struct {
	storage.Store
	opened         atomic.Int64
	forget, damage atomic.Bool
	refuse         atomic.Bool // to take summaries
}

func (s *countedStore) OpenBody(ctx context.Context, id storage.BodyID) (storage.Body, error) {
	s.opened.Add(1)
	return s.Store.OpenBody(ctx, id)
}

func (s *countedStore) Summaries(ctx context.Context, id storage.FolderID, from, to uint32, fn func(storage.Message, []byte) error) error {
	return s.Store.Summaries(ctx, id, from, to, func(m storage.Message, b []byte) error {
		switch {
		case s.forget.Load():
			b = nil
		case s.damage.Load() && len(b) > 0:
			b[len(b)/2] ^= 0x55
		}
		return fn(m, b)
	})
}

func (s *countedStore) Commit(ctx context.Context, step *storage.Step) error {
	if _, ok := step.Ops[0].(*storage.PutSummary); ok && s.refuse.Load() {
		return errors.New("disk full")
	}
	return s.Store.Commit(ctx, step)
}

func summaryMessages(t *testing.T) []string {
	texts := []string{
		message("uno"), nested, "", "x", "\r\n", "\r\nno header", "Subject: no body\r\n", "Subject: \xe0 raw\r\nSubject: second\r\n\r\nx",
		"From: \"a\" <a@b>\r\nno field\r\nTo: c@d\r\nX-Own: y\r\n\r\nx", "Subject: LF\nFrom: a@b\n\nbody\n",
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b--\r\n",
		"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: in\r\nX-Own: z\r\n\r\nhi\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nhi\r\n--b",
		"To: " + strings.Repeat("\"Nome Cognome\" <nome.cognome@x.example>,\r\n ", 9000) + "z@x.example\r\n\r\nlarge", // beyond MaxSummary
	}
	files, _ := filepath.Glob("../../shared/samples/pec/*.eml") // of other providers, where they are at hand
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(b))
	}
	return slices.DeleteFunc(texts, func(s string) bool { return s == "" })
}

// TestSummariesTellTheSame: an answer does not depend on whether a message was
// opened for it, on what was kept of it, nor on damage to that.
func TestSummariesTellTheSame(t *testing.T) {
	st := &countedStore{}
	f := newFixture(t, func(c *Config, _ *timing) { st.Store, c.Store = c.Store, st })
	texts := summaryMessages(t)
	for i, text := range texts {
		if i%2 == 1 {
			f.deliver("INBOX", text)
			continue
		}
		b := &storage.NewBody{Head: []byte(text)}
		op := &storage.Append{Mailbox: f.mailbox, Body: storage.BodyRef{New: b}}
		if err := (summary.Store{Store: st}).Commit(t.Context(), new(storage.Step).Add(b, op)); err != nil {
			t.Fatal(err)
		}
	}
	s := f.open("INBOX")
	ask := func() string {
		var all []string
		for _, c := range []string{
			"FETCH 1:* (UID FLAGS RFC822.SIZE ENVELOPE)", "FETCH 1:* BODY", "FETCH 1:* BODYSTRUCTURE",
			"FETCH 1:* BODY.PEEK[HEADER.FIELDS (Subject From TO Date X-Ricevuta)]", "FETCH 1:* BODY.PEEK[HEADER.FIELDS (Subject)]<3.5>",
			"FETCH 1:* BODY.PEEK[HEADER.FIELDS (Subject X-Own)]", "FETCH 1:* BODY.PEEK[HEADER.FIELDS.NOT (Subject)]",
			"FETCH 1:* BODY.PEEK[1]", "FETCH 1:* BODY.PEEK[2.MIME]", "FETCH 1:* BODY.PEEK[1.HEADER.FIELDS (Subject X-Own)]",
			"FETCH 1:* BODY.PEEK[2.HEADER]", "FETCH 1:* BINARY.PEEK[1]", "FETCH 1:* BINARY.SIZE[1]",
			"SEARCH FROM alfa", "SEARCH SUBJECT \"citt\"", "SEARCH NOT TO bruno", "SEARCH HEADER X-Own \"\"", "SEARCH HEADER Message-ID nested",
			"SEARCH SENTSINCE 1-Jan-2020", "SEARCH TEXT y", "SEARCH BODY hi", "SEARCH CC x BCC y",
		} {
			lines, result := s.command("%s", c)
			all = append(append(all, c), append(lines, result[:4])...)
		}
		return strings.Join(all, "\n")
	}
	st.forget.Store(true)
	want := ask()
	st.forget.Store(false)
	for _, when := range []string{"stored by the first reader", "stored"} {
		if got := ask(); got != want {
			t.Fatalf("%s:\n%s\nwant\n%s", when, got, want)
		}
	}
	before := st.opened.Load()
	s.ok("FETCH 1:* (ENVELOPE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (Subject From)])")
	s.ok("SEARCH OR FROM x SENTBEFORE 1-Jan-2020")
	// The large one, for FETCH and SEARCH; those whose header is not clean, for the fields.
	if n := st.opened.Load() - before; n > 6 {
		t.Errorf("%d of %d messages opened", n, len(texts))
	}
	st.damage.Store(true)
	if got := ask(); got != want {
		t.Fatalf("damaged:\n%s\nwant\n%s", got, want)
	}
	st.damage.Store(false)
	ask()
	checkKept(t, f, st.Store)
}

// checkKept checks that the summaries in the store can be read.
func checkKept(t *testing.T, f *fixture, st storage.Store) {
	t.Helper()
	missing := 0
	err := st.Summaries(t.Context(), f.folder("INBOX").ID, 1, 0, func(m storage.Message, b []byte) error {
		if b == nil {
			missing++
			return nil
		}
		s, err := rfc822.ReadSummary(b, m.Size)
		if err == nil && !s.HasTree() {
			err = errors.New("no tree")
		}
		return err
	})
	if err != nil || missing != 1 { // the large one
		t.Errorf("%d without a summary, %v", missing, err)
	}
}

// TestSummaryOfTheWholeStays: what was learned for one item of a FETCH is not
// replaced by the less that another one needs.
func TestSummaryOfTheWholeStays(t *testing.T) {
	for _, items := range []string{"(ENVELOPE BODYSTRUCTURE)", "(BODYSTRUCTURE ENVELOPE)"} {
		st := &countedStore{}
		f := newFixture(t, func(c *Config, _ *timing) { st.Store, c.Store = c.Store, st })
		f.deliver("INBOX", nested)
		st.forget.Store(true) // as a damaged one is
		f.open("INBOX").ok("FETCH 1 %s", items)
		learned := 0
		err := st.Store.Summaries(t.Context(), f.folder("INBOX").ID, 1, 0, func(m storage.Message, b []byte) error {
			s, err := rfc822.ReadSummary(b, m.Size)
			if err == nil && s.HasTree() {
				learned++
			}
			return err
		})
		if err != nil || learned != 1 {
			t.Errorf("%s: %d summaries with a tree, %v", items, learned, err)
		}
	}
}

// TestSummariesNotTaken: a store that takes no summaries answers all the same.
func TestSummariesNotTaken(t *testing.T) {
	st := &countedStore{}
	st.refuse.Store(true)
	f := newFixture(t, func(c *Config, _ *timing) { st.Store, c.Store = c.Store, st })
	for range 3 {
		f.deliver("INBOX", nested)
	}
	s := f.open("INBOX")
	for range 2 {
		if l := s.ok("FETCH 1:* (ENVELOPE BODYSTRUCTURE)"); len(l) != 3 {
			t.Errorf("%q", l)
		}
	}
	if n := strings.Count(f.logs.String(), "summaries not stored"); n != 1 {
		t.Errorf("told %d times", n)
	}
}
