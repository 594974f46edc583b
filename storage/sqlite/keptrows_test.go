// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"testing"
	"time"

	"pecd/clock"
	"pecd/storage"
)

// TestKeptRows: jobs that fall due in hours, one for each message, do not take
// the room of those that are taken at once.
func TestKeptRows(t *testing.T) {
	clk := clock.NewManual(time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC))
	s := openAt(t, t.TempDir(), Options{Clock: clk})
	step := new(storage.Step)
	for range keptRows + 1 {
		step.Add(&storage.Enqueue{Job: storage.Job{Kind: "later", Due: clk.Now().Add(12 * time.Hour)}})
	}
	now := &storage.Enqueue{Job: storage.Job{Kind: "now", Due: clk.Now(), Payload: []byte("p")}}
	commit(t, s, step.Add(now).Ops...)
	taken := s.jobs.take("now", clk.Now().UnixNano(), 1, 0)
	if len(taken) != 1 || taken[0].row == nil || string(taken[0].row.Payload) != "p" || taken[0].row.ID != now.ID {
		t.Fatalf("%+v", taken)
	}
	if s.jobs.rows != 0 {
		t.Fatalf("%d rows are kept", s.jobs.rows)
	}
}
