// SPDX-License-Identifier: EUPL-1.2

package signer

import "context"

// pool bounds how many signatures are made at once. With a software key each
// occupies a core for a quarter of a millisecond or more, and more of them than
// cores would only delay each other and everything else; a token has so many
// sessions. One inside libcrypto or a token holds an operating-system thread as
// well, of which there are then no more than slots, and the runtime gives the
// processor's share of it to another goroutine.
type pool chan struct{}

// newPool returns a pool of n slots, at least one.
func newPool(n int) pool { return make(pool, max(n, 1)) }

// enter waits for a slot, first come first served, or for the end of ctx.
func (p pool) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case p <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// leave gives the slot back.
func (p pool) leave() { <-p }
