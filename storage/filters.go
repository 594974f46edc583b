// SPDX-License-Identifier: EUPL-1.2

package storage

import (
	"context"
	"time"
)

// Filter is a script that a holder has written for what arrives in a mailbox
// (S4-039 … S4-042).
type Filter struct {
	Mailbox MailboxID
	Name    string
	Script  string // Sieve
	Active  bool   // of a mailbox's filters one at most
	At      time.Time
}

// Filters reads the filters of mailboxes.
type Filters interface {
	// Filters lists those of a mailbox by name.
	Filters(ctx context.Context, m MailboxID) ([]Filter, error)
	// Filter returns one of them; NotFound where there is none of the name.
	Filter(ctx context.Context, m MailboxID, name string) (Filter, error)
	// ActiveFilter returns the one that is run; NotFound where none is.
	ActiveFilter(ctx context.Context, m MailboxID) (Filter, error)
}

// PutFilter creates a filter, or replaces its script and its time: one that is
// active stays so, a new one is not. Active is ignored.
type PutFilter struct{ Filter Filter }

// RemoveFilter removes a filter, also the active one; NotFound where there is
// none of the name.
type RemoveFilter struct {
	Mailbox MailboxID
	Name    string
}

// ActivateFilter makes a filter the active one of its mailbox instead of the one
// before, or none where Name is empty; NotFound where there is none of the name.
type ActivateFilter struct {
	Mailbox MailboxID
	Name    string
}

func (*PutFilter) op()      {}
func (*RemoveFilter) op()   {}
func (*ActivateFilter) op() {}
