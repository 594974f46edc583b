// SPDX-License-Identifier: EUPL-1.2

package signer

import "context"

// pool bounds how many signatures are made at once. A private-key operation
// occupies a core for a millisecond or more: more of them at once would only
// delay each other and everything else.
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
