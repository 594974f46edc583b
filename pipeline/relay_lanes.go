// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"container/list"
	"sync"
	"time"

	"pecd/clock"
	"pecd/storage"
)

const (
	// The pause of a destination that could not be reached doubles from the
	// first to the longest (ADR 0007 §4).
	firstPause, longestPause = 30 * time.Second, 10 * time.Minute
	// A destination that has put off putOffsInRow messages in a row gets one a
	// putOffPause until it takes or refuses one (ADR 0007 §4).
	putOffsInRow, putOffPause = 8, 100 * time.Millisecond
	// maxLanes is how many destinations are remembered.
	maxLanes = 4096
)

// lanes is what the relay knows of its destinations: which answer, and which
// are in trouble. It is memory only: a restart costs one attempt a destination.
//
// A destination that has not answered yet, or not any more, gets one attempt at
// a time, and all of those together get a part of the workers only. So the
// timeouts of dead and silent servers, however many, leave room for the others.
// One whose answers take long counts as one that has not answered.
//
// One that answers, but puts off whatever comes, gets one at a time, too, and
// few a second: ten thousand messages that it does not take would be as much
// work as ten thousand that others do.
type lanes struct {
	queue storage.Queue
	clock clock.Clock

	mu     sync.Mutex
	byName map[string]*lane
	// proven and strange are the same lanes, those visited longest ago first.
	proven, strange list.List
	ordinary        int // attempts under way to ordinary destinations
	rooms           rooms
}

// lane is one destination.
type lane struct {
	name   string
	under  int       // attempts under way
	proven bool      // it answered the last time
	fails  int       // outages in a row
	putOff int       // messages in a row of which it took and refused nothing
	until  time.Time // the pause, zero for none
	open   bool      // the queue is known to hand out its jobs freely
	// epoch counts the outages, so that attempts that were under way when one
	// began do not each lengthen the pause.
	epoch int

	in    *list.List // lanes.proven or lanes.strange
	place *list.Element
	room  *room     // where it waits for its turn, nil for nowhere
	turn  int       // its number there
	again time.Time // when it is expected to ask again
}

// visit is one attempt under way.
type visit struct {
	lane      *lane
	epoch     int
	certified bool
	room      *room // nil where the destination was proven
	places    int   // of the room
}

func newLanes(q storage.Queue, c clock.Clock) *lanes {
	return &lanes{queue: q, clock: c, byName: make(map[string]*lane)}
}

// begin admits an attempt. ok is false where the job is to go back into the
// queue, which then keeps the lane's jobs for the time being. What has expired
// is always admitted: the queue would hand it out again at once.
func (x *lanes) begin(name string, certified, expired bool, most limits) (v *visit, ok bool) {
	now := x.clock.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	l := x.get(name)
	v = &visit{lane: l, epoch: l.epoch, certified: certified, places: most.of(certified)}
	if !l.proven {
		v.room = x.rooms.of(certified, l.fails > 0)
	}
	if wait, ok := x.wait(v, now, most); !ok && !expired {
		x.pause(l, wait)
		return nil, false
	}
	l.under++
	x.count(v, 1)
	return v, true
}

// wait tells until when a lane's job has to wait for more than its turn.
func (x *lanes) wait(v *visit, now time.Time, most limits) (until time.Time, ok bool) {
	l := v.lane
	switch {
	case now.Before(l.until): // taken just before the pause began
		return l.until, false
	case !l.proven && l.under > 0:
		return now, false
	case !v.certified && x.ordinary >= max(1, most.ordinary):
		return now.Add(crowdedPause), false
	case v.room != nil:
		return v.room.admits(l, v.places, now)
	}
	return now, true
}

func (x *lanes) count(v *visit, n int) {
	if v.room != nil {
		v.room.under += n
	}
	if !v.certified {
		x.ordinary += n
	}
}

// end tells how an attempt went and returns when the next one makes sense. slow
// is one that took longer than what it had to do explains.
func (x *lanes) end(v *visit, a Attempt, slow bool) (next time.Time) {
	now := x.clock.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	l := v.lane
	l.under--
	x.count(v, -1)
	same := v.epoch == l.epoch
	switch c := a.Contact; {
	case c == Answered && l.stalls(a):
		l.proven, l.fails, l.until = false, 0, now.Add(putOffPause)
		x.pause(l, l.until)
	case c == Answered && slow:
		l.proven, l.fails, l.until = false, 0, time.Time{}
		x.pause(l, now)
	case c == Answered:
		l.proven, l.fails, l.until = true, 0, time.Time{}
		if !l.open {
			x.queue.ResumeLane(JobRelay, l.name)
			l.open = true
		}
	case c == Unreached && same:
		l.proven, l.epoch = false, l.epoch+1
		l.until = now.Add(min(firstPause<<min(l.fails, 10), longestPause))
		l.fails++
		x.pause(l, l.until)
	case c == BrokeOff && same:
		// No outage, but a server that keeps its visitors waiting: one at a time.
		l.proven = false
		x.pause(l, now)
	}
	x.visited(l)
	if v.room != nil {
		for _, o := range v.room.next(v.places, now) {
			o.again = now
			if o.until.After(now) { // its turn does not end its pause
				x.pause(o, o.until)
			} else {
				x.pause(o, now)
			}
		}
	}
	if next = now.Add(firstPause); l.until.After(next) {
		next = l.until
	}
	return next
}

// stalls counts what the destination puts off and reports whether it does
// nothing else.
func (l *lane) stalls(a Attempt) bool {
	for _, r := range a.Results {
		if r.Err == nil || !temporary(r.Err) {
			l.putOff = 0
			return false
		}
	}
	l.putOff++
	return l.putOff >= putOffsInRow
}

// pause keeps a lane's jobs in the queue. A pause that is over at once means
// one at a time.
func (x *lanes) pause(l *lane, until time.Time) {
	l.open = false
	x.queue.PauseLane(JobRelay, l.name, until)
}

// down reports whether a destination failed and has not answered since.
func (x *lanes) down(name string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	l := x.byName[name]
	return l != nil && l.fails > 0
}

// paused returns the end of a destination's pause, zero where there is none.
func (x *lanes) paused(name string) time.Time {
	now := x.clock.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	if l := x.byName[name]; l != nil && now.Before(l.until) {
		return l.until
	}
	return time.Time{}
}

// reopen forgets that a destination failed. What is under way to it still does
// not count.
func (x *lanes) reopen(name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if l := x.byName[name]; l != nil {
		l.fails, l.putOff, l.until, l.epoch = 0, 0, time.Time{}, l.epoch+1
	}
	x.queue.ResumeLane(JobRelay, name)
}

// get returns a destination and notes that it is visited.
func (x *lanes) get(name string) *lane {
	l := x.byName[name]
	if l == nil {
		if len(x.byName) >= maxLanes {
			x.forget()
		}
		l = &lane{name: name}
		x.byName[name] = l
	}
	x.visited(l)
	return l
}

// visited puts a lane behind all others of its list.
func (x *lanes) visited(l *lane) {
	if l.in != nil {
		l.in.Remove(l.place)
	}
	l.in = &x.strange
	if l.proven {
		l.in = &x.proven
	}
	l.place = l.in.PushBack(l)
}

// forget drops the destination that was visited longest ago, one that answers
// only where there is no other. Those with attempts under way were visited just
// now, so that few are passed over.
func (x *lanes) forget() {
	for _, in := range []*list.List{&x.strange, &x.proven} {
		for e := in.Front(); e != nil; e = e.Next() {
			if l := e.Value.(*lane); l.under == 0 {
				in.Remove(e)
				delete(x.byName, l.name)
				return
			}
		}
	}
}
