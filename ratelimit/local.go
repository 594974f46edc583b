// SPDX-License-Identifier: EUPL-1.2

package ratelimit

import (
	"context"
	"time"

	"pecd/clock"
	"pecd/fault"
)

// Config is what both limiters need.
type Config struct {
	Clock    clock.Clock
	Location *time.Location // of legal time
	Record   Record
}

// Local counts in this process: exact for a node that shares its mailboxes with
// no other.
type Local struct{ boxes *boxes }

var _ Limiter = (*Local)(nil)

// NewLocal returns a limiter of one node by itself.
func NewLocal(cfg Config) *Local { return &Local{newBoxes(cfg.Clock, cfg.Location, cfg.Record)} }

// Peek implements Limiter.
func (l *Local) Peek(ctx context.Context, key string, f Figures, recipients int) (room int, err error) {
	const op = "ratelimit.Peek"
	err = l.boxes.with(ctx, key, func(s *slot, _ time.Time) error {
		st := s.state(f, l.boxes.loc)
		room = st.room()
		return st.answer(op, f, recipients)
	})
	return room, fault.Wrap(op, err)
}

// Take implements Limiter.
func (l *Local) Take(ctx context.Context, key string, f Figures, recipients int) (h *Hold, err error) {
	const op = "ratelimit.Take"
	err = l.boxes.with(ctx, key, func(s *slot, now time.Time) error {
		if err := s.state(f, l.boxes.loc).answer(op, f, recipients); err != nil {
			return err
		}
		h = l.boxes.hold(s, l.boxes.id(), now, recipients, nil)
		return nil
	})
	return h, fault.Wrap(op, err)
}

// Use implements Limiter.
func (l *Local) Use(ctx context.Context, key string, f Figures) (u Use, err error) {
	err = l.boxes.with(ctx, key, func(s *slot, _ time.Time) error {
		u = s.state(f, l.boxes.loc).use()
		return nil
	})
	return u, fault.Wrap("ratelimit.Use", err)
}

// state is that of a mailbox of which other nodes know nothing.
func (b *box) state(f Figures, loc *time.Location) state {
	return state{figures: f, minute: b.sum, day: b.today, ends: b.day.end, loc: loc, opens: b.opens}
}
