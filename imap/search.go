// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"net/mail"
	"slices"
	"sort"
	"strings"
	"time"

	"pecd/fault"
	"pecd/rfc822"
	"pecd/storage"
)

// search answers SEARCH and UID SEARCH (RFC 9051 §6.4.4).
func (s *session) search(args []byte) error {
	q, charset, ok := parseSearch(args)
	switch {
	case charset != "":
		return no("BADCHARSET (UTF-8 US-ASCII)", "charset non disponibile / unsupported charset")
	case !ok:
		return bad("SEARCH non valido / invalid SEARCH")
	case s.view == nil:
		return errNotSelected
	}
	key, ok := s.prepare(q.key)
	if !ok {
		return errNoSuchMessage
	}
	hits, err := s.find(key)
	if err != nil {
		if q.save {
			s.view.saved = nil
		}
		return err
	}
	if q.save {
		s.view.saved = s.toSave(&q, hits)
	}
	return s.tellHits(&q, hits)
}

// prepare resolves the sets of a key and sorts what must hold together by what
// it costs to find out.
func (s *session) prepare(k searchKey) (prepared, bool) {
	p := prepared{searchKey: k, cost: cost(k.op)}
	if k.op == opSet {
		spans, ok := s.view.resolve(k.set)
		p.spans = spans
		return p, ok
	}
	for _, child := range k.keys {
		c, ok := s.prepare(child)
		if !ok {
			return p, false
		}
		p.cost = max(p.cost, c.cost)
		p.children = append(p.children, c)
	}
	sort.SliceStable(p.children, func(i, j int) bool { return p.children[i].cost < p.children[j].cost })
	return p, true
}

// prepared is a search key bound to a view.
type prepared struct {
	searchKey
	spans    []span
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
	case opLarger, opSmaller, opSince, opBefore, opOn:
		return needsRow
	case opSentSince, opSentBefore, opSentOn, opHeader:
		return needsHeader
	case opBody, opText:
		return needsText
	}
	return needsView
}

// find returns the indexes of the messages that match, ascending.
func (s *session) find(key prepared) ([]int, error) {
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
	err := s.rows(merge(open), func(i int, m storage.Message) error {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		c := &candidate{s: s, i: i, row: &fetched{s: s, m: m}}
		defer c.row.close()
		if c.holds(&key) == isYes {
			hits = append(hits, i)
		}
		if c.err != nil && !fault.Is(c.err, fault.NotFound) {
			return s.refuse(c.err)
		}
		return nil
	})
	slices.Sort(hits)
	return hits, err
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
	found, err := c.row.contains(k.text, k.op == opText)
	c.note(err)
	return is(found)
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
	}
	return compareDate(k.op, dayOf(m.InternalDate.UTC()), k.date)
}

// compareDate compares days; the time and its zone count for nothing.
func compareDate(op searchOp, day, date time.Time) bool {
	switch op {
	case opSince, opSentSince:
		return !day.Before(date)
	case opBefore, opSentBefore:
		return day.Before(date)
	}
	return day.Equal(date)
}

func dayOf(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

func (c *candidate) inHeader(k *prepared) bool {
	h, err := c.row.header()
	if err != nil {
		c.note(err)
		return false
	}
	if k.op == opHeader {
		for _, v := range h.Values(k.field) {
			if k.text == "" || strings.Contains(fold(rfc822.DecodeText(v)), k.text) {
				return true
			}
		}
		return false
	}
	sent, err := mail.ParseDate(h.Get("Date"))
	return err == nil && compareDate(k.op, dayOf(sent), k.date)
}

// toSave is what RETURN (SAVE) keeps (RFC 5182 §2.1): with MIN or MAX alone only
// these.
func (s *session) toSave(q *searchQuery, hits []int) []uint32 {
	if (q.min || q.max) && !q.all && !q.count && len(hits) > 0 {
		var ends []int
		if q.min {
			ends = append(ends, hits[0])
		}
		if last := hits[len(hits)-1]; q.max && (!q.min || last != hits[0]) {
			ends = append(ends, last)
		}
		hits = ends
	}
	uids := make([]uint32, len(hits))
	for k, i := range hits {
		uids[k] = s.view.uids[i]
	}
	return uids
}

// tellHits writes SEARCH, or ESEARCH where RETURN was given (RFC 4731).
func (s *session) tellHits(q *searchQuery, hits []int) error {
	uid := s.c.now.uid()
	nums := make([]uint32, len(hits))
	for k, i := range hits {
		nums[k] = uint32(i + 1)
		if uid {
			nums[k] = s.view.uids[i]
		}
	}
	out := s.c.lines()
	if !q.extended {
		out.b = append(out.b, "* SEARCH"...)
		for _, n := range nums {
			out.b = append(out.b, ' ')
			out.b = appendInt(out.b, n)
		}
		out.end()
		return out.done()
	}
	if !q.min && !q.max && !q.all && !q.count { // SAVE alone
		return nil
	}
	out.b = append(out.b, "* ESEARCH (TAG "...)
	out.b = appendString(out.b, s.c.now.tag, false)
	out.b = append(out.b, ')')
	if uid {
		out.b = append(out.b, " UID"...)
	}
	number := func(name string, n uint32) {
		out.b = append(out.b, name...)
		out.b = appendInt(out.b, n)
	}
	if q.min && len(nums) > 0 {
		number(" MIN ", nums[0])
	}
	if q.max && len(nums) > 0 {
		number(" MAX ", nums[len(nums)-1])
	}
	if q.count {
		number(" COUNT ", uint32(len(nums)))
	}
	if q.all && len(nums) > 0 {
		out.b = append(out.b, " ALL "...)
		out.b = appendSet(out.b, nums)
	}
	out.end()
	return out.done()
}
