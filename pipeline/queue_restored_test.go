// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/pipeline"
	"pecd/storage"
)

// TestADR12_6_Restored: what a store had to do when it was put back waits, also
// beyond its time, until an operator has it done or dropped.
func TestADR12_6_Restored(t *testing.T) {
	w := newWorld(t)
	p := w.at(anna)
	ctx := context.Background()
	w.send(2, dario)
	to := []string{bettina}
	w.submit(anna, to, message(anna, bettina, "", "x\r\n"))
	rec := &storage.AppendRecord{Record: storage.Record{At: w.clock.Now(), Event: string(ledger.StoreRestored), Data: ledger.Event{At: w.clock.Now(), Kind: ledger.StoreRestored}.Encode()}}
	check(t, p.store.BeginAnew(ctx, w.clock.Now(), rec))
	w.until(w.clock.Now().Add(30 * time.Hour))
	if got := w.story(anna, dario, bettina); got != ", " || len(w.outside) != 0 {
		t.Errorf("heard %q, %d sent", got, len(w.outside))
	}
	if waiting := p.list(pipeline.Filter{}); len(waiting) != 0 {
		t.Errorf("the queue has %+v", waiting)
	}
	aside := p.list(pipeline.Filter{Restored: true})
	byKind := map[string][]storage.JobID{}
	for _, e := range aside {
		byKind[e.Kind] = append(byKind[e.Kind], e.Job)
	}
	relays, deliveries, deadlines := byKind[pipeline.JobRelay], byKind[pipeline.JobDeliver], byKind[pipeline.JobDeadline]
	if len(relays) != 2 || len(deliveries) != 1 || len(deadlines) == 0 {
		t.Fatalf("set aside: %+v", aside)
	}
	if n, err := p.queue().Hold(ctx, operator, relays[0]); n != 0 || !fault.Is(err, fault.Denied) {
		t.Errorf("held: %d, %v", n, err)
	}
	if n, err := p.queue().Drop(ctx, operator, deliveries[0]); n != 0 || !fault.Is(err, fault.Denied) {
		t.Errorf("a delivery was dropped: %d, %v", n, err)
	}
	if n, err := p.queue().Drop(ctx, operator, append(deadlines, relays[0])...); n != len(deadlines)+1 || err != nil {
		t.Errorf("dropped: %d, %v", n, err)
	}
	if n, err := p.queue().Resume(ctx, operator, relays[1], deliveries[0], 999); n != 2 || !fault.Is(err, fault.NotFound) {
		t.Errorf("resumed: %d, %v", n, err)
	}
	w.settle()
	if len(w.outside) != 1 || len(p.list(pipeline.Filter{Restored: true})) != 0 {
		t.Errorf("%d sent, left %+v", len(w.outside), p.list(pipeline.Filter{Restored: true}))
	}
	w.want(bettina, "posta-certificata")
	if n := len(p.records(ledger.QueueDropped)); n != len(deadlines)+1 {
		t.Errorf("%d records of what was dropped", n)
	}
	resumed := p.records(ledger.QueueResumed)
	if len(resumed) != 2 || resumed[0].Actor != operator || !strings.Contains(resumed[0].ID+resumed[1].ID, "@") {
		t.Errorf("%+v", resumed)
	}
	w.clean()
}
