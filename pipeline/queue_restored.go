// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// What a store had to do when it was put back from a copy is set aside
// (storage.SetAside): it may have been done after the copy was made, and only an
// operator can know (ADR 0012).

// Resume has jobs that were set aside done after all, with the time from now on
// that they had from their beginning. Deadlines keep their instant: those that
// are past are looked after at once. Errors are those of the other acts.
func (q *Queue) Resume(ctx context.Context, actor string, ids ...storage.JobID) (int, error) {
	now := q.Clock.Now()
	return q.restored(ctx, actor, ids, ledger.QueueResumed, func(j storage.Job) []storage.Op {
		again := storage.Job{
			Kind: strings.TrimPrefix(j.Kind, storage.SetAside), Lane: j.Lane, Due: now, Created: now, LastError: j.LastError, Payload: j.Payload, Held: j.Held,
		}
		if again.Kind == JobDeadline {
			again.Due = j.Due
		}
		if !j.Expires.IsZero() {
			again.Expires = now.Add(j.Expires.Sub(j.Created))
		}
		return []storage.Op{&storage.Enqueue{Job: again, Body: storage.BodyRef{ID: j.Body}}, &storage.FinishJob{ID: j.ID}}
	})
}

// Drop ends jobs that were set aside, without any notice: they were done after
// the copy was made. A delivery into an own mailbox cannot be dropped (Denied):
// what it did is lost with the mailbox's state, and its message would be, too.
func (q *Queue) Drop(ctx context.Context, actor string, ids ...storage.JobID) (int, error) {
	return q.restored(ctx, actor, ids, ledger.QueueDropped, func(j storage.Job) []storage.Op {
		return []storage.Op{&storage.FinishJob{ID: j.ID}}
	})
}

// restored does one act on jobs that were set aside, in steps of actsPerStep.
func (q *Queue) restored(ctx context.Context, actor string, ids []storage.JobID, k ledger.Kind, ops func(storage.Job) []storage.Op) (int, error) {
	return q.each(ids, func(ids []storage.JobID) (int, error) {
		jobs, refused := q.takeRestored(ctx, ids, k)
		if len(jobs) == 0 {
			return 0, refused
		}
		at, step := q.now(), new(storage.Step)
		taken := make([]storage.JobID, len(jobs))
		var err error
		for i, j := range jobs {
			taken[i] = j.ID
			e, eerr := q.event(ctx, k, actor, at, asItWas(j))
			err = errors.Join(err, eerr)
			step.Add(q.record(e)).Add(ops(j)...)
		}
		if err == nil {
			err = q.Store.Commit(ctx, step)
		}
		if err != nil {
			q.Store.Release(taken...)
			return 0, errors.Join(refused, fault.Wrap("pipeline.restored", err))
		}
		return len(jobs), refused
	})
}

func (q *Queue) takeRestored(ctx context.Context, ids []storage.JobID, k ledger.Kind) (jobs []storage.Job, refused error) {
	const op = "pipeline.takeRestored"
	for _, id := range ids {
		j, err := q.Store.TakeJob(ctx, id)
		switch {
		case err != nil:
			err = fault.Say(op, fault.KindOf(err), fmt.Sprintf("il lavoro %d non e' disponibile / job %d is not to be had", id, id))
		case !strings.HasPrefix(j.Kind, storage.SetAside):
			q.Store.Release(id)
			err = fault.Say(op, fault.Denied, fmt.Sprintf("il lavoro %d non viene da un ripristino / job %d is not from a restore", id, id))
		case k == ledger.QueueDropped && asItWas(j).Kind == JobDeliver:
			q.Store.Release(id)
			err = fault.Say(op, fault.Denied, fmt.Sprintf("la consegna %d va ripresa, non scartata / delivery %d is to be resumed, not dropped", id, id))
		}
		if err != nil {
			refused = errors.Join(refused, err)
			continue
		}
		jobs = append(jobs, j)
	}
	return jobs, refused
}

// asItWas is a job as it was before it was set aside.
func asItWas(j storage.Job) storage.Job {
	j.Kind = strings.TrimPrefix(j.Kind, storage.SetAside)
	return j
}
