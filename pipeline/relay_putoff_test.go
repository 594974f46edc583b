// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"context"
	"testing"
	"time"

	"pecd/fault"
	"pecd/pipeline"
)

// TestADR7_4_PutOffInRow: a destination that puts every message off gets few of
// them, one at a time, and all that wait as soon as it takes one.
func TestADR7_4_PutOffInRow(t *testing.T) {
	w := newWorld(t)
	p := w.at(anna)
	tried := func(want int, when string) {
		t.Helper()
		w.settle()
		if got := w.attempts["mail.example"]; got != want {
			t.Fatalf("%s: %d attempts, want %d", when, got, want)
		}
	}
	w.replies["mail.example"] = later()
	w.send(20, dario)
	tried(8, "at once")
	for i := range 3 {
		w.clock.Advance(99 * time.Millisecond)
		tried(8+i, "before the pause is over")
		w.clock.Advance(time.Millisecond)
		tried(9+i, "after the pause")
	}
	w.clock.Advance(100 * time.Millisecond)
	jobs := p.take(9)
	if len(jobs) != 1 {
		t.Fatalf("%d jobs at once", len(jobs))
	}
	delete(w.replies, "mail.example")
	check(t, p.relays.Relay(context.Background(), jobs[0]))
	if jobs = p.take(9); len(jobs) != 8 { // the eleven that were put off keep to their plan
		t.Fatalf("%d jobs at once after it took one, want the 8 that are due", len(jobs))
	}
	for _, j := range jobs {
		check(t, p.relays.Relay(context.Background(), j))
	}
	w.clock.Advance(2 * time.Second)
	tried(31, "when the first ones are due again")
	if len(w.outside) != 20 {
		t.Errorf("%d delivered", len(w.outside))
	}
	w.clean()
}

// TestADR7_4_PutOffNow: an answer that is final ends the row, and so does an
// operator who wants an attempt now.
func TestADR7_4_PutOffNow(t *testing.T) {
	w := newWorld(t)
	p := w.at(anna)
	w.answers["elena@mail.example"] = later()
	w.answers["fabio@mail.example"] = fault.New("test", fault.NotFound, nil)
	for range 3 {
		w.send(7, "elena@mail.example")
		w.send(1, "fabio@mail.example")
	}
	w.settle()
	if got := w.attempts["mail.example"]; got != 24 {
		t.Fatalf("%d attempts, want all 24 at once", got)
	}
	w.send(20, "elena@mail.example")
	w.settle()
	if got := w.attempts["mail.example"]; got != 32 {
		t.Fatalf("%d attempts, want 8 of 20 more", got)
	}
	q := pipeline.NewQueue(p.core, p.deliveries, p.relays)
	if _, err := q.RetryNow(context.Background(), "admin", p.relayJobs()[0].ID); err != nil {
		t.Fatal(err)
	}
	w.settle()
	if got := w.attempts["mail.example"]; got != 40 {
		t.Errorf("%d attempts, want 8 more after the operator's act", got)
	}
}

// TestADR7_4_PutOffLeavesWorkers: destinations that put everything off share
// the room of those that have not answered yet.
func TestADR7_4_PutOffLeavesWorkers(t *testing.T) {
	w := newWorld(t)
	p := w.at(anna)
	entered, leave := make(chan string, 20), make(chan struct{})
	rp := pipeline.NewRelayPoint(p.core, scripted(func(_ context.Context, d pipeline.Dispatch) pipeline.Attempt {
		entered <- d.Domain
		<-leave
		return answer(d, pipeline.Answered, later())
	}))
	rp.MaxUnproven = 1
	w.send(9, dario)
	go func() {
		for range 8 {
			leave <- struct{}{}
		}
	}()
	for _, j := range p.take(8) {
		check(t, rp.Relay(context.Background(), j))
		<-entered
	}
	w.clock.Advance(100 * time.Millisecond)
	last, next := make(chan error, 1), make(chan error, 1)
	one := p.take(1)[0]
	go func() { last <- rp.Relay(context.Background(), one) }()
	<-entered
	w.send(1, "x@new.example")
	other := p.take(1)[0]
	go func() { next <- rp.Relay(context.Background(), other) }()
	select {
	case <-entered:
		t.Error("no room is left, and one more is tried")
	case err := <-next:
		check(t, err)
	}
	close(leave)
	check(t, <-last)
}
