// SPDX-License-Identifier: EUPL-1.2

package ledger

import (
	"strings"
	"time"
)

// Share is how much of an event a holder may see.
type Share uint8

// The shares.
const (
	Nothing Share = iota
	Part          // what concerns him of a message he received
	Whole         // everything: the message is his
)

// For returns what the holder of the mailbox address may see of e (log
// extracts, pec-rules §6.3): all of it where he sent the message; where he only
// received it, his own part, without the other recipients, the figures that
// count them, and the technical details of peers. Nothing of what is no
// message: logins, administration, the log's own events.
//
// What another provider's message claims as its sender does not make it his:
// only what was accepted here is.
func (e Event) For(address string) (Event, Share) {
	switch {
	case e.Side != Foreign && strings.EqualFold(e.Sender, address):
		return e, Whole
	case e.Side == "" && e.ID == "" && e.MsgID == "":
		return Event{}, Nothing
	}
	var own []Recipient
	for _, r := range e.Recipients {
		if strings.EqualFold(r.Address, address) {
			own = append(own, r)
		}
	}
	mine := strings.EqualFold(e.Mailbox, address)
	// An event about a mailbox is about that one only; but what a sender of ours
	// and a recipient of ours share is written with the sender's mailbox.
	taken := e.Kind == TakenInCharge && own != nil
	if !mine && !taken && (e.Mailbox != "" || own == nil) {
		return Event{}, Nothing
	}
	if !mine {
		e.Mailbox = ""
	}
	e.Recipients = own
	e.Certified, e.Ordinary = 0, 0
	e.Channel, e.User, e.Actor = "", "", ""
	e.Peer, e.Attempt, e.Next = "", 0, time.Time{}
	return e, Part
}
