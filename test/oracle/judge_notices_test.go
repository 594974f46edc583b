// SPDX-License-Identifier: EUPL-1.2

package oracle

import (
	"slices"
	"time"
)

// deadlinesRan books that everything due at the node was done at this instant,
// unless a deadline that failed before has been put off.
func (n *node) deadlinesRan() {
	for _, late := range n.late {
		if late {
			return
		}
	}
	n.ran = append(n.ran, n.w.clock.Now())
}

// finalNotices: the sender hears of silence exactly by the cases of RFC 6109
// §3.1.6. The notices are due when the node gets to work, so what must be there
// is told by the instants at which it had done everything that was due.
func (j *judge) finalNotices(s *submission, l *leg) {
	w := j.w
	known := func(lists ...[]sighting) (first time.Time) {
		for _, x := range slices.Concat(lists...) {
			if first.IsZero() || x.seen.Before(first) {
				first = x.seen
			}
		}
		return first
	}
	sign := known(l.takes, l.viruses, l.outcomes) // of life
	end := known(l.outcomes)
	firstDue, secondDue := s.at.Add(12*time.Hour), s.at.Add(23*time.Hour)
	// The first notice may be left out by a node that worked only when the
	// second was due.
	if at, ok := n1(s.node.ran, firstDue); ok && at.Before(secondDue) && l.owner != s.node && (sign.IsZero() || sign.After(at)) && len(l.first) != 1 {
		w.fail("%q for %s: no notice after 12 hours, though the first sign of life came at %v (accepted %v, worked at %v)", s.subject, l.address, sign, s.at, at)
	}
	if at, ok := n1(s.node.ran, secondDue); ok && (end.IsZero() || end.After(at)) && len(l.second) != 1 {
		w.fail("%q for %s: no notice after 24 hours, though the outcome came at %v (accepted %v, worked at %v)", s.subject, l.address, end, s.at, at)
	}
	for _, x := range l.second {
		if at, ok := n1(s.node.ran, secondDue); ok && x.at.After(at) {
			w.fail("%q for %s: the last notice at %v, though the node had done everything at %v", s.subject, l.address, x.at, at)
		}
	}
	if len(l.outcomes)+len(l.second) == 0 {
		w.fail("%q for %s: neither an outcome nor a notice of its absence", s.subject, l.address)
	}
}

// n1 is the first instant not before from.
func n1(list []time.Time, from time.Time) (time.Time, bool) {
	for _, t := range list {
		if !t.Before(from) {
			return t, true
		}
	}
	return time.Time{}, false
}
