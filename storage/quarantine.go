// SPDX-License-Identifier: EUPL-1.2

package storage

import (
	"context"
	"time"
)

// Quarantined is one infected message kept apart (RFC 6109 §2.2.4). Its body is
// what the pipeline encrypted: the store never sees the message.
type Quarantined struct {
	ID         int64 // set by the store
	At         time.Time
	Point      string // where it was found: "access", "incoming"
	Message    string // identificativo, or the Message-ID where it has none
	Provider   string // the sender's provider, "" for our own
	Sender     string
	Recipients []string
	Virus      string
	Size       int64 // octets of the message in clear
	Body       BodyID
}

// Quarantine reads what is kept apart.
type Quarantine interface {
	// Quarantined returns one item; NotFound.
	Quarantined(ctx context.Context, id int64) (Quarantined, error)
	// EachQuarantined calls fn for every item found at or after from, in order.
	EachQuarantined(ctx context.Context, from time.Time, fn func(Quarantined) error) error
}

// PutQuarantined keeps an infected message apart.
type PutQuarantined struct {
	Item Quarantined // ID and Body are ignored
	Body BodyRef

	ID int64 // set by Commit
}

// PurgeQuarantined removes what was found before an instant, at most 1000 items.
type PurgeQuarantined struct {
	Before time.Time

	Purged []int64 // set by Commit
}

func (*PutQuarantined) op()   {}
func (*PurgeQuarantined) op() {}
