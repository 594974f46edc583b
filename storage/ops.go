// SPDX-License-Identifier: EUPL-1.2

package storage

import "time"

// NewBody stores one exact message: Head, then the blob, then Tail. An
// operation that refers to the body names this NewBody by pointer. A body that
// no folder and no job refers to is removed.
type NewBody struct {
	Head []byte
	Blob *NewBlob // nil: the message is Head followed by Tail
	// Skip is how many octets at the start of the blob are not the message's: fewer
	// than it has.
	Skip int64
	Tail []byte

	// Summary is what readers want to know of the message without opening it, in
	// an encoding of theirs, at most MaxSummary octets; nil for none yet.
	Summary []byte

	ID   BodyID // set by Commit
	Size int64  // set by Commit
}

// MaxSummary is how many octets a summary may have.
const MaxSummary = 256 << 10

// PutSummary keeps a summary beside a stored body, in place of the one it had. A
// body that is gone is passed over.
type PutSummary struct {
	Body    BodyID
	Summary []byte // 1 to MaxSummary octets
}

// NewBlob names the shared middle of a message: an existing blob, or a range
// of a spool. Several bodies of a step may point to the same NewBlob. Equal
// bytes are stored once (by SHA-256 and length).
type NewBlob struct {
	// Existing, when not 0, is that blob: Spool and Off are ignored. With SumKnown
	// its length and sum are taken from Len and Sum instead of being read.
	Existing BlobID

	Spool Spool
	Off   int64
	Len   int64
	// Sum is the SHA-256 of the range when SumKnown; the store computes it otherwise.
	Sum      [32]byte
	SumKnown bool

	ID BlobID // set by Commit
}

// BodyRef names a body of an operation: exactly one field is set.
type BodyRef struct {
	ID  BodyID
	New *NewBody // of the same step, added before the operation that refers to it
}

// Append puts a message into a folder. It assigns the next UID and modseq under
// the folder's lock. The folder is FolderID, or Name of Mailbox, or INBOX of
// Mailbox where Name is empty; a missing one fails with NotFound, a recoverable
// one with Denied. Into looks for a folder of Mailbox instead. Flags are system
// flags of RFC 9051 §2.3.2 but \Recent, and keywords (atoms, compared without
// case); anything else fails with Invalid, here and in SetFlags. A zero
// InternalDate is the present instant.
type Append struct {
	Folder       FolderID
	Mailbox      MailboxID
	Name         string
	Into         *Destination
	Body         BodyRef
	Flags        []string
	InternalDate time.Time
	// Quota is the number of bytes the mailbox may hold afterwards, 0 for no
	// bound; beyond it the step fails with Quota. A level of it that is reached is
	// noted (UntoldLevels).
	Quota int64
	// Exempt lets Quota forbid nothing.
	Exempt bool
	// UIDL is the identifier that POP3 clients know an imported message by (1 to
	// MaxUIDL octets of printable ASCII without the space), "" for none.
	UIDL string
	// Optional leaves out a message that Quota forbids, and UID stays 0. It wants
	// Mailbox.
	Optional bool
	// Sent marks the copy of a submission; it takes Folder or Into. nil: none.
	Sent   *SentCopy
	Logged Logged // what was put there; nil, here and in other operations: nothing is recorded

	UID         uint32   // set by Commit
	UIDValidity uint32   // set by Commit
	In          FolderID // set by Commit
	ModSeq      uint64   // set by Commit
}

// FlagMode says what SetFlags does with its flags.
type FlagMode uint8

// The flag modes.
const (
	ReplaceFlags FlagMode = iota
	AddFlags
	RemoveFlags
)

// SetFlags changes the flags of messages. Absent UIDs are passed over.
// Messages whose flags do not change keep their modseq. In a mailbox with
// PersonalSeen \Seen is the viewer's (Viewing); without one it stays as it is.
type SetFlags struct {
	Folder FolderID
	UIDs   []uint32
	Mode   FlagMode
	Flags  []string
	// UnchangedSince, when not 0, leaves out messages with a later modseq.
	UnchangedSince uint64
	// Personal fails the step with Denied where \Seen is not the viewer's own: for
	// who may change nothing else.
	Personal bool
	Logged   Logged // what got \Deleted

	Changed  []Message // set by Commit: every message found, with its flags afterwards
	Modified []uint32  // set by Commit: left out by UnchangedSince
	ModSeq   uint64    // set by Commit: of what was changed; 0 where no flag changed
}

// Expunge removes messages from a folder and records them as vanished.
type Expunge struct {
	Folder FolderID
	UIDs   []uint32
	// DeletedOnly leaves messages without \Deleted in place.
	DeletedOnly bool
	// Logged records what was removed.
	Logged Logged

	Expunged []uint32 // set by Commit, ascending
	ModSeq   uint64   // set by Commit
}

// CopyMessages copies messages, or moves them, to another folder of the same
// mailbox or of another one. Flags and dates are kept, and what each user has seen
// where both mailboxes have PersonalSeen; where the receiving one has not, \Seen
// is the viewer's. Into a recoverable folder: Denied.
type CopyMessages struct {
	From   FolderID
	UIDs   []uint32
	To     FolderID
	Move   bool
	Quota  int64  // of the receiving mailbox, as in Append; ignored by a move within one mailbox, but out of its recoverable folder
	Logged Logged // what was copied or moved, where it was

	Source      []uint32 // set by Commit: UIDs found, ascending
	Dest        []uint32 // set by Commit: their new UIDs, same order
	UIDValidity uint32   // set by Commit, of To
}

// CreateFolder creates a folder and its missing parents. Exists if it is there.
type CreateFolder struct {
	Mailbox    MailboxID
	Name       string
	SpecialUse string
	Subscribed bool

	Folder Folder // set by Commit
}

// RenameFolder renames a folder and everything below it, creating missing
// parents. Renaming INBOX moves its messages to a new folder (RFC 9051 §6.3.6).
// UIDVALIDITY is kept unless the new name had a higher one before. Subscriptions
// go with the folders. Exists where To is there, Invalid where it lies below From.
type RenameFolder struct {
	Mailbox  MailboxID
	From, To string
	Logged   Logged // what was moved out of INBOX
}

// DeleteFolder removes a folder with its messages. INBOX: Denied. A folder
// with children, or a recoverable one with messages: Denied with a text. The
// UIDVALIDITY of a folder created later under the same name is higher. The name
// stays subscribed to (GoneSubscriptions).
type DeleteFolder struct {
	Mailbox MailboxID
	Name    string
	Logged  Logged // what was in it
}

// Subscribe sets or clears the subscription of a folder: the viewer's own where his
// login is not the mailbox's address (Viewing), that of the mailbox otherwise. What
// GoneSubscriptions lists can be cleared too. NotFound where there is no folder.
type Subscribe struct {
	Mailbox    MailboxID
	Name       string
	Subscribed bool
}

// Once claims keys: if one was claimed by an earlier step, the step fails with
// Exists. It makes a repeated step harmless.
type Once struct {
	Keys []string
	At   time.Time // kept with the keys, for later purging
}

// Enqueue adds a job. ID and Attempts of Job are ignored; its body is Body.
type Enqueue struct {
	Job  Job
	Body BodyRef // zero for none

	ID JobID // set by Commit
}

// FinishJob removes a job; NotFound if it is gone, so that no step is applied
// twice for one job.
type FinishJob struct{ ID JobID }

// RetryJob reschedules a job and gives it back. A Due beyond the job's Expires
// moves that there as well: work that cannot end an expired job yet gets the
// pause it asks for.
type RetryJob struct {
	ID        JobID
	Due       time.Time
	Payload   []byte // nil keeps the present one
	LastError string
}

// HoldJob sets or ends an operator's hold; NotFound where the job is gone. It
// does not concern a job that somebody has: what it does with it stands.
type HoldJob struct {
	ID   JobID
	Held bool
}

// PutTransaction records a transaction with its recipients. Recipients are
// added to one that exists already (a message taken in charge in parts); what
// is known of it and of its recipients stays.
type PutTransaction struct{ Transaction Transaction }

// MarkRecipient records what became of a recipient. The first outcome stands,
// a later one changes nothing. A zero field leaves what is there; an unknown
// transaction or recipient is passed over: receipts for messages unknown to us
// are delivered all the same.
type MarkRecipient struct {
	ID         string
	Own        bool
	Address    string // compared without case
	TakenAt    time.Time
	Outcome    Outcome
	OutcomeAt  time.Time
	OutcomeRef string

	FirstNoticeAt, SecondNoticeAt time.Time

	Certified bool // pass an ordinary recipient (External) over as well
}

// ExpectPending is a condition: the step fails with Exists where the recipient
// has an outcome already, or, with NotTaken, was taken in charge; with NotFound
// where there is no such recipient. What a step tells of a recipient can be
// prepared from an earlier reading, and is told only if that still holds. What
// the same step has marked before counts.
type ExpectPending struct {
	ID       string
	Own      bool
	Address  string // compared without case
	NotTaken bool
}

func (*NewBody) op()        {}
func (*PutSummary) op()     {}
func (*Append) op()         {}
func (*SetFlags) op()       {}
func (*Expunge) op()        {}
func (*CopyMessages) op()   {}
func (*CreateFolder) op()   {}
func (*RenameFolder) op()   {}
func (*DeleteFolder) op()   {}
func (*Subscribe) op()      {}
func (*Once) op()           {}
func (*Enqueue) op()        {}
func (*FinishJob) op()      {}
func (*RetryJob) op()       {}
func (*PutTransaction) op() {}
func (*MarkRecipient) op()  {}
func (*ExpectPending) op()  {}
func (*HoldJob) op()        {}
