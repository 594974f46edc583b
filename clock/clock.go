// SPDX-License-Identifier: EUPL-1.2

// Package clock is the one source of time of pecd. Every instant that ends up
// in a receipt, a log record, a deadline or a limit comes from a Clock that was
// handed in, so that tests move time instead of waiting for it.
package clock

import "time"

// Clock tells the time and wakes whoever waits for it.
type Clock interface {
	// Now returns the current instant.
	Now() time.Time
	// After returns a channel that receives one value once d has passed.
	// A waiter that stops early calls the returned function to free the timer.
	After(d time.Duration) (<-chan time.Time, func())
}

// System is the clock of the machine.
type System struct{}

// Now implements Clock.
func (System) Now() time.Time { return time.Now() }

// After implements Clock.
func (System) After(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}
