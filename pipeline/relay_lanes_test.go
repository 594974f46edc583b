// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"pecd/ledger"
	"pecd/pipeline"
	"pecd/storage"
)

// TestADR7_4_BackOff: a dead destination costs one attempt a pause, the pauses
// double, the messages that wait keep their attempts, and one trial opens the
// lane for all.
func TestADR7_4_BackOff(t *testing.T) {
	w := newWorld(t)
	p := w.at(anna)
	w.broken["mail.example"] = true
	w.send(12, dario)
	last, tried := w.clock.Now(), 0
	for i, want := range []time.Duration{0, 30, 60, 120, 240, 480, 600, 600} {
		w.settle()
		if w.attempts["mail.example"] != tried+1 {
			t.Fatalf("attempt %d: %d were made", i, w.attempts["mail.example"]-tried)
		}
		tried++
		if got := w.clock.Now().Sub(last); got != want*time.Second {
			t.Errorf("pause %d: %v, want %vs", i, got, int(want))
		}
		last = w.clock.Now()
		at, ok := w.next()
		if !ok {
			t.Fatal("nothing is due any more")
		}
		w.clock.Advance(at.Sub(last))
	}
	attempts := 0
	for _, j := range p.relayJobs() {
		attempts += j.Attempts
		if j.Attempts > 1 || j.Attempts == 1 && j.LastError != "test" {
			t.Errorf("job %d: %d attempts, %q", j.ID, j.Attempts, j.LastError)
		}
	}
	events := p.records(ledger.RelayAttempt)
	if attempts != tried || len(events) != tried {
		t.Errorf("%d attempts counted, %d recorded, %d made", attempts, len(events), tried)
	}
	if e := events[1]; e.Peer != "mail.example" || e.Attempt != 1 || e.Detail != "test" || !e.Next.Equal(e.At.Add(time.Minute)) || e.Side != ledger.Own || len(e.Recipients) != 1 {
		t.Errorf("%+v", e)
	}
	w.broken = map[string]bool{}
	w.settle()
	if len(w.outside) != 12 || len(p.relayJobs()) != 0 {
		t.Errorf("%d delivered after the trial, %d left", len(w.outside), len(p.relayJobs()))
	}
	// The next outage begins with the first pause again.
	w.broken["mail.example"] = true
	w.send(1, dario)
	before := w.clock.Now()
	w.settle()
	if at, _ := w.next(); at.Sub(before) != 30*time.Second {
		t.Errorf("pause of %v after a success", at.Sub(before))
	}
	w.clean()
}

// TestADR7_4_AnswersAreNoOutage: a message that is put off keeps to its own
// plan, and the others go.
func TestADR7_4_AnswersAreNoOutage(t *testing.T) {
	w := newWorld(t)
	w.answers["elena@mail.example"] = later()
	w.send(1, "elena@mail.example")
	w.send(3, dario)
	w.settle()
	if len(w.outside) != 4 {
		t.Errorf("%d attempts, want all four at once", len(w.outside))
	}
	for _, want := range []time.Duration{2 * time.Second, 5 * time.Second, 15 * time.Second, time.Minute} {
		before := w.clock.Now()
		at, ok := w.next()
		if !ok || at.Sub(before) != want {
			t.Fatalf("next attempt after %v, want %v", at.Sub(before), want)
		}
		w.clock.Advance(want)
		w.settle()
	}
}

// TestADR7_4_InFlight: what was under way when a destination went down does not
// lengthen the pause, and jobs that were just taken go back untried.
func TestADR7_4_InFlight(t *testing.T) {
	w := newWorld(t)
	p := w.at(anna)
	w.send(1, dario)
	w.settle() // it has answered: several at a time may go
	w.send(6, dario)
	entered, leave := make(chan struct{}), make(chan struct{})
	sent := 0
	rp := pipeline.NewRelayPoint(p.core, scripted(func(_ context.Context, d pipeline.Dispatch) pipeline.Attempt {
		if sent++; sent == 1 {
			return answer(d, pipeline.Answered, nil)
		}
		entered <- struct{}{}
		<-leave
		return answer(d, pipeline.Unreached, later())
	}))
	check(t, rp.Relay(context.Background(), p.take(1)[0]))
	jobs := p.take(5)
	errs := make(chan error, len(jobs))
	for _, j := range jobs[:4] {
		go func() { errs <- rp.Relay(context.Background(), j) }()
		<-entered
	}
	for range 4 {
		leave <- struct{}{}
		check(t, <-errs)
	}
	check(t, rp.Relay(context.Background(), jobs[4])) // taken before the pause, tried after it began: not at all
	if sent != 5 {
		t.Errorf("%d attempts, want 5", sent)
	}
	before := w.clock.Now()
	for i, want := range []time.Duration{30 * time.Second, time.Minute} {
		at, ok, err := p.store.NextDue(context.Background(), pipeline.JobRelay, 0)
		check(t, err)
		if !ok || at.Sub(before) != want {
			t.Fatalf("pause %d is %v (%v), want %v", i, at.Sub(before), ok, want)
		}
		w.clock.Advance(want)
		before = w.clock.Now()
		trial := p.take(9)
		if len(trial) != 1 {
			t.Fatalf("%d jobs on trial", len(trial))
		}
		go func() { errs <- rp.Relay(context.Background(), trial[0]) }()
		<-entered
		if len(p.take(9)) != 0 {
			t.Error("a second job beside the trial")
		}
		leave <- struct{}{}
		check(t, <-errs)
	}
	if n := len(p.relayJobs()); n != 5 {
		t.Errorf("%d jobs left, want 5", n)
	}
}

// TestRelay_SlowStart: a destination that has not answered yet gets one message
// at a time, and one that breaks off again.
func TestRelay_SlowStart(t *testing.T) {
	w := newWorld(t)
	p := w.at(anna)
	w.send(6, dario)
	entered, result := make(chan struct{}), make(chan pipeline.Contact)
	rp := pipeline.NewRelayPoint(p.core, scripted(func(_ context.Context, d pipeline.Dispatch) pipeline.Attempt {
		entered <- struct{}{}
		if c := <-result; c != pipeline.Answered {
			return answer(d, c, later())
		}
		return answer(d, pipeline.Answered, nil)
	}))
	done := make(chan error, 9)
	begin := func(jobs []storage.Job) {
		t.Helper()
		for _, j := range jobs {
			go func() { done <- rp.Relay(context.Background(), j) }()
		}
		<-entered
		for range len(jobs) - 1 { // back in the queue
			check(t, <-done)
		}
		if n := len(p.take(9)); n != 0 {
			t.Errorf("%d more while one is under way", n)
		}
	}
	begin(p.take(4))
	result <- pipeline.Answered
	check(t, <-done)
	jobs := p.take(2)
	if len(jobs) != 2 {
		t.Fatalf("%d jobs after the answer", len(jobs))
	}
	for _, j := range jobs {
		go func() { done <- rp.Relay(context.Background(), j) }()
		<-entered // both
	}
	result <- pipeline.BrokeOff
	result <- pipeline.BrokeOff
	check(t, <-done)
	check(t, <-done)
	jobs = p.take(9)
	if len(jobs) != 1 {
		t.Fatalf("%d jobs at once to a server that breaks off", len(jobs))
	}
	begin(jobs)
	result <- pipeline.Answered
	check(t, <-done)
}

// TestRelay_DeadDestinationsLeaveWorkers: however many destinations are dead,
// and however long each keeps a worker, the others are served.
func TestRelay_DeadDestinationsLeaveWorkers(t *testing.T) {
	w := newWorld(t)
	p := w.at(anna)
	dead := make(chan struct{})
	served := make(chan string, 1000)
	rp := pipeline.NewRelayPoint(p.core, scripted(func(ctx context.Context, d pipeline.Dispatch) pipeline.Attempt {
		if !strings.HasPrefix(d.Domain, "dead") {
			served <- d.Domain
			return answer(d, pipeline.Answered, nil)
		}
		select {
		case <-dead:
		case <-ctx.Done():
		}
		return answer(d, pipeline.Unreached, later())
	}))
	rp.MaxUnproven = 4
	worker := &pipeline.Worker{Kind: pipeline.JobRelay, Store: p.store, Clock: w.clock, Logger: p.core.Logger, Parallel: 8, PerLane: 4, Do: rp.Relay}
	ctx, stop := context.WithCancel(context.Background())
	finished := make(chan struct{})
	go func() { defer close(finished); worker.Run(ctx, ctx) }()
	defer func() { stop(); <-finished }()
	serve := func(domain string, n int) {
		t.Helper()
		w.send(n, "x@"+domain)
		limit := time.After(20 * time.Second)
		for n > 0 {
			select {
			case d := <-served:
				if d != domain {
					t.Fatalf("served %s", d)
				}
				n--
			case <-time.After(20 * time.Millisecond):
				w.clock.Advance(time.Second)
			case <-limit:
				t.Fatalf("%s: %d not served", domain, n)
			}
		}
	}
	serve("known.example", 1)
	for i := range 12 {
		w.send(3, fmt.Sprintf("x@dead%d.example", i))
	}
	serve("known.example", 40) // while the dead take what they get
	for range 12 {             // each fails once
		select {
		case dead <- struct{}{}:
		case <-time.After(10 * time.Second):
			t.Fatal("a dead destination is not tried any more")
		}
		w.clock.Advance(2 * time.Second)
	}
	w.clock.Advance(time.Minute) // all on trial again
	serve("new.example", 5)
	serve("known.example", 40)
}
