// SPDX-License-Identifier: EUPL-1.2

//go:build !race

package relayload

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"
)

// waiting is how many messages wait in the short form of TestDrain.
const waiting = 1000

const (
	// goal is the part of its undisturbed rate that mail to others keeps.
	goal = 0.9
	// repeats is how often rounds are added to a comparison that misses the goal.
	repeats = 2
	// memory bounds what the heap may grow by, in octets.
	memory = 16 << 20
)

// extent is how long things are measured.
type extent struct {
	rounds        int // each of one undisturbed and one disturbed slice
	warm, measure time.Duration
}

// comparison is one kind of trouble for one kind of mail.
type comparison struct {
	name string
	dead []manner
	// latency of the live destinations: 0 makes the machine the bottleneck;
	// otherwise it is the workers, all of whom are wanted.
	latency  time.Duration
	ordinary bool // all destinations; otherwise they are certified
	long     bool // left out of the short form
}

// TestRate: while ten thousand messages wait for dead destinations, mail to
// others keeps 90 % of its rate.
//
// The rate is that of a stream which never ends: messages are enqueued, one a
// commit, as others are delivered. Two nodes of the same wiring take turns, one
// of which has the dead destinations' messages in its queue.
//
// A shared machine is never quiet. So slices are short and change their order
// with each round, in order that what disturbs them disturbs both nodes; medians
// are compared; where they miss the goal, rounds are added up to twice; and
// what is missed then counts if it is more than twice the standard error. Beside
// the clock stands a measure that neighbours hardly change, and which has to
// reach the goal by itself: where workers are the bottleneck, how many of them
// are at the others' mail; where the machine is, what of it the dead leave.
func TestRate(t *testing.T) {
	e := extent{3, 120 * time.Millisecond, 320 * time.Millisecond}
	if long() {
		e = extent{7, 300 * time.Millisecond, time.Second}
	}
	cert, clk := certificate(t), newLeap()
	plain, one, other, three := newNode(t, clk, "plain"), newNode(t, clk, "one"), newNode(t, clk, "other"), newNode(t, clk, "three")
	other.ordinary = true
	for _, n := range []*node{plain, one, other, three} {
		n.start()
	}
	before := heap()
	one.queue("dead0.example", 10000)
	other.queue("dead0.example", 10000)
	for i := range 3 {
		three.queue(fmt.Sprintf("dead%d.example", i), 3400)
	}
	grown := heap() - before
	t.Logf("30,200 jobs in the queues take %d kB of heap", grown>>10)
	if grown > memory {
		t.Errorf("more than %d MB", memory>>20)
	}
	const far = 80 * time.Millisecond
	all := []manner{refused, mute, hole}
	for _, c := range []comparison{
		{"connections refused", []manner{refused}, 0, false, false},
		{"connections refused, slow mail", []manner{refused}, far, false, true},
		{"no greeting", []manner{mute}, 0, false, true},
		{"no greeting, slow mail", []manner{mute}, far, false, false},
		{"no greeting, slow ordinary mail", []manner{mute}, far, true, true},
		{"black hole", []manner{hole}, 0, false, true},
		{"black hole, slow mail", []manner{hole}, far, false, false},
		{"451 to everything", []manner{putOff}, 0, true, true},
		{"451 to everything, slow mail", []manner{putOff}, far, true, true},
		{"451 under TLS", []manner{greylist}, 0, false, false},
		{"451 under TLS, slow mail", []manner{greylist}, far, false, true},
		{"three of them", all, 0, false, true},
		{"three of them, slow mail", all, far, false, false},
		{"fallen silent, slow mail", []manner{silent}, far, false, true},
		{"fallen silent, slow ordinary mail", []manner{silent}, far, true, false},
	} {
		loaded := one
		switch {
		case len(c.dead) > 1:
			loaded = three
		case c.ordinary:
			loaded = other
		}
		if c.long && !long() {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			live, dead := liveHosts(t, 12, c.latency, cert), deadHosts(t, c.dead, cert)
			plain.ordinary = c.ordinary
			plain.begin(t, live)
			loaded.begin(t, append(dead, live...))
			loaded.compare(plain, c, e, live, dead)
		})
	}
}

func (n *node) begin(t *testing.T, hosts []*host) {
	n.t = t
	n.start(hosts...)
	t.Cleanup(n.shut)
}

// compare takes turns with the node that has no dead destinations.
func (n *node) compare(plain *node, c comparison, e extent, live, dead []*host) {
	if c.dead[0] == silent { // four connections are open when that begins
		dead[0].manner.Store(int32(up))
		stop := n.run()
		time.Sleep(100 * time.Millisecond)
		stop()
		dead[0].manner.Store(int32(silent))
		n.handed.Store(0)
	}
	stop := n.run()
	first := n.prompt(live[0])
	stop()
	began, before := time.Now(), heap()
	var without, with []slice
	var ratio, share float64
	for repeat := 0; repeat <= repeats && min(ratio, share) < goal; repeat++ {
		for range e.rounds {
			i := len(with)
			if c.dead[0] != silent { // whose pause is over now
				n.clock.forward(min(30*time.Second<<i, 10*time.Minute) + time.Second)
			}
			for j := range 2 {
				if i%2 == j {
					without = append(without, plain.slice(live, c, e))
				} else {
					with = append(with, n.slice(live, c, e))
				}
			}
		}
		ratio = median(with, slice.rate) / median(without, slice.rate)
		share = c.share(with, without)
	}
	margin := 2 * ratio * math.Hypot(deviation(with), deviation(without))
	n.t.Logf("%.0f/s undisturbed, %.0f/s disturbed: %.1f %% (medians of %d rounds, ± %.1f %%)",
		median(without, slice.rate), median(with, slice.rate), 100*ratio, len(with), 100*margin)
	if ratio < goal-margin {
		n.t.Errorf("%.1f %% of the undisturbed rate", 100*ratio)
	}
	n.t.Logf("%s: %.1f %%", c.what(), 100*share)
	if share < goal {
		n.t.Errorf("%s: %.1f %%", c.what(), 100*share)
	}
	got, most := attempts(dead, len(with)+1, time.Since(began))
	grown := heap() - before
	n.t.Logf("first message after %v; %d connections to the dead, %d jobs handed out; %d kB more heap",
		first.Round(time.Millisecond), got, n.handed.Load(), grown>>10)
	if grown > memory {
		n.t.Errorf("more than %d MB of heap", memory>>20)
	}
	if handed := int(n.handed.Load()); got > most || handed > 4*most {
		n.t.Errorf("%d connections to the dead for %d jobs, at most %d", got, handed, most)
	}
	received(n.t, live, plain.live.Load()+n.live.Load())
}

// share is the part of the bottleneck that is left to others: of the workers
// where mail is slow, of the machine where it is not.
func (c comparison) share(with, without []slice) float64 {
	if c.latency > 0 {
		return median(with, slice.workers) / median(without, slice.workers)
	}
	each := median(without, func(s slice) float64 { return s.cores() / s.rate() })
	cost := median(with, func(s slice) float64 { return s.cores() - each*s.rate() })
	return 1 - cost/float64(runtime.GOMAXPROCS(0))
}

func (c comparison) what() string {
	if c.latency > 0 {
		return "workers left to others"
	}
	return "of the machine left to others"
}

// slice is what was seen of a stream for a while.
type slice struct {
	messages       int64
	took, cpu, job time.Duration // cpu: of this process; job: spent on jobs by all workers
}

func (s slice) rate() float64    { return float64(s.messages) / s.took.Seconds() } // a second
func (s slice) cores() float64   { return s.cpu.Seconds() / s.took.Seconds() }     // busy, on average
func (s slice) workers() float64 { return s.job.Seconds() / s.took.Seconds() }     // busy, on average

// slice runs the stream for a while.
func (n *node) slice(live []*host, c comparison, e extent) slice {
	stopWorker := n.run()
	stop := n.stream(live)
	time.Sleep(e.warm)
	if c.dead[0] == silent { // it has been for more than some seconds
		n.clock.forward(6 * time.Second)
		time.Sleep(2 * c.latency)
	}
	start, before := time.Now(), slice{messages: n.live.Load(), cpu: n.cpu(), job: n.busy.total()}
	time.Sleep(e.measure)
	s := slice{n.live.Load() - before.messages, time.Since(start), n.cpu() - before.cpu, n.busy.total() - before.job}
	stop()
	stopWorker()
	return s
}

func (n *node) cpu() time.Duration {
	n.t.Helper()
	var u syscall.Rusage
	check(n.t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median(of []slice, figure func(slice) float64) float64 {
	var v []float64
	for _, s := range of {
		v = append(v, figure(s))
	}
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// deviation is the relative standard error of the median rate.
func deviation(of []slice) float64 {
	m := median(of, slice.rate)
	spread := median(of, func(s slice) float64 { return math.Abs(s.rate() - m) })
	return 1.25 * 1.48 * spread / m / math.Sqrt(float64(len(of)))
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one has finalised
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
