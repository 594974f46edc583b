// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"

	"pecd/fault"
	"pecd/ledger"
	"pecd/pec"
	"pecd/storage"
)

// file delivers an envelope whose certified data call the recipient an ordinary
// one. The sender was told "posta ordinaria" and gets no receipt (pec-rules §1.4).
func (d *DeliveryPoint) file(ctx context.Context, job storage.Job, p deliverPayload, env *envelope, box storage.Mailbox, no *refusal, more ...storage.Op) error {
	const op = "pipeline.file"
	at := d.now()
	if no == nil {
		tier, err := d.Mailboxes.Tier(ctx, box.Tier)
		if err != nil {
			return fault.Wrap(op, err)
		}
		step := new(storage.Step).Add(
			&storage.FinishJob{ID: job.ID},
			&storage.Append{Mailbox: box.ID, Body: storage.BodyRef{ID: job.Body}, InternalDate: at, Quota: tier.QuotaBytes},
			d.record(d.event(env, p, ledger.Delivered, at, func(e *ledger.Event) { e.Mailbox = box.Address })),
		)
		err = d.Store.Commit(ctx, step)
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

// giveUp answers an envelope that is not delivered for reasons of ours. What it
// certifies comes from the envelope where that can be read, and from the
// transaction otherwise: of another provider's message that one has our own
// recipients only. more goes into the same commit.
func (d *DeliveryPoint) giveUp(ctx context.Context, job storage.Job, p deliverPayload, no refusal, more ...storage.Op) error {
	const op = "pipeline.giveUp"
	env := &envelope{cert: pec.Message{ID: p.ID}}
	if p.Silent {
		return fault.Wrap(op, d.file(ctx, job, p, env, storage.Mailbox{}, &no, more...))
	}
	if read, err := d.envelopes.get(ctx, job.Body); err == nil {
		env = read
	} else {
		tx, err := d.Store.Transaction(ctx, p.transaction(), p.Own)
		if err != nil {
			return fault.Wrap(op, err)
		}
		env.cert, env.size = messageOf(tx, p.ID), tx.Size
	}
	return fault.Wrap(op, d.fail(ctx, job, p, env, no, more...))
}
