// SPDX-License-Identifier: EUPL-1.2

package ratelimit

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pecd/clock"
)

// idle is how long a mailbox is remembered that sends nothing: the record knows
// it again.
const idle = 10 * time.Minute

// slot is a box with its lock.
type slot struct {
	sync.Mutex // of box
	box

	told atomic.Pointer[told] // by all nodes, when a message was counted last

	// Of the lock of boxes.
	users int // calls and open holds
	used  time.Time
}

// boxes are the mailboxes that sent lately.
type boxes struct {
	clk    clock.Clock
	loc    *time.Location
	record Record

	mu    sync.Mutex
	known map[string]*slot
	swept time.Time
	ids   int64
	made  int64
}

func newBoxes(clk clock.Clock, loc *time.Location, record Record) *boxes {
	// Seconds of the record are numbers, too, and lower.
	return &boxes{clk: clk, loc: loc, record: record, known: make(map[string]*slot), ids: clk.Now().UnixMicro()}
}

// with calls fn with a mailbox locked, moved to the present instant and known.
func (b *boxes) with(ctx context.Context, key string, fn func(s *slot, now time.Time) error) error {
	s := b.enter(key)
	defer b.leave(s)
	s.Lock()
	defer s.Unlock()
	now := b.clk.Now()
	s.advance(now, b.loc)
	if err := s.fill(ctx, b.record, key, now); err != nil {
		return err
	}
	return fn(s, now)
}

// tick moves a mailbox to the present instant, as the board does with each
// question: a clock that is put back closes nothing for longer here than there.
// Whoever has the mailbox in hand has moved it.
func (b *boxes) tick(key string) {
	s := b.enter(key)
	defer b.leave(s)
	if s.TryLock() {
		defer s.Unlock()
		s.advance(b.clk.Now(), b.loc)
	}
}

func (b *boxes) enter(key string) *slot {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clk.Now()
	b.sweep(now)
	s := b.known[key]
	if s == nil {
		b.made++
		s = &slot{box: box{changes: b.made << 32}} // unlike those of a box of the mailbox before
		b.known[key] = s
	}
	s.users++
	s.used = now
	return s
}

func (b *boxes) leave(s *slot) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.users--
}

// sweep forgets who is idle, once a minute.
func (b *boxes) sweep(now time.Time) {
	if d := now.Sub(b.swept); d >= 0 && d < time.Minute {
		return
	}
	b.swept = now
	for key, s := range b.known {
		// A box without users does not change, and can be looked into.
		if s.users == 0 && s.away == (Count{}) && now.Sub(s.used) >= idle {
			delete(b.known, key)
		}
	}
}

// id is a number for a message, larger than those before.
func (b *boxes) id() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ids++
	return b.ids
}

// find returns a mailbox that is known, or nil.
func (b *boxes) find(key string) *slot {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.known[key]
}

// keys are the mailboxes that are known.
func (b *boxes) keys() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Keys(b.known))
}

// above has further numbers above n.
func (b *boxes) above(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ids = max(b.ids, n)
}

// hold counts a message in a locked box. undone, where set, is called with the
// box locked once it does not count any more.
func (b *boxes) hold(s *slot, id int64, now time.Time, recipients int, undone func(ctx context.Context, n Count, how ending)) *Hold {
	n, number, reads := Count{1, recipients}, s.day.number, s.reads
	s.add(id, now, n)
	b.mu.Lock()
	s.users++
	b.mu.Unlock()
	return &Hold{At: now, end: func(ctx context.Context, how ending) {
		defer b.leave(s)
		s.Lock()
		defer s.Unlock()
		s.open = s.open.minus(n)
		if how == kept {
			s.settled(id)
			if s.reads != reads { // the record that was read may have had it: it would count twice
				s.filled, s.known = false, false
			}
			return
		}
		s.remove(id, n, number)
		if how == doubtful {
			s.filled, s.known = false, false
		}
		if undone != nil {
			undone(ctx, n, how)
		}
	}}
}
