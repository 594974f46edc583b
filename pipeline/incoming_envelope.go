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

// envelope takes a valid transport envelope in charge, or, where a virus is in
// it, detains it. Either is done once for each recipient: what a repeated
// envelope brings is known already and not looked at again.
func (i *Incoming) envelope(ctx context.Context, m *arrived) (string, error) {
	const op = "pipeline.envelope"
	fresh, _, err := i.fresh(ctx, m.Recipients, m.envelopeKeys())
	if err != nil {
		return "", fault.Wrap(op, err)
	}
	if len(fresh) == 0 {
		return m.knownAlready(), nil
	}
	if m.found, m.unwanted, err = i.scan(ctx, m.in); err != nil {
		return "", fault.Wrap(op, err)
	}
	if m.found.Refuse {
		return i.detain(ctx, m)
	}
	if err := i.judgeEnvelope(ctx, m, fresh); err != nil {
		return "", fault.Wrap(op, err)
	}
	return i.takeCharge(ctx, m)
}

func (m *arrived) envelopeKeys() []string {
	return envelopeKeys(m.verdict.Origin.Provider, m.rec.CertData.ID, m.Recipients)
}

func (m *arrived) knownAlready() string {
	return "2.0.0 gia' ricevuto / already received " + m.rec.CertData.ID
}

// takeCharge takes an envelope in charge for its own recipients (RFC 6109
// §3.2.1) and hands it to the delivery point.
func (i *Incoming) takeCharge(ctx context.Context, m *arrived) (string, error) {
	const op = "pipeline.takeCharge"
	for range 3 { // a copy arriving at the same moment may claim recipients first
		fresh, keys, err := i.fresh(ctx, m.Recipients, m.envelopeKeys())
		if err != nil {
			return "", fault.Wrap(op, err)
		}
		if len(fresh) == 0 {
			return m.knownAlready(), nil
		}
		step, err := i.takeChargeStep(ctx, m, fresh, keys)
		if err != nil {
			return "", fault.Wrap(op, err)
		}
		err = i.Store.Commit(ctx, step)
		if err == nil {
			return "2.0.0 preso in carico / taken in charge " + m.rec.CertData.ID, nil
		}
		if !fault.Is(err, fault.Exists) {
			return "", fault.Wrap(op, err)
		}
	}
	return "", fault.Say(op, fault.Temporary, "")
}

// fresh returns the recipients whose key (all, in their order) no earlier step
// has claimed, and their keys.
func (i *Incoming) fresh(ctx context.Context, recipients, all []string) (fresh, keys []string, err error) {
	done, err := i.Store.Done(ctx, all)
	if err != nil {
		return nil, nil, err
	}
	claimed := make(map[string]bool, len(done))
	for _, k := range done {
		claimed[k] = true
	}
	for n, r := range recipients {
		if !claimed[all[n]] {
			fresh, keys = append(fresh, r), append(keys, all[n])
		}
	}
	return fresh, keys, nil
}

func (i *Incoming) takeChargeStep(ctx context.Context, m *arrived, fresh, keys []string) (*storage.Step, error) {
	cert := pec.MessageOf(*m.rec.CertData)
	o := m.rec.Original
	body, err := m.in.body(m.trace, o.BodyOffset, o.End-o.BodyOffset)
	if err != nil {
		return nil, err
	}
	provider := m.verdict.Origin.Provider
	step := new(storage.Step).Add(&storage.Once{Keys: keys, At: m.at}, body, i.record(i.event(m, cert, ledger.EnvelopeReceived)))
	let := i.event(m, cert, ledger.ScanReported)
	concern(&let, fresh...)
	i.report(step, let, m.found)
	own, silent := m.certified(fresh)
	for _, r := range silent {
		step.Add(deliverJob(body, deliverPayload{ID: cert.ID, Recipient: r, Provider: provider, Silent: true, Found: m.unwanted}, m.at))
	}
	if len(own) == 0 {
		return step, nil
	}
	tx := i.transaction(m, cert)
	for _, r := range own {
		tx.Recipients = append(tx.Recipients, storage.TxRecipient{Address: r, TakenAt: m.at})
		step.Add(deliverJob(body, deliverPayload{ID: cert.ID, Recipient: r, Provider: provider, Found: m.unwanted}, m.at))
	}
	step.Add(&storage.PutTransaction{Transaction: tx})

	draft := i.Builder.TakeCharge(cert, m.at, own, m.verdict.Origin.MailReceipt)
	taken := i.event(m, cert, ledger.TakenInCharge)
	concern(&taken, own...)
	taken.Receipt, taken.Related = draft.Kind.CertType(), []string{draft.MessageID}
	step.Add(i.record(taken))
	_, err = i.tellProvider(ctx, step, m, cert, draft)
	return step, err
}

// transaction is what is recorded of another provider's message, without its
// recipients.
func (i *Incoming) transaction(m *arrived, cert pec.Message) storage.Transaction {
	return storage.Transaction{
		ID: foreignID(cert.ID, m.verdict.Origin.Provider), Sender: cert.Sender, MsgID: cert.MsgID, Subject: cert.Subject,
		ReplyTo: cert.ReplyTo, Provider: m.verdict.Origin.Provider, Receipt: string(cert.Receipt), At: m.at, Size: m.in.spool.Size(),
	}
}

// certified parts the recipients into those the certified data call certified
// and those they call ordinary, for whom no receipt is due (pec-rules §1.7).
func (m *arrived) certified(recipients []string) (own, silent []string) {
	external := make(map[string]bool)
	for _, r := range m.rec.CertData.Recipients {
		external[strings.ToLower(r.Address)] = r.External
	}
	for _, r := range recipients {
		if external[strings.ToLower(r)] {
			silent = append(silent, r)
		} else {
			own = append(own, r)
		}
	}
	return own, silent
}

// tellProvider adds to step what brings a receipt to the service mailbox of the
// sender's provider. It returns the receipt.
func (i *Incoming) tellProvider(ctx context.Context, step *storage.Step, m *arrived, cert pec.Message, draft pec.Draft) (*storage.NewBody, error) {
	to := m.verdict.Origin.MailReceipt
	receipt, err := i.seal(ctx, draft, nil, m.at)
	if err != nil {
		return nil, err
	}
	ok, err := i.route(ctx, step, outgoing{body: receipt, to: to, id: cert.ID, accepted: m.rec.CertData.At}, m.at)
	if err == nil && !ok {
		lost := i.event(m, cert, ledger.DeliveryFailed)
		concern(&lost, to)
		lost.Class, lost.Related, lost.Detail = ledger.ClassReceipt, []string{draft.MessageID}, "casella di servizio inesistente"
		step.Add(i.record(lost))
	}
	return receipt, err
}
