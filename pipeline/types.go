// SPDX-License-Identifier: EUPL-1.2

// Package pipeline is the way of a message through the provider: access point,
// incoming point, delivery point and relay (RFC 6109 §2.2, §3). It orchestrates
// the rules of package pec, the signer, the directory and the store; it speaks
// neither SMTP nor SQL.
package pipeline

import (
	"context"
	"io"
	"time"
)

// Peer is what is known of the other end of an SMTP session, for the trace
// lines and the log.
type Peer struct {
	Helo   string // as the client said it; hostile text
	Remote string // IP address
	TLS    string // "TLSv1.3 TLS_AES_128_GCM_SHA256", "" for cleartext
}

// Submission is one message that an authenticated user hands in.
type Submission struct {
	Login      string // who authenticated
	Program    string // the application password he did it with, "" for his own
	ProgramID  int64  // its number, 0 without one
	Sender     string // MAIL FROM, already checked to be a mailbox Login may send as
	Recipients []string
	Peer       Peer
}

// Arrival is one message that another server hands in at the incoming point.
type Arrival struct {
	Sender     string // MAIL FROM, "" for the null reverse path
	Recipients []string
	Peer       Peer
}

// Acceptor is the access point as the submission listener sees it.
type Acceptor interface {
	// MaySend checks at MAIL FROM that login may send as sender and that the
	// mailbox is active. Denied, Disabled or NotFound otherwise.
	MaySend(ctx context.Context, login, sender string) error
	// Allowance reports at MAIL FROM and RCPT TO what a message of the sender to so
	// many recipients may be, as things stand: Submit decides. Limited where a send
	// limit keeps it back, TooMany where so many recipients never pass. The
	// submission's recipients are not looked at.
	Allowance(ctx context.Context, s Submission, recipients int) (Allowance, error)
	// Submit reads the message to its end and returns the text for the 250
	// once its outcome (acceptance or non-acceptance) is on stable storage.
	// An error means that nothing was kept: its kind is the SMTP answer.
	Submit(ctx context.Context, s Submission, r io.Reader) (text string, err error)
}

// Receiver is the incoming point as the MX listener sees it.
type Receiver interface {
	// MayReceive checks at RCPT TO that the domain of the recipient is ours.
	// A mailbox that does not exist is accepted here: whether a signed
	// non-delivery notice or a refusal is due depends on what arrives.
	MayReceive(ctx context.Context, recipient string) error
	// Receive is Submit for the incoming point. A final refusal leaves its log
	// record, and a signed message with a virus in the quarantine.
	Receive(ctx context.Context, a Arrival, r io.Reader) (text string, err error)
}

// Dispatch is one message on its way to another server.
type Dispatch struct {
	Sender     string
	Recipients []string
	Domain     string // destination, whose MX is asked
	Size       int64
	EightBit   bool // needs 8BITMIME
	Body       io.ReaderAt
	// RequireTLS forbids delivery over cleartext.
	RequireTLS bool
	// Until is when the attempt is broken off, wherever it is. Zero: never.
	Until time.Time
}

// RecipientResult is what the other server said to one recipient.
type RecipientResult struct {
	Recipient string
	// Err is nil when the server took the message. Temporary: try again;
	// NotFound, Quota, Disabled, TooLarge, Unsupported, Denied, Invalid: final.
	Err error
	// Reply is the server's answer in one line, cleaned for logs and notices.
	Reply string
}

// Contact is how far an attempt got with the servers of a destination, the best
// of them counting.
type Contact uint8

// The contacts, from nothing to an answer.
const (
	// NotAsked: no server was asked; the addresses are wrong, or the attempt was
	// cut short by ourselves.
	NotAsked Contact = iota
	// Unreached: none said anything about this message. The DNS did not answer,
	// or connection, greeting, EHLO or TLS failed. It would be the same for any
	// other message.
	Unreached
	// BrokeOff: one was at it, and fell silent, went away or ran out of time
	// before it had said yes or no to all there was.
	BrokeOff
	// Answered: one said yes or no, now or for good, to the message or to a
	// recipient; or it is known that the destination takes no mail at all.
	Answered
)

// Attempt is what became of one dispatch.
type Attempt struct {
	Results []RecipientResult // of every recipient, in order
	Contact Contact
}

// Carrier takes a message to another server: package smtp's relay client.
type Carrier interface {
	// Send tries the destination's servers once. It returns when the last
	// answer is in, at d.Until, or when ctx ends.
	Send(ctx context.Context, d Dispatch) Attempt
}

// instant is the one time of a transaction: RFC 6109 §4.1, second resolution.
func instant(t time.Time) time.Time { return t.Truncate(time.Second) }
