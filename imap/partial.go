// SPDX-License-Identifier: EUPL-1.2

package imap

// partialRange chooses a page of a result (RFC 9394 §4): the positions from lo to
// hi, the first one is 1. fromEnd counts from the end. The zero value is none.
type partialRange struct {
	lo, hi  uint32
	fromEnd bool
}

func (r partialRange) given() bool { return r.lo > 0 }

// partialRange reads a range such as 1:500 or -1:-100.
func (p *parser) partialRange() (r partialRange) {
	r.fromEnd = p.take('-')
	r.lo = p.position()
	p.want(':')
	if r.fromEnd {
		p.want('-')
	}
	if r.hi = p.position(); r.hi < r.lo {
		r.lo, r.hi = r.hi, r.lo
	}
	return r
}

// position reads a number from 1 to 2³²-1.
func (p *parser) position() uint32 {
	n := p.number()
	if n < 1 || n > 1<<32-1 {
		p.fail()
	}
	return uint32(n)
}

// of returns the bounds of the page in a result of n elements, hi excluded.
func (r partialRange) of(n int) (lo, hi int) {
	lo, hi = min(int(r.lo)-1, n), min(int(r.hi), n)
	if r.fromEnd {
		return n - hi, n - lo
	}
	return lo, hi
}

// within returns the messages of a page of those that spans have.
func (r partialRange) within(spans []span) (page []span) {
	lo, hi := r.of(count(spans))
	for _, s := range spans {
		n := s.hi - s.lo
		if part := (span{s.lo + max(lo, 0), s.lo + min(hi, n)}); part.lo < part.hi {
			page = append(page, part)
		}
		lo, hi = lo-n, hi-n
	}
	return page
}

// append writes the range as the client gave it, the smaller number first.
func (r partialRange) append(b []byte) []byte {
	sign := ""
	if r.fromEnd {
		sign = "-"
	}
	b = appendInt(append(b, sign...), r.lo)
	return appendInt(append(append(b, ':'), sign...), r.hi)
}
