// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"container/heap"
	"math"

	"pecd/storage"
)

// jobEntry is one job of the index.
type jobEntry struct {
	id      storage.JobID
	due     int64 // Unix nanoseconds
	expires int64 // 0: never
	held    bool  // by an operator
	taken   bool  // somebody has it
	lane    *jobLane
	pos     int          // in lane.jobs; -1: taken
	epos    int          // in lane.expiring; -1: taken, or never expires
	row     *storage.Job // kept until it is taken; nil: in the database only
}

const never = math.MaxInt64

// at is when the job may be handed out, as far as it depends on the job.
func (e *jobEntry) at() int64 {
	end := e.expires
	if end == 0 {
		end = never
	}
	if e.held {
		return end
	}
	return min(e.due, end)
}

// jobLane is the jobs of one kind and lane.
type jobLane struct {
	name     string
	kind     *jobKind
	jobs     jobHeap    // those that nobody has
	expiring expiryHeap // of them, those that expire
	taken    int
	held     int   // of jobs, those that an operator keeps back
	paused   int64 // until then nothing but what has expired; after it one at a time; 0: no pause
	ready    int64 // when next has something to hand out
	pos      int   // in kind.lanes; -1: no job waits
}

func (l *jobLane) push(e *jobEntry) {
	heap.Push(&l.jobs, e)
	l.held += btoi(e.held)
	if e.expires != 0 {
		heap.Push(&l.expiring, e)
	}
}

func (l *jobLane) drop(e *jobEntry) {
	heap.Remove(&l.jobs, e.pos)
	l.held -= btoi(e.held)
	if e.epos >= 0 {
		heap.Remove(&l.expiring, e.epos)
	}
}

// place puts the lane where it belongs after its jobs or its pause have changed.
func (l *jobLane) place() {
	if len(l.jobs) > 0 {
		l.ready = min(max(l.paused, l.jobs[0].at()), l.firstExpiry())
	}
	switch {
	case len(l.jobs) == 0 && l.pos >= 0:
		heap.Remove(&l.kind.lanes, l.pos)
	case len(l.jobs) > 0 && l.pos < 0:
		heap.Push(&l.kind.lanes, l)
	case len(l.jobs) > 0:
		heap.Fix(&l.kind.lanes, l.pos)
	}
}

func (l *jobLane) firstExpiry() int64 {
	if len(l.expiring) == 0 {
		return never
	}
	return l.expiring[0].expires
}

// next returns the job to hand out at now, nil for none. Whatever has expired
// goes as soon as the lane has room.
func (l *jobLane) next(now int64, perLane int) *jobEntry {
	if l.name != "" && perLane > 0 && l.taken >= perLane {
		return nil
	}
	if l.paused > now || l.paused > 0 && l.taken > 0 { // paused, or on trial
		if l.firstExpiry() <= now {
			return l.expiring[0]
		}
		return nil
	}
	if e := l.jobs[0]; e.at() <= now {
		return e
	}
	return nil
}

// readyWith returns when next has something to hand out while those who have
// jobs of the lane keep them; open is false where it never has.
func (l *jobLane) readyWith(perLane int) (at int64, open bool) {
	switch {
	case l.name != "" && perLane > 0 && l.taken >= perLane:
		return 0, false
	case l.paused > 0 && l.taken > 0:
		at = l.firstExpiry()
	default:
		at = l.ready
	}
	return at, at != never
}

// jobHeap orders the waiting jobs of a lane by when they may go, and age.
type jobHeap []*jobEntry

func (h jobHeap) Len() int { return len(h) }
func (h jobHeap) Less(i, j int) bool {
	a, b := h[i].at(), h[j].at()
	return a < b || a == b && h[i].id < h[j].id
}
func (h jobHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i, j
}
func (h *jobHeap) Push(v any) {
	e := v.(*jobEntry)
	e.pos = len(*h)
	*h = append(*h, e)
}
func (h *jobHeap) Pop() any {
	e := pop((*[]*jobEntry)(h))
	e.pos = -1
	return e
}

// expiryHeap orders them by when they expire.
type expiryHeap []*jobEntry

func (h expiryHeap) Len() int { return len(h) }
func (h expiryHeap) Less(i, j int) bool {
	return h[i].expires < h[j].expires || h[i].expires == h[j].expires && h[i].id < h[j].id
}
func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].epos, h[j].epos = i, j
}
func (h *expiryHeap) Push(v any) {
	e := v.(*jobEntry)
	e.epos = len(*h)
	*h = append(*h, e)
}
func (h *expiryHeap) Pop() any {
	e := pop((*[]*jobEntry)(h))
	e.epos = -1
	return e
}

// laneHeap orders lanes by when they are ready, and then by their earliest job.
type laneHeap []*jobLane

func (h laneHeap) Len() int { return len(h) }
func (h laneHeap) Less(i, j int) bool {
	return h[i].ready < h[j].ready || h[i].ready == h[j].ready && h[i].jobs[0].id < h[j].jobs[0].id
}
func (h laneHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i, j
}
func (h *laneHeap) Push(v any) {
	l := v.(*jobLane)
	l.pos = len(*h)
	*h = append(*h, l)
}
func (h *laneHeap) Pop() any {
	l := pop((*[]*jobLane)(h))
	l.pos = -1
	return l
}

func pop[T any](h *[]*T) *T {
	last := len(*h) - 1
	v := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return v
}
