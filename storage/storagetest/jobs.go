// SPDX-License-Identifier: EUPL-1.2

package storagetest

import (
	"fmt"
	"time"

	"pecd/clock"
	"pecd/fault"
	"pecd/storage"
)

// queue enqueues a job due d after at.
func (e *env) queue(kind, lane string, d time.Duration) storage.JobID {
	e.Helper()
	op := &storage.Enqueue{Job: storage.Job{Kind: kind, Lane: lane, Due: at.Add(d), Payload: []byte(kind)}}
	e.ok(op)
	return op.ID
}

func (e *env) take(kind string, d time.Duration, limit, perLane int) []storage.JobID {
	e.Helper()
	var ids []storage.JobID
	for _, j := range must(e.TakeDue(e.ctx, kind, at.Add(d), limit, perLane))(e) {
		ids = append(ids, j.ID)
	}
	return ids
}

func testJobs(e *env) {
	b := &storage.NewBody{Head: []byte("body")}
	q := &storage.Enqueue{Body: storage.BodyRef{New: b}, Job: storage.Job{ID: 77, Kind: "relay", Lane: "y.it",
		Due: at, Created: at.Add(-time.Hour), Attempts: 5, LastError: "none", Payload: []byte{0, 1, 2}}}
	e.ok(b, q)
	want := storage.Job{ID: q.ID, Kind: "relay", Lane: "y.it", Due: at, Created: at.Add(-time.Hour),
		LastError: "none", Payload: []byte{0, 1, 2}, Body: b.ID}
	equal(e, "not due", len(e.take("relay", -time.Nanosecond, 10, 0)), 0)
	equal(e, "other kind", len(e.take("deliver", 0, 10, 0)), 0)
	js := must(e.TakeDue(e.ctx, "relay", at, 10, 0))(e)
	equal(e, "taken", fmt.Sprintf("%+v", js), fmt.Sprintf("%+v", []storage.Job{want}))
	equal(e, "held", len(e.take("relay", time.Hour, 10, 0)), 0)
	if _, ok, err := e.NextDue(e.ctx, "relay", 0); ok || err != nil {
		e.Fatalf("next due of a held job: %v", err)
	}
	e.Release(q.ID, 999)
	e.Release(q.ID)
	equal(e, "released", fmt.Sprint(e.take("relay", 0, 10, 0)), fmt.Sprint([]storage.JobID{q.ID}))

	e.ok(&storage.RetryJob{ID: q.ID, Due: at.Add(time.Minute), LastError: "451 later"})
	want.Due, want.LastError, want.Attempts = at.Add(time.Minute), "451 later", 1
	due, ok, err := e.NextDue(e.ctx, "relay", 0)
	if err != nil || !ok || !due.Equal(want.Due) {
		e.Fatalf("next due %v, %v, %v", due, ok, err)
	}
	equal(e, "not due yet", len(e.take("relay", 59*time.Second, 10, 0)), 0)
	js = must(e.TakeDue(e.ctx, "relay", want.Due, 10, 0))(e)
	equal(e, "taken again", fmt.Sprintf("%+v", js), fmt.Sprintf("%+v", []storage.Job{want}))
	e.ok(&storage.RetryJob{ID: q.ID, Due: at, Payload: []byte("new")})
	js = must(e.TakeDue(e.ctx, "relay", at, 10, 0))(e)
	equal(e, "payload", fmt.Sprint(string(js[0].Payload), js[0].Attempts, js[0].LastError), fmt.Sprint("new", 2, ""))
	e.fails(fault.NotFound, &storage.FinishJob{ID: q.ID}, &storage.FinishJob{ID: q.ID})
	equal(e, "still held after a failed step", len(e.take("relay", time.Hour, 10, 0)), 0)
	e.ok(&storage.FinishJob{ID: q.ID})
	e.fails(fault.NotFound, &storage.FinishJob{ID: q.ID})
	e.fails(fault.NotFound, &storage.RetryJob{ID: q.ID, Due: at})
	e.Release(q.ID)
	equal(e, "gone", len(e.take("relay", time.Hour, 10, 0)), 0)
	_, err = e.OpenBody(e.ctx, b.ID)
	e.wants(fault.NotFound, err)
	e.fails(fault.Invalid, &storage.Enqueue{Job: storage.Job{Due: at}})
	e.fails(fault.NotFound, &storage.Enqueue{Job: storage.Job{Kind: "k"}, Body: storage.BodyRef{ID: 99}})
}

func testJobsOrder(e *env) {
	c := e.queue("k", "", 3)
	a := e.queue("k", "l", 1)
	b := e.queue("k", "m", 2)
	a2 := e.queue("k", "l", 1)
	e.queue("other", "", 0)
	equal(e, "oldest first", fmt.Sprint(e.take("k", 9, 3, 0)), fmt.Sprint([]storage.JobID{a, a2, b}))
	equal(e, "the rest", fmt.Sprint(e.take("k", 9, 3, 0)), fmt.Sprint([]storage.JobID{c}))
	var all []storage.JobID
	err := e.Store.Jobs(e.ctx, "k", func(j storage.Job) error {
		all = append(all, j.ID)
		return nil
	})
	equal(e, "all by due time", fmt.Sprint(all, err), fmt.Sprint([]storage.JobID{a, a2, b, c}, nil))
	e.Release(b, a2)
	equal(e, "released, in order", fmt.Sprint(e.take("k", 9, 3, 0)), fmt.Sprint([]storage.JobID{a2, b}))
	now := &storage.Enqueue{Job: storage.Job{Kind: "z"}}
	e.ok(now)
	equal(e, "no due time is now", fmt.Sprint(e.take("z", -time.Hour, 1, 0)), fmt.Sprint([]storage.JobID{now.ID}))
	equal(e, "limit 0", len(e.take("other", 9, 0, 0)), 0)
}

func testJobsLanes(e *env) {
	var slow, fast []storage.JobID
	for i := range 5 {
		slow = append(slow, e.queue("k", "slow.it", time.Duration(i)))
	}
	for i := range 2 {
		fast = append(fast, e.queue("k", fmt.Sprint("fast", i), time.Hour))
	}
	free := e.queue("k", "", time.Hour)
	free2 := e.queue("k", "", time.Hour)
	got := e.take("k", time.Hour, 10, 2)
	equal(e, "two of a lane", fmt.Sprint(got), fmt.Sprint([]storage.JobID{slow[0], slow[1], fast[0], fast[1], free, free2}))
	equal(e, "lane full", len(e.take("k", time.Hour, 10, 2)), 0)
	e.ok(&storage.FinishJob{ID: slow[0]})
	equal(e, "room for one", fmt.Sprint(e.take("k", time.Hour, 10, 2)), fmt.Sprint([]storage.JobID{slow[2]}))
	e.ok(&storage.RetryJob{ID: slow[1], Due: at.Add(2 * time.Hour)})
	e.Release(slow[2])
	equal(e, "room for two", fmt.Sprint(e.take("k", time.Hour, 10, 2)), fmt.Sprint([]storage.JobID{slow[2], slow[3]}))
	equal(e, "no bound", fmt.Sprint(e.take("k", 3*time.Hour, 10, 0)), fmt.Sprint([]storage.JobID{slow[4], slow[1]}))
}

func testJobsReopen(e *env) {
	a := e.queue("k", "l", 1)
	b := e.queue("k", "l", 2)
	c := e.queue("k", "l", 3)
	equal(e, "taken", len(e.take("k", 9, 9, 0)), 3)
	e.ok(&storage.FinishJob{ID: b})
	before := e.dump()
	e.again()
	equal(e, "state", e.dump(), before)
	equal(e, "holds end with the store", fmt.Sprint(e.take("k", 9, 9, 0)), fmt.Sprint([]storage.JobID{a, c}))
	d := e.queue("k", "", 0)
	if d <= c {
		e.Fatalf("job %d after %d", d, c)
	}
}

func testJobsWatch(e *env) {
	ch, cancel := e.WatchQueue("k")
	expect := func(what string) {
		e.Helper()
		if !told(ch, 10*time.Second) {
			e.Fatalf("%s: not told", what)
		}
	}
	id := e.queue("k", "", 0)
	expect("enqueued")
	e.queue("other", "", 0)
	equal(e, "other kind", told(ch, 20*time.Millisecond), false)
	e.take("k", 0, 1, 0)
	e.Release(id)
	expect("released")
	e.ok(&storage.RetryJob{ID: id, Due: at})
	expect("rescheduled")
	e.ok(&storage.FinishJob{ID: id})
	expect("finished")
	cancel()
	e.queue("k", "", 0)
	equal(e, "cancelled", told(ch, 20*time.Millisecond), false)
}

// testJobsMany: a lane with a long backlog slows nobody.
func testJobsMany(e *env) {
	const n = 20_000
	step := new(storage.Step)
	for i := range n {
		step.Add(&storage.Enqueue{Job: storage.Job{Kind: "k", Lane: "slow.it", Due: at.Add(time.Duration(i))}})
	}
	e.ok(step.Ops...)
	last := e.queue("k", "fast.it", time.Hour)
	e.take("k", time.Hour, 3, 3)
	e.Release(last)
	var machine clock.System
	start := machine.Now()
	for range 2000 {
		ids := e.take("k", time.Hour, 5, 3)
		if len(ids) != 1 || ids[0] != last {
			e.Fatalf("taken %v", ids)
		}
		e.Release(last)
	}
	// Generous: passing over the full lane row by row takes minutes.
	if d := machine.Now().Sub(start); d > 20*time.Second {
		e.Fatalf("2000 takes beside a full lane of %d jobs took %v", n, d)
	}
}
