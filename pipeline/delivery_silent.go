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

// file delivers an envelope whose certified data call the recipient an ordinary
// one. The sender was told "posta ordinaria" and gets no receipt (pec-rules §1.4).
func (d *DeliveryPoint) file(ctx context.Context, job storage.Job, p deliverPayload, env *envelope, box storage.Mailbox, no *refusal, decision protection.Decision, more ...storage.Op) error {
	const op = "pipeline.file"
	at := d.now()
	if no == nil {
		quota, err := d.room(ctx, box)
		if err != nil {
			return fault.Wrap(op, err)
		}
		step := new(storage.Step).Add(&storage.FinishJob{ID: job.ID})
		delivered := d.event(env, p, ledger.Delivered, at, func(e *ledger.Event) { e.Mailbox = box.Address })
		in := placement{box: box, body: storage.BodyRef{ID: job.Body}, at: at, class: ledger.ClassPEC, quota: quota, record: &delivered}
		if err := d.stow(ctx, step, env, p, in, decision); err != nil {
			return fault.Wrap(op, err)
		}
		err = d.Store.Commit(ctx, step)
		if err == nil {
			d.counted(protection.Certified, decision)
		}
		if !fault.Is(err, fault.Quota) {
			return fault.Wrap(op, err)
		}
		no = &refusal{pec.OtherError, "5.2.2", "casella piena"}
	}
	step := new(storage.Step).Add(
		&storage.FinishJob{ID: job.ID},
		d.record(d.event(env, p, ledger.DeliveryFailed, at, func(e *ledger.Event) {
			e.Error, e.Detail = string(no.code), no.extended(d.Builder.Provider.Name)
		})),
	).Add(more...)
	return fault.Wrap(op, d.Store.Commit(ctx, step))
}

// giveUp answers an envelope that is not delivered for reasons of ours: its time
// is over, or an operator said so. Where the envelope cannot be read, what is
// remembered of it has to do. more goes into the same commit.
func (d *DeliveryPoint) giveUp(ctx context.Context, job storage.Job, p deliverPayload, no refusal, more ...storage.Op) error {
	const op = "pipeline.giveUp"
	env, err := d.envelopes.get(ctx, keyOf(p, job.Body), job.Body)
	if err != nil {
		env, err = d.remembered(ctx, p)
	}
	switch {
	case err != nil:
		return fault.Wrap(op, err)
	case p.Silent:
		return fault.Wrap(op, d.file(ctx, job, p, env, storage.Mailbox{}, &no, protection.Decision{}, more...))
	}
	return fault.Wrap(op, d.fail(ctx, job, p, env, no, more...))
}

// remembered is the envelope as the transaction and the PEC log know it. Of
// another provider's message the transaction has our own recipients alone; the
// log has all of them, as every receipt must name them (pec-rules §1.7).
func (d *DeliveryPoint) remembered(ctx context.Context, p deliverPayload) (*envelope, error) {
	env := &envelope{cert: pec.Message{ID: p.ID}}
	if p.Silent {
		return env, nil
	}
	tx, err := d.Store.Transaction(ctx, p.transaction(), p.Own)
	if err != nil {
		return nil, err
	}
	env.cert, env.accepted, env.size = messageOf(tx, p.ID), tx.At, tx.Size
	if p.Own {
		return env, nil
	}
	query := storage.RecordQuery{ID: p.ID, Event: string(ledger.EnvelopeReceived)}
	return env, d.Store.FindRecords(ctx, query, func(r storage.Record) error {
		e, err := ledger.Decode(r.Data)
		if err != nil || e.Provider != p.Provider || e.Side != ledger.Foreign {
			return nil
		}
		env.cert.Recipients = nil
		for _, r := range e.Recipients {
			env.cert.Recipients = append(env.cert.Recipients, pec.Recipient{Address: r.Address, External: r.Type == ledger.Ordinary})
		}
		return nil
	})
}
