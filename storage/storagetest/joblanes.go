// SPDX-License-Identifier: EUPL-1.2

package storagetest

import (
	"fmt"
	"time"

	"pecd/fault"
	"pecd/storage"
)

// lane enqueues jobs that expire a day after at.
func (e *env) lane(name string, n int) (ids []storage.JobID) {
	e.Helper()
	for i := range n {
		op := &storage.Enqueue{Job: storage.Job{Kind: "k", Lane: name, Due: at.Add(time.Duration(i)), Expires: at.Add(24*time.Hour + time.Duration(i))}}
		e.ok(op)
		ids = append(ids, op.ID)
	}
	return ids
}

func (e *env) next(d time.Duration, perLane int) string {
	e.Helper()
	due, ok, err := e.NextDue(e.ctx, "k", perLane)
	if err != nil {
		e.Fatal(err)
	}
	if !ok {
		return "none"
	}
	return due.Sub(at.Add(d)).String()
}

// testJobsPause: a paused lane hands out nothing but what has expired; after
// the pause one at a time, until it is resumed.
func testJobsPause(e *env) {
	ids := e.lane("down.it", 3)
	other := e.lane("up.it", 1)
	equal(e, "first", fmt.Sprint(e.take("k", 0, 1, 4)), fmt.Sprint(ids[:1]))
	e.PauseLane("k", "down.it", at.Add(time.Minute))
	e.ok(&storage.RetryJob{ID: ids[0], Due: at})
	equal(e, "the other lane only", fmt.Sprint(e.take("k", 30*time.Second, 9, 4)), fmt.Sprint(other))
	equal(e, "next", e.next(0, 4), "1m0s")
	equal(e, "one on trial", fmt.Sprint(e.take("k", time.Minute, 9, 4)), fmt.Sprint(ids[:1]))
	equal(e, "no second one", len(e.take("k", time.Hour, 9, 4)), 0)
	equal(e, "next on trial is what expires", e.next(24*time.Hour, 4), "1ns")
	e.PauseLane("k", "down.it", at.Add(48*time.Hour))
	e.Release(ids[0])
	equal(e, "paused again", len(e.take("k", 23*time.Hour, 9, 4)), 0)
	equal(e, "expired", fmt.Sprint(e.take("k", 24*time.Hour, 9, 4)), fmt.Sprint(ids[:1]))
	equal(e, "expired, in order", fmt.Sprint(e.take("k", 25*time.Hour, 1, 4)), fmt.Sprint(ids[1:2]))
	equal(e, "a full lane is full", len(e.take("k", 25*time.Hour, 9, 2)), 0)
	e.Release(ids[0], ids[1])
	e.ResumeLane("k", "down.it")
	equal(e, "resumed", fmt.Sprint(e.take("k", time.Hour, 9, 4)), fmt.Sprint(ids))
	for _, id := range ids {
		e.ok(&storage.FinishJob{ID: id})
	}
	e.PauseLane("k", "down.it", at.Add(time.Minute))
	ids = e.lane("down.it", 1)
	equal(e, "a pause outlasts the lane's jobs", len(e.take("k", time.Second, 9, 4)), 0)
	e.again()
	equal(e, "a new process knows of no pause", fmt.Sprint(e.take("k", time.Second, 9, 4)), fmt.Sprint(append(other, ids...)))
	e.PauseLane("k", "", at.Add(time.Hour))
	free := e.queue("k", "", 0)
	equal(e, "no lane, no pause", fmt.Sprint(e.take("k", 0, 9, 4)), fmt.Sprint([]storage.JobID{free}))
}

// testJobsHold: a held job is taken by name, or once it has expired.
func testJobsHold(e *env) {
	ids := e.lane("l.it", 2)
	forever := e.queue("k", "l.it", 0)
	e.ok(&storage.HoldJob{ID: ids[0], Held: true}, &storage.HoldJob{ID: forever, Held: true})
	equal(e, "held", fmt.Sprint(e.take("k", time.Hour, 9, 0)), fmt.Sprint(ids[1:]))
	equal(e, "next", e.next(24*time.Hour, 0), "0s")
	e.again()
	equal(e, "held still", fmt.Sprint(e.take("k", time.Hour, 9, 0)), fmt.Sprint(ids[1:]))
	j := must(e.TakeJob(e.ctx, ids[0]))(e)
	equal(e, "by name", fmt.Sprint(j.ID, j.Held, j.Expires.Equal(at.Add(24*time.Hour))), fmt.Sprint(ids[0], true, true))
	_, err := e.TakeJob(e.ctx, ids[0])
	e.wants(fault.Conflict, err)
	_, err = e.TakeJob(e.ctx, 999)
	e.wants(fault.NotFound, err)
	e.ok(&storage.HoldJob{ID: ids[0]})
	equal(e, "who has it keeps it", len(e.take("k", 48*time.Hour, 9, 0)), 0)
	e.ok(&storage.RetryJob{ID: ids[0], Due: at}, &storage.HoldJob{ID: ids[0], Held: true})
	equal(e, "a hold ends at the expiry", fmt.Sprint(e.take("k", 24*time.Hour, 9, 0)), fmt.Sprint(ids[:1]))
	e.fails(fault.NotFound, &storage.HoldJob{ID: 999, Held: true})
	e.ok(&storage.RetryJob{ID: ids[0], Due: at.Add(25 * time.Hour)})
	equal(e, "an expired job that is put off waits", len(e.take("k", 25*time.Hour-1, 9, 0)), 0)
	e.ok(&storage.HoldJob{ID: ids[0], Held: true})
	equal(e, "and no longer", fmt.Sprint(e.take("k", 25*time.Hour, 9, 0)), fmt.Sprint(ids[:1]))
	e.ok(&storage.HoldJob{ID: forever})
	equal(e, "released", fmt.Sprint(e.take("k", time.Hour, 9, 0)), fmt.Sprint([]storage.JobID{forever}))
}
