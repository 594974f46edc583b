// SPDX-License-Identifier: EUPL-1.2

package oracle

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pecd/clock"
	"pecd/pipeline"
	"pecd/storage"
)

// world is three providers, the servers outside, and the network between them.
// Everything in it happens in one goroutine and in an order that the seed
// gives, so that a failing run can be repeated.
type world struct {
	t         *testing.T
	seed      uint64
	rng       *rand.Rand
	clock     *clock.Manual
	authority *authority
	profile   profile
	worst     profile // as the world was before it was healed
	nodes     []*node
	kinds     []string // of jobs
	net       network
	judge     *judge
	step      int
	trail     []string // what happened last
}

func newWorld(t *testing.T, a *authority, seed uint64) *world {
	t.Helper()
	w := &world{
		t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)), clock: clock.NewManual(begin), authority: a,
		kinds: []string{pipeline.JobDeliver, pipeline.JobRelay, pipeline.JobDeadline},
	}
	w.profile = profiles[w.rng.IntN(len(profiles))]
	w.worst = w.profile
	w.net = network{w: w, down: map[string]time.Time{}, refused: map[string]bool{}, carried: map[string]bool{}}
	w.judge = newJudge(w)
	dir := storeDir(t)
	for i, p := range providers {
		n := &node{
			w: w, index: i, name: p.name, domains: p.domains, dir: filepath.Join(dir, p.domains[0]),
			late: map[storage.JobID]bool{}, random: randomReader{rand.New(rand.NewPCG(seed, uint64(i)))},
		}
		if err := os.Mkdir(n.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		n.engine = &engine{n: n, level: 1}
		w.nodes = append(w.nodes, n)
		n.start()
		n.furnish()
	}
	t.Cleanup(func() {
		for _, n := range w.nodes {
			if n.store != nil {
				n.stop()
			}
		}
	})
	return w
}

// storeDir is a directory for the stores: in memory where the machine has one,
// since what crashes here is processes, never the machine.
func storeDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "pecd-oracle-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// nodeOf returns the provider of a domain or address, nil for one outside.
func (w *world) nodeOf(address string) *node {
	domain := strings.ToLower(address[strings.IndexByte(address, '@')+1:])
	for _, n := range w.nodes {
		if slices.Contains(n.domains, domain) {
			return n
		}
	}
	return nil
}

// note keeps what happened for the report of a failing run.
func (w *world) note(format string, args ...any) {
	line := fmt.Sprintf("%5d %s  ", w.step, w.clock.Now().Format("02T15:04:05")) + fmt.Sprintf(format, args...)
	if w.trail = append(w.trail, line); len(w.trail) > 4000 {
		w.trail = slices.Clone(w.trail[1000:])
	}
}

// saw is note for something that every run has to come across.
func (w *world) saw(what, format string, args ...any) {
	w.judge.seen[what]++
	w.note(format, args...)
}

// fail ends the world: what comes after the first broken rule means nothing.
func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	show := w.trail[max(0, len(w.trail)-trailShown()):]
	w.t.Fatalf("seed %d (%s), step %d, %s: %s\nThe last steps:\n%s\nRepeat with PECD_SEED=%d.",
		w.seed, w.profile.name, w.step, w.clock.Now().Format(time.RFC3339), fmt.Sprintf(format, args...), strings.Join(show, "\n"), w.seed)
}

// reap buries the nodes that have crashed.
func (w *world) reap() {
	for _, n := range w.nodes {
		if n.store != nil && n.store.dead {
			w.note("%s crashed", n.name)
			n.stop()
		}
	}
}

// revive starts a node that is down. What was promised before must be there.
func (w *world) revive(n *node) {
	w.note("%s starts", n.name)
	n.start()
	w.judge.remembers(n)
}

// up lists the nodes that run.
func (w *world) up() (list []*node) {
	for _, n := range w.nodes {
		if n.store != nil {
			list = append(list, n)
		}
	}
	return list
}

// run takes n steps of chance, then heals everything, lets it come to rest,
// and has the whole judged.
func (w *world) run(steps int) {
	w.note("profile %s", w.profile.name)
	for w.step = 1; w.step <= steps; w.step++ {
		w.act()
		w.reap()
		w.judge.look()
	}
	w.heal()
	w.rest()
	for range 2 * 26 {
		w.clock.Advance(30 * time.Minute)
		w.rest()
	}
	w.judge.all()
}

// heal ends every fault.
func (w *world) heal() {
	w.note("all is healed")
	w.profile = profile{name: w.profile.name + ", healed"}
	clear(w.net.down)
	for _, n := range w.nodes {
		n.mode, n.blind, n.engine.down = noCrash, false, false
		if n.store == nil {
			w.revive(n)
		}
		n.sign.away = false
	}
}

// rest works until nothing is left but deadlines to wait for.
func (w *world) rest() {
	for range 2000 {
		for _, n := range w.nodes {
			if n.drain() {
				n.deadlinesRan()
			}
			w.judge.look()
		}
		next, ok := w.nextWork()
		if !ok {
			return
		}
		if d := next.Sub(w.clock.Now()); d > 0 {
			w.clock.Advance(d)
		}
		w.net.arrive(len(w.net.held))
		w.judge.look()
	}
	w.fail("the world does not come to rest")
}

// nextWork is when the next message moves.
func (w *world) nextWork() (at time.Time, ok bool) {
	sooner := func(t time.Time) {
		if !ok || t.Before(at) {
			at, ok = t, true
		}
	}
	for _, n := range w.nodes {
		for _, kind := range []string{pipeline.JobDeliver, pipeline.JobRelay} {
			due, some, err := n.store.NextDue(context.Background(), kind, 0)
			if err != nil {
				w.fail("%s: NextDue: %v", n.name, err)
			}
			if some {
				sooner(due)
			}
		}
	}
	for _, p := range w.net.held {
		sooner(p.due)
	}
	return at, ok
}

// leftovers lists the jobs of a node.
func (n *node) leftovers() (list []storage.Job) {
	if err := n.store.Jobs(context.Background(), "", func(j storage.Job) error {
		list = append(list, j)
		return nil
	}); err != nil {
		n.w.fail("%s: Jobs: %v", n.name, err)
	}
	return list
}
