// SPDX-License-Identifier: EUPL-1.2

// Package fault holds the error values of pecd. An error carries the operation
// that failed, its kind and its cause; a text for the user is set only where a
// user will read it. The kind alone decides the SMTP, IMAP and HTTP codes (see
// codes.go), so that one failure is answered alike on every protocol.
package fault

import (
	"errors"
	"strings"
)

// Kind classes a failure by what the one who asked can do about it.
type Kind uint8

// The kinds. Internal is the zero value: an error nobody classified.
const (
	Internal    Kind = iota // a defect or a broken invariant on our side
	Temporary               // may work later: engine busy, peer silent, disk full
	Invalid                 // the request itself is malformed
	NotFound                // no such mailbox, folder, message, file
	Exists                  // already there; a step that was already done
	Denied                  // not authenticated, or not allowed to
	Quota                   // the mailbox is full
	TooLarge                // the message exceeds the size limit
	TooMany                 // too many recipients, messages or connections
	Disabled                // the mailbox exists but is not active
	Conflict                // somebody else changed it first
	Unsupported             // the peer or this server cannot do it
	Infected                // the contents are harmful: refused for good
	Busy                    // at full load: later
	NoSpace                 // no room on the disk: later
	Limited                 // the mailbox has sent what it may for now: later, and the text says when
	Unwanted                // the contents are not wanted here: refused for good
)

var kindNames = [...]string{"internal", "temporary", "invalid", "not found", "exists", "denied",
	"quota", "too large", "too many", "disabled", "conflict", "unsupported", "infected", "busy", "no space", "limited", "unwanted"}

// String returns the kind's name for logs.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Error is the one error type that crosses rooms.
type Error struct {
	Op   string // the operation, "room.Verb": "sqlite.Commit"
	Kind Kind
	Text string // what the user is told, Italian first; empty: the kind's own text
	Err  error  // the cause; may be nil
}

// New returns an error of kind k. The cause may be nil.
func New(op string, k Kind, cause error) *Error { return &Error{Op: op, Kind: k, Err: cause} }

// Say returns an error of kind k that tells the user text.
func Say(op string, k Kind, text string) *Error { return &Error{Op: op, Kind: k, Text: text} }

// Wrap adds an operation to err and keeps its kind and text. It returns nil for nil.
func Wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: op, Kind: KindOf(err), Text: TextOf(err), Err: err}
}

// Error implements error. The user's text is left out where a cause tells more.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	b.WriteString(": ")
	switch {
	case e.Err != nil:
		b.WriteString(e.Err.Error())
	case e.Text != "":
		b.WriteString(e.Text)
	default:
		b.WriteString(e.Kind.String())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the outermost Error in err's chain, Internal without one.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Is reports whether err is of kind k.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }

// TextOf returns the text for the user carried by err, "" without one.
func TextOf(err error) string {
	var e *Error
	for errors.As(err, &e) {
		if e.Text != "" {
			return e.Text
		}
		err = e.Err
	}
	return ""
}
