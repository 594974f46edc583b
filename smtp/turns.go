// SPDX-License-Identifier: EUPL-1.2

package smtp

// Turns bounds how many messages are worked on at the same instant while they
// come in: scanned, hashed, written to the spool. Clients that send as fast as
// they can would otherwise keep as many goroutines ready to run as there are
// messages, and whoever else wants the processor (a mail client that reads, a
// deadline) would wait behind all of them. Waiting for the client's next octets
// takes no turn.
type Turns struct{ free chan struct{} }

// NewTurns returns n turns, at least one.
func NewTurns(n int) *Turns { return &Turns{free: make(chan struct{}, max(n, 1))} }

// take waits for a turn. Who has one works on some kilobytes and gives it back.
func (t *Turns) take() { t.free <- struct{}{} }

func (t *Turns) give() { <-t.free }
