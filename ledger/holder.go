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

// aboutMessages lists the kinds that are about the way of a message: the only
// ones of which a holder sees anything. What is not listed is not shown, so that
// a new kind is nobody's until somebody has decided.
func (k Kind) aboutMessages() bool {
	switch k {
	case SubmissionAccepted, SubmissionRefused, EnvelopeCreated, ReceiptEmitted, EnvelopeReceived, ReceiptReceived,
		OrdinaryReceived, OrdinaryRefused, TakenInCharge, AnomalyCreated, Delivered, DeliveryFailed,
		RelayAttempt, RelayOK, RelayFailed, InterceptVirus, InterceptSpam, LimitReached, ScanReported, InterceptContents,
		ForwardSent, ForwardStopped, ForwardFailed:
		return true
	}
	return false
}

// For returns what the holder of the mailbox address may see of e (log
// extracts, pec-rules §6.3): all of it where he sent the message; where he only
// received it, his own part, without the other recipients, the figures that
// count them, and the technical details of peers; without what was answered
// (Detail), too, where the event is not about his mailbox. Nothing of what is
// no message: logins, administration, what operators did, the log's own events.
//
// What another provider's message claims as its sender does not make it his:
// only what was accepted here is.
func (e Event) For(address string) (Event, Share) {
	switch {
	case !e.Kind.aboutMessages():
		return Event{}, Nothing
	case e.Side != Foreign && strings.EqualFold(e.Sender, address):
		return e, Whole
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
		e.Mailbox, e.Detail = "", ""
	}
	e.Recipients = own
	e.Certified, e.Ordinary = 0, 0
	e.Channel, e.Protocol, e.Domain, e.User, e.Actor, e.Program = "", "", "", "", "", ""
	e.From, e.To, e.Messages = "", "", 0
	e.Folder, e.UIDValidity, e.UIDs, e.Count = "", 0, "", 0
	e.ToValidity, e.ToUIDs, e.ProgramID = 0, "", 0
	e.Peer, e.Attempt, e.Next = "", 0, time.Time{}
	return e, Part
}
