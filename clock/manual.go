// SPDX-License-Identifier: EUPL-1.2

package clock

import (
	"sync"
	"time"
)

// Manual is a clock that stands still until it is moved. The zero value is not
// usable: call NewManual.
type Manual struct {
	mu      sync.Mutex
	now     time.Time
	waiters map[chan time.Time]time.Time
}

// NewManual returns a clock that shows start.
func NewManual(start time.Time) *Manual {
	return &Manual{now: start, waiters: make(map[chan time.Time]time.Time)}
}

// Now implements Clock.
func (m *Manual) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// After implements Clock. A duration of zero or less fires at once.
func (m *Manual) After(d time.Duration) (<-chan time.Time, func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ch := make(chan time.Time, 1)
	if d <= 0 {
		ch <- m.now
		return ch, func() {}
	}
	m.waiters[ch] = m.now.Add(d)
	return ch, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.waiters, ch)
	}
}

// Advance moves the clock by d and wakes every waiter whose time has come.
func (m *Manual) Advance(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.now.Add(d)
	for ch, at := range m.waiters {
		if !at.After(m.now) {
			ch <- m.now
			delete(m.waiters, ch)
		}
	}
}
