// SPDX-License-Identifier: EUPL-1.2

package conduct

import (
	"math"
	"time"
)

// box is what is known of one mailbox.
type box struct {
	seen        time.Time
	application bool

	hour    time.Time // that is being counted
	sent    int       // messages of it
	habit   int       // the busiest hour of the days before
	habitAt time.Time // when that was found out; zero: not yet
	asked   bool      // … and is being found out

	outcomes   ring
	intercepts within
	burst      within

	unusual     Pattern   // what is told to operators
	unusualTill time.Time // for how long
	throttledAt time.Time // the first step; zero: not taken
	throttledBy Pattern
	passed      within // messages let through while it is slowed down
	blocking    bool   // the second step is taken …
	stored      bool   // … and the store has it
}

// count counts a message.
func (b *box) count(now time.Time) {
	if h := now.Truncate(time.Hour); h != b.hour {
		b.hour, b.sent = h, 0
	}
	b.sent++
}

// throttled reports whether the mailbox is slowed down.
func (b *box) throttled(now time.Time) bool {
	return !b.throttledAt.IsZero() && now.Before(b.throttledAt.Add(throttledFor))
}

// held reports whether something was done about the mailbox that is not over.
func (b *box) held(now time.Time) bool {
	return b.blocking || !b.throttledAt.IsZero() && now.Before(b.throttledAt.Add(remembered)) || now.Before(b.unusualTill)
}

// idle reports whether nothing of the mailbox has to be remembered. Outcomes come
// in for a day after a message.
func (b *box) idle(now time.Time) bool { return !b.held(now) && now.Sub(b.seen) >= time.Hour }

// dear is the weight of a mailbox that is not forgotten.
const dear = math.MaxInt

// weight is how much there is to say of the mailbox.
func (b *box) weight(now time.Time) int {
	if b.held(now) {
		return dear
	}
	const evidence = 1000 // messages
	n := evidence * (b.outcomes.unknown + b.intercepts.n() + b.burst.n())
	if now.Truncate(time.Hour) == b.hour {
		n += b.sent
	}
	return n
}

// judge looks for patterns after something changed.
func (w *Watcher) judge(mailbox string, b *box, now time.Time) {
	if b.blocking {
		return
	}
	inAnHour := b.sent
	if now.Truncate(time.Hour) != b.hour {
		inAnHour = 0
	}
	if b.outcomes.unknown >= w.lim.Unknown {
		b.outcomes = ring{}
		if b.application {
			w.tell(b, ByUnknown, now) // lists of thousands are old; its holder has a contract
		} else {
			w.step(mailbox, b, ByUnknown, now)
		}
	}
	if b.intercepts.n() >= w.lim.Intercepts {
		b.intercepts = within{}
		w.step(mailbox, b, ByIntercepts, now)
	}
	if b.application {
		return
	}
	many, burst := inAnHour > w.lim.RateFloor, b.burst.n() >= w.lim.Burst
	if !many && !burst {
		return
	}
	if b.habitAt.IsZero() || now.Sub(b.habitAt) >= habitFor {
		if !b.asked {
			b.asked = true
			w.act(Act{Kind: Look, Mailbox: mailbox})
		}
		return
	}
	if many && inAnHour > w.lim.RateFactor*b.habit {
		w.tell(b, ByRate, now)
	}
	if burst && inAnHour > 2*b.habit {
		b.burst = within{}
		w.step(mailbox, b, ByBurst, now)
	}
}

// tell has operators look at the mailbox.
func (w *Watcher) tell(b *box, p Pattern, now time.Time) {
	fresh := b.unusual != p || !now.Before(b.unusualTill)
	b.unusual, b.unusualTill = p, now.Add(unusualFor)
	if fresh {
		w.wake()
	}
}

// step slows the mailbox down, or blocks it where that was done within a day.
func (w *Watcher) step(mailbox string, b *box, p Pattern, now time.Time) {
	first := b.throttledAt.IsZero() || now.Sub(b.throttledAt) >= remembered
	switch {
	case w.lim.Act == Watch:
		w.tell(b, p, now)
	case first:
		b.throttledAt, b.throttledBy, b.passed = now, p, within{}
		b.outcomes, b.intercepts, b.burst = ring{}, within{}, within{} // the second step needs causes of its own
		w.act(Act{Kind: Throttled, Mailbox: mailbox, Pattern: p})
	case w.lim.Act == Slow:
		if !b.throttled(now) {
			w.act(Act{Kind: Throttled, Mailbox: mailbox, Pattern: p})
		}
		b.throttledAt, b.throttledBy = now, p
	default:
		b.blocking = true
		w.blocked[mailbox] = p
		w.act(Act{Kind: Block, Mailbox: mailbox, Pattern: p})
	}
}

// ring is the last outcomes: the oldest goes where another comes.
type ring struct {
	bad     [outcomesKept]bool
	n, next int
	unknown int // of them
}

func (r *ring) add(known, unknown int) {
	for range min(known, outcomesKept) {
		r.push(false)
	}
	for range min(unknown, outcomesKept) {
		r.push(true)
	}
}

func (r *ring) push(bad bool) {
	if r.n == outcomesKept && r.bad[r.next] {
		r.unknown--
	}
	if bad {
		r.unknown++
	}
	r.bad[r.next] = bad
	r.next = (r.next + 1) % outcomesKept
	r.n = min(r.n+1, outcomesKept)
}

// within keeps the last instants of something, as many as are needed.
type within struct{ at []time.Time }

// add notes one, keeps at most the last most, and forgets those of before d.
func (w *within) add(now time.Time, d time.Duration, most int) {
	w.forget(now, d)
	if len(w.at) >= most {
		w.at = append(w.at[:0:0], w.at[len(w.at)-most+1:]...)
	}
	w.at = append(w.at, now)
}

func (w *within) forget(now time.Time, d time.Duration) {
	i := 0
	for i < len(w.at) && now.Sub(w.at[i]) >= d {
		i++
	}
	w.at = w.at[i:]
}

func (w *within) n() int { return len(w.at) }
