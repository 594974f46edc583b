// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"pecd/clock"
	"pecd/fault"
	"pecd/signer"
	"pecd/storage"
)

// Worker does the jobs of one kind, several at a time, as they fall due.
type Worker struct {
	Kind   string
	Store  storage.Store
	Clock  clock.Clock
	Logger *slog.Logger
	// Parallel is how many jobs are done at once. Where lanes are bounded, those
	// that have taken longer than patience do not count, up to as many again.
	Parallel int
	PerLane  int // jobs of one lane done at once; 0: no bound
	// Do does one job; the step it commits removes or reschedules the job.
	// After an error the worker reschedules it.
	Do func(ctx context.Context, job storage.Job) error
}

const (
	idleWait = time.Minute // the longest a worker sleeps without a look at the queue
	// A job that fails is tried again after firstWait, then ever more rarely.
	firstWait, longestWait = 15 * time.Second, 30 * time.Minute
	// patience is how long a job of a bounded lane keeps its slot: what takes
	// longer waits for somebody else's server. A destination that falls silent
	// holds as many jobs as its lane admits, each until a timeout of minutes.
	patience = 5 * time.Second
)

// Run takes jobs until ctx ends, then waits for those under way, which run
// under work: whoever stops the worker gives them time to finish before work ends.
func (w *Worker) Run(ctx, work context.Context) {
	changed, cancel := w.Store.WatchQueue(w.Kind)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	first := signer.First(work)
	slots, lent := make(chan struct{}, w.Parallel), make(chan struct{}, w.Parallel)
	freed := make(chan struct{}, 1) // tells of a free slot, which the queue's own news comes too early for
	for ctx.Err() == nil {
		jobs, err := w.Store.TakeDue(ctx, w.Kind, w.Clock.Now(), w.Parallel-len(slots), w.PerLane)
		if err != nil && ctx.Err() == nil {
			w.Logger.Error("queue cannot be read", "kind", w.Kind, "error", err)
		}
		for _, j := range jobs {
			slots <- struct{}{}
			leave := sync.OnceFunc(func() {
				<-slots
				select {
				case freed <- struct{}{}:
				default:
				}
			})
			wg.Go(func() {
				defer leave()
				defer w.lend(lent, leave)()
				w.do(first, j)
			})
		}
		if len(jobs) == 0 || len(slots) == w.Parallel {
			w.wait(ctx, changed, freed)
		}
	}
}

// lend has a job leave its slot when it has kept it for long and lent has room.
// The returned function tells the end of the job.
func (w *Worker) lend(lent chan struct{}, leave func()) (end func()) {
	if w.PerLane <= 0 {
		return func() {}
	}
	timer, stop := w.Clock.After(patience)
	ended := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-timer:
		case <-ended:
			return
		}
		select {
		case lent <- struct{}{}:
			leave()
			<-ended
			<-lent
		case <-ended:
		}
	})
	return func() {
		stop()
		close(ended)
		watch.Wait()
	}
}

// wait sleeps until the queue changes or its next job falls due.
func (w *Worker) wait(ctx context.Context, changed, freed <-chan struct{}) {
	d := idleWait
	if next, ok, err := w.Store.NextDue(ctx, w.Kind, w.PerLane); err == nil && ok {
		// A job that is due but was not taken waits for a slot: the end of
		// another job tells of itself.
		if left := next.Sub(w.Clock.Now()); left > 0 {
			d = min(d, left)
		}
	}
	timer, stop := w.Clock.After(d)
	defer stop()
	select {
	case <-ctx.Done():
	case <-changed:
	case <-freed:
	case <-timer:
	}
}

// do runs one job. One that is cut off by the end of ctx goes back to the queue.
func (w *Worker) do(ctx context.Context, j storage.Job) {
	err := w.guarded(ctx, j)
	switch {
	case err == nil:
		return
	case ctx.Err() != nil, fault.Is(err, fault.NotFound) && w.gone(ctx, j):
		w.Store.Release(j.ID)
		return
	}
	w.Logger.Error("job failed", "kind", w.Kind, "job", int64(j.ID), "attempts", j.Attempts, "error", err)
	retry := &storage.RetryJob{ID: j.ID, Due: failedUntil(j, w.Clock.Now()), LastError: fault.KindOf(err).String()}
	if err := w.Store.Commit(ctx, new(storage.Step).Add(retry)); err != nil {
		w.Store.Release(j.ID)
	}
}

// failedUntil is when a job that failed is tried again. It does not miss its
// expiry for that, and afterwards is not tried without a pause.
func failedUntil(j storage.Job, now time.Time) time.Time {
	due := now.Add(min(firstWait<<min(j.Attempts, 10), longestWait))
	if now.Before(j.Expires) {
		due = earlier(due, j.Expires)
	}
	return due
}

// guarded keeps a defect that one message brings out from taking the node, and
// every other message, down at each start.
func (w *Worker) guarded(ctx context.Context, j storage.Job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.New("pipeline.Worker", fault.Internal, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	return w.Do(ctx, j)
}

// gone reports whether the job is no longer queued: another step finished it.
func (w *Worker) gone(ctx context.Context, j storage.Job) bool {
	found := false
	err := w.Store.Jobs(ctx, w.Kind, func(other storage.Job) error {
		found = found || other.ID == j.ID
		return nil
	})
	return err == nil && !found
}
