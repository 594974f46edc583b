// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"strings"

	"pecd/fault"
	"pecd/ledger"
	"pecd/pec"
	"pecd/storage"
)

// receipt passes a valid receipt or notice to its mailbox unmodified (RFC 6109
// §2.2.2) and records what it says of the transaction. It is never answered,
// and a full mailbox takes it all the same (D23).
func (i *Incoming) receipt(ctx context.Context, m *arrived) (string, error) {
	const op = "pipeline.receipt"
	boxes, err := i.known(ctx, m.Recipients)
	if err != nil {
		return "", fault.Wrap(op, err)
	}
	fresh, keys, err := i.fresh(ctx, m.Recipients, m.receiptKeys())
	if err != nil {
		return "", fault.Wrap(op, err)
	}
	if len(fresh) == 0 {
		return "2.0.0 gia' ricevuto / already received", nil
	}
	var off, n int64
	if o := m.rec.Original; o != nil {
		off, n = o.BodyOffset, o.End-o.BodyOffset
	}
	body, err := m.in.body(m.trace, off, n)
	if err != nil {
		return "", fault.Wrap(op, err)
	}
	step := new(storage.Step).Add(&storage.Once{Keys: keys, At: m.at}, body)
	for _, r := range fresh {
		step.Add(&storage.Append{Mailbox: boxes[r].ID, Body: storage.BodyRef{New: body}, InternalDate: m.at})
	}
	cert := pec.MessageOf(*m.rec.CertData)
	e := i.event(m, cert, ledger.ReceiptReceived)
	concern(&e, concerned(m.rec.CertData)...)
	e.Side, e.Mailbox, e.Receipt = ledger.Own, boxes[fresh[0]].Address, m.rec.Kind.CertType()
	e.Error, e.Detail = string(m.rec.CertData.Error), m.rec.CertData.ExtendedError
	e.Related = []string{m.in.scan.Root.Header.Get("Message-ID")}
	step.Add(i.record(e))
	if m.rec.Kind == pec.VirusDetection {
		if err := i.tellVirus(ctx, step, m, cert); err != nil {
			return "", fault.Wrap(op, err)
		}
	}
	i.learn(step, m)
	err = i.Store.Commit(ctx, step)
	if fault.Is(err, fault.Exists) { // a copy came in at the same moment
		return "2.0.0 gia' ricevuto / already received", nil
	}
	if err != nil {
		return "", fault.Wrap(op, err)
	}
	return "2.0.0 ricevuto / received", nil
}

// concerned lists the recipients a receipt speaks of.
func concerned(d *pec.CertData) []string {
	if d.Delivery != "" {
		return []string{d.Delivery}
	}
	return d.Receptions
}

// known looks up every recipient's mailbox; one that is missing refuses the
// message, because it cannot be refused for some recipients only after DATA.
func (i *Incoming) known(ctx context.Context, recipients []string) (map[string]storage.Mailbox, error) {
	boxes := make(map[string]storage.Mailbox, len(recipients))
	for _, r := range recipients {
		box, err := i.Mailboxes.Mailbox(ctx, r)
		if fault.Is(err, fault.NotFound) || err == nil && box.State == storage.MailboxClosed {
			return nil, fault.Say("pipeline.known", fault.NotFound, "indirizzo non valido: "+r+" / no such mailbox")
		}
		if err != nil {
			return nil, err
		}
		boxes[r] = box
	}
	return boxes, nil
}

// learn records what the receipt says of the recipients of our transaction.
// A provider is believed only about the domains it manages.
func (i *Incoming) learn(step *storage.Step, m *arrived) {
	d := m.rec.CertData
	mark := storage.MarkRecipient{ID: d.ID, Own: true}
	switch m.rec.Kind {
	case pec.TakeCharge:
		mark.TakenAt = m.at
	case pec.Delivery:
		mark.Outcome, mark.OutcomeAt = storage.Delivered, m.at
	case pec.NonDelivery, pec.NonDeliveryVirus, pec.VirusDetection:
		mark.Outcome, mark.OutcomeAt = storage.Failed, m.at
	default:
		return
	}
	if mark.Outcome != storage.Pending {
		mark.OutcomeRef = m.in.scan.Root.Header.Get("Message-ID")
	}
	for _, r := range concerned(d) {
		if owns := m.verdict.Origin.Domains; owns == nil || !owns(domainOf(r)) {
			continue
		}
		one := mark
		one.Address = r
		step.Add(&one)
	}
}

// tellVirus turns another provider's virus detection into the notices for our
// user, one for each recipient (RFC 6109 §3.2.4); everything in them comes from
// the detection's data. Nothing is told of what is no open recipient of a
// message of ours, or not the detecting provider's to speak of.
func (i *Incoming) tellVirus(ctx context.Context, step *storage.Step, m *arrived, cert pec.Message) error {
	tx, err := i.Store.Transaction(ctx, cert.ID, true)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, r := range concerned(m.rec.CertData) {
		owns := m.verdict.Origin.Domains
		if owns == nil || !owns(domainOf(r)) || !open(tx, r) {
			continue
		}
		virus := m.rec.CertData.ExtendedError
		draft := i.Builder.NonDeliveryVirus(cert, m.at, r, virus)
		notice, err := i.seal(ctx, draft, nil, m.at)
		if err != nil {
			return err
		}
		e := i.event(m, cert, ledger.ReceiptEmitted)
		concern(&e, r)
		e.Side, e.Receipt, e.Related = ledger.Own, draft.Kind.CertType(), []string{draft.MessageID}
		e.Error, e.Virus = string(pec.Virus), virus
		// The key keeps two detections that come in together from both being told.
		step.Add(i.record(e), &storage.Once{Keys: []string{"virus|" + cert.ID + "|" + strings.ToLower(r)}, At: m.at})
		if _, err := i.route(ctx, step, notice, tx.Sender, cert.ID, false, m.at); err != nil {
			return err
		}
	}
	return nil
}

// open reports whether r is a recipient whose outcome is still unknown.
func open(tx storage.Transaction, r string) bool {
	for _, t := range tx.Recipients {
		if strings.EqualFold(t.Address, r) {
			return t.Outcome == storage.Pending
		}
	}
	return false
}
