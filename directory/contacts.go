// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"

	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// Forget has the mailbox of an address read anew, after something was changed that
// the store tells with it: whether contacts are told of what arrives there.
func (d *Directory) Forget(address string) { d.boxes.drop(address) }

// Recorded returns the operation that writes an event to the PEC log with the
// actor of ctx (As), for a step that changes what belongs to users but is kept
// elsewhere.
func (d *Directory) Recorded(ctx context.Context, e ledger.Event) *storage.AppendRecord {
	return d.recorded(ctx, e)
}

// MayUser returns a user, if who acts may do something with him: what is kept of
// him elsewhere is changed by the same rules. NotFound and Denied as MayMailbox.
func (d *Directory) MayUser(ctx context.Context, a Action, login string) (storage.User, error) {
	u, err := d.mayUser(ctx, a, login)
	return u, fault.Wrap("directory.MayUser", err)
}
