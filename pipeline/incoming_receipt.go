// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"slices"
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
	boxes, missing, err := i.known(ctx, m.Recipients)
	if err != nil {
		return "", fault.Wrap(op, err)
	}
	if missing != "" {
		return "", i.undeliverable(ctx, m, missing)
	}
	for range 3 { // a copy, or another detection, may come in at the same moment
		fresh, keys, err := i.fresh(ctx, m.Recipients, m.receiptKeys())
		if err != nil {
			return "", fault.Wrap(op, err)
		}
		if len(fresh) == 0 {
			return "2.0.0 gia' ricevuto / already received", nil
		}
		before, err := i.before(ctx, m)
		if err != nil {
			return "", fault.Wrap(op, err)
		}
		step := new(storage.Step).Add(&storage.Once{Keys: keys, At: m.at})
		if err := i.receiptStep(ctx, step, m, boxes, fresh); err != nil {
			return "", fault.Wrap(op, err)
		}
		err = i.Store.Commit(ctx, step)
		if err == nil {
			i.told(m, boxes[fresh[0]].Address, before)
			return "2.0.0 ricevuto / received", nil
		}
		if !fault.Is(err, fault.Exists) {
			return "", fault.Wrap(op, err)
		}
	}
	return "", fault.Say(op, fault.Temporary, "")
}

func (i *Incoming) receiptStep(ctx context.Context, step *storage.Step, m *arrived, boxes map[string]storage.Mailbox, fresh []string) error {
	var off, n int64
	if o := m.rec.Original; o != nil {
		off, n = o.BodyOffset, o.End-o.BodyOffset
	}
	body, err := m.in.body(m.trace, off, n)
	if err != nil {
		return err
	}
	accepted := m.at
	if slices.ContainsFunc(fresh, func(r string) bool { return boxes[r].FileReceipts }) {
		if accepted, err = i.accepted(ctx, m); err != nil {
			return err
		}
	}
	step.Add(body)
	for _, r := range fresh {
		err := i.place(ctx, step, placement{
			box: boxes[r], body: storage.BodyRef{New: body}, at: m.at, class: ledger.ClassReceipt, into: i.receiptsInto(boxes[r], accepted),
		})
		if err != nil {
			return err
		}
	}
	cert := pec.MessageOf(*m.rec.CertData)
	e := i.receiptEvent(m, cert, ledger.ReceiptReceived)
	e.Mailbox, e.Receipt = boxes[fresh[0]].Address, m.rec.Kind.CertType()
	e.Error, e.Detail = string(m.rec.CertData.Error), m.rec.CertData.ExtendedError
	if m.rec.CertData.Error == pec.Virus {
		e.Virus = m.rec.CertData.ExtendedError
	}
	step.Add(i.record(e))
	if m.rec.Kind == pec.VirusDetection {
		if err := i.tellVirus(ctx, step, m, cert); err != nil {
			return err
		}
	}
	i.learn(step, m)
	return nil
}

// undeliverable refuses a receipt whose mailbox is gone: a fact for the log,
// which is never answered by another notice.
func (i *Incoming) undeliverable(ctx context.Context, m *arrived, missing string) error {
	e := i.receiptEvent(m, pec.MessageOf(*m.rec.CertData), ledger.DeliveryFailed)
	why := noMailbox(missing)
	e.Class, e.Detail = ledger.ClassReceipt, why.Text
	return i.refuse(ctx, new(storage.Step).Add(i.record(e)), why)
}

// receiptEvent is an event about a receipt that came in.
func (i *Incoming) receiptEvent(m *arrived, cert pec.Message, k ledger.Kind) ledger.Event {
	e := i.event(m, cert, k)
	concern(&e, concerned(m.rec.CertData)...)
	e.Side, e.Related = ledger.Own, []string{m.in.scan.Root.Header.Get("Message-ID")}
	return e
}

// concerned lists the recipients a receipt speaks of.
func concerned(d *pec.CertData) []string {
	if d.Delivery != "" {
		return []string{d.Delivery}
	}
	return d.Receptions
}

// learn records what the receipt says of the recipients of our transaction.
// A provider is believed only about the domains it manages, and about certified
// recipients: our own relay answers for ordinary ones.
func (i *Incoming) learn(step *storage.Step, m *arrived) {
	d := m.rec.CertData
	mark := storage.MarkRecipient{ID: d.ID, Own: true, Certified: true}
	switch m.rec.Kind {
	case pec.TakeCharge:
		mark.TakenAt = m.at
	case pec.Delivery:
		mark.Outcome, mark.OutcomeAt = storage.Delivered, m.at
	case pec.NonDelivery, pec.VirusDetection:
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
// user, one for each recipient (RFC 6109 §3.2.4), and closes what is open for
// them. The virus comes from the detection, the message from what we certified
// ourselves: all of a transaction's notices say the same (pec-rules §1.7).
// Nothing is told of what is no open recipient of a message of ours, or not the
// detecting provider's to speak of.
func (i *Incoming) tellVirus(ctx context.Context, step *storage.Step, m *arrived, cert pec.Message) error {
	tx, err := i.Store.Transaction(ctx, cert.ID, true)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	cert, virus := asCertified(tx, cert), m.rec.CertData.ExtendedError
	told := 0
	for _, r := range unique(concerned(m.rec.CertData)) {
		owns := m.verdict.Origin.Domains
		if owns == nil || !owns(domainOf(r)) || !open(tx, r) {
			continue
		}
		draft := i.Builder.NonDeliveryVirus(cert, m.at, r, virus)
		notice, err := i.seal(ctx, draft, nil, m.at)
		if err != nil {
			return err
		}
		e := eventOf(cert, ledger.ReceiptEmitted, m.at)
		concern(&e, r)
		e.Side, e.Mailbox, e.Provider = ledger.Own, tx.Sender, i.Builder.Provider.Name
		e.Receipt, e.Related = draft.Kind.CertType(), []string{draft.MessageID}
		e.Error, e.Virus = string(pec.Virus), virus
		ok, err := i.route(ctx, step, outgoing{body: notice, to: tx.Sender, id: cert.ID, accepted: tx.At}, m.at)
		if err != nil {
			return err
		}
		if !ok {
			e.Detail = "mittente inesistente"
		}
		step.Add(
			i.record(e),
			// Of two detections, or a detection and a receipt, that come in together one is told.
			&storage.ExpectPending{ID: cert.ID, Own: true, Address: r},
			&storage.MarkRecipient{ID: cert.ID, Own: true, Address: r, Outcome: storage.Failed, OutcomeAt: m.at, OutcomeRef: draft.MessageID},
		)
		told++
	}
	if told > 0 { // our own antivirus let it pass: the rules want that looked into (RFC 6109 §2.2.2)
		i.Logger.Warn("another provider found a virus in a message accepted here",
			"id", cert.ID, "virus", traceComment(virus), "provider", m.verdict.Origin.Provider, "recipients", told)
	}
	return nil
}

// asCertified is a message of ours as a receipt about it has it, with all that
// we certified ourselves put right.
func asCertified(tx storage.Transaction, said pec.Message) pec.Message {
	said.Sender, said.MsgID, said.Recipients = tx.Sender, tx.MsgID, nil
	said.Subject, said.HasSubject = tx.Subject, said.HasSubject || tx.Subject != ""
	if tx.ReplyTo != "" {
		said.ReplyTo = tx.ReplyTo
	}
	for _, r := range tx.Recipients {
		said.Recipients = append(said.Recipients, pec.Recipient{Address: r.Address, External: r.External})
	}
	return said
}

// open reports whether r is a certified recipient whose outcome is still
// unknown. Of ordinary ones nothing is told: our sender knows that no answer
// comes (pec-rules §1.4).
func open(tx storage.Transaction, r string) bool {
	for _, t := range tx.Recipients {
		if strings.EqualFold(t.Address, r) {
			return t.Outcome == storage.Pending && !t.External
		}
	}
	return false
}
