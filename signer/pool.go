// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"context"
	"slices"
	"sync"
)

// pool bounds how many signatures are made at once. With a software key each
// occupies a core for a quarter of a millisecond or more, and more of them than
// cores would only delay each other and everything else; a token has so many
// sessions. One inside libcrypto or a token holds an operating-system thread as
// well, of which there are then no more than slots, and the runtime gives the
// processor's share of it to another goroutine.
//
// What is under way goes before what is to come: receipts and notices wait
// before acceptances, so that a provider that is asked for more than it can do
// accepts less instead of falling behind with what it has accepted. Now and then
// it is the others' turn all the same.
type pool struct {
	mu      sync.Mutex
	free    int
	first   []chan struct{} // who waits, in order; closed when a slot is theirs
	rest    []chan struct{}
	granted int // in a row to the first, while others waited
}

// turns is how many signatures in a row go to the first while others wait.
const turns = 16

// newPool returns a pool of n slots, at least one.
func newPool(n int) *pool { return &pool{free: max(n, 1)} }

type firstKey struct{}

// First marks what is signed under the context as work that goes before new
// acceptances: receipts of what was accepted, notices.
func First(ctx context.Context) context.Context { return context.WithValue(ctx, firstKey{}, true) }

// enter waits for a slot, first come first served within a class, or for the
// end of ctx.
func (p *pool) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.mu.Lock()
	if p.free > 0 {
		p.free--
		p.mu.Unlock()
		return nil
	}
	queue := &p.rest
	if ctx.Value(firstKey{}) != nil {
		queue = &p.first
	}
	mine := make(chan struct{})
	*queue = append(*queue, mine)
	p.mu.Unlock()
	select {
	case <-mine:
		return nil
	case <-ctx.Done():
		p.withdraw(queue, mine)
		return ctx.Err()
	}
}

// withdraw ends a wait. A slot that came meanwhile goes to the next.
func (p *pool) withdraw(queue *[]chan struct{}, mine chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(*queue, mine); i >= 0 {
		*queue = slices.Delete(*queue, i, i+1)
		return
	}
	p.pass()
}

// leave gives the slot back.
func (p *pool) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pass()
}

// pass hands a slot to whoever is next, with the lock held.
func (p *pool) pass() {
	queue := &p.first
	switch {
	case len(p.first) == 0 && len(p.rest) == 0:
		p.free++
		return
	case len(p.first) == 0, len(p.rest) > 0 && p.granted >= turns:
		queue = &p.rest
		p.granted = 0
	default:
		p.granted++
	}
	next := (*queue)[0]
	*queue = slices.Delete(*queue, 0, 1)
	close(next)
}
