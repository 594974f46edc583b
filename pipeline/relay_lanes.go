// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"sync"
	"time"

	"pecd/clock"
	"pecd/storage"
)

const (
	// The pause of a destination that could not be reached doubles from the
	// first to the longest (ADR 0007 §4).
	firstPause, longestPause = 30 * time.Second, 10 * time.Minute
	// crowdedPause is how long a destination waits for a place among the trials.
	crowdedPause = 2 * time.Second
	// maxLanes is when destinations of which nothing needs to be known are forgotten.
	maxLanes = 4096
)

// lanes is what the relay knows of its destinations: which answer, and which
// are in trouble. It is memory only: a restart costs one attempt a destination.
//
// A destination that has not answered yet, or not any more, gets one attempt at
// a time, and all of those together get a part of the workers only. So the
// timeouts of dead and silent servers, however many, leave room for the others.
type lanes struct {
	queue storage.Queue
	clock clock.Clock

	mu      sync.Mutex
	byName  map[string]*lane
	strange int // attempts under way to destinations that have not answered yet
	trials  int // of them, to those that failed
}

// lane is one destination.
type lane struct {
	name   string
	under  int       // attempts under way
	proven bool      // it answered the last time
	fails  int       // outages in a row
	until  time.Time // the pause, zero for none
	open   bool      // the queue is known to hand out its jobs freely
	// epoch counts the outages, so that attempts that were under way when one
	// began do not each lengthen the pause.
	epoch int
}

// visit is one attempt under way.
type visit struct {
	lane           *lane
	epoch          int
	strange, trial bool
}

func newLanes(q storage.Queue, c clock.Clock) *lanes {
	return &lanes{queue: q, clock: c, byName: make(map[string]*lane)}
}

// begin admits an attempt. ok is false where the job is to go back into the
// queue, which then keeps the lane's jobs for the time being. What has expired
// is always admitted: the queue would hand it out again at once.
func (x *lanes) begin(name string, expired bool, room int) (v *visit, ok bool) {
	now := x.clock.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	l := x.get(name, now)
	if wait, ok := x.wait(l, now, room); !ok && !expired {
		x.pause(l, wait)
		return nil, false
	}
	v = &visit{lane: l, epoch: l.epoch, strange: !l.proven, trial: l.fails > 0}
	l.under++
	x.count(v, 1)
	return v, true
}

// wait tells until when a lane's job has to wait for more than its turn.
func (x *lanes) wait(l *lane, now time.Time, room int) (until time.Time, ok bool) {
	switch {
	case now.Before(l.until): // taken just before the pause began
		return l.until, false
	case !l.proven && l.under > 0:
		return now, false
	case !l.proven && x.strange >= room, l.fails > 0 && x.trials >= max(1, room/2):
		return now.Add(crowdedPause), false
	}
	return now, true
}

func (x *lanes) count(v *visit, n int) {
	if v.strange {
		x.strange += n
	}
	if v.trial {
		x.trials += n
	}
}

// end tells how an attempt went and returns when the next one makes sense.
func (x *lanes) end(v *visit, c Contact) (next time.Time) {
	now := x.clock.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	l := v.lane
	l.under--
	x.count(v, -1)
	same := v.epoch == l.epoch
	switch {
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
	if next = now.Add(firstPause); l.until.After(next) {
		next = l.until
	}
	return next
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
		l.fails, l.until, l.epoch = 0, time.Time{}, l.epoch+1
	}
	x.queue.ResumeLane(JobRelay, name)
}

func (x *lanes) get(name string, now time.Time) *lane {
	l := x.byName[name]
	if l == nil {
		if len(x.byName) >= maxLanes {
			x.forget(now)
		}
		l = &lane{name: name}
		x.byName[name] = l
	}
	return l
}

// forget drops destinations that nobody visits: those that answer, and those
// whose pause is long over.
func (x *lanes) forget(now time.Time) {
	for name, l := range x.byName {
		if l.under == 0 && (l.fails == 0 || now.Sub(l.until) > longestPause) {
			delete(x.byName, name)
		}
	}
}
