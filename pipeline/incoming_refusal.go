// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"strings"

	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// arrival is the log event of a message that is neither a valid envelope nor a
// valid receipt.
func (i *Incoming) arrival(m *arrived, k ledger.Kind) ledger.Event {
	e := ledger.Event{
		At: m.at, Kind: k, MsgID: m.in.scan.Root.Header.Get("Message-ID"), Side: ledger.Foreign, Sender: m.Sender,
		Subject: m.rec.Subject, Peer: m.Peer.Remote, Size: m.in.spool.Size(),
	}
	if m.fromProvider() {
		e.Provider = m.verdict.Origin.Provider
	}
	concern(&e, m.Recipients...)
	return e
}

// refuse commits the log records of a refusal and returns why, the answer.
// They come first: the answer is final, and the log must know of it. Where they
// cannot be written, the other server is to come again.
func (i *Incoming) refuse(ctx context.Context, step *storage.Step, why *fault.Error) error {
	if err := i.Store.Commit(ctx, step); err != nil {
		return fault.New(why.Op, fault.Temporary, err)
	}
	return why
}

// turnAway refuses what is not certified; mailbox is the own mailbox that does
// not take it, "" where the message or several are the reason.
func (i *Incoming) turnAway(ctx context.Context, m *arrived, mailbox string, why *fault.Error) error {
	e := i.arrival(m, ledger.OrdinaryRefused)
	e.Mailbox, e.Detail = mailbox, why.Text
	return i.refuse(ctx, new(storage.Step).Add(i.record(e)), why)
}

// known looks up every recipient's mailbox; missing is one that has none: the
// message cannot be refused for some recipients only after DATA. Mail for the
// postmaster of a domain without such a mailbox goes to the service address
// (RFC 5321 §4.5.1).
func (i *Incoming) known(ctx context.Context, recipients []string) (boxes map[string]storage.Mailbox, missing string, err error) {
	boxes = make(map[string]storage.Mailbox, len(recipients))
	for _, r := range recipients {
		box, err := i.Mailboxes.Mailbox(ctx, r)
		if fault.Is(err, fault.NotFound) && strings.EqualFold(r, "postmaster@"+domainOf(r)) {
			box, err = i.Mailboxes.Mailbox(ctx, i.serviceAddress())
		}
		if fault.Is(err, fault.NotFound) || err == nil && box.State == storage.MailboxClosed {
			return nil, r, nil
		}
		if err != nil {
			return nil, "", err
		}
		boxes[r] = box
	}
	return boxes, "", nil
}

// noMailbox is the answer to a message for a mailbox that does not exist.
func noMailbox(address string) *fault.Error {
	return fault.Say("pipeline.known", fault.NotFound, "indirizzo non valido: "+address+" / no such mailbox")
}
