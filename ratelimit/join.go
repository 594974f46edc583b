// SPDX-License-Identifier: EUPL-1.2

package ratelimit

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"slices"
	"time"
)

// beatEvery is how often a node says that it is there and asks what the others
// have accepted, or tries to come back.
const beatEvery = time.Second

// Run keeps the nodes in touch until ctx ends.
func (s *Shared) Run(ctx context.Context) {
	for {
		s.Beat(ctx)
		fire, release := s.boxes.clk.After(beatEvery)
		select {
		case <-fire:
		case <-ctx.Done():
		}
		release()
		if ctx.Err() != nil {
			return
		}
	}
}

// Beat does once what Run does again and again. A node calls it before it serves,
// so that it does not begin alone. Calls must not overlap.
func (s *Shared) Beat(ctx context.Context) {
	if s.InUse() {
		err := s.trying(func() (again, err error) {
			if !s.on {
				return nil, nil
			}
			return s.catchUp(ctx), nil
		})
		if err == nil && s.InUse() {
			return
		}
	}
	if err := s.join(ctx); err != nil {
		s.log.Debug("send limits: this node is alone", "error", err)
	}
}

// catchUp tells the others that this node is there and brings the mirror up to
// date. The board is in use: nobody looks into the mirror.
func (s *Shared) catchUp(ctx context.Context) error {
	now := s.boxes.clk.Now()
	m := &s.mirror
	if d := dayOf(now, s.boxes.loc); m.day != d.number {
		*m = mirror{at: m.at, day: d.number, upTo: "0", of: make(map[string]Count)}
	}
	for try := 0; ; try++ {
		known := s.seq.Load()
		r, more, err := s.page(ctx, m, now, true)
		if err == nil {
			err = s.note(r, known)
		}
		switch {
		case err == nil && more:
			try = 0
		case err == nil:
			m.at = now
			return nil
		case try == attempts || s.nodes == 1 || errors.Is(err, errEpoch) || errors.Is(err, errBehind):
			s.failing.Store(true)
			return err
		}
	}
}

// page reads some of what changed into a mirror.
func (s *Shared) page(ctx context.Context, m *mirror, now time.Time, present bool) (r reply, more bool, err error) {
	r, upTo, others, err := s.board.changes(ctx, now, m.day, m.upTo, present)
	if err != nil {
		return r, false, err
	}
	m.upTo = upTo
	for key, n := range others {
		if _, there := m.of[key]; there || n != (Count{}) && len(m.of) < maxMirror {
			m.of[key] = n
		}
	}
	return r, len(others) == changesAtOnce, nil
}

// record is what of the record was told: which change of each mailbox.
type record struct {
	epoch  string
	day    int
	before map[string]int64
}

// join tells the board all that this node has accepted, and then uses it, once
// all nodes have done so.
func (s *Shared) join(ctx context.Context) error {
	now := s.boxes.clk.Now()
	d := dayOf(now, s.boxes.loc)
	fresh, err := newEpoch()
	if err != nil {
		return err
	}
	if err := s.board.begin(ctx, fresh, now); err != nil {
		return err
	}
	if s.told.epoch != s.board.epoch || s.told.day != d.number {
		s.told = record{}
		before, err := s.tellRecord(ctx, now, d)
		if err != nil {
			return err
		}
		s.told = record{s.board.epoch, d.number, before}
	}
	m := mirror{day: d.number, upTo: "0", of: make(map[string]Count)}
	for more := true; more; {
		if _, more, err = s.page(ctx, &m, now, false); err != nil {
			return err
		}
	}

	// Nobody counts from here on.
	s.mode.Lock()
	defer s.mode.Unlock()
	now = s.boxes.clk.Now()
	if dayOf(now, s.boxes.loc).number != d.number {
		return errors.New("the day has ended")
	}
	if err := s.tellRest(ctx, now, s.told.before); err != nil {
		return err
	}
	r, complete, err := s.board.settle(ctx, now)
	if err == nil && !complete {
		return errors.New("not all nodes have told what they accepted")
	}
	for more := true; err == nil && more; {
		_, more, err = s.page(ctx, &m, now, false)
	}
	if err != nil {
		// The others may think this node present from now on.
		s.lost, s.mirror = now, mirror{}
		return err
	}
	m.at = now
	s.on, s.mirror = true, m
	s.failing.Store(false)
	s.seq.Store(r.seq)
	s.last.Store(&heard{r, now})
	for _, b := range s.boxes.known {
		b.away, b.fresh = Count{}, false
	}
	s.told = record{}
	s.log.Info("send limits: counted by all nodes together", "present", r.present, "nodes", r.nodes)
	return nil
}

func newEpoch() (string, error) {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		return "", err
	}
	return hex.EncodeToString(b), nil
}

// tellRecord tells of all mailboxes that sent today or within the last minute,
// and returns how often each had changed by then.
func (s *Shared) tellRecord(ctx context.Context, now time.Time, d day) (map[string]int64, error) {
	from := d.start
	if minute := now.Add(-span - time.Second); minute.Before(from) {
		from = minute
	}
	keys := s.boxes.keys()
	err := s.boxes.record.Senders(ctx, from, func(key string) error {
		keys = append(keys, key)
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(keys)
	before := make(map[string]int64, len(keys))
	var some []news
	for _, key := range slices.Compact(keys) {
		err := s.boxes.with(ctx, key, func(b *slot, _ time.Time) error {
			if b.day.number != d.number {
				return errors.New("the day has ended")
			}
			some = append(some, s.telling(key, b))
			before[key] = b.changes
			return nil
		})
		if err != nil {
			return nil, err
		}
		if len(some) == pushAtOnce {
			if err := s.tell(ctx, now, some); err != nil {
				return nil, err
			}
			some = nil
		}
	}
	return before, s.tell(ctx, now, some)
}

// tellRest tells of what has changed since. All mailboxes are locked.
func (s *Shared) tellRest(ctx context.Context, now time.Time, before map[string]int64) error {
	var some []news
	for key, b := range s.boxes.known {
		if n, was := before[key]; was && n == b.changes {
			continue
		}
		b.advance(now, s.boxes.loc)
		if err := b.fill(ctx, s.boxes.record, key, now); err != nil {
			return err
		}
		some = append(some, s.telling(key, b))
	}
	return s.tell(ctx, now, some)
}

func (s *Shared) telling(key string, b *slot) news {
	return news{box: key, version: s.boxes.id(), day: b.day.number, own: b.today, minute: slices.Clone(b.minute)}
}

func (s *Shared) tell(ctx context.Context, now time.Time, all []news) error {
	err := s.board.tell(ctx, now, all)
	var stale *staleError
	if errors.As(err, &stale) {
		s.boxes.above(stale.last) // the next attempt is
	}
	return err
}
