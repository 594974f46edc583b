// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/pec"
	"pecd/protection"
	"pecd/storage"
)

// DeliveryPoint puts envelopes into own mailboxes and answers each with a
// delivery receipt or a non-delivery notice (RFC 6109 §2.2.3, §3.3).
type DeliveryPoint struct {
	*Core
	envelopes *envelopes
	underway  underway
}

// NewDeliveryPoint returns the delivery point of a provider.
func NewDeliveryPoint(c *Core) *DeliveryPoint {
	return &DeliveryPoint{Core: c, envelopes: newEnvelopes(c.Store)}
}

// refusal is why an envelope cannot be delivered, in the coding of AgID's
// note 12 (pec-rules §3.3).
type refusal struct {
	code   pec.ErrorCode
	status string // enhanced status code
	reason string // Italian
}

func (r refusal) extended(provider string) string {
	return pec.ExtendedError(r.status, provider, r.reason)
}

// Deliver does one job: the message in the mailbox and the receipt on its way
// are one commit with the end of the job. What cannot be delivered within a day,
// for whatever reason, an operator's hold among them, is answered by a notice:
// nobody waits for ever.
func (d *DeliveryPoint) Deliver(ctx context.Context, job storage.Job) error {
	const op = "pipeline.Deliver"
	var p deliverPayload
	if err := decodePayload(job.Payload, &p); err != nil {
		return err
	}
	defer d.underway.enter(job.ID)()
	broken := refusal{pec.OtherError, "5.3.0", "errore del sistema di consegna"}
	if job.Held && expired(job, d.now()) {
		return fault.Wrap(op, d.giveUp(ctx, job, p, broken))
	}
	err := d.attempt(ctx, job, p)
	if err != nil && ctx.Err() == nil && expired(job, d.now()) {
		d.Logger.Error("delivery given up", "id", p.ID, "error", err)
		err = d.giveUp(ctx, job, p, broken)
	}
	return fault.Wrap(op, err)
}

func (d *DeliveryPoint) attempt(ctx context.Context, job storage.Job, p deliverPayload) error {
	const op = "pipeline.attempt"
	env, err := d.envelopes.get(ctx, keyOf(p, job.Body), job.Body)
	if err != nil {
		return fault.Wrap(op, err)
	}
	box, no, err := d.admit(ctx, p.Recipient)
	if err != nil {
		return fault.Wrap(op, err)
	}
	decision, err := d.ruled(ctx, protection.Certified, box.Address, p.Found)
	if err != nil {
		return fault.Wrap(op, err)
	}
	if p.Silent {
		return fault.Wrap(op, d.file(ctx, job, p, env, box, no, decision.Softened()))
	}
	if no == nil {
		if no = unwanted(decision); no != nil {
			return fault.Wrap(op, d.reject(ctx, job, p, env, box, *no, decision))
		}
		err = d.deliver(ctx, job, p, env, box, decision)
		if !fault.Is(err, fault.Quota) {
			return fault.Wrap(op, err)
		}
		no = &refusal{pec.OtherError, "5.2.2", "casella piena"}
	}
	return fault.Wrap(op, d.fail(ctx, job, p, env, *no))
}

// admit looks the mailbox up and says why it takes no mail, if so.
func (d *DeliveryPoint) admit(ctx context.Context, address string) (storage.Mailbox, *refusal, error) {
	box, err := d.Mailboxes.Mailbox(ctx, address)
	switch {
	case fault.Is(err, fault.NotFound):
		return box, &refusal{pec.NoDest, "5.1.1", "indirizzo non valido"}, nil
	case err != nil:
		return box, nil, err
	case box.State == storage.MailboxClosed:
		return box, &refusal{pec.NoDest, "5.1.1", "indirizzo non valido"}, nil
	case box.State != storage.MailboxActive:
		return box, &refusal{pec.OtherError, "5.2.1", "casella disabilitata"}, nil
	}
	return box, nil, nil
}

func (d *DeliveryPoint) deliver(ctx context.Context, job storage.Job, p deliverPayload, env *envelope, box storage.Mailbox, decision protection.Decision) error {
	const op = "pipeline.deliver"
	quota, err := d.room(ctx, box)
	if err != nil {
		return fault.Wrap(op, err)
	}
	form := pec.FormFor(env.cert.Receipt, env.primary(p.Recipient))
	o, form, eightBit, err := d.enclosure(ctx, env, job.Body, form)
	if err != nil {
		return fault.Wrap(op, err)
	}
	defer o.close()
	at := d.now()
	draft := d.Builder.Delivery(env.cert, at, p.Recipient, form, eightBit)
	receipt, err := d.seal(ctx, draft, o, at)
	if err != nil {
		return fault.Wrap(op, err)
	}
	step := new(storage.Step).Add(
		&storage.FinishJob{ID: job.ID},
		d.mark(p, storage.Delivered, at, draft.MessageID),
	)
	delivered := d.event(env, p, ledger.Delivered, at, func(e *ledger.Event) {
		e.Mailbox, e.Receipt, e.Related = box.Address, draft.Kind.CertType(), []string{draft.MessageID}
	})
	in := placement{box: box, body: storage.BodyRef{ID: job.Body}, at: at, class: ledger.ClassPEC, quota: quota, record: &delivered}
	if err := d.stow(ctx, step, env, p, in, decision); err != nil {
		return fault.Wrap(op, err)
	}
	if err := d.answer(ctx, step, receipt, env, p, eightBit, at); err != nil {
		return fault.Wrap(op, err)
	}
	if err := d.Store.Commit(ctx, step); err != nil {
		return fault.Wrap(op, err)
	}
	d.counted(protection.Certified, decision)
	if p.Own {
		d.outcome(env.cert.Sender, env.accepted, true)
	}
	return nil
}

// enclosure is the original as the form of the receipt carries it.
func (d *DeliveryPoint) enclosure(ctx context.Context, env *envelope, id storage.BodyID, form pec.DeliveryForm) (*original, pec.DeliveryForm, bool, error) {
	switch form {
	case pec.FormComplete:
		o, err := env.whole(ctx, d.Store, id)
		return o, form, env.eightBit, err
	case pec.FormBrief:
		o, err := env.hashed(ctx, d.Store, id)
		if err != nil {
			return nil, form, false, err
		}
		if o != nil {
			return o, form, env.brief8Bit, nil
		}
		o, err = env.whole(ctx, d.Store, id) // an opaque S/MIME original: brief equals complete
		return o, form, env.eightBit, err
	}
	return nil, form, false, nil
}

// fail answers an envelope that cannot be delivered with the signed notice
// (RFC 6109 §3.3.3). more goes into the same commit.
func (d *DeliveryPoint) fail(ctx context.Context, job storage.Job, p deliverPayload, env *envelope, no refusal, more ...storage.Op) error {
	const op = "pipeline.fail"
	at := d.now()
	extended := no.extended(d.Builder.Provider.Name)
	draft := d.Builder.NonDelivery(env.cert, at, p.Recipient, no.code, extended)
	notice, err := d.seal(ctx, draft, nil, at)
	if err != nil {
		return fault.Wrap(op, err)
	}
	step := new(storage.Step).Add(
		&storage.FinishJob{ID: job.ID},
		d.mark(p, storage.Failed, at, draft.MessageID),
		d.record(d.event(env, p, ledger.DeliveryFailed, at, func(e *ledger.Event) {
			e.Receipt, e.Related = draft.Kind.CertType(), []string{draft.MessageID}
			e.Error, e.Detail = string(no.code), extended
		})),
	).Add(more...)
	if err := d.answer(ctx, step, notice, env, p, false, at); err != nil {
		return fault.Wrap(op, err)
	}
	if err := d.Store.Commit(ctx, step); err != nil {
		return fault.Wrap(op, err)
	}
	if p.Own {
		d.outcome(env.cert.Sender, env.accepted, !missing(no.code))
	}
	return nil
}

// answer routes the receipt to the sender. A sender whose mailbox is gone is a
// fact for the log, not a reason to keep the recipient's message back.
func (d *DeliveryPoint) answer(ctx context.Context, step *storage.Step, receipt *storage.NewBody, env *envelope, p deliverPayload, eightBit bool, at time.Time) error {
	ok, err := d.route(ctx, step, outgoing{body: receipt, to: env.cert.Sender, id: p.ID, accepted: env.accepted, eightBit: eightBit}, at)
	if err != nil {
		return err
	}
	if !ok {
		step.Add(d.record(d.event(env, p, ledger.DeliveryFailed, at, func(e *ledger.Event) {
			e.Class, e.Detail = ledger.ClassReceipt, "ricevuta non recapitabile: mittente inesistente"
		})))
	}
	return nil
}

func (d *DeliveryPoint) mark(p deliverPayload, o storage.Outcome, at time.Time, ref string) *storage.MarkRecipient {
	return &storage.MarkRecipient{ID: p.transaction(), Own: p.Own, Address: p.Recipient, Outcome: o, OutcomeAt: at, OutcomeRef: ref}
}

func (d *DeliveryPoint) event(env *envelope, p deliverPayload, k ledger.Kind, at time.Time, more func(*ledger.Event)) ledger.Event {
	e := eventOf(env.cert, k, at)
	concern(&e, p.Recipient)
	e.Side, e.Origin, e.Class, e.Size = ledger.Foreign, ledger.External, ledger.ClassPEC, env.size
	e.Provider = p.Provider
	if p.Own {
		e.Side = ledger.Own
	}
	if domainOf(env.cert.Sender) == domainOf(p.Recipient) {
		e.Origin = ledger.Internal
	}
	more(&e)
	return e
}
