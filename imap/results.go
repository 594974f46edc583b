// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"slices"

	"pecd/storage"
)

// results answers a SEARCH or SORT whose result is hits, in the order asked for,
// and keeps it where the client wants that (RFC 5182).
func (s *session) results(q *searchQuery, name string, hits []int, err error) error {
	if q.save {
		s.view.saved = nil // a search that fails leaves nothing (RFC 5182 §2.1)
	}
	if err != nil {
		return err
	}
	if s.rev2 && name == "SEARCH" && !q.extended { // RFC 9051 §7.3.4
		q.extended, q.all = true, true
	}
	chosen := q.chosen(hits)
	if q.save {
		s.view.saved = s.toSave(chosen)
	}
	modseq := uint64(0)
	if q.modseq {
		s.knowsModSeqs()
		if modseq, err = s.highestOf(chosen); err != nil {
			return err
		}
	}
	return s.tellHits(q, name, hits, modseq)
}

// highestOf is the highest modseq of messages, 0 of none (RFC 7162 §3.1.5 and
// §3.1.10).
func (s *session) highestOf(hits []int) (modseq uint64, err error) {
	spans := make([]span, len(hits))
	for k, i := range hits {
		spans[k] = span{i, i + 1}
	}
	err = s.rows(s.ctx, merge(spans), false, func(_ int, m storage.Message, _ []byte) error {
		modseq = max(modseq, m.ModSeq)
		return nil
	})
	return modseq, err
}

// chosen are those of a result that RETURN is about: with MIN, MAX or PARTIAL but
// without ALL and COUNT only these (RFC 5182 §2.1, RFC 9394 §3.2).
func (q *searchQuery) chosen(hits []int) []int {
	if (q.min || q.max || q.partial.given()) && !q.all && !q.count && len(hits) > 0 {
		var some []int
		if q.min {
			some = append(some, hits[0])
		}
		if q.max {
			some = append(some, hits[len(hits)-1])
		}
		if q.partial.given() {
			lo, hi := q.partial.of(len(hits))
			some = append(some, hits[lo:hi]...)
		}
		return some
	}
	return hits
}

// toSave are the UIDs that RETURN (SAVE) keeps.
func (s *session) toSave(hits []int) []uint32 {
	uids := make([]uint32, len(hits))
	for k, i := range hits {
		uids[k] = s.view.uids[i]
	}
	slices.Sort(uids)
	return slices.Compact(uids)
}

// numbers are sequence numbers, or UIDs where the command speaks of these.
func (s *session) numbers(hits []int) []uint32 {
	uid := s.c.now.uid()
	nums := make([]uint32, len(hits))
	for k, i := range hits {
		nums[k] = uint32(i + 1)
		if uid {
			nums[k] = s.view.uids[i]
		}
	}
	return nums
}

// tellHits writes SEARCH or SORT, or ESEARCH where RETURN was given (RFC 4731,
// RFC 5267 §3). MIN and MAX are the first and the last in the order of the result.
// A modseq other than 0 is told with it.
func (s *session) tellHits(q *searchQuery, name string, hits []int, modseq uint64) error {
	nums := s.numbers(hits)
	out := s.c.lines()
	if !q.extended {
		out.b = append(append(out.b, "* "...), name...)
		for _, n := range nums {
			out.b = append(out.b, ' ')
			out.b = appendInt(out.b, n)
		}
		if modseq != 0 {
			out.b = append(appendInt(append(out.b, " (MODSEQ "...), modseq), ')')
		}
		out.end()
		return out.done()
	}
	if !q.min && !q.max && !q.all && !q.count && !q.partial.given() { // SAVE alone
		return nil
	}
	out.b = append(out.b, "* ESEARCH (TAG "...)
	out.b = appendString(out.b, s.c.now.tag, false)
	out.b = append(out.b, ')')
	if s.c.now.uid() {
		out.b = append(out.b, " UID"...)
	}
	out.b = appendReturned(out.b, q, nums)
	if modseq != 0 {
		out.b = appendInt(append(out.b, " MODSEQ "...), modseq)
	}
	out.end()
	return out.done()
}

// appendReturned writes what RETURN asks for.
func appendReturned(b []byte, q *searchQuery, nums []uint32) []byte {
	if q.min && len(nums) > 0 {
		b = appendInt(append(b, " MIN "...), nums[0])
	}
	if q.max && len(nums) > 0 {
		b = appendInt(append(b, " MAX "...), nums[len(nums)-1])
	}
	if q.count {
		b = appendInt(append(b, " COUNT "...), len(nums))
	}
	if q.all && len(nums) > 0 {
		b = appendSet(append(b, " ALL "...), nums)
	}
	if !q.partial.given() {
		return b
	}
	b = append(q.partial.append(append(b, " PARTIAL ("...)), ' ')
	if lo, hi := q.partial.of(len(nums)); lo < hi {
		b = appendSet(b, nums[lo:hi])
	} else {
		b = append(b, "NIL"...)
	}
	return append(b, ')')
}
