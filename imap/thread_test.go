// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// threadMessage is a message sent at minute. refs may be a whole field.
func threadMessage(minute int, id, refs, subject string) string {
	text := fmt.Sprintf("Date: Wed, 3 Jun 2026 12:%02d:00 +0000\r\n", minute)
	if id != "" {
		text += "Message-ID: <" + id + ">\r\n"
	}
	switch {
	case strings.Contains(refs, ":"):
		text += refs + "\r\n"
	case refs != "":
		text += "References: <" + strings.ReplaceAll(refs, " ", "> <") + ">\r\n"
	}
	if subject != "" {
		text += "Subject: " + subject + "\r\n"
	}
	return text + "\r\nx"
}

func TestThreadReferences(t *testing.T) {
	for name, c := range map[string]struct {
		messages []string
		want     string
	}{
		"a conversation":      {[]string{threadMessage(1, "a@x", "", "s"), threadMessage(2, "b@x", "a@x", "Re: s"), threadMessage(4, "c@x", "a@x", "Re: s"), threadMessage(3, "d@x", "a@x b@x", "Re: s")}, "(1 (2 4)(3))"},
		"replies come first":  {[]string{threadMessage(3, "c@x", "a@x b@x", ""), threadMessage(2, "b@x", "a@x", ""), threadMessage(1, "a@x", "", "")}, "(3 2 1)"},
		"In-Reply-To":         {[]string{threadMessage(1, "a@x", "", ""), threadMessage(2, "b@x", "In-Reply-To: your mail <a@x> and <z@x>", "")}, "(1 2)"},
		"References count":    {[]string{threadMessage(1, "a@x", "", ""), threadMessage(2, "b@x", "", ""), threadMessage(3, "c@x", "References: <b@x>\r\nIn-Reply-To: <a@x>", "")}, "(1)(2 3)"},
		"no valid reference":  {[]string{threadMessage(1, "a@x", "", ""), threadMessage(2, "b@x", "References: a@x <nowhere>\r\nIn-Reply-To: <a@x>", "")}, "(1 2)"},
		"quotes":              {[]string{threadMessage(1, `"a.b"@x`, "", ""), threadMessage(2, "b@x", "a.b@x", ""), threadMessage(3, "c@x", `"a\.b"@x`, "")}, "(1 (2)(3))"},
		"one missing":         {[]string{threadMessage(2, "b@x", "a@x", ""), threadMessage(1, "c@x", "a@x", ""), threadMessage(3, "d@x", "z@x", "")}, "((2)(1))(3)"},
		"missing in between":  {[]string{threadMessage(1, "a@x", "", ""), threadMessage(3, "d@x", "a@x m@x", ""), threadMessage(2, "e@x", "a@x m@x n@x", "")}, "(1 (3)(2))"},
		"missing and alone":   {[]string{threadMessage(1, "a@x", "l@x m@x n@x", "")}, "(1)"},
		"the same identifier": {[]string{threadMessage(1, "a@x", "", ""), threadMessage(2, "a@x", "", ""), threadMessage(3, "b@x", "a@x", "")}, "(1 3)(2)"},
		"each other":          {[]string{threadMessage(1, "a@x", "b@x", ""), threadMessage(2, "b@x", "a@x", "")}, "(2 1)"},
		"itself":              {[]string{threadMessage(1, "a@x", "a@x", ""), threadMessage(2, "b@x", "a@x b@x", "")}, "(1 2)"},
		"a circle":            {[]string{threadMessage(1, "a@x", "c@x a@x b@x c@x", ""), threadMessage(2, "b@x", "a@x", ""), threadMessage(3, "c@x", "b@x", "")}, "(3 1 2)"},
		"a better parent":     {[]string{threadMessage(1, "a@x", "", ""), threadMessage(2, "b@x", "", ""), threadMessage(4, "d@x", "a@x c@x", ""), threadMessage(3, "c@x", "b@x", "")}, "(1)(2 4 3)"},
		"no parent after all": {[]string{threadMessage(1, "a@x", "", ""), threadMessage(3, "c@x", "a@x b@x", ""), threadMessage(2, "b@x", "", "")}, "(1)(3 2)"},
		"no dates":            {[]string{"Message-ID: <a@x>\r\n\r\n", "References: <a@x>\r\n\r\n", "\r\n"}, "(1 2)(3)"},

		"subject, reply under original": {[]string{threadMessage(1, "", "", "s"), threadMessage(2, "", "", "Re: s"), threadMessage(3, "", "", "[l] FW: S (fwd)")}, "(1 (2)(3))"},
		"subject, original later":       {[]string{threadMessage(1, "", "", "Re: s"), threadMessage(2, "", "", "s")}, "(2 1)"},
		"subject, two originals":        {[]string{threadMessage(1, "", "", "s"), threadMessage(2, "", "", "S")}, "((1)(2))"},
		"subject, two replies":          {[]string{threadMessage(2, "", "", "Re: s"), threadMessage(1, "", "", "Re: S")}, "((2)(1))"},
		"subject, dummy takes all":      {[]string{threadMessage(1, "b@x", "a@x", "Re: s"), threadMessage(2, "c@x", "a@x", "Re: s"), threadMessage(3, "", "", "s"), threadMessage(4, "e@x", "d@x", "Re: s"), threadMessage(5, "f@x", "d@x", "Re: s")}, "((1)(2)(3)(4)(5))"},
		"subject, none":                 {[]string{threadMessage(1, "", "", ""), threadMessage(2, "", "", "Re:"), threadMessage(3, "", "", "Re: (fwd)")}, "(1)(2)(3)"},
		"subject, PEC keeps apart":      {[]string{threadMessage(1, "", "", "s"), threadMessage(2, "", "", "ACCETTAZIONE: s"), threadMessage(3, "", "", "CONSEGNA: s")}, "(1)(2)(3)"},
		"subject within a thread":       {[]string{threadMessage(1, "a@x", "", "s"), threadMessage(2, "b@x", "a@x", "t"), threadMessage(3, "c@x", "", "Re: t")}, "(1 2)(3)"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			for _, m := range c.messages {
				f.deliver("INBOX", m)
			}
			f.open("INBOX").answers("* THREAD "+c.want, "THREAD REFERENCES UTF-8 ALL")
		})
	}
}

func TestThreadOrderedSubject(t *testing.T) {
	f := newFixture(t)
	s := f.open("INBOX")
	s.answers("* THREAD", "THREAD ORDEREDSUBJECT UTF-8 ALL")
	for i, subject := range []string{"b", "A", "Re: b", "", "re: B", "fwd: a", "Re:"} {
		f.deliver("INBOX", threadMessage(30-i, "", "", subject))
	}
	f.deliver("Cestino", message("other"))
	s.ok("NOOP")
	s.answers("* THREAD (7 4)(6 2)(5 (3)(1))", "THREAD ORDEREDSUBJECT UTF-8 ALL")
	s.answers("* THREAD (5 (3)(1))", "THREAD ORDEREDSUBJECT UTF-8 SUBJECT b")
	s.answers("* THREAD", "THREAD REFERENCES UTF-8 SUBJECT nowhere")
	s.ok("STORE 1 +FLAGS (\\Deleted)")
	s.ok("EXPUNGE")
	s.answers("* THREAD (7 4)(6 2)(5 3)", "UID THREAD ORDEREDSUBJECT UTF-8 ALL")
}

// threadOf makes threads of messages told by identifiers, references and subjects.
func threadOf(t interface {
	Fatal(...any)
	Context() context.Context
}, by threading, ids []uint64, refs [][]uint64, subjects []int64) (*threader, []int32) {
	tr := &threader{by: by, texts: newTexts(), seed: maphash.MakeSeed()}
	for n := range ids {
		tr.indexes = append(tr.indexes, n)
		tr.dates = append(tr.dates, int64(n*7%5))
		tr.subjects = append(tr.subjects, subjects[n])
		tr.replies = append(tr.replies, n%3 == 0)
		tr.ids = append(tr.ids, ids[n])
		tr.refs = append(tr.refs, refs[n]...)
		tr.ends = append(tr.ends, len(tr.refs))
	}
	roots, err := tr.threads(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return tr, roots
}

// TestThreadProperties: whatever refers to whatever, each message is told once,
// no dummy is, and the text is one of the grammar.
func TestThreadProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 30).Draw(t, "messages")
		var ids []uint64
		var refs [][]uint64
		var subjects []int64
		for range n {
			ids = append(ids, rapid.Uint64Range(0, 12).Draw(t, "id"))
			refs = append(refs, rapid.SliceOfN(rapid.Uint64Range(1, 16), 0, 5).Draw(t, "references"))
			subjects = append(subjects, rapid.Int64Range(0, 3).Draw(t, "subject"))
		}
		for _, by := range []threading{orderedSubject, references} {
			tr, roots := threadOf(t, by, ids, refs, subjects)
			nums := make([]uint32, n)
			for i := range nums {
				nums[i] = uint32(i + 1)
			}
			checkThreads(t, string(appendThreads(nil, roots, &tr.forest, nums)), n)
		}
	})
}

// checkThreads reads threads by the grammar of RFC 5256 §5 and counts the numbers.
func checkThreads(t interface{ Fatalf(string, ...any) }, text string, n int) {
	var seen []int
	rest := text
	var list func() bool
	list = func() bool { // behind "("
		members, nested := 0, 0
		for {
			digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
			if digits == 0 {
				break
			}
			number, _ := strconv.Atoi(rest[:digits])
			seen, members, rest = append(seen, number), members+1, rest[digits:]
			if !strings.HasPrefix(rest, " ") {
				break
			}
			rest = rest[1:]
		}
		for strings.HasPrefix(rest, "(") {
			rest, nested = rest[1:], nested+1
			if !list() {
				return false
			}
		}
		ok := strings.HasPrefix(rest, ")") && nested != 1 && members+nested > 0
		rest = strings.TrimPrefix(rest, ")")
		return ok
	}
	for rest != "" {
		if !strings.HasPrefix(rest, "(") {
			t.Fatalf("%q at %q", text, rest)
		}
		if rest = rest[1:]; !list() {
			t.Fatalf("%q at %q", text, rest)
		}
	}
	slices.Sort(seen)
	for i := range n {
		if len(seen) != n || seen[i] != i+1 {
			t.Fatalf("%q tells %v, there are %d", text, seen, n)
		}
	}
}

// TestThreadDepth: a conversation of any depth costs neither stack nor time.
func TestThreadDepth(t *testing.T) {
	const n = 200_000
	ids, refs, subjects := make([]uint64, n), make([][]uint64, n), make([]int64, n)
	start := time.Now()
	for _, turn := range []int{0, 1} {
		for i := range n {
			at := i
			if turn == 1 {
				at = n - 1 - i
			}
			ids[at] = uint64(i + 1)
			refs[at] = nil
			if i > 0 {
				refs[at] = []uint64{uint64(i)}
			}
		}
		tr, roots := threadOf(t, references, ids, refs, subjects)
		text := appendThreads(nil, roots, &tr.forest, make([]uint32, n))
		if len(roots) != 1 || len(text) != 2*n+1 {
			t.Errorf("%d roots, %d octets", len(roots), len(text))
		}
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Error(d)
	}
}

// TestThreadHostile: replies before what they answer, laid out so that the look
// for loops has the longest way, are given up soon.
func TestThreadHostile(t *testing.T) {
	const pairs = 100_000
	tr := &threader{by: references, texts: newTexts()}
	add := func(id, ref uint64) {
		tr.indexes = append(tr.indexes, len(tr.indexes))
		tr.ids, tr.refs = append(tr.ids, id), append(tr.refs, ref)
		tr.ends = append(tr.ends, len(tr.refs))
	}
	for i := uint64(1); i <= pairs; i++ {
		add(2*i+1, 2*i) // the answer to what follows below
	}
	for i := uint64(1); i <= pairs; i++ {
		add(2*i, 2*i-1) // answers the answer before it
	}
	start := time.Now()
	_, err := tr.threads(t.Context())
	if d := time.Since(start); err != errTooManyReferences || d > 20*time.Second {
		t.Errorf("%v after %v", err, d)
	}
}

func FuzzMessageIDs(f *testing.F) {
	for _, s := range []string{"<a@b> <c@d>", `<"a b"@c>`, "<a@b", "a@b", "<<a@b>>", "<@> <a@> <@b>", "<a\t\r\n @b>", `<"a\"@b>`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, v string) {
		ids := messageIDs(v, maxReferences)
		if len(ids) > maxReferences {
			t.Fatal(len(ids))
		}
		for _, id := range ids {
			if at := strings.LastIndexByte(id, '@'); at < 1 || at == len(id)-1 {
				t.Fatalf("%q in %q", id, v)
			}
		}
		if first := firstMessageID(v); len(ids) < maxReferences && len(ids) > 0 && first[0] != ids[0] {
			t.Fatalf("%q is not the first of %q", first, ids)
		}
	})
}
