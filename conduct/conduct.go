// SPDX-License-Identifier: EUPL-1.2

// Package conduct watches what mailboxes send, and acts where one looks stolen:
// first it is slowed down for an hour, and where it goes on it may not send until
// a person has looked. It is told facts as they happen, in memory, and never makes
// whoever tells them wait; a Keeper carries out what follows (ADR 0029).
//
// A false alarm stops a public body on the day of a deadline, and a late one lets
// some more messages go. So nothing here acts on how much is sent alone.
package conduct

import (
	"sync"
	"time"

	"pecd/clock"
)

// Reach is how far the node goes by itself.
type Reach string

// The reaches: each does what the one before does, too.
const (
	Watch    Reach = "alarm"    // tells operators
	Slow     Reach = "throttle" // slows the mailbox down
	Blocking Reach = "block"    // and then blocks it
)

// Limits are the thresholds. All are positive.
type Limits struct {
	Act Reach
	// RateFactor and RateFloor: unusual are more messages in an hour than RateFloor
	// and than RateFactor times as many as in the busiest hour of the last 14 days.
	RateFactor, RateFloor int
	// Unknown recipients among the last 50 outcomes that do not exist.
	Unknown int
	// Intercepts are messages refused at submission within an hour for what is in them.
	Intercepts int
	// Burst is how many messages within ten minutes look wrong from a login that
	// succeeded from a new network after many wrong passwords of others.
	Burst int
}

// DefaultLimits are the thresholds where nothing else is configured.
func DefaultLimits() Limits {
	return Limits{Act: Blocking, RateFactor: 10, RateFloor: 300, Unknown: 30, Intercepts: 5, Burst: 30}
}

const (
	outcomesKept   = 50             // of the last recipients
	throttledFor   = time.Hour      // how long a mailbox is slowed down
	throttleFactor = 10             // by how much
	remembered     = 24 * time.Hour // how long a throttle counts as the first step
	unusualFor     = time.Hour      // how long an alarm lasts after its last cause
	burstWithin    = 10 * time.Minute
	pressedFor     = time.Hour // how long a login is looked at after it
	habitFor       = 24 * time.Hour
	habitDays      = 14

	maxMailboxes = 20000 // that are watched at once
	compared     = 16    // of them, to make room for another one
	maxPressed   = 4096  // logins
)

// Pattern is what looks wrong, in Italian and English, for holders, operators
// and the log.
type Pattern string

// The patterns.
const (
	ByRate       Pattern = "molti più invii del solito / many more messages than usual"
	ByUnknown    Pattern = "molti destinatari inesistenti / many recipients that do not exist"
	ByIntercepts Pattern = "più messaggi fermati per il loro contenuto / several messages stopped for their contents"
	ByBurst      Pattern = "molti invii dopo tentativi di indovinare la password / many messages after attempts to guess the password"
)

// Sent is one message that was accepted.
type Sent struct {
	Mailbox string // address of the sending mailbox
	Login   string // who sent it
	// Application marks a mailbox of a mass tier: sending much is its purpose. What it
	// sends is told to operators at most, but for intercepts.
	Application bool
}

// Watcher knows what mailboxes did lately. It is safe for concurrent use.
type Watcher struct {
	clk clock.Clock
	lim Limits

	mu      sync.Mutex
	boxes   map[string]*box
	pressed map[string]time.Time // logins under suspicion, until when
	acts    []Act
	blocked map[string]Pattern // mailboxes that are blocked by us
	changed chan struct{}
}

// New returns a Watcher that knows nothing.
func New(clk clock.Clock, lim Limits) *Watcher {
	return &Watcher{
		clk: clk, lim: lim, boxes: make(map[string]*box), pressed: make(map[string]time.Time),
		blocked: make(map[string]Pattern), changed: make(chan struct{}, 1),
	}
}

// Submitted tells that a message was accepted.
func (w *Watcher) Submitted(s Sent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.clk.Now()
	b := w.box(s.Mailbox, now)
	if b == nil {
		return
	}
	b.application = s.Application
	b.count(now)
	if until, ok := w.pressed[s.Login]; ok && now.Before(until) && !s.Application {
		b.burst.add(now, burstWithin, w.lim.Burst)
	}
	w.judge(s.Mailbox, b, now)
}

// Outcome tells what became of recipients of a message that was accepted at an
// instant: how many exist, and how many do not.
func (w *Watcher) Outcome(mailbox string, accepted time.Time, known, unknown int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.clk.Now()
	b := w.box(mailbox, now)
	if b == nil || !accepted.After(b.throttledAt) {
		return // sent before the holder could know: that is what he was slowed down for
	}
	b.outcomes.add(known, unknown)
	w.judge(mailbox, b, now)
}

// Intercepted tells that a message was refused at submission for what is in it.
func (w *Watcher) Intercepted(mailbox string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.clk.Now()
	if b := w.box(mailbox, now); b != nil {
		b.intercepts.add(now, time.Hour, w.lim.Intercepts)
		w.judge(mailbox, b, now)
	}
}

// Pressed tells that a login succeeded from a new network after many wrong
// passwords of strangers.
func (w *Watcher) Pressed(login string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.clk.Now()
	if len(w.pressed) < maxPressed {
		w.pressed[login] = now.Add(pressedFor)
	}
}

// Habit answers a Look: the most messages of one hour in the days before.
func (w *Watcher) Habit(mailbox string, busiest int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.clk.Now()
	if b := w.box(mailbox, now); b != nil {
		b.habit, b.habitAt, b.asked = busiest, now, false
		w.judge(mailbox, b, now)
	}
}

// box returns what is known of a mailbox, nil where too many are watched of which
// something has to be remembered.
func (w *Watcher) box(mailbox string, now time.Time) *box {
	b := w.boxes[mailbox]
	if b == nil {
		if len(w.boxes) >= maxMailboxes && !w.spare(now) {
			return nil
		}
		b = new(box)
		w.boxes[mailbox] = b
	}
	b.seen = now
	return b
}

// spare makes room for another mailbox: of some, in no order, it forgets the one
// of which there is least to say.
func (w *Watcher) spare(now time.Time) bool {
	least, lowest, looked := "", dear, 0
	for m, b := range w.boxes {
		if n := b.weight(now); n < lowest {
			least, lowest = m, n
		}
		if looked++; looked == compared {
			break
		}
	}
	delete(w.boxes, least)
	return lowest < dear
}

// sweep forgets mailboxes and logins of which nothing has to be remembered.
func (w *Watcher) sweep(now time.Time) {
	for m, b := range w.boxes {
		if b.idle(now) {
			delete(w.boxes, m)
		}
	}
	for l, until := range w.pressed {
		if !now.Before(until) {
			delete(w.pressed, l)
		}
	}
}
