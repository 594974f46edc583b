// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"

	"pecd/ledger"
	"pecd/storage"
)

// Role is what somebody is in the administration. What each may do is in roles.go.
type Role string

// The roles.
const (
	RoleProvider Role = "provider" // the provider's operators, and the program by itself
	RoleCustomer Role = "customer" // administrators of one public body
	RoleMailbox  Role = "mailbox"  // the application of one mailbox
)

// Actor is who does something in the administration.
type Actor struct {
	Name     string // for the log: the operating system's user of a command, a login, a token
	Role     Role
	Customer string // of RoleCustomer: storage.Customer.Code
	Mailbox  string // of RoleMailbox: its address
}

type actorKey struct{}

// As returns a context in which an operator of the provider acts, under a name
// for the log.
func As(ctx context.Context, name string) context.Context {
	return AsActor(ctx, Actor{Name: name, Role: RoleProvider})
}

// AsActor returns a context in which a acts. One without a known role may do
// nothing. In a context without an actor the program acts by itself: it may do
// everything, and the records name nobody.
func AsActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorOf returns who acts in a context.
func ActorOf(ctx context.Context) Actor {
	a, ok := ctx.Value(actorKey{}).(Actor)
	if !ok {
		return Actor{Role: RoleProvider}
	}
	return a
}

// recorded returns the operation that writes an event of the administration to
// the PEC log, for the step that makes the change.
func (d *Directory) recorded(ctx context.Context, e ledger.Event) *storage.AppendRecord {
	e.Actor = ActorOf(ctx).Name
	e.At = d.clk.Now()
	return &storage.AppendRecord{Record: storage.Record{At: e.At, Event: string(e.Kind), Mailbox: e.Mailbox, Data: e.Encode()}}
}
