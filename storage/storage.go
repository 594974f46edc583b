// SPDX-License-Identifier: EUPL-1.2

// Package storage is the contract of pecd's mail store: folders and messages,
// the shared originals, the job queue, the state of every certified
// transaction, the accounts and the log records. It speaks of mail, not of
// tables, so that each back end works in its engine's own idiom; package
// storagetest holds the suite that all of them pass.
//
// Everything is changed through Commit: a Step is a list of operations that
// take effect together, are on stable storage when Commit returns nil, and
// leave no trace when it returns an error. Steps of different callers share a
// commit of the engine (group commit); that never mixes their outcomes.
//
// Bodies come first, metadata second, and deletion runs the other way round:
// a crash may leave an unreferenced body, never a reference to a missing one.
package storage

import (
	"context"
	"io"
	"time"
)

// Store is one node's access to the mail store. All methods may be called
// concurrently. Errors are *fault.Error; reads of something absent fail with
// fault.NotFound.
type Store interface {
	Mail
	Queue
	Transactions
	Accounts
	Log
	Quarantine
	Recoverable
	Filters
	Notices
	Tokens
	Sending

	// Commit applies the operations of s in order, all or none, durably. The
	// fields of an operation documented as "set by Commit" are valid
	// afterwards. An unmet condition fails with the kind named at the
	// operation (Exists for Once, Quota for Append, …).
	//
	// The bytes of the spools named in s are the store's once it has succeeded.
	// The caller closes its spools in any case: that has no effect on stored
	// bytes. Until then a spool can be read, and after a failure the same step
	// can be tried again.
	//
	// A context that ends withdraws a step that has not been begun; one that
	// has been begun is told as it turns out.
	Commit(ctx context.Context, s *Step) error

	// NewSpool returns an empty spool in the store's own file system.
	NewSpool() Spool

	// Check reads everything back and reports each broken invariant: missing
	// or altered bodies, wrong reference counts, sizes, UIDs out of order,
	// counters that disagree with rows, jobs without body. It stops early only
	// on a failing read or when report returns an error.
	Check(ctx context.Context, report func(Problem) error) error

	// Close waits for running commits and closes the store.
	Close() error
}

// Problem is one broken invariant found by Check.
type Problem struct {
	Where string // "body 17", "folder 3 uid 9"
	What  string // what is wrong, with the figures
}

// Spool collects bytes of unknown length on their way into the store: in
// memory while they are few, in an unlinked-on-close file of the store's file
// system beyond that. It is written once from start to end, then read. One
// goroutine writes; ReadAt may be called concurrently after the last Write.
type Spool interface {
	io.Writer
	io.ReaderAt
	// Size is the number of bytes written so far.
	Size() int64
	// Close discards the bytes unless a committed step has taken them.
	Close() error
}

// Step is what one commit does. The zero value is an empty step.
type Step struct {
	Ops []Op
}

// Add appends operations and returns s.
func (s *Step) Add(ops ...Op) *Step {
	s.Ops = append(s.Ops, ops...)
	return s
}

// Op is one operation of a step: a pointer to one of the types in ops.go.
type Op interface{ op() }

// Identifiers of stored things; 0 is none.
type (
	// MailboxID names a mailbox (an account), not an IMAP folder.
	MailboxID int64
	// FolderID names a folder of a mailbox.
	FolderID int64
	// BodyID names one exact message, stored once however many folders and
	// jobs refer to it.
	BodyID int64
	// BlobID names a shared middle part of messages.
	BlobID int64
	// JobID names a queued job.
	JobID int64
)

// Folder is one folder of a mailbox with its counters. Names are UTF-8, the
// separator is "/", INBOX is upper case.
type Folder struct {
	ID          FolderID
	Mailbox     MailboxID
	Name        string
	SpecialUse  string // IMAP attribute such as `\Sent`, "" for none
	Subscribed  bool
	UIDValidity uint32
	UIDNext     uint32
	ModSeq      uint64 // highest modification sequence, RFC 7162
	Messages    uint32
	Unseen      uint32
	Bytes       int64
	// Recoverable marks the folder of what POP3 clients deleted, see the interface
	// of that name.
	Recoverable bool
	// PersonalSeen is that of its mailbox: \Seen and Unseen are the viewer's.
	PersonalSeen bool
	// Horizon is the modification sequence up to which expunges may have been
	// forgotten: Changes since an earlier one may lack some of them.
	Horizon uint64
}

// Message is one message in a folder.
type Message struct {
	Folder       FolderID
	UID          uint32
	Body         BodyID
	Size         int64
	Flags        []string // as given, system flags in RFC 9051 spelling (`\Seen`), sorted; shared, not to be changed
	ModSeq       uint64
	InternalDate time.Time // UTC, second resolution
	SavedDate    time.Time
}

// MaxVanished is of how many ranges of expunged UIDs a folder is remembered at
// most; the oldest are forgotten, and its Horizon moves.
const MaxVanished = 10_000

// Changes is what happened to a folder after a modification sequence.
type Changes struct {
	Changed  []Message // new or with other flags, by UID
	Vanished []uint32  // expunged, ascending
	ModSeq   uint64    // the folder's sequence these changes lead up to
	Horizon  uint64    // as in Folder: Vanished may lack some where the question was about an earlier sequence
}

// Body gives access to the exact bytes of a stored message: head, shared blob
// and tail concatenated. It is read without being held in memory.
type Body interface {
	io.ReaderAt
	io.Closer
	Size() int64
	// Blob returns the blob's identifier and its range within the message;
	// id is 0 when the message has none, or not all of it.
	Blob() (id BlobID, off, n int64)
	// Intact reads the message once and compares it with the sum that was taken
	// when it was stored. It fails with Internal where they differ: the disk
	// altered it. Whatever is signed over a stored message asks first.
	Intact() error
}

// Mail reads folders and messages.
type Mail interface {
	// Folders lists the folders of a mailbox by name, INBOX first.
	Folders(ctx context.Context, m MailboxID) ([]Folder, error)
	// GoneSubscriptions lists by name what the viewer is subscribed to whose folder
	// was deleted (RFC 9051 §6.3.7). Such a name counts like a folder against the
	// bound on their number; a folder that comes to it is subscribed again.
	GoneSubscriptions(ctx context.Context, m MailboxID) ([]string, error)
	// Folder returns one folder with its present counters.
	Folder(ctx context.Context, m MailboxID, name string) (Folder, error)
	// FolderByID is Folder for a caller that holds the identifier.
	FolderByID(ctx context.Context, id FolderID) (Folder, error)
	// Messages calls fn for each message with from ≤ UID ≤ to in ascending
	// order (to 0: no upper bound). It streams: fn may be called for hundreds
	// of thousands of rows, and holds up no commit while it takes its time. An
	// error of fn ends the iteration and is returned.
	Messages(ctx context.Context, id FolderID, from, to uint32, fn func(Message) error) error
	// Flags is Messages for a caller that wants to know which messages there are
	// and how they are flagged, much cheaper. flags is as in Message.
	Flags(ctx context.Context, id FolderID, from, to uint32, fn func(uid uint32, flags []string) error) error
	// Summaries is Messages with the summary kept beside each body, nil where
	// there is none. The summary is the callee's.
	Summaries(ctx context.Context, id FolderID, from, to uint32, fn func(m Message, summary []byte) error) error
	// Changes returns what happened after since; flag changes carry the whole message.
	Changes(ctx context.Context, id FolderID, since uint64) (Changes, error)
	// OpenBody opens a stored message for reading.
	OpenBody(ctx context.Context, id BodyID) (Body, error)
	// Watch returns a channel that receives a value after each commit that
	// changed the folder (several changes may be told as one). cancel frees it.
	Watch(id FolderID) (changed <-chan struct{}, cancel func())
}

// Job is a unit of work that survives restarts.
type Job struct {
	ID        JobID
	Kind      string // "deliver", "relay", …: one worker pool each
	Lane      string // what must not be slowed by others: the destination domain; "" for none
	Due       time.Time
	Created   time.Time
	Attempts  int
	LastError string
	Payload   []byte // the worker's own encoding
	Body      BodyID // 0 for none
	// Expires is when the job is handed out whatever its due time, its lane or a
	// hold say, so that its worker gives it up in time. Zero: never.
	Expires time.Time
	// Held is an operator's hold: the job is handed out by TakeJob or once it
	// has expired only.
	Held bool
}

// Queue hands out jobs. A taken job is held by this Store until a step removes
// or reschedules it, Release gives it back, or the process ends: there are no
// leases that can expire under a worker.
type Queue interface {
	// TakeDue takes up to limit jobs of a kind that are due at now, oldest
	// first, holding at most perLane jobs of one lane at a time (0: no bound).
	// Jobs without a lane are not bounded.
	TakeDue(ctx context.Context, kind string, now time.Time, limit, perLane int) ([]Job, error)
	// TakeJob takes one job, whatever its due time, lane or hold. It fails with
	// NotFound where there is none, with Conflict where somebody has it.
	TakeJob(ctx context.Context, id JobID) (Job, error)
	// Release gives taken jobs back unchanged.
	Release(ids ...JobID)
	// PauseLane keeps TakeDue from handing out jobs of a lane until the instant
	// given, but for those that have expired; from then on one at a time, until
	// ResumeLane. It is forgotten with the process. A lane is "" for none: that
	// one cannot be paused.
	PauseLane(kind, lane string, until time.Time)
	// ResumeLane ends a pause.
	ResumeLane(kind, lane string)
	// NextDue returns the earliest instant at which TakeDue with the same
	// perLane has a job of the kind to hand out while those taken stay taken; ok
	// is false where it will not have one by time alone.
	NextDue(ctx context.Context, kind string, perLane int) (at time.Time, ok bool, err error)
	// WatchQueue is Watch for the jobs of a kind: it tells that a job was
	// enqueued, rescheduled, finished or released.
	WatchQueue(kind string) (changed <-chan struct{}, cancel func())
	// Jobs calls fn for every job of a kind ("" for all), held or not, by due time.
	Jobs(ctx context.Context, kind string, fn func(Job) error) error
}

// Outcome is what became of a message for one recipient.
type Outcome string

// The outcomes. An external recipient stays Pending: nobody certifies it.
const (
	Pending   Outcome = ""
	Delivered Outcome = "delivered"
	Failed    Outcome = "failed"
)

// Transaction is the state of one certified message at this provider.
type Transaction struct {
	// ID is the identificativo, without angle brackets. Of a foreign transaction
	// it has the provider's name behind it: a provider chooses its identifiers,
	// and must not be able to use up another's.
	ID         string
	Own        bool // accepted at our access point; otherwise taken in charge for another provider
	Sender     string
	MsgID      string // the client's Message-ID with brackets, "" for none
	Subject    string
	ReplyTo    string // where answers go as certified (daticert.xml, risposte)
	Provider   string // name of the sender's provider
	Receipt    string // completa, breve, sintetica
	At         time.Time
	Size       int64
	Recipients []TxRecipient
}

// TxRecipient is one recipient of a transaction.
type TxRecipient struct {
	Address  string
	External bool // ordinary mail: no take-charge, no delivery receipt
	// TakenAt is the instant of the take-charge, zero before it.
	TakenAt time.Time
	Outcome Outcome
	// OutcomeAt is the instant of delivery or failure, zero before it.
	OutcomeAt time.Time
	// OutcomeRef is the Message-ID of the receipt or notice that told it.
	OutcomeRef string
	// FirstNoticeAt and SecondNoticeAt are the instants of the notices of
	// elapsed time (RFC 6109 §3.1.6), zero before them.
	FirstNoticeAt, SecondNoticeAt time.Time
}

// Transactions reads the state of certified messages.
type Transactions interface {
	// Transaction returns one transaction with all its recipients in
	// submission order. own selects the side (a message between two mailboxes
	// of one provider has only the own side).
	Transaction(ctx context.Context, id string, own bool) (Transaction, error)
	// EachTransaction calls fn for every transaction accepted at or after from.
	EachTransaction(ctx context.Context, from time.Time, fn func(Transaction) error) error
	// SentAs returns our own transactions of a sender whose message had this
	// Message-ID, with brackets, newest first; at most limit.
	SentAs(ctx context.Context, sender, msgID string, limit int) ([]Transaction, error)
	// Done returns those of keys that a Once of an earlier step has claimed.
	Done(ctx context.Context, keys []string) ([]string, error)
}
