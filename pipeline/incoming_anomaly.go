// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"

	"pecd/fault"
	"pecd/ledger"
	"pecd/pec"
	"pecd/protection"
	"pecd/storage"
)

// malformed propagates what comes from a PEC provider but is neither envelope
// nor receipt: it must reach the recipient, in an anomaly envelope, whatever
// the mailbox thinks of ordinary mail (RFC 6109 §2.2.2).
func (i *Incoming) malformed(ctx context.Context, m *arrived, reason, english string) (string, error) {
	const op = "pipeline.malformed"
	boxes, missing, err := i.known(ctx, m.Recipients)
	if err != nil {
		return "", fault.Wrap(op, err)
	}
	if missing != "" {
		return "", i.turnAway(ctx, m, "", noMailbox(missing))
	}
	return i.anomaly(ctx, m, boxes, reason, english, ledger.AnomalyCreated)
}

// ordinary passes on what is not certified in an anomaly envelope to mailboxes
// that are open to ordinary mail (S4-037). For a closed, full or missing one
// the whole message is refused, so that its sender learns of it.
func (i *Incoming) ordinary(ctx context.Context, m *arrived, reason, english string) (string, error) {
	const op = "pipeline.ordinary"
	boxes, missing, err := i.known(ctx, m.Recipients)
	if err != nil {
		return "", fault.Wrap(op, err)
	}
	if missing != "" {
		return "", i.turnAway(ctx, m, "", noMailbox(missing))
	}
	for _, r := range m.Recipients {
		switch box := boxes[r]; {
		case box.State != storage.MailboxActive:
			return "", i.turnAway(ctx, m, box.Address, fault.Say(op, fault.Disabled, "casella non attiva: "+r+" / mailbox disabled"))
		case !box.Ordinary:
			return "", i.turnAway(ctx, m, box.Address, certifiedOnly(r, box.Redirect))
		}
	}
	return i.anomaly(ctx, m, boxes, reason, english, ledger.OrdinaryReceived)
}

// certifiedOnly refuses ordinary mail to a closed mailbox, at the end of DATA: at
// RCPT nobody knows yet whether a certified message follows (ADR 0024). Where the
// mailbox names another address it is told in words, with 550: 551 would let a
// server turn certified mail away, too (RFC 5321 §3.4).
func certifiedOnly(recipient, redirect string) *fault.Error {
	text := "la casella " + recipient + " accetta solo posta certificata"
	if redirect == "" {
		text += " / certified mail only"
	} else {
		text += ": scrivere a " + redirect + " / certified mail only: write to " + redirect
	}
	return fault.Say("pipeline.certifiedOnly", fault.Denied, text)
}

// anomaly delivers a message in an anomaly envelope to mailboxes that take it,
// unless there is a virus in it.
func (i *Incoming) anomaly(ctx context.Context, m *arrived, boxes map[string]storage.Mailbox, reason, english string, k ledger.Kind) (string, error) {
	const op = "pipeline.anomaly"
	var err error
	if m.found, m.unwanted, err = i.scanOrdinary(ctx, m.in); err != nil {
		return "", fault.Wrap(op, err)
	}
	if m.found.Refuse {
		return "", i.refuseInfected(ctx, m)
	}
	way := protection.Ordinary
	if k == ledger.AnomalyCreated {
		way = protection.Certified
	}
	decided, err := i.judgeOrdinary(ctx, m, way, boxes)
	if err != nil {
		return "", fault.Wrap(op, err)
	}
	if err := i.turnAwayUnwanted(ctx, m, boxes, decided); err != nil {
		return "", err
	}
	fallback, err := i.newID(m.at)
	if err != nil {
		return "", err
	}
	sender := m.Sender
	if sender == "" {
		sender = m.rec.From
	}
	draft := i.Builder.Anomaly(pec.AnomalyInput{
		Header: m.in.scan.Root.Header, Sender: sender, Recipients: m.Recipients, Reason: reason, ReasonEN: english,
		EightBit: m.in.scan.Has8Bit, FallbackID: fallback,
	}, m.at)
	size := m.in.spool.Size()
	o := &original{r: m.in.spool, n: size, blob: m.in.blob(0, size)}
	body, err := i.seal(ctx, draft, o, m.at)
	if err != nil {
		return "", fault.Wrap(op, err)
	}
	body = prefixed(body, m.trace+redirectLines(m.in.scan.Root.Header))
	e := i.arrival(m, k)
	// The envelope's identifier is that of the message, or ours where it has none.
	e.Detail, e.Related = reason, []string{draft.MessageID}
	step := new(storage.Step).Add(body, i.record(e))
	let := i.arrival(m, ledger.ScanReported)
	let.Related = e.Related
	i.report(step, let, m.found)
	for _, r := range m.Recipients {
		quota, err := i.room(ctx, boxes[r])
		if err != nil {
			return "", fault.Wrap(op, err)
		}
		arrival := e
		concern(&arrival, r)
		arrival.Kind, arrival.Class, arrival.Origin, arrival.Mailbox = ledger.Delivered, ledger.ClassAnomaly, ledger.External, boxes[r].Address
		i.intercepted(step, arrival, way, decided[r])
		p := placement{
			box: boxes[r], body: storage.BodyRef{New: body}, at: m.at, class: ledger.ClassAnomaly, quota: quota, record: &arrival,
			quiet: i.ownNotice(m.in.scan.Root.Header), found: m.unwanted, way: way,
		}
		p.put(decided[r])
		if err = i.place(ctx, step, p); err != nil {
			return "", fault.Wrap(op, err)
		}
	}
	if err := i.Store.Commit(ctx, step); err != nil {
		return "", fault.Wrap(op, err)
	}
	for _, r := range m.Recipients {
		i.counted(way, decided[r])
	}
	return "2.0.0 consegnato in busta di anomalia / delivered as anomaly", nil
}
