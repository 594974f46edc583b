// SPDX-License-Identifier: EUPL-1.2

package scan

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"pecd/clock"
	"pecd/fault"
)

// Share is the part of an engine that one kind of mail may use.
type Share struct {
	Places int           // scans under way at once; at least 1
	Wait   time.Duration // for a place
	Time   time.Duration // for the verdict, once there is a place
	// Linger is how long a scan that was given up keeps its place: clamd does
	// not notice that nobody waits any more, and goes on until its MaxScanTime.
	Linger time.Duration
}

// Shared looks for a scanner at what must not hold all of its engine: mail that
// anybody can send. It has the scanner's engines, policy and alarms, and places
// and a time of its own. It is safe for concurrent use.
type Shared struct {
	s     *Scanner
	share Share
	clk   clock.Clock

	mu      sync.Mutex
	places  []place
	changed chan struct{} // closed, and made anew, when a place is left
}

// place is taken, or free from an instant on.
type place struct {
	taken bool
	from  time.Time
}

// Share returns a view of s that keeps within sh.
func (s *Scanner) Share(sh Share) *Shared {
	return &Shared{s: s, share: sh, clk: s.cfg.Clock, places: make([]place, max(1, sh.Places)), changed: make(chan struct{})}
}

// Scan is Scanner.Scan. Where no place gets free in time, or the verdict takes
// too long, the message waits: the error is Temporary, and raises no alarm.
func (v *Shared) Scan(ctx context.Context, r io.Reader) (Result, error) {
	i, err := v.enter(ctx)
	if err != nil {
		return Result{}, err
	}
	ctx, done := within(ctx, v.clk, v.share.Time)
	defer done()
	res, err := v.s.Scan(ctx, r)
	from := v.clk.Now()
	if err != nil && ctx.Err() != nil {
		from = from.Add(v.share.Linger)
	}
	v.leave(i, from)
	return res, err
}

// enter waits for a place and takes it.
func (v *Shared) enter(ctx context.Context) (int, error) {
	ctx, done := within(ctx, v.clk, v.share.Wait)
	defer done()
	for {
		i, next, changed := v.take()
		if i >= 0 {
			return i, nil
		}
		var fire <-chan time.Time
		release := func() {}
		if !next.IsZero() {
			fire, release = v.clk.After(next.Sub(v.clk.Now()))
		}
		select {
		case <-fire:
		case <-changed:
		case <-ctx.Done():
		}
		release()
		if ctx.Err() != nil {
			return 0, &fault.Error{Op: "scan.Share", Kind: fault.Temporary, Text: textDown,
				Err: fmt.Errorf("all %d places for mail of this kind are taken: %w", len(v.places), context.Cause(ctx))}
		}
	}
}

// take takes a free place. Without one it returns -1, the instant at which one
// gets free (zero: unknown), and what is closed when another one is left.
func (v *Shared) take() (i int, next time.Time, changed <-chan struct{}) {
	now := v.clk.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, p := range v.places {
		switch {
		case p.taken:
		case !p.from.After(now):
			v.places[i].taken = true
			return i, time.Time{}, nil
		case next.IsZero() || p.from.Before(next):
			next = p.from
		}
	}
	return -1, next, v.changed
}

// leave gives a place back, free from an instant on.
func (v *Shared) leave(i int, from time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.places[i] = place{from: from}
	close(v.changed)
	v.changed = make(chan struct{})
}
