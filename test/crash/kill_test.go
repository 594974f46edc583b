// SPDX-License-Identifier: EUPL-1.2

package crash

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// killsOfSite is how many kills a site sees, about, before it is drained and
// judged as a whole, and a new one takes its place: reading everything back
// after each kill costs what there is.
const killsOfSite = 10

// goal is how long a run takes at least, and how many kills it makes.
type goal struct {
	end   time.Time
	kills int
}

// aim is CRASH_TIME and CRASH_KILLS, or what a test among others may take.
func aim(t *testing.T) goal {
	d, kills := 15*time.Second, 1
	var err error
	if text := os.Getenv("CRASH_TIME"); text != "" {
		if d, err = time.ParseDuration(text); err != nil {
			t.Fatalf("CRASH_TIME: %v", err)
		}
	}
	if text := os.Getenv("CRASH_KILLS"); text != "" {
		if kills, err = strconv.Atoi(text); err != nil {
			t.Fatalf("CRASH_KILLS: %v", err)
		}
	}
	return goal{time.Now().Add(d), kills}
}

func (g goal) reached(k *killing) bool { return k.kills >= g.kills && time.Now().After(g.end) }

// seed is CRASH_SEED, or another one each time.
func seed(t *testing.T) *rand.Rand {
	n := rand.Uint64N(1_000_000)
	if text := os.Getenv("CRASH_SEED"); text != "" {
		var err error
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("CRASH_SEED: %v", err)
		}
	}
	t.Logf("CRASH_SEED=%d", n)
	return rand.New(rand.NewPCG(n, 0))
}

// killing is the sum of a run.
type killing struct {
	kills, early, sites, verified, compared, read, changes, moved int
	told                                                          [accepted + 1]int
}

func (k *killing) String() string {
	return fmt.Sprintf("%d kills (%d of them during start-up) on %d sites; %d submissions answered 250, %d refused, %d without an answer; "+
		"%d changes by IMAP and %d moves; %d verifications, %d comparisons after restarts, %d messages read and judged",
		k.kills, k.early, k.sites, k.told[accepted], k.told[refused], k.told[unknown]+k.told[never], k.changes, k.moved, k.verified, k.compared, k.read)
}

// TestKills kills providers at random instants, restarts them and goes on, for
// CRASH_TIME. Nothing that was acknowledged is lost or doubled, and what was
// not is there entirely or not at all.
func TestKills(t *testing.T) {
	rnd := seed(t)
	from := template(t)
	g := aim(t)
	var sum killing
	for !g.reached(&sum) && !t.Failed() {
		killSite(t, from, rnd, g, &sum)
	}
	t.Log(&sum)
	if sum.kills == 0 || sum.told[accepted] == 0 || sum.changes == 0 {
		t.Error("nothing was tried")
	}
}

// killSite is the life of one site.
func killSite(t *testing.T, from string, rnd *rand.Rand, g goal, sum *killing) {
	dir := filepath.Join(t.TempDir(), "site")
	s := newSite(t, from, dir)
	defer os.RemoveAll(dir)
	defer s.kill()
	sum.sites++
	for _, n := range s.nodes {
		n.up(t)
	}
	l := newLoad(t, s, rnd, 600*time.Millisecond)
	w := newWatch()
	l.begin(rnd)
	for range killsOfSite/2 + rnd.IntN(killsOfSite) {
		if t.Failed() || g.reached(sum) {
			break
		}
		for _, n := range s.strike(t, l, rnd, sum) {
			w.look(t, n, l.books)
			if rnd.IntN(2) == 0 {
				n.command(t, "queue", "retry", "--all", "--yes") // or destinations stay in their pauses
			}
		}
	}
	l.end()
	s.drain(t)
	for _, k := range l.keepers {
		err := k.c == nil
		if !err {
			err = k.compare(true) != nil
		}
		if err && (k.connect() != nil || k.compare(true) != nil) {
			t.Errorf("%s cannot be read", k.login)
		}
		sum.changes += k.changes
	}
	sum.read += s.judge(t, l.books)
	for _, n := range s.nodes {
		n.verify(t)
		sum.verified++
		if err := n.proc.terminate(); err != nil {
			t.Error(err)
		}
	}
	for i, c := range l.books.count() {
		sum.told[i] += c
	}
	sum.compared += w.checks
	sum.moved += int(l.moved.Load())
	if t.Failed() {
		s.keep(t)
	}
}

// strike waits a moment, kills one provider or both, looks at what is left, and
// starts them again. It returns those that were killed.
func (s *site) strike(t *testing.T, l *load, rnd *rand.Rand, sum *killing) []*node {
	victims := s.nodes
	if rnd.IntN(4) > 0 {
		victims = victims[rnd.IntN(2):][:1]
	}
	time.Sleep(time.Duration(rnd.ExpFloat64()*400) * time.Millisecond)
	l.hurry()
	time.Sleep(50*time.Millisecond + time.Duration(rnd.ExpFloat64()*200)*time.Millisecond)
	for early := false; ; early = true {
		for _, n := range victims {
			if !n.proc.alive() {
				t.Errorf("%s ended by itself: %v\n%s", n.name, n.proc.err, n.proc.out.tail())
			}
			_ = n.proc.cmd.Process.Kill() // both before one is waited for
		}
		if !early {
			l.calm()
		}
		for _, n := range victims {
			n.proc.kill()
			sum.kills++
			if early {
				sum.early++
			}
			sum.verified++
			if rnd.IntN(2) == 0 {
				n.verify(t)
			} else {
				n.verifyCopy(t)
			}
		}
		for _, n := range victims {
			n.start(t)
		}
		if rnd.IntN(4) > 0 {
			break
		}
		time.Sleep(time.Duration(rnd.IntN(400)) * time.Millisecond)
	}
	for _, n := range victims {
		if err := n.proc.ready(time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	return victims
}

// keep keeps the site for whoever looks into a failure.
func (s *site) keep(t *testing.T) {
	s.kill()
	to, err := os.MkdirTemp("", "pecd-crash-failed-")
	if err == nil {
		err = copyTree(s.dir, to)
	}
	t.Logf("the site is kept in %s (%v)", to, err)
	for _, n := range s.nodes {
		t.Logf("%s said:\n%s", n.name, n.proc.out.tail())
	}
}
