// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"strings"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/pec"
	"pecd/storage"
)

// When the sender is told of silence, counted from the acceptance (RFC 6109
// §3.1.6, pec-rules §6.1). The second notice may go out between the 22nd and
// the 24th hour: the middle leaves an hour for late receipts and one for a
// restart (ADR 0007 §1).
const (
	firstNotice  = 12 * time.Hour
	secondNotice = 23 * time.Hour
)

// What one step tells at most: a thousand silent recipients must not become one
// commit. A notice names every recipient of its message, so octets count, too.
const (
	noticesPerStep     = 100
	noticeBytesPerStep = 4 << 20
)

// Deadlines tells senders that nothing was heard of their messages.
//
// What a run does follows from the transaction alone, and the marks, the notices
// and the end or the next date of the job are one commit: a run that is repeated
// after a crash finds either all of it done or nothing. A receipt that comes
// while the notices are being signed is found by the commit, which then fails:
// the step is made anew. The second notice claims a key besides, because the
// relay, which gives up at about the same time, may be saying the same.
type Deadlines struct{ *Core }

// deadlinePayload names the transaction that a deadline job watches over.
type deadlinePayload struct {
	ID string `json:"id"`
}

func deadlineJob(id string, at time.Time) *storage.Enqueue {
	return &storage.Enqueue{Job: storage.Job{
		Kind: JobDeadline, Due: at.Add(firstNotice), Created: at, Payload: encodePayload(deadlinePayload{ID: id}),
	}}
}

// Deadline does one step of one job: the notices that are due, up to
// noticesPerStep, and the date of the next look, if there is to be one.
func (d *Deadlines) Deadline(ctx context.Context, job storage.Job) error {
	const op = "pipeline.Deadline"
	var p deadlinePayload
	if err := decodePayload(job.Payload, &p); err != nil {
		return err
	}
	limit := noticesPerStep
	return fault.Wrap(op, d.commitFresh(ctx, func() (*storage.Step, error) {
		// Fewer at each attempt: in a stream of receipts, one is always too late for many.
		n := limit
		limit = max(limit/10, 1)
		tx, err := d.Store.Transaction(ctx, p.ID, true)
		if fault.Is(err, fault.NotFound) {
			d.Logger.Error("deadline of an unknown transaction", "id", p.ID)
			return new(storage.Step).Add(&storage.FinishJob{ID: job.ID}), nil
		}
		if err != nil {
			return nil, err
		}
		return d.step(ctx, job, tx, n)
	}))
}

func (d *Deadlines) step(ctx context.Context, job storage.Job, tx storage.Transaction, limit int) (*storage.Step, error) {
	at := d.now()
	due, second, next := silent(tx, at)
	step := new(storage.Step)
	told, size := 0, 0
	for _, r := range due {
		if told == limit || size >= noticeBytesPerStep {
			next = at // the rest, at once
			break
		}
		n, err := d.tellSilence(ctx, step, tx, r.Address, second, at)
		if err != nil {
			return nil, err
		}
		told, size = told+1, size+n
	}
	if next.IsZero() {
		return step.Add(&storage.FinishJob{ID: job.ID}), nil
	}
	return step.Add(&storage.RetryJob{ID: job.ID, Due: next}), nil
}

// silent lists the recipients whose notice is due at an instant, the first or
// the second, and when to look again; zero: never. Ordinary recipients confirm
// nothing and are not waited for (pec-rules §1.4).
func silent(tx storage.Transaction, at time.Time) (due []storage.TxRecipient, second bool, next time.Time) {
	first, last := tx.At.Add(firstNotice), tx.At.Add(secondNotice)
	second = !at.Before(last)
	for _, r := range tx.Recipients {
		if r.External || r.Outcome != storage.Pending || !r.SecondNoticeAt.IsZero() {
			continue
		}
		switch {
		case second:
			due = append(due, r)
		case at.Before(first):
			next = first
		default:
			next = last
			if r.TakenAt.IsZero() && r.FirstNoticeAt.IsZero() {
				due = append(due, r)
			}
		}
	}
	return due, second, next
}

// tellSilence adds a notice of elapsed time to step, with the mark and the
// record of it, on condition that there is still nothing else to tell. It
// returns the notice's size in octets.
func (c *Core) tellSilence(ctx context.Context, step *storage.Step, tx storage.Transaction, recipient string, second bool, at time.Time) (int, error) {
	cert := messageOf(tx, tx.ID)
	draft := c.Builder.Timeout(cert, at, recipient, second)
	notice, err := c.seal(ctx, draft, nil, at)
	if err != nil {
		return 0, err
	}
	step.Add(&storage.ExpectPending{ID: tx.ID, Own: true, Address: recipient, NotTaken: !second})
	mark := &storage.MarkRecipient{ID: tx.ID, Own: true, Address: recipient}
	if second {
		mark.SecondNoticeAt = at
		step.Add(finalWord(tx.ID, recipient, at))
	} else {
		mark.FirstNoticeAt = at
	}
	e := eventOf(cert, ledger.ReceiptEmitted, at)
	concern(&e, recipient)
	e.Side, e.Mailbox, e.Provider = ledger.Own, tx.Sender, c.Builder.Provider.Name
	e.Receipt, e.Related = draft.Kind.CertType(), []string{draft.MessageID}
	e.Error, e.Detail = string(pec.OtherError), c.Builder.TimeoutError(second)
	ok, err := c.route(ctx, step, outgoing{body: notice, to: tx.Sender, id: tx.ID, accepted: tx.At}, at)
	if err != nil {
		return 0, err
	}
	if !ok {
		e.Detail += "; mittente inesistente"
	}
	step.Add(mark, c.record(e))
	return len(notice.Head), nil
}

// finalWord claims the right to tell the sender that a certified recipient will
// not be reached: by the second notice, or by a non-delivery notice before it.
func finalWord(id, recipient string, at time.Time) *storage.Once {
	return &storage.Once{Keys: []string{"final|" + id + "|" + strings.ToLower(recipient)}, At: at}
}

// commitFresh commits the step that build makes from what is stored, anew where
// another step claimed one of its keys, or recorded what became of one of its
// recipients, in between.
func (c *Core) commitFresh(ctx context.Context, build func() (*storage.Step, error)) error {
	for range 3 {
		step, err := build()
		if err != nil {
			return err
		}
		if err = c.Store.Commit(ctx, step); !fault.Is(err, fault.Exists) {
			return err
		}
	}
	return fault.Say("pipeline.commitFresh", fault.Temporary, "")
}

// messageOf is the certified data as the transaction keeps them, for notices
// that must not depend on the envelope. id is the identificativo.
func messageOf(tx storage.Transaction, id string) pec.Message {
	m := pec.Message{
		ID: id, MsgID: tx.MsgID, Sender: tx.Sender, ReplyTo: tx.ReplyTo,
		Subject: tx.Subject, HasSubject: tx.Subject != "", Receipt: pec.ReceiptType(tx.Receipt),
	}
	for _, r := range tx.Recipients {
		m.Recipients = append(m.Recipients, pec.Recipient{Address: r.Address, External: r.External})
	}
	return m
}
