// SPDX-License-Identifier: EUPL-1.2

package storage

import (
	"context"
	"time"
)

// Record is one entry of the PEC log (see package ledger for the contents).
type Record struct {
	Seq     int64 // set by the store: from 1, without gaps
	At      time.Time
	Event   string
	ID      string // identificativo, "" for none
	Mailbox string // the own mailbox concerned, "" for none
	Data    []byte // JSON
	// Hash is ledger.Link of the hash of the record before, Seq and Data; set
	// by the store.
	Hash [32]byte
}

// Handled are the messages of one folder that an operation did something with.
type Handled struct {
	UIDs     []uint32 // ascending, at least one
	Validity uint32   // UIDVALIDITY of their folder

	// Where they went, if they did.
	To         []uint32 // their new UIDs, in the order of UIDs
	ToValidity uint32   // UIDVALIDITY of that folder
}

// Logged makes the records of what an operation does with messages. The records are appended in the same step, so that they tell what
// happened and not what was asked for. It is called while the step is applied,
// perhaps more than once, and must neither take long nor touch anything.
type Logged func(Handled) []Record

// RecordQuery selects records. Zero fields do not restrict; the others all hold.
type RecordQuery struct {
	From, To time.Time // From ≤ At < To
	ID       string
	Mailbox  string // without case
	Event    string
}

// LogState is where the log begins and ends.
type LogState struct {
	First int64 // the first record that is kept; Last+1 without any
	Last  int64 // the last record, 0 for none
	// Before is the hash that the first kept record links to: zero, or the head
	// of the last seal whose records were purged.
	Before [32]byte
	Head   [32]byte // hash of the last record
}

// Seal is one closed day of the log: the records First to Last are in File,
// signed and time-stamped (RFC 6109 §2.3). Seals are numbered from 1 without
// gaps, each begins where the one before ended, and they are never removed.
type Seal struct {
	Number      int64
	Day         string // civil day of legal time, "2026-11-25"
	First, Last int64  // Last is First-1 where nothing happened
	Before      [32]byte
	Head        [32]byte // Before where nothing happened
	File        string   // base name
	Sum         [32]byte // SHA-256 of the file
	At          time.Time
	// Stamp is the RFC 3161 TimeStampResp over the file, nil until it was had.
	Stamp     []byte
	StampedAt time.Time
	// Purged says that the records and the file are gone: the time of keeping is over.
	Purged bool
}

// Log reads the PEC log.
type Log interface {
	// Records calls fn for every record with Seq ≥ from in order.
	Records(ctx context.Context, from int64, fn func(Record) error) error
	// FindRecords calls fn for every record that the query selects, in order.
	FindRecords(ctx context.Context, q RecordQuery, fn func(Record) error) error
	// LogState returns where the log begins and ends.
	LogState(ctx context.Context) (LogState, error)
	// Seals calls fn for every seal with Number ≥ from in order.
	Seals(ctx context.Context, from int64, fn func(Seal) error) error
}

// AppendRecord writes to the PEC log.
type AppendRecord struct {
	Record Record

	Seq int64 // set by Commit
}

// PutSeal records that a day was closed. It fails with Conflict unless Number,
// First and Before continue the last seal and Last and Head are those of a
// record (or of nothing). Stamp and Purged are ignored.
type PutSeal struct{ Seal Seal }

// StampSeal adds the time stamp to a seal; Exists where it has one.
type StampSeal struct {
	Number int64
	Stamp  []byte
	At     time.Time
}

// PurgeSeal removes the records of a stamped seal and marks it purged. It fails
// with Conflict where an earlier seal is not purged, or this one has no stamp.
type PurgeSeal struct{ Number int64 }

func (*AppendRecord) op() {}
func (*PutSeal) op()      {}
func (*StampSeal) op()    {}
func (*PurgeSeal) op()    {}
