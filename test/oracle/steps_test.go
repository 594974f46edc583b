// SPDX-License-Identifier: EUPL-1.2

package oracle

import (
	"os"
	"strconv"
	"time"

	"pecd/fault"
)

// profile is how bad a world is. The figures are chances in a thousand: of the
// network for each message it carries, of the rest for each step.
type profile struct {
	name                               string
	fails, refuses, splits, swallows   int
	alters, delays, doubles, forgets   int
	downs, crashes, disks, keys, leaps int
	hostile, operates                  int
}

var profiles = []profile{
	{name: "calm", leaps: 2, hostile: 5},
	{name: "lossy", fails: 150, splits: 150, doubles: 80, forgets: 150, delays: 60, downs: 15, leaps: 3, hostile: 5},
	{name: "crashing", fails: 30, forgets: 30, crashes: 60, disks: 20, keys: 6, leaps: 2, hostile: 5, operates: 10},
	{name: "silent", fails: 60, swallows: 150, delays: 150, refuses: 30, downs: 20, leaps: 12, hostile: 5, crashes: 8, disks: 10, keys: 10, operates: 10},
	{name: "hostile", alters: 80, doubles: 80, forgets: 60, leaps: 3, hostile: 120, crashes: 8},
	{name: "everything", fails: 60, refuses: 15, splits: 60, swallows: 20, alters: 20, delays: 60, doubles: 40, forgets: 60, downs: 15, crashes: 25, disks: 10, keys: 6, leaps: 5, hostile: 30, operates: 15},
}

// chance is true n times in a thousand.
func (w *world) chance(n int) bool { return n > 0 && w.rng.IntN(1000) < n }

// between is a time of chance, whole seconds.
func (w *world) between(from, to time.Duration) time.Duration {
	return from + time.Duration(w.rng.Int64N(int64((to-from)/time.Second)))*time.Second
}

func (w *world) anyNode() *node { return w.nodes[w.rng.IntN(len(w.nodes))] }

// act takes one step of chance.
func (w *world) act() {
	p := w.profile
	for _, f := range []struct {
		chance int
		do     func()
	}{
		{p.crashes, w.plotCrash}, {p.disks, w.plotFullDisk}, {p.keys, w.breakDown}, {6 * min(1, p.keys), w.mend}, {p.downs, w.cutLine}, {p.leaps, w.leap},
		{p.hostile, w.intrude}, {20, w.ordinaryMail}, {4, w.empty}, {4, w.learn}, {2 * p.operates, w.operate},
	} {
		if w.chance(f.chance) {
			f.do()
			return
		}
	}
	for _, n := range w.nodes {
		if n.store == nil && w.chance(150) {
			w.revive(n)
			return
		}
	}
	switch x := w.rng.IntN(100); {
	case x < 9:
		w.submit()
	case x < 12:
		n := w.anyNode()
		w.note("%s drains", n.name)
		if n.drain() {
			n.deadlinesRan()
		}
	case x < 22:
		w.clock.Advance(w.between(time.Second, 3*time.Minute))
		w.net.arrive(1 + w.rng.IntN(3))
	case x < 24:
		w.clock.Advance(w.between(3*time.Minute, 90*time.Minute))
		w.net.arrive(5)
	default:
		w.someJob()
	}
}

// someJob does one to three jobs that are due, anywhere.
func (w *world) someJob() {
	for range 12 {
		if w.anyNode().work(w.kinds[w.rng.IntN(len(w.kinds))], 1+w.rng.IntN(3)) {
			return
		}
	}
	w.clock.Advance(w.between(time.Second, time.Minute))
	w.net.arrive(1)
}

// leap lets hours go by: with everybody at work, or asleep.
func (w *world) leap() {
	if w.rng.IntN(2) == 0 {
		d := w.between(time.Hour, 13*time.Hour)
		w.note("%s pass at once", d)
		w.clock.Advance(d)
		w.net.arrive(len(w.net.held))
		return
	}
	n := 1 + w.rng.IntN(26)
	w.note("%d half hours pass", n)
	for range n {
		w.clock.Advance(30 * time.Minute)
		w.net.arrive(len(w.net.held))
		for _, n := range w.nodes {
			if n.drain() {
				n.deadlinesRan()
			}
			w.judge.look()
		}
	}
}

func (w *world) plotCrash() {
	n := w.anyNode()
	if n.store == nil {
		return
	}
	n.countdown = w.rng.IntN(4)
	switch w.rng.IntN(5) {
	case 0:
		w.saw("killed", "%s is killed", n.name)
		n.stop()
	case 1, 2:
		n.mode = crashEarly
		w.note("%s will crash before its commit %d from here", n.name, n.countdown)
	default:
		n.mode = crashLate
		w.note("%s will crash after its commit %d from here", n.name, n.countdown)
	}
}

func (w *world) plotFullDisk() {
	n := w.anyNode()
	n.mode, n.countdown = diskFull, w.rng.IntN(3)
	w.note("the disk of %s will be full at its commit %d from here", n.name, n.countdown)
}

// mend gives the nodes back what breakDown took.
func (w *world) mend() {
	for _, n := range w.up() {
		n.sign.away, n.blind, n.engine.down = false, false, false
	}
	w.note("keys, disks and engines are there again")
}

// breakDown takes the key of a node away, or its antivirus, or makes its disk
// unreadable, until mend.
func (w *world) breakDown() {
	n := w.anyNode()
	if n.store == nil {
		return
	}
	switch w.rng.IntN(3) {
	case 0:
		n.blind = true
		w.saw("disk unreadable", "the disk of %s cannot be read", n.name)
	case 1:
		n.engine.down = true
		w.saw("antivirus down", "the antivirus of %s is down", n.name)
	default:
		n.sign.away = true
		w.saw("key away", "the key of %s is away", n.name)
	}
}

// cutLine takes a destination off the network for a while, for one or for all.
func (w *world) cutLine() {
	n := w.anyNode()
	line := ">" + n.domains[w.rng.IntN(len(n.domains))]
	if w.rng.IntN(2) == 0 {
		line = w.anyNode().name + line
	}
	longest := 2 * time.Hour
	if w.rng.IntN(3) == 0 {
		longest = 40 * time.Hour
	}
	until := w.clock.Now().Add(w.between(time.Minute, longest))
	w.net.down[line] = until
	w.saw("line cut", "line %s is cut until %s", line, until.Format("02T15:04"))
}

// empty removes the messages of a mailbox that is nearly full.
func (w *world) empty() {
	n := w.anyNode()
	if n.store != nil {
		n.seen.empty(n, "piena@"+n.domains[w.rng.IntN(len(n.domains))])
	}
}

func trailShown() int {
	if n, err := strconv.Atoi(os.Getenv("PECD_TRAIL")); err == nil {
		return n
	}
	return 60
}

// sayTemporary reports whether an answer asks to try again.
func sayTemporary(err error) bool { return fault.CodesOf(err).SMTP < 500 }
