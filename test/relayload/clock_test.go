// SPDX-License-Identifier: EUPL-1.2

package relayload

import (
	"sync"
	"time"
)

// leap is the machine's clock, which can be put forward: pauses and timeouts of
// minutes are over at once, while everything else takes the time it takes.
type leap struct {
	mu     sync.Mutex
	ahead  time.Duration
	timers map[*time.Timer]time.Time // when they fire, by this clock
}

func newLeap() *leap { return &leap{timers: make(map[*time.Timer]time.Time)} }

// Now implements clock.Clock.
func (c *leap) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

// After implements clock.Clock.
func (c *leap) After(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTimer(d)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timers[t] = time.Now().Add(c.ahead + d)
	return t.C, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		t.Stop()
		delete(c.timers, t)
	}
}

// forward puts the clock forward and fires what is due by then.
func (c *leap) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
	now := time.Now().Add(c.ahead)
	for t, at := range c.timers {
		if t.Stop() {
			t.Reset(at.Sub(now))
		}
	}
}
