// SPDX-License-Identifier: EUPL-1.2

package oracle

import (
	"context"

	"pecd/pipeline"
	"pecd/storage"
)

// operate is an operator who moves what is queued: some messages are held or
// released, some tried at once, a few given up.
func (w *world) operate() {
	n := w.anyNode()
	if n.store == nil {
		return
	}
	ctx := context.Background()
	var all []pipeline.Entry
	if err := n.queue.List(ctx, pipeline.Filter{}, func(e pipeline.Entry) error {
		all = append(all, e)
		return nil
	}); err != nil {
		w.fail("%s: the queue cannot be listed: %v", n.name, err)
	}
	if len(all) == 0 {
		return
	}
	w.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	all = all[:min(len(all), 1+w.rng.IntN(4))]
	var ids []storage.JobID
	for _, e := range all {
		ids = append(ids, e.Job)
	}
	act, what := n.queue.Hold, "holds"
	switch w.rng.IntN(5) {
	case 0, 1:
	case 2:
		act, what = n.queue.Release, "releases"
	case 3:
		act, what = n.queue.RetryNow, "wants tried"
	default:
		all, ids = all[:1], ids[:1]
		w.judge.annul(n, all[0])
		what = "gives up"
		act = func(ctx context.Context, actor string, ids ...storage.JobID) (int, error) {
			return n.queue.Fail(ctx, actor, "prova", ids...)
		}
	}
	done, err := act(ctx, "operatore", ids...)
	w.saw("operator "+what, "%s: the operator %s %+v: %d, %v", n.name, what, all, done, err)
}

// annul books that an operator gives a queued message up: its sender may be
// told so.
func (j *judge) annul(n *node, e pipeline.Entry) {
	s := j.byID[e.ID]
	if s == nil {
		j.w.fail("%s: the queue has a message of %s, which nobody accepted", n.name, e.ID)
	}
	if e.Receipt {
		s.annulled = true
		return
	}
	for _, r := range e.Recipients {
		s.leg(r).annulled = true
	}
}
