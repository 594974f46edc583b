// SPDX-License-Identifier: EUPL-1.2

package sqlite

import "errors"

// keeps tells whether the transaction must not be rolled back as a whole: a
// rollback would have a copy of the database begin anew. For a large step it is
// all the same: a savepoint around it would keep everybody waiting for minutes.
func (w *writer) keeps(group []*request) bool { return w.copying != nil && !group[0].alone }

// apply runs the steps of group. Hardly any fails, and a savepoint for each costs
// as much as the step: they are run without, and only when one has failed the
// transaction starts anew, with a savepoint for each. Failures come in company (a
// full mailbox fails again), so that the next groups begin with savepoints. any
// tells whether a step did not fail. The error is that of the whole transaction.
func (w *writer) apply(group []*request) (any bool, err error) {
	if w.careful > 0 && !group[0].alone {
		w.careful--
		return w.applyEach(group)
	}
	if w.keeps(group) {
		return w.applyEach(group)
	}
	if w.applyAll(group) {
		return true, nil
	}
	if len(group) == 1 {
		return false, nil
	}
	w.careful, w.tip = carefulGroups, nil
	if err := errors.Join(w.exec("ROLLBACK"), w.exec("BEGIN IMMEDIATE")); err != nil {
		return false, err
	}
	return w.applyEach(group)
}

// applyAll runs the steps one after the other and ends at the first that fails.
func (w *writer) applyAll(group []*request) bool {
	for _, q := range group {
		if q.run, q.err = w.perform(q); q.err != nil {
			return false
		}
	}
	return true
}

// applyEach runs each step inside a savepoint, so that one that fails is undone
// alone.
func (w *writer) applyEach(group []*request) (any bool, err error) {
	for _, q := range group {
		var alive bool
		if q.run, alive, q.err = w.guarded(q); !alive {
			return false, q.err
		}
		any = any || q.err == nil
	}
	return any, nil
}

// guarded runs the changes of one step inside a savepoint. alive is false when
// the whole transaction is lost.
func (w *writer) guarded(q *request) (r *run, alive bool, err error) {
	if err := w.exec("SAVEPOINT step"); err != nil {
		return nil, false, err
	}
	if r, err = w.perform(q); err != nil {
		if back := w.exec("ROLLBACK TO step"); back != nil {
			return nil, false, errors.Join(err, back)
		}
	}
	if end := w.exec("RELEASE step"); end != nil {
		return nil, false, errors.Join(err, end)
	}
	return r, true, err
}

// perform runs the changes of one step.
func (w *writer) perform(q *request) (*run, error) {
	r := &run{w: w, now: w.opts.Clock.Now(), viewer: q.viewer}
	for _, change := range q.changes {
		if err := change(r); err != nil {
			return nil, failed("sqlite.Commit", err)
		}
	}
	if err := r.settle(); err != nil {
		return nil, failed("sqlite.Commit", err)
	}
	if r.head != nil {
		w.tip = r.head
	}
	return r, nil
}
