// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"pecd/fault"
	"pecd/ledger"
	"pecd/pec"
	"pecd/storage"
)

// What one commit of an operator's act covers, and how long a reason may be.
const (
	actsPerStep = 100
	maxWhy      = 200 // runes
)

// Hold keeps messages from being tried until they are released, or given up at
// their time. Like the other acts it returns how many it changed, and why not
// the others: NotFound where there is no such job any more, Conflict where it is
// being done, Denied for a deadline. Each act is a record of the PEC log, in the
// commit that does it; actor is who gave the order.
func (q *Queue) Hold(ctx context.Context, actor string, ids ...storage.JobID) (int, error) {
	return q.act(ctx, actor, ids, ledger.QueueHeld, func(j storage.Job) storage.Op {
		return &storage.HoldJob{ID: j.ID, Held: true}
	})
}

// Release ends the hold of messages.
func (q *Queue) Release(ctx context.Context, actor string, ids ...storage.JobID) (int, error) {
	return q.act(ctx, actor, ids, ledger.QueueReleased, func(j storage.Job) storage.Op {
		return &storage.HoldJob{ID: j.ID}
	})
}

// RetryNow has messages tried at once. It ends their hold and the pause of their
// destination, and counts as an attempt.
func (q *Queue) RetryNow(ctx context.Context, actor string, ids ...storage.JobID) (int, error) {
	now := q.Clock.Now()
	lanes := make(map[string]bool)
	n, err := q.act(ctx, actor, ids, ledger.QueueRetried, func(j storage.Job) storage.Op {
		if j.Kind == JobRelay {
			lanes[j.Lane] = true
		}
		return &storage.RetryJob{ID: j.ID, Due: now, LastError: j.LastError}
	})
	for lane := range lanes {
		q.relay.lanes.reopen(lane)
	}
	return n, err
}

// Fail gives messages up, as their time being over would: with a notice of
// non-delivery to the sender of an envelope, that tells reason; of a receipt
// there is but the record. What the recipient's provider has taken in charge
// already is no longer ours to refuse: the job ends with the record.
func (q *Queue) Fail(ctx context.Context, actor, reason string, ids ...storage.JobID) (int, error) {
	reason = cleanReason(reason)
	return q.each(ids, func(ids []storage.JobID) (int, error) {
		jobs, err := q.take(ctx, ids)
		var done int
		for _, j := range jobs {
			if ferr := q.fail(ctx, actor, reason, j); ferr != nil {
				q.Store.Release(j.ID)
				err = errors.Join(err, fmt.Errorf("job %d: %w", j.ID, ferr))
				continue
			}
			done++
		}
		return done, err
	})
}

func (q *Queue) fail(ctx context.Context, actor, reason string, j storage.Job) error {
	at := q.now()
	act, err := q.event(ctx, ledger.QueueFailed, actor, at, j)
	if err != nil {
		return err
	}
	act.Detail = reason
	if j.Kind == JobDeliver {
		var p deliverPayload
		if err := decodePayload(j.Payload, &p); err != nil {
			return err
		}
		return q.delivery.giveUp(ctx, j, p, byOperator("5.3.0", "consegna annullata", reason), q.record(act))
	}
	var p relayPayload
	if err := decodePayload(j.Payload, &p); err != nil {
		return err
	}
	if p.Notice != nil { // nobody is told
		return q.Store.Commit(ctx, new(storage.Step).Add(&storage.FinishJob{ID: j.ID}, q.record(act)))
	}
	return q.commitFresh(ctx, func() (*storage.Step, error) {
		s := &settling{RelayPoint: q.relay, step: new(storage.Step), job: j, p: p, at: at}
		for _, r := range p.Recipients {
			s.p.Owed = append(s.p.Owed, owe(r, byOperator("5.4.0", "inoltro annullato", reason), ""))
		}
		s.p.Recipients = nil
		rest, err := s.tell(ctx, s.p.Owed)
		if err != nil {
			return nil, err
		}
		// The relay tells what does not fit into this step, also of a held message.
		s.step.Add(&storage.HoldJob{ID: j.ID}, q.record(act))
		s.end(rest, at, j.LastError)
		return s.step, nil
	})
}

// act does one act on jobs that nobody has, in steps of actsPerStep. A hold
// ends with every act but Hold.
func (q *Queue) act(ctx context.Context, actor string, ids []storage.JobID, k ledger.Kind, op func(storage.Job) storage.Op) (int, error) {
	return q.each(ids, func(ids []storage.JobID) (int, error) {
		jobs, refused := q.take(ctx, ids)
		if len(jobs) == 0 {
			return 0, refused
		}
		at, step := q.now(), new(storage.Step)
		taken := make([]storage.JobID, len(jobs))
		var err error
		for i, j := range jobs {
			taken[i] = j.ID
			e, eerr := q.event(ctx, k, actor, at, j)
			err = errors.Join(err, eerr)
			step.Add(&storage.HoldJob{ID: j.ID}, op(j), q.record(e))
		}
		if err == nil {
			err = q.Store.Commit(ctx, step)
		}
		// A retry has given the jobs back, and somebody may be at them by now.
		if err != nil || k != ledger.QueueRetried {
			q.Store.Release(taken...)
		}
		if err != nil {
			return 0, errors.Join(refused, fault.Wrap("pipeline.act", err))
		}
		return len(jobs), refused
	})
}

// each parts ids into steps. A step that fails does not keep the others back.
func (q *Queue) each(ids []storage.JobID, do func([]storage.JobID) (int, error)) (done int, err error) {
	for len(ids) > 0 {
		part := ids[:min(len(ids), actsPerStep)]
		ids = ids[len(part):]
		n, perr := do(part)
		done, err = done+n, errors.Join(err, perr)
	}
	return done, err
}

// take takes the jobs that can be had, and says why not the others.
func (q *Queue) take(ctx context.Context, ids []storage.JobID) (jobs []storage.Job, refused error) {
	const op = "pipeline.take"
	for _, id := range ids {
		j, err := q.Store.TakeJob(ctx, id)
		switch {
		case err == nil && j.Kind != JobRelay && j.Kind != JobDeliver:
			q.Store.Release(id)
			err = fault.Say(op, fault.Denied, fmt.Sprintf("il lavoro %d non e' un messaggio / job %d is no message", id, id))
		case fault.Is(err, fault.NotFound):
			err = fault.Say(op, fault.NotFound, fmt.Sprintf("il lavoro %d non e' in coda / job %d is not queued", id, id))
		case fault.Is(err, fault.Conflict):
			err = fault.Say(op, fault.Conflict, fmt.Sprintf("il lavoro %d e' in corso / job %d is being done", id, id))
		}
		if err != nil {
			refused = errors.Join(refused, err)
			continue
		}
		jobs = append(jobs, j)
	}
	return jobs, refused
}

// event is the record of an act on a job.
func (q *Queue) event(ctx context.Context, k ledger.Kind, actor string, at time.Time, j storage.Job) (ledger.Event, error) {
	l := lister{Queue: q}
	about, err := l.entry(ctx, j)
	if err != nil {
		return ledger.Event{}, err
	}
	e := ledger.Event{
		At: at, Kind: k, Actor: actor, ID: about.ID, MsgID: about.msgID, Subject: about.subject, Side: ledger.Foreign,
		Sender: about.Sender, Provider: about.provider, Peer: j.Lane, Attempt: j.Attempts,
	}
	concern(&e, about.Recipients...)
	switch {
	case j.Kind == JobDeliver:
		if len(about.Recipients) == 1 {
			e.Mailbox = about.Recipients[0]
		}
	case about.own:
		e.Mailbox = about.Sender
	}
	if about.own {
		e.Side = ledger.Own
	}
	return e, nil
}

// cleanReason makes one bounded line of what an operator typed.
func cleanReason(s string) string {
	words := strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
	r := []rune(strings.Join(words, " "))
	return string(r[:min(len(r), maxWhy)])
}

// byOperator is the refusal of a message that an operator fails.
func byOperator(status, what, reason string) refusal {
	text := what + " dal gestore"
	if reason != "" {
		text += ": " + reason
	}
	return refusal{pec.OtherError, status, text}
}
