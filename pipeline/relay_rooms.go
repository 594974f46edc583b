// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"slices"
	"time"
)

const (
	// crowdedPause is how long a destination waits before it asks again for a
	// place; where many wait before it, it asks more rarely.
	crowdedPause, longestCrowded = 2 * time.Second, 30 * time.Second
	// late is how much later than planned a destination may ask again without
	// losing its turn: its job is taken when a worker is free.
	late = 10 * time.Second
)

// limits is what a relay admits at once: see RelayPoint.
type limits struct{ unproven, ordinary int }

// of returns the places for one kind of unproven destination.
func (m limits) of(certified bool) int {
	if certified {
		return max(1, m.unproven/4)
	}
	return max(1, m.unproven/2)
}

// room is the places for attempts to one kind of unproven destinations. Those
// that find it full get their turn in the order in which they came.
type room struct {
	under   int // attempts under way
	waiting []*lane
}

// rooms are apart for certified and ordinary destinations, and for those that
// failed and those not asked yet: however many of one kind are dead, they do not
// take another's turn.
type rooms struct{ certified, certifiedTrial, ordinary, ordinaryTrial room }

func (x *rooms) of(certified, trial bool) *room {
	switch {
	case certified && trial:
		return &x.certifiedTrial
	case certified:
		return &x.certified
	case trial:
		return &x.ordinaryTrial
	}
	return &x.ordinary
}

// admits reports whether it is l's turn, and otherwise when to ask again.
// Whoever is before l and does not ask any more has lost its turn.
func (r *room) admits(l *lane, places int, now time.Time) (again time.Time, ok bool) {
	free := places - r.under
	ahead := 0
	for ahead < len(r.waiting) && ahead < free {
		o := r.waiting[ahead]
		switch {
		case o == l:
			r.leave(ahead)
			return now, true
		case o.room != r || now.Sub(o.again) > late:
			r.leave(ahead)
		default:
			ahead++
		}
	}
	if ahead < free {
		return now, true
	}
	if l.room != r {
		l.room, l.turn = r, 0
		if n := len(r.waiting); n > 0 {
			l.turn = r.waiting[n-1].turn + 1
		}
		r.waiting = append(r.waiting, l)
	}
	before := max(0, l.turn-r.waiting[0].turn)
	l.again = now.Add(min(crowdedPause*time.Duration(1+before/(4*places)), longestCrowded))
	return l.again, false
}

// next lists those whose turn it is and who do not ask on their own yet.
func (r *room) next(places int, now time.Time) (out []*lane) {
	for _, l := range r.waiting[:max(0, min(len(r.waiting), places-r.under))] {
		if l.room == r && l.again.After(now) {
			out = append(out, l)
		}
	}
	return out
}

// leave takes one out of the queue.
func (r *room) leave(i int) {
	if r.waiting[i].room == r {
		r.waiting[i].room = nil
	}
	r.waiting = slices.Delete(r.waiting, i, i+1)
}
