// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"pecd/ledger"
	"pecd/storage"
)

// TestClockBack: the clock is set back by an hour under a node. What was queued
// before waits until the clock has come there again, what comes afterwards does
// not; everything is delivered once, and store and log verify.
func TestClockBack(t *testing.T) {
	w := newYesterday(t)
	w.clk.Advance(2 * time.Hour) // the signing certificate is as old as the demo
	before := w.submit("prima")
	w.clk.Advance(-time.Hour)
	after := w.submit("dopo")
	if before == after {
		t.Fatalf("both are %s", before)
	}
	work, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, worker := range w.node.workers() {
		running.Go(func() { worker.Run(work, work) })
	}
	waiting := func() (payloads []string) {
		w.must(w.node.store.Jobs(work, "deliver", func(j storage.Job) error {
			payloads = append(payloads, string(j.Payload))
			return nil
		}))
		return payloads
	}
	wait := func(count int) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); len(waiting()) != count; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("waiting: %v, want %d", waiting(), count)
			}
		}
	}
	wait(1)
	if left := waiting(); !strings.Contains(left[0], before) {
		t.Errorf("%v waits, not that of before", left)
	}
	w.clk.Advance(time.Hour + time.Minute)
	wait(0)
	delivered := make(map[string]int)
	w.must(w.node.store.Records(work, 1, func(r storage.Record) error {
		if r.Event == string(ledger.Delivered) {
			delivered[r.ID]++
		}
		return nil
	}))
	if delivered[before] != 1 || delivered[after] != 1 {
		t.Errorf("delivered: %v", delivered)
	}
	cancel()
	running.Wait()
	found, err := w.node.verify(context.Background())
	w.must(err)
	if len(found.Problems) > 0 || found.Signatures != 6 {
		t.Errorf("%+v", found)
	}
	w.must(w.node.close())
	if code, out := w.pecd("ledger", "verify"); code != exitDone {
		t.Errorf("pecd ledger verify: exit %d\n%s", code, out)
	}
}
