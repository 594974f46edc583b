// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"

	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// BlockSending keeps a mailbox from sending, while it goes on receiving and is
// read. reason is for its holder, Italian first. A block that a person made stays
// as it is where the program would make one.
func (d *Directory) BlockSending(ctx context.Context, address, reason string) error {
	const op = "directory.BlockSending"
	actor := ActorOf(ctx).Name
	return fault.Wrap(op, d.change(ctx, BlockSending, address, func(m *storage.Mailbox) (ledger.Event, error) {
		if m.Service {
			return ledger.Event{}, fault.Say(op, fault.Denied, "casella di servizio del gestore / service mailbox of the provider")
		}
		b := m.Block
		if !b.On() || actor != "" && (b.By != actor || b.Reason != reason) {
			m.Block = storage.SendBlock{Since: d.clk.Now(), By: actor, Reason: reason}
		}
		return ledger.Event{Kind: ledger.SendBlocked, From: b.Reason, Detail: reason}, nil
	}))
}

// UnblockSending ends a block. Where there is none it does nothing.
func (d *Directory) UnblockSending(ctx context.Context, address string) error {
	return fault.Wrap("directory.UnblockSending", d.change(ctx, BlockSending, address, func(m *storage.Mailbox) (ledger.Event, error) {
		e := ledger.Event{Kind: ledger.SendUnblocked, Detail: m.Block.Reason}
		m.Block = storage.SendBlock{}
		return e, nil
	}))
}
