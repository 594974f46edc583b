// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"cmp"
	"container/heap"
	"slices"
	"sync"

	"pecd/storage"
)

// jobIndex knows of every job when it is due, in which lane it waits and
// whether it is held: some 100 bytes a job, so that taking due jobs costs the
// same whether ten wait or a million, and that a full lane is passed over at
// once. It follows the database: changes are applied in the order of commits.
type jobIndex struct {
	watch *watchers

	mu    sync.Mutex
	jobs  map[storage.JobID]*jobEntry
	kinds map[string]*jobKind
}

type jobEntry struct {
	id   storage.JobID
	due  int64 // Unix nanoseconds
	lane *jobLane
	pos  int // in lane.jobs; -1: held
}

// jobLane is the jobs of one kind and lane.
type jobLane struct {
	name string
	kind *jobKind
	jobs jobHeap // those that nobody holds
	held int
	pos  int // in kind.lanes; -1: no job waits
}

// jobKind is the lanes of one kind, those with waiting jobs in a heap by their
// earliest job.
type jobKind struct {
	name  string
	lanes laneHeap
	named map[string]*jobLane
}

// jobChange is one committed change: a job that is now due at due and held by
// nobody, or is gone.
type jobChange struct {
	id         storage.JobID
	kind, lane string
	due        int64
	gone       bool
}

func newJobIndex(w *watchers) *jobIndex {
	return &jobIndex{watch: w, jobs: make(map[storage.JobID]*jobEntry), kinds: make(map[string]*jobKind)}
}

// apply takes over committed changes.
func (x *jobIndex) apply(changes []jobChange) {
	if len(changes) == 0 {
		return
	}
	x.mu.Lock()
	for _, c := range changes {
		x.remove(c.id)
		if !c.gone {
			x.add(c)
		}
	}
	x.mu.Unlock()
	for _, c := range changes {
		x.watch.notifyQueue(c.kind)
	}
}

// reload replaces the index by what the database holds; jobs stay held.
func (x *jobIndex) reload(rows []jobChange) {
	x.mu.Lock()
	defer x.mu.Unlock()
	before := x.jobs
	x.jobs, x.kinds = make(map[storage.JobID]*jobEntry, len(rows)), make(map[string]*jobKind)
	for _, c := range rows {
		x.add(c)
		if e := before[c.id]; e != nil && e.pos < 0 {
			x.hold(x.jobs[c.id])
		}
	}
}

func (x *jobIndex) add(c jobChange) {
	k := x.kinds[c.kind]
	if k == nil {
		k = &jobKind{name: c.kind, named: make(map[string]*jobLane)}
		x.kinds[c.kind] = k
	}
	l := k.named[c.lane]
	if l == nil {
		l = &jobLane{name: c.lane, kind: k, pos: -1}
		k.named[c.lane] = l
	}
	e := &jobEntry{id: c.id, due: c.due, lane: l}
	x.jobs[c.id] = e
	heap.Push(&l.jobs, e)
	l.place()
}

// remove forgets a job, held or not.
func (x *jobIndex) remove(id storage.JobID) {
	e := x.jobs[id]
	if e == nil {
		return
	}
	delete(x.jobs, id)
	l := e.lane
	if e.pos < 0 {
		l.held--
	} else {
		heap.Remove(&l.jobs, e.pos)
	}
	l.place()
	if len(l.jobs) == 0 && l.held == 0 {
		delete(l.kind.named, l.name)
		if len(l.kind.named) == 0 {
			delete(x.kinds, l.kind.name)
		}
	}
}

func (x *jobIndex) hold(e *jobEntry) {
	heap.Remove(&e.lane.jobs, e.pos)
	e.lane.held++
	e.lane.place()
}

// release gives a held job back and reports its kind.
func (x *jobIndex) release(id storage.JobID) (kind string, ok bool) {
	e := x.jobs[id]
	if e == nil || e.pos >= 0 {
		return "", false
	}
	e.lane.held--
	heap.Push(&e.lane.jobs, e)
	e.lane.place()
	return e.lane.kind.name, true
}

// place puts the lane where it belongs after its jobs have changed.
func (l *jobLane) place() {
	switch {
	case len(l.jobs) == 0 && l.pos >= 0:
		heap.Remove(&l.kind.lanes, l.pos)
	case len(l.jobs) > 0 && l.pos < 0:
		heap.Push(&l.kind.lanes, l)
	case len(l.jobs) > 0:
		heap.Fix(&l.kind.lanes, l.pos)
	}
}

// take holds up to limit jobs that are due at now and returns them, oldest first.
func (x *jobIndex) take(kind string, now int64, limit, perLane int) []storage.JobID {
	x.mu.Lock()
	defer x.mu.Unlock()
	k := x.kinds[kind]
	if k == nil {
		return nil
	}
	var out []storage.JobID
	var full []*jobLane
	for len(out) < limit && len(k.lanes) > 0 {
		l := k.lanes[0]
		if l.jobs[0].due > now {
			break
		}
		if perLane > 0 && l.name != "" && l.held >= perLane {
			heap.Pop(&k.lanes)
			full = append(full, l)
			continue
		}
		out = append(out, l.jobs[0].id)
		x.hold(l.jobs[0])
	}
	for _, l := range full {
		heap.Push(&k.lanes, l)
	}
	return out
}

// next returns when the earliest job that nobody holds is due.
func (x *jobIndex) next(kind string) (due int64, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	k := x.kinds[kind]
	if k == nil || len(k.lanes) == 0 {
		return 0, false
	}
	return k.lanes[0].jobs[0].due, true
}

// list returns the jobs of a kind, "" for all, by due time.
func (x *jobIndex) list(kind string) []storage.JobID {
	x.mu.Lock()
	var es []jobEntry
	for _, e := range x.jobs {
		if kind == "" || e.lane.kind.name == kind {
			es = append(es, jobEntry{id: e.id, due: e.due})
		}
	}
	x.mu.Unlock()
	slices.SortFunc(es, func(a, b jobEntry) int { return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.id, b.id)) })
	ids := make([]storage.JobID, len(es))
	for i, e := range es {
		ids[i] = e.id
	}
	return ids
}

func (e *jobEntry) before(o *jobEntry) bool {
	return e.due < o.due || e.due == o.due && e.id < o.id
}

// jobHeap orders the waiting jobs of a lane by due time and age.
type jobHeap []*jobEntry

func (h jobHeap) Len() int           { return len(h) }
func (h jobHeap) Less(i, j int) bool { return h[i].before(h[j]) }
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
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	e.pos = -1
	return e
}

// laneHeap orders lanes by their earliest job.
type laneHeap []*jobLane

func (h laneHeap) Len() int           { return len(h) }
func (h laneHeap) Less(i, j int) bool { return h[i].jobs[0].before(h[j].jobs[0]) }
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
	last := len(*h) - 1
	l := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	l.pos = -1
	return l
}
