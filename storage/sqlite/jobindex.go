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
// whether somebody has it: some 150 bytes a job, so that taking due jobs costs
// the same whether ten wait or a million, and that a full or paused lane is
// passed over at once. It follows the database: changes are applied in the
// order of commits.
type jobIndex struct {
	watch *watchers

	mu     sync.Mutex
	jobs   map[storage.JobID]*jobEntry
	kinds  map[string]*jobKind
	pauses map[laneName]int64 // Unix nanoseconds; a lane may be empty for a moment
	rows   int                // jobs whose row is kept
}

// A job that is taken soon after it was queued need not be read back: the rows
// of keptRows jobs are kept, of those with a small payload.
const keptRows, keptPayload = 4096, 1 << 10

// jobKind is the lanes of one kind, those with waiting jobs in a heap by the
// instant at which they have something to hand out.
type jobKind struct {
	name  string
	lanes laneHeap
	named map[string]*jobLane
}

type laneName struct{ kind, lane string }

// jobChange is one committed change: a job that is now due at due and that
// nobody has, or is gone.
type jobChange struct {
	id           storage.JobID
	kind, lane   string
	due, expires int64
	held         bool // by an operator
	gone         bool
	// kept: only the hold changed, and whoever has the job still has it.
	kept bool
	row  *storage.Job // of a job just queued; nil: to be read
}

// takenJob is a job handed out. Its row is the caller's; nil: to be read.
type takenJob struct {
	id  storage.JobID
	row *storage.Job
}

func newJobIndex(w *watchers) *jobIndex {
	return &jobIndex{
		watch: w, jobs: make(map[storage.JobID]*jobEntry), kinds: make(map[string]*jobKind), pauses: make(map[laneName]int64),
	}
}

// apply takes over committed changes.
func (x *jobIndex) apply(changes []jobChange) {
	if len(changes) == 0 {
		return
	}
	x.mu.Lock()
	for _, c := range changes {
		had := x.jobs[c.id]
		taken := c.kept && had != nil && had.taken
		x.remove(c.id)
		if !c.gone {
			x.add(c, taken)
		}
	}
	x.mu.Unlock()
	for _, c := range changes {
		x.watch.notifyQueue(c.kind)
	}
}

// reload replaces the index by what the database holds; jobs stay with those who have them.
func (x *jobIndex) reload(rows []jobChange) {
	x.mu.Lock()
	defer x.mu.Unlock()
	before := x.jobs
	x.jobs, x.kinds = make(map[storage.JobID]*jobEntry, len(rows)), make(map[string]*jobKind)
	x.rows = 0
	for _, c := range rows {
		had := before[c.id]
		x.add(c, had != nil && had.taken)
	}
}

func (x *jobIndex) add(c jobChange, taken bool) {
	k := x.kinds[c.kind]
	if k == nil {
		k = &jobKind{name: c.kind, named: make(map[string]*jobLane)}
		x.kinds[c.kind] = k
	}
	l := k.named[c.lane]
	if l == nil {
		l = &jobLane{name: c.lane, kind: k, pos: -1, paused: x.pauses[laneName{c.kind, c.lane}]}
		k.named[c.lane] = l
	}
	e := &jobEntry{id: c.id, due: c.due, expires: c.expires, held: c.held, lane: l, taken: taken, pos: -1, epos: -1}
	x.jobs[c.id] = e
	if c.row != nil && !taken && x.rows < keptRows {
		e.row = c.row
		x.rows++
	}
	if taken {
		l.taken++
	} else {
		l.push(e)
	}
	l.place()
}

// remove forgets a job, whoever has it.
func (x *jobIndex) remove(id storage.JobID) {
	e := x.jobs[id]
	if e == nil {
		return
	}
	delete(x.jobs, id)
	x.forgetRow(e)
	l := e.lane
	if e.taken {
		l.taken--
	} else {
		l.drop(e)
	}
	l.place()
	if len(l.jobs) == 0 && l.taken == 0 {
		delete(l.kind.named, l.name)
		if len(l.kind.named) == 0 {
			delete(x.kinds, l.kind.name)
		}
	}
}

// forgetRow returns the row that was kept of a job, for the last time.
func (x *jobIndex) forgetRow(e *jobEntry) *storage.Job {
	row := e.row
	if row != nil {
		e.row = nil
		x.rows--
	}
	return row
}

// hand gives a waiting job to the caller.
func (e *jobEntry) hand() {
	e.lane.drop(e)
	e.taken = true
	e.lane.taken++
	e.lane.place()
}

// release gives a job back and reports its kind.
func (x *jobIndex) release(id storage.JobID) (kind string, ok bool) {
	e := x.jobs[id]
	if e == nil || !e.taken {
		return "", false
	}
	e.taken = false
	e.lane.taken--
	e.lane.push(e)
	e.lane.place()
	return e.lane.kind.name, true
}

// take hands out up to limit jobs that are due at now, oldest first.
func (x *jobIndex) take(kind string, now int64, limit, perLane int) []takenJob {
	x.mu.Lock()
	defer x.mu.Unlock()
	k := x.kinds[kind]
	if k == nil {
		return nil
	}
	var out []takenJob
	var passed []*jobLane
	for len(out) < limit && len(k.lanes) > 0 && k.lanes[0].ready <= now {
		l := k.lanes[0]
		e := l.next(now, perLane)
		if e == nil {
			heap.Pop(&k.lanes)
			passed = append(passed, l)
			continue
		}
		out = append(out, takenJob{e.id, x.forgetRow(e)})
		e.hand()
	}
	for _, l := range passed {
		heap.Push(&k.lanes, l)
	}
	return out
}

// takeOne hands out one job. known is false where there is none of that number.
func (x *jobIndex) takeOne(id storage.JobID) (known, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.jobs[id]
	if e == nil || e.taken {
		return e != nil, false
	}
	x.forgetRow(e)
	e.hand()
	return true, true
}

// next returns when the earliest job may be handed out, lanes left out that are
// full with perLane jobs.
func (x *jobIndex) next(kind string, perLane int) (at int64, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	k := x.kinds[kind]
	if k == nil {
		return 0, false
	}
	for _, l := range k.lanes {
		ready, open := l.readyWith(perLane)
		if open && (!ok || ready < at) {
			at, ok = ready, true
		}
	}
	return at, ok
}

// maxPauses is when pauses that are long over are looked for and forgotten.
const maxPauses = 1024

// pause keeps a lane back until an instant, or ends its pause (0).
func (x *jobIndex) pause(kind, lane string, until, now int64) {
	if lane == "" {
		return
	}
	x.mu.Lock()
	name := laneName{kind, lane}
	if until == 0 {
		delete(x.pauses, name)
	} else {
		if len(x.pauses) >= maxPauses {
			x.forgetPauses(now)
		}
		x.pauses[name] = until
	}
	if k := x.kinds[kind]; k != nil {
		if l := k.named[lane]; l != nil {
			l.paused = until
			l.place()
		}
	}
	x.mu.Unlock()
	x.watch.notifyQueue(kind)
}

// forgetPauses drops those that are over and whose lanes have no jobs.
func (x *jobIndex) forgetPauses(now int64) {
	for name, until := range x.pauses {
		if k := x.kinds[name.kind]; until < now && (k == nil || k.named[name.lane] == nil) {
			delete(x.pauses, name)
		}
	}
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
