// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"slices"
	"sort"
	"strings"
	"time"

	imaplib "github.com/emersion/go-imap/v2"

	"pecd/fault"
	"pecd/rfc822"
	"pecd/storage"
)

// search answers SEARCH and UID SEARCH (RFC 9051 §6.4.4).
func (s *session) search(args []byte) error {
	q, charset, ok := parseSearch(args)
	switch {
	case !ok:
		return bad("SEARCH non valido / invalid SEARCH")
	case s.view == nil:
		return errNotSelected
	}
	hits, err := s.matches(q.key, charset)
	return s.results(&q, "SEARCH", hits, err)
}

// matches returns the indexes of the messages that meet the criteria of a
// command, ascending. charset is not empty where the strings among them are in an
// unknown one.
func (s *session) matches(k searchKey, charset string) ([]int, error) {
	if charset != "" {
		return nil, errCharset
	}
	p := preparer{v: s.view}
	key := p.prepare(k)
	if len(p.needles) > maxNeedles {
		return nil, no(imaplib.ResponseCodeLimit, "troppi testi da cercare / too many texts to search for")
	}
	return s.find(key, p.needles)
}

// maxNeedles is how many TEXT and BODY keys a command may have. Keys that look
// into the header alone are bounded by their time only.
const maxNeedles = 20

// preparer binds search keys to a view.
type preparer struct {
	v       *view
	needles []needle // of the TEXT and BODY keys
}

// prepare resolves the sets of a key, numbers the texts and sorts what must hold
// together by what it costs to find out.
func (p *preparer) prepare(k searchKey) prepared {
	out := prepared{searchKey: k, cost: cost(k.op)}
	switch k.op {
	case opSet: // a number that no message has is met by none
		out.spans = p.v.existing(k.set)
	case opBody, opText:
		out.needle = len(p.needles)
		p.needles = append(p.needles, needle{text: k.text, header: k.op == opText})
	}
	for _, child := range k.keys {
		c := p.prepare(child)
		out.cost = max(out.cost, c.cost)
		out.children = append(out.children, c)
	}
	sort.SliceStable(out.children, func(i, j int) bool { return out.children[i].cost < out.children[j].cost })
	return out
}

// prepared is a search key bound to a view.
type prepared struct {
	searchKey
	spans    []span
	needle   int // index into those of the command
	children []prepared
	cost     int
}

// What a key needs to be decided.
const (
	needsView = iota
	needsRow
	needsHeader
	needsText
)

func cost(op searchOp) int {
	switch op {
	case opLarger, opSmaller, opSince, opBefore, opOn, opOlder, opYounger, opSavedSince, opSavedBefore, opSavedOn,
		opEmailID, opModSeq:
		return needsRow
	case opSentSince, opSentBefore, opSentOn, opHeader:
		return needsHeader
	case opBody, opText:
		return needsText
	}
	return needsView
}

// find returns the indexes of the messages that match, ascending.
func (s *session) find(key prepared, needles []needle) ([]int, error) {
	var hits []int
	var open []span // the view alone does not decide them
	for i := range s.view.uids {
		switch (&candidate{s: s, i: i}).holds(&key) {
		case isYes:
			hits = append(hits, i)
		case isOpen:
			open = append(open, span{i, i + 1})
		}
	}
	if len(open) == 0 {
		return hits, nil
	}
	w := s.work()
	defer w.end()
	err := s.rows(w.ctx, merge(open), key.cost > needsRow, func(i int, m storage.Message, summary []byte) error {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		c := &candidate{s: s, i: i, row: &fetched{s: s, ctx: w.ctx, m: m, kept: summary}, needles: needles}
		defer c.row.close()
		if c.holds(&key) == isYes {
			hits = append(hits, i)
		}
		if err := w.ctx.Err(); err != nil {
			return err
		}
		if c.err != nil && !fault.Is(c.err, fault.NotFound) {
			return s.refuse(c.err)
		}
		return nil
	})
	s.remember()
	slices.Sort(hits)
	return hits, w.outcome(err)
}

// answer is what is known of a key for one message.
type answer uint8

const (
	isNo answer = iota
	isYes
	isOpen
)

func is(b bool) answer {
	if b {
		return isYes
	}
	return isNo
}

// candidate is a message under examination. Without a row only the view is
// asked, and what needs more stays open.
type candidate struct {
	s   *session
	i   int
	row *fetched
	err error

	needles []needle
	found   []bool // which of them the message contains, once it was searched
}

func (c *candidate) holds(k *prepared) answer {
	switch k.op {
	case opAll:
		return isYes
	case opNone:
		return isNo
	case opSet:
		at := sort.Search(len(k.spans), func(n int) bool { return k.spans[n].hi > c.i })
		return is(at < len(k.spans) && k.spans[at].lo <= c.i)
	case opFlag:
		return is(hasFlag(c.s.view.flagsOf(c.i), k.text))
	case opNot:
		switch c.holds(&k.children[0]) {
		case isYes:
			return isNo
		case isNo:
			return isYes
		}
		return isOpen
	case opAnd, opOr:
		return c.combine(k)
	}
	if c.row == nil || c.err != nil {
		return isOpen
	}
	switch k.cost {
	case needsRow:
		return is(c.compare(k))
	case needsHeader:
		return is(c.inHeader(k))
	}
	return is(c.contains(k.needle))
}

func (c *candidate) contains(needle int) bool {
	if c.found == nil {
		var err error
		if c.found, err = c.row.look(c.needles); err != nil {
			c.note(err)
			return false
		}
	}
	return c.found[needle]
}

// combine decides AND and OR with as little as that takes.
func (c *candidate) combine(k *prepared) answer {
	decides, result := isNo, isYes
	if k.op == opOr {
		decides, result = isYes, isNo
	}
	for n := range k.children {
		switch a := c.holds(&k.children[n]); a {
		case decides:
			return decides
		case isOpen:
			result = isOpen
		}
	}
	return result
}

func (c *candidate) note(err error) {
	if err != nil && c.err == nil {
		c.err = err
	}
}

func (c *candidate) compare(k *prepared) bool {
	m := &c.row.m
	switch k.op {
	case opLarger:
		return m.Size > k.n
	case opSmaller:
		return m.Size < k.n
	case opModSeq:
		return m.ModSeq >= uint64(k.n)
	case opOlder, opYounger:
		age := c.s.srv.cfg.Clock.Now().Unix() - m.InternalDate.Unix()
		return age == k.n || (age > k.n) == (k.op == opOlder)
	case opSavedSince, opSavedBefore, opSavedOn:
		return compareDate(k.op, dayOf(m.SavedDate.UTC()), k.date)
	case opEmailID:
		return emailID(m.Body) == k.text
	}
	return compareDate(k.op, dayOf(m.InternalDate.UTC()), k.date)
}

// compareDate compares days; the time and its zone count for nothing.
func compareDate(op searchOp, day, date time.Time) bool {
	switch op {
	case opSince, opSavedSince, opSentSince:
		return !day.Before(date)
	case opBefore, opSavedBefore, opSentBefore:
		return day.Before(date)
	}
	return day.Equal(date)
}

func dayOf(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

func (c *candidate) inHeader(k *prepared) bool {
	look := c.row.fields
	if k.op == opHeader && !rfc822.KeptField(k.field) {
		look = c.row.header
	}
	h, err := look()
	if err != nil {
		c.note(err)
		return false
	}
	if k.op == opHeader {
		for _, v := range h.Values(k.field) {
			if k.text == "" || strings.Contains(collate(rfc822.DecodeText(v)), k.text) || k.addresses && inAddresses(v, k.text) {
				return true
			}
		}
		return false
	}
	sent, ok := rfc822.ParseDate(h.Get("Date"))
	return ok && compareDate(k.op, dayOf(sent.Local), k.date)
}
