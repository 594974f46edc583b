// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"

	"pecd/ledger"
	"pecd/storage"
)

type actorKey struct{}

// As returns a context whose changes are recorded as done by actor: the
// operating system's user of a command, an administrator's login. Without it the
// records name nobody, as for what the program does by itself.
func As(ctx context.Context, actor string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor)
}

// recorded returns the operation that writes an event of the administration to
// the PEC log, for the step that makes the change.
func (d *Directory) recorded(ctx context.Context, e ledger.Event) *storage.AppendRecord {
	e.Actor, _ = ctx.Value(actorKey{}).(string)
	e.At = d.clk.Now()
	return &storage.AppendRecord{Record: storage.Record{At: e.At, Event: string(e.Kind), Mailbox: e.Mailbox, Data: e.Encode()}}
}
