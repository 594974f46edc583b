// SPDX-License-Identifier: EUPL-1.2

package storage

import (
	"context"
	"time"
)

// SentCount is what a mailbox sent within one second.
type SentCount struct {
	At         time.Time // the second's beginning
	Messages   int
	Recipients int // of all of them together
}

// SentTotal is what a mailbox sent since an instant.
type SentTotal struct {
	Mailbox     MailboxID
	Address     string
	Messages    int
	Recipients  int
	First, Last time.Time // the seconds of the first and the last of them
}

// Sending reads the record of what mailboxes sent, which the send limits are
// counted from where a node knows nothing yet (D4, D5).
type Sending interface {
	// Sent returns what a mailbox sent at or after from, by instant.
	Sent(ctx context.Context, m MailboxID, from time.Time) ([]SentCount, error)
	// SentTotals calls fn for every mailbox that sent at or after from, by ID.
	SentTotals(ctx context.Context, from time.Time, fn func(SentTotal) error) error
}

// CountSent adds one message to the record of what a mailbox sent.
type CountSent struct {
	Mailbox    MailboxID
	At         time.Time
	Recipients int
}

// PurgeSent removes what is on record of a mailbox before an instant, at most
// 5000 seconds of it.
type PurgeSent struct {
	Mailbox MailboxID
	Before  time.Time

	Purged int // set by Commit: seconds
}

func (*CountSent) op() {}
func (*PurgeSent) op() {}
