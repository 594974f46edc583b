// SPDX-License-Identifier: EUPL-1.2

package storage

import "context"

// MaxUIDL is how many octets an identifier of POP3 may have (RFC 1939 §7). Each
// is printable ASCII without the space.
const MaxUIDL = 70

// Recoverable reads what POP3 needs beside the messages: the identifiers they
// came with, and the folders of what its clients deleted.
//
// A mailbox has at most one recoverable folder, whatever its present name. Only
// Discard puts messages there. What is in it counts in the folder, but not in
// Mailbox.Used and Mailbox.Messages, so that a program which fetches and deletes
// does not fill its mailbox; moved out again it counts. It is deleted only when
// it is empty.
type Recoverable interface {
	// UIDLs calls fn for each message of a folder that was imported with an
	// identifier of POP3, by UID.
	UIDLs(ctx context.Context, id FolderID, fn func(uid uint32, uidl string) error) error
	// RecoverableFolders lists the recoverable folders with messages in them, of
	// all mailboxes.
	RecoverableFolders(ctx context.Context) ([]Folder, error)
}

// Discard moves messages into the recoverable folder of their mailbox, which is
// made where there is none, subscribed. Their SavedDate is the present instant;
// flags and dates are kept. UIDs that are gone are passed over.
type Discard struct {
	From FolderID
	UIDs []uint32
	// Name of the folder to be made; another like it where it is taken.
	Name string
	// Limit is how many octets the recoverable folder may hold afterwards, 0 for
	// no bound; beyond it the step fails with Quota.
	Limit int64
	// Logged records what was moved, where it was.
	Logged Logged

	Source []uint32 // set by Commit: UIDs found, ascending
	Dest   []uint32 // set by Commit: their new UIDs, same order
	Folder FolderID // set by Commit: the recoverable folder; 0 where nothing was found
}

func (*Discard) op() {}
