// SPDX-License-Identifier: EUPL-1.2

package storage

import "time"

// Destination is a folder that Append looks for as its step is applied: whatever
// the holder did to his folders meanwhile, the step does not fail for it. It is
// the folder with the special use, otherwise the one with the name, which is
// made where it is missing, with what is above it, all of it subscribed. Where
// that folder can take nothing (there are too many folders, or it is a
// recoverable one), it is INBOX.
type Destination struct {
	Use  string // IMAP attribute such as `\Sent`, "" for none; given to the folder of the name where it has none
	Name string
}

// SentUse and SentName are the special use and the name of the folder of sent mail.
const (
	SentUse  = `\Sent`
	SentName = "Posta inviata"
)

// SentWindow is within which time the two copies of a submission come together.
const SentWindow = 10 * time.Minute

// SentCopy says that a message is the copy of a submission. Provider and client
// both put one into the \Sent folder, in either order or at the same time; one is
// to stay. An Append stores nothing where the other side's copy with the same
// MessageID was put into the same folder within SentWindow, is still there, and
// has not met its like yet: its flags are added to that message, whose UID is
// the Append's. Copies of one side are never taken for each other; of many with
// one MessageID only the last few can still be met.
type SentCopy struct {
	MessageID string // what both copies have in common; not empty
	ByClient  bool

	Met bool // set by Commit: the other copy is there
}
