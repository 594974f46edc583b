// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"cmp"
	"slices"
	"sort"

	"pecd/storage"
)

// resync is what a client knows of a folder that it opens again (RFC 7162
// §3.2.5).
type resync struct {
	validity   uint32
	modseq     uint64
	known      numSet // of UIDs; no ranges: all
	seqs, uids numSet // of messages the client had, in the same order
}

// resync reads (uidvalidity modseq [known-uids] [(seqs uids)]).
func (p *parser) resync() *resync {
	r := &resync{}
	p.want('(')
	r.validity = uint32(p.upTo(1<<32 - 1))
	p.space()
	r.modseq = uint64(p.number())
	if p.take(' ') {
		pair := len(p.b) > 0 && p.b[0] == '('
		if !pair {
			r.known = p.set(true)
			pair = p.take(' ')
		}
		if pair {
			p.want('(')
			r.seqs = p.set(false)
			p.space()
			r.uids = p.set(true)
			p.want(')')
		}
	}
	p.want(')')
	return r
}

// missed is what happened to a folder while a client was away.
type missed struct {
	changed []storage.Message
	gone    []numRange // UIDs, ascending
}

// missed returns what happened to the messages that a client knows: their
// present flags where these changed, and which of them are gone. Messages in the
// view are never among the latter: of those the next sync tells.
func (s *session) missed(v *view, r *resync) (missed, error) {
	var out missed
	ch, err := s.store.Changes(s.ctx, v.folder.ID, r.modseq)
	if err != nil {
		return out, err
	}
	known := []numRange{{1, v.end() - 1}}
	if len(r.known.ranges) > 0 {
		known = r.known.within(v.last(), v.end()-1)
	}
	for _, m := range ch.Changed {
		if _, there := v.index(m.UID); there && holds(known, m.UID) {
			out.changed = append(out.changed, m)
		}
	}
	if r.modseq < ch.Horizon { // what went then is not written down any more
		out.gone = v.absent(known, v.agreed(r))
		return out, nil
	}
	for _, uid := range ch.Vanished {
		if _, there := v.index(uid); !there && holds(known, uid) {
			out.gone = appendUID(out.gone, uid)
		}
	}
	return out, nil
}

// appendUID adds a UID above all others.
func appendUID(ranges []numRange, uid uint32) []numRange {
	if n := len(ranges); n > 0 && ranges[n-1].to+1 == uid {
		ranges[n-1].to = uid
		return ranges
	}
	return append(ranges, numRange{uid, uid})
}

// within returns a set of UIDs as ascending, disjoint ranges up to end. "*" stands
// for last and for whatever was above it and is gone.
func (s numSet) within(last, end uint32) []numRange {
	var out []numRange
	for _, r := range s.ranges {
		switch {
		case r.from == 0 && r.to == 0:
			r = numRange{max(1, last), end}
		case r.from == 0 || r.to == 0:
			r = numRange{max(1, min(max(r.from, r.to), last)), end}
		default:
			r = numRange{min(r.from, r.to), min(end, max(r.from, r.to))}
		}
		if r.from <= r.to {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b numRange) int { return cmp.Compare(a.from, b.from) })
	k := 0
	for _, r := range out {
		if k > 0 && r.from <= out[k-1].to {
			out[k-1].to = max(out[k-1].to, r.to)
			continue
		}
		out[k] = r
		k++
	}
	return out[:k]
}

// holds tells whether ascending, disjoint ranges hold a UID.
func holds(ranges []numRange, uid uint32) bool {
	i := sort.Search(len(ranges), func(i int) bool { return ranges[i].to >= uid })
	return i < len(ranges) && ranges[i].from <= uid
}

// end is the lowest UID that no message had when the view was made: UIDNEXT.
func (v *view) end() uint32 { return max(v.folder.UIDNext, v.last()+1, 1) }

// absent returns the UIDs of ranges above a UID that no message of the view has.
func (v *view) absent(ranges []numRange, above uint32) []numRange {
	var out []numRange
	for _, r := range ranges {
		from := max(r.from, above+1)
		for i, _ := v.index(from); from <= r.to && i < len(v.uids) && v.uids[i] <= r.to; i++ {
			if from < v.uids[i] {
				out = append(out, numRange{from, v.uids[i] - 1})
			}
			from = v.uids[i] + 1
		}
		if from <= r.to {
			out = append(out, numRange{from, r.to})
		}
	}
	return out
}

// agreed returns the UID up to which the view and the client hold the same
// messages, by the pairs of numbers and UIDs that the client sent. Where a pair
// holds, as many messages lie below for both, and the client had all of those
// that are left.
func (v *view) agreed(r *resync) uint32 {
	var upTo uint32
	seqs, uids := r.seqs.each(), r.uids.each()
	for range v.uids {
		seq, more := seqs()
		uid, also := uids()
		if !more || !also || seq == 0 || int64(seq) > int64(len(v.uids)) || v.uids[seq-1] != uid {
			break
		}
		upTo = max(upTo, uid)
	}
	return upTo
}

// each goes through the numbers of a set as they were written.
func (s numSet) each() func() (n uint32, more bool) {
	ranges, next := s.ranges, uint32(0)
	return func() (uint32, bool) {
		if len(ranges) == 0 {
			return 0, false
		}
		r := ranges[0]
		n := max(next, r.from)
		if next = n + 1; n >= r.to {
			ranges, next = ranges[1:], 0
		}
		return n, true
	}
}

// tellMissed writes what a client missed. VANISHED comes first, so that no flags
// are told of what is gone (RFC 7162 §3.2.5.2).
func (s *session) tellMissed(v *view, m missed) error {
	out := s.c.lines()
	out.vanished("(EARLIER) ", m.gone)
	for _, msg := range m.changed {
		if i, ok := v.index(msg.UID); ok {
			v.set(i, msg.Flags)
		}
	}
	out.keywords(v)
	for _, msg := range m.changed {
		if i, ok := v.index(msg.UID); ok {
			out.flags(i+1, msg, true)
		}
	}
	return out.done()
}
