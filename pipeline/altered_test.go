// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"context"
	"testing"
	"time"

	"pecd/pipeline"
	"pecd/storage"
)

// TestAlteredOnDisk: no receipt vouches for an envelope that the disk altered,
// and none of ours goes out; within a day the sender hears that it was not
// delivered.
func TestAlteredOnDisk(t *testing.T) {
	w := newWorld(t)
	p := w.providers["alfa.example"]
	w.submit("anna@alfa.example", []string{"bruno@alfa.example", "carla@beta.example"}, message("anna@alfa.example", "bruno@alfa.example, carla@beta.example", "", "Testo\r\n"))
	p.restart() // nothing is remembered
	p.shaky.altered = true
	for _, kind := range []string{pipeline.JobDeliver, pipeline.JobRelay} {
		jobs, err := p.store.TakeDue(context.Background(), kind, w.clock.Now(), 1, 0)
		check(t, err)
		if len(jobs) != 1 {
			t.Fatalf("%d jobs", len(jobs))
		}
		if err := p.do(context.Background(), jobs[0]); err == nil {
			t.Fatalf("%s done", kind)
		}
		check(t, p.store.Commit(context.Background(), new(storage.Step).Add(&storage.RetryJob{ID: jobs[0].ID, Due: w.clock.Now()})))
	}
	if got := w.inbox("bruno@alfa.example"); len(got) != 0 {
		t.Fatalf("%d messages delivered", len(got))
	}
	if w.attempts["beta.example"] != 0 {
		t.Fatal("sent")
	}
	p.shaky.altered = false
	w.settle()
	w.want("bruno@alfa.example", "posta-certificata")
}

// TestDefectWhileReading: a defect that an envelope brings out while it is read
// keeps nobody waiting: its other recipients fail as well, and are tried again.
func TestDefectWhileReading(t *testing.T) {
	w := newWorld(t)
	p := w.providers["alfa.example"]
	w.submit("anna@alfa.example", []string{"bruno@alfa.example", "carla@alfa.example"}, message("anna@alfa.example", "bruno@alfa.example, carla@alfa.example", "", "Testo\r\n"))
	p.restart()
	jobs, err := p.store.TakeDue(context.Background(), pipeline.JobDeliver, w.clock.Now(), 2, 0)
	check(t, err)
	if len(jobs) != 2 {
		t.Fatalf("%d jobs", len(jobs))
	}
	p.shaky.panics = true
	for _, j := range jobs {
		func() {
			defer func() { // as the worker does
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if err := p.do(ctx, j); err != nil {
				t.Error(err)
			}
		}()
	}
	p.shaky.panics = false
	for _, j := range jobs {
		check(t, p.do(context.Background(), j))
	}
}
