// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"pecd/pipeline"
	"pecd/storage"
)

// slow is a worker whose jobs of lanes "silent…" last until they are told to end.
type slow struct {
	entered, served, end chan string
}

func (s *slow) do(ctx context.Context, j storage.Job) error {
	if !strings.HasPrefix(j.Lane, "silent") {
		s.served <- j.Lane
		return nil
	}
	s.entered <- j.Lane
	select {
	case <-s.end:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *world) slow(parallel, perLane int) *slow {
	s := &slow{make(chan string, 10), make(chan string, 10), make(chan string)}
	p := w.at(anna)
	worker := &pipeline.Worker{
		Kind: pipeline.JobRelay, Store: p.store, Clock: w.clock, Logger: p.core.Logger, Parallel: parallel, PerLane: perLane, Do: s.do,
	}
	ctx, cancel := context.WithCancel(context.Background())
	finished := make(chan struct{})
	go func() { defer close(finished); worker.Run(ctx, ctx) }()
	w.t.Cleanup(func() { cancel(); <-finished })
	return s
}

func hears(t *testing.T, c <-chan string, want string) {
	t.Helper()
	select {
	case got := <-c:
		if got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("nothing of %s", want)
	}
}

func hearsNothing(t *testing.T, c <-chan string) {
	t.Helper()
	select {
	case got := <-c:
		t.Fatalf("%s has a worker", got)
	case <-time.After(50 * time.Millisecond):
	}
}

// TestWorker_SlowJobsLeaveTheirSlots: destinations that fall silent keep the
// workers from others for some seconds only, and no more than that.
func TestWorker_SlowJobsLeaveTheirSlots(t *testing.T) {
	w := newWorld(t)
	s := w.slow(2, 2)
	for _, silent := range []string{"silent1.example", "silent2.example"} {
		w.send(2, "x@"+silent)
		hears(t, s.entered, silent)
		hears(t, s.entered, silent)
		w.send(1, "x@other.example")
		w.clock.Advance(5*time.Second - 1)
		hearsNothing(t, s.served)
		if silent == "silent1.example" {
			w.clock.Advance(1)
			hears(t, s.served, "other.example")
		}
	}
	w.clock.Advance(time.Hour)
	hearsNothing(t, s.served) // as many again, and no more
	s.end <- ""
	hears(t, s.served, "other.example")
}

// TestWorker_WorkOfOurOwnKeepsItsSlot: where lanes are not bounded, jobs wait
// for nobody else.
func TestWorker_WorkOfOurOwnKeepsItsSlot(t *testing.T) {
	w := newWorld(t)
	s := w.slow(1, 0)
	w.send(1, "x@silent.example")
	hears(t, s.entered, "silent.example")
	w.send(1, "x@other.example")
	w.clock.Advance(time.Hour)
	hearsNothing(t, s.served)
	s.end <- ""
	hears(t, s.served, "other.example")
}
