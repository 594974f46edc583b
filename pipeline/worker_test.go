// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"pecd/pipeline"
	"pecd/storage"
)

// TestWorker_FailedJobAndItsExpiry: a job that fails does not miss its expiry
// for that, and one that has expired is not tried again and again without pause.
func TestWorker_FailedJobAndItsExpiry(t *testing.T) {
	w := newWorld(t)
	p := w.at(anna)
	start := w.clock.Now()
	check(t, p.store.Commit(context.Background(), new(storage.Step).Add(
		&storage.Enqueue{Job: storage.Job{Kind: "k", Due: start, Created: start, Expires: start.Add(20 * time.Second)}},
	)))
	tried := make(chan time.Duration)
	worker := &pipeline.Worker{
		Kind: "k", Store: p.store, Clock: w.clock, Logger: p.core.Logger, Parallel: 1,
		Do: func(context.Context, storage.Job) error {
			tried <- w.clock.Now().Sub(start)
			return errors.New("test")
		},
	}
	ctx, stop := context.WithCancel(context.Background())
	finished := make(chan struct{})
	go func() { defer close(finished); worker.Run(ctx, ctx) }()
	for _, want := range []time.Duration{0, 15 * time.Second, 20 * time.Second, 80 * time.Second} {
		select {
		case got := <-tried:
			if got != want {
				t.Errorf("tried after %v, want %v", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("not tried after %v", want)
		}
		due := func() (at time.Time) {
			check(t, p.store.Jobs(ctx, "k", func(j storage.Job) error { at = j.Due; return nil }))
			return at
		}
		for limit := time.Now().Add(10 * time.Second); !due().After(w.clock.Now()); time.Sleep(time.Millisecond) {
			if time.Now().After(limit) {
				t.Fatal("not rescheduled")
			}
		}
		select {
		case got := <-tried:
			t.Fatalf("tried again at once, after %v", got)
		case <-time.After(50 * time.Millisecond):
		}
		w.clock.Advance(due().Sub(w.clock.Now()))
	}
	<-tried
	stop()
	<-finished
}
