// SPDX-License-Identifier: EUPL-1.2

package admission

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"pecd/clock"
	"pecd/fault"
)

// door is a gate and the node behind it.
type door struct {
	t       *testing.T
	clk     *clock.Manual
	waiting atomic.Int64
	room    atomic.Int64
	*Gate
}

func newDoor(t *testing.T, slots, each, backlog, waiting int) *door {
	d := &door{t: t, clk: clock.NewManual(time.Unix(1e9, 0))}
	d.waiting.Store(int64(waiting))
	d.room.Store(1 << 40)
	d.Gate = New(Config{
		Name: "t", Clock: d.clk, Logger: slog.New(slog.DiscardHandler), Slots: slots, Each: each, Wait: 5 * time.Second,
		Backlog: backlog, Waiting: func() int { return int(d.waiting.Load()) }, Room: d.room.Load,
	})
	return d
}

// in lets a message in that need not wait.
func (d *door) in(client string, deliveries int) (leave func()) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), time.Minute) // its clock stands still
	defer cancel()
	leave, err := d.Enter(ctx, client, deliveries, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	return leave
}

type outcome struct {
	leave func()
	err   error
}

// knock has a message wait, and returns where its outcome comes.
func (d *door) knock(ctx context.Context, client string, deliveries int) chan outcome {
	d.t.Helper()
	before := d.Figures().Queued
	out := make(chan outcome, 1)
	go func() {
		leave, err := d.Enter(ctx, client, deliveries, 0)
		out <- outcome{leave, err}
	}()
	for d.Figures().Queued == before {
		select {
		case o := <-out:
			d.t.Fatalf("did not wait: %v", o.err)
		case <-time.After(time.Millisecond):
		}
	}
	return out
}

// pass lets time pass until something comes out.
func (d *door) pass(out chan outcome) outcome {
	d.t.Helper()
	for range 10_000 {
		select {
		case o := <-out:
			return o
		case <-time.After(time.Millisecond):
			d.clk.Advance(tick)
		}
	}
	d.t.Fatal("waits for ever")
	return outcome{}
}

func (d *door) refused(err error, kind fault.Kind, why Reason) {
	d.t.Helper()
	if !fault.Is(err, kind) || fault.TextOf(err) == "" || d.Figures().Refused[why] == 0 {
		d.t.Errorf("%v, %v", err, d.Figures().Refused)
	}
}

// TestSlots: so many at once; who comes then waits for a place, in order; who
// waited in vain is sent away, and others at once, until there is room to spare.
func TestSlots(t *testing.T) {
	d := newDoor(t, 4, 4, 100, 0)
	var leave []func()
	for range 4 {
		leave = append(leave, d.in("a", 1))
	}
	first, second := d.knock(t.Context(), "b", 1), d.knock(t.Context(), "c", 1)
	if err := d.Ready("x"); err != nil {
		t.Errorf("full, but nobody waited in vain: %v", err)
	}
	leave[0]()
	leave[0]() // counts once
	o := d.pass(first)
	if o.err != nil {
		t.Fatal(o.err)
	}
	d.refused(d.pass(second).err, fault.Busy, Slots)
	d.refused(d.Ready("x"), fault.Busy, Slots)
	if d.Figures().Since.IsZero() {
		t.Error("not told since when")
	}
	leave[1]()
	d.refused(d.Ready("x"), fault.Busy, Slots) // three of four: no room to spare
	leave[2]()
	if err := d.Ready("x"); err != nil || !d.Figures().Since.IsZero() {
		t.Errorf("still closed: %v, %v", err, d.Figures().Since)
	}
	leave[3]()
	o.leave()
	if f := d.Figures(); f.In != 0 || f.Queued != 0 || f.Admitted != 5 || len(d.each) != 0 || d.coming != 0 {
		t.Errorf("%+v", f)
	}
}

// TestQueueBounded: no more wait than there are places.
func TestQueueBounded(t *testing.T) {
	d := newDoor(t, 2, 2, 100, 0)
	d.in("a", 1)
	d.in("a", 1)
	ctx, cancel := context.WithCancel(t.Context())
	one, two := d.knock(ctx, "b", 1), d.knock(ctx, "b", 1)
	_, err := d.Enter(t.Context(), "c", 1, 0)
	d.refused(err, fault.Busy, Slots)
	cancel()
	for _, out := range []chan outcome{one, two} {
		if o := <-out; !fault.Is(o.err, fault.Temporary) {
			t.Errorf("%v", o.err)
		}
	}
	if f := d.Figures(); f.Queued != 0 || f.In != 2 {
		t.Errorf("%+v", f)
	}
}

// TestShare: one client does not take up all places.
func TestShare(t *testing.T) {
	d := newDoor(t, 4, 2, 100, 0)
	d.in("a", 1)
	leave := d.in("a", 1)
	_, err := d.Enter(t.Context(), "a", 1, 0)
	d.refused(err, fault.Busy, Share)
	d.refused(d.Ready("a"), fault.Busy, Share)
	if err := d.Ready("b"); err != nil {
		t.Errorf("another: %v", err)
	}
	if !d.Figures().Since.IsZero() {
		t.Error("one client alone is no want of capacity")
	}
	leave()
	d.in("a", 1)
}

// TestBacklog: deliveries that wait, and those to come, close the gate; what
// waited at the start does not count, and one message with more recipients than
// may wait goes in by itself.
func TestBacklog(t *testing.T) {
	d := newDoor(t, 100, 100, 10, 1000)
	leave := d.in("a", 9)
	out := d.knock(t.Context(), "a", 5)
	d.waiting.Store(1009)
	leave() // its nine deliveries are queued now
	d.refused(d.pass(out).err, fault.Busy, Backlog)
	d.refused(d.Ready("a"), fault.Busy, Backlog)
	d.waiting.Store(0) // the old ones are done
	if err := d.Ready("a"); err != nil {
		t.Errorf("nothing waits: %v", err)
	}
	d.waiting.Store(9)
	out = d.knock(t.Context(), "a", 5)
	d.waiting.Store(4)
	if o := d.pass(out); o.err != nil {
		t.Errorf("a place that came free: %v", o.err)
	} else {
		o.leave()
	}
	d.waiting.Store(0)
	d.in("a", 5000)()
}

// TestDisk: without room nothing comes in, what is announced counts.
func TestDisk(t *testing.T) {
	d := newDoor(t, 4, 4, 100, 0)
	d.room.Store(1000)
	leave, err := d.Enter(t.Context(), "a", 1, 600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Enter(t.Context(), "a", 1, 600)
	d.refused(err, fault.NoSpace, Disk)
	leave()
	d.room.Store(-1)
	d.refused(d.Ready("a"), fault.NoSpace, Disk)
	d.room.Store(1000)
	if err := d.Ready("a"); err != nil || !d.Figures().Since.IsZero() {
		t.Errorf("there is room again: %v", err)
	}
}
