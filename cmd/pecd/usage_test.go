// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"pecd/alarm"
	"pecd/ledger"
	"pecd/storage"
)

// TestUsageSamples: one sample a mailbox and day of legal time, whatever is
// restarted or created meanwhile; none while the clock is off.
func TestUsageSamples(t *testing.T) {
	w := newYesterday(t)
	defer func() { w.must(w.node.close()) }()
	ctx := context.Background()
	st := w.node.store
	box := func(name string, state storage.MailboxState) {
		w.must(st.Commit(ctx, new(storage.Step).Add(&storage.PutMailbox{Mailbox: storage.Mailbox{Address: name + "@x.example", Domain: "x.example", Tier: "standard", State: state}})))
	}
	there := 0
	w.must(st.Mailboxes(ctx, "", func(storage.Mailbox) error { there++; return nil }))
	step := new(storage.Step)
	for i := range sampledAtOnce + 1 {
		step.Add(&storage.PutMailbox{Mailbox: storage.Mailbox{Address: fmt.Sprintf("m%03d@x.example", i), Domain: "x.example", Tier: "standard", State: storage.MailboxActive}})
	}
	w.must(st.Commit(ctx, step))
	box("spenta", storage.MailboxDeactivated)
	box("chiusa", storage.MailboxClosed)
	m, err := st.Mailbox(ctx, "m007@x.example")
	w.must(err)
	body := &storage.NewBody{Head: []byte("12345")}
	w.must(st.Commit(ctx, new(storage.Step).Add(body, &storage.Append{Mailbox: m.ID, Body: storage.BodyRef{New: body}})))

	last, seen := int64(0), make(map[string]bool)
	samples := func() map[string]ledger.Event {
		t.Helper()
		found := make(map[string]ledger.Event)
		w.must(st.Records(ctx, last+1, func(r storage.Record) error {
			last = r.Seq
			e, err := ledger.Decode(r.Data)
			if err == nil && e.Kind == ledger.UsageSample {
				once := e.Mailbox + e.At.In(w.node.zone).Format(time.DateOnly)
				if seen[once] {
					t.Errorf("%s twice on a day", e.Mailbox)
				}
				seen[once] = true
				found[e.Mailbox] = e
			}
			return err
		}))
		return found
	}
	take := func() map[string]ledger.Event {
		t.Helper()
		w.must(w.node.takeSamples(ctx, w.clk.Now().In(w.node.zone)))
		return samples()
	}
	samples()
	all := take()
	if len(all) != there+sampledAtOnce+2 {
		t.Errorf("%d samples", len(all))
	}
	e := all["m007@x.example"]
	if e.Size != 5 || e.Messages != 1 || e.To != "active" || e.Domain != "x.example" || !strings.HasPrefix(e.Detail, "tier=standard quota=") || all["spenta@x.example"].To != "deactivated" {
		t.Errorf("%+v", e)
	}
	if again := take(); len(again) != 0 {
		t.Errorf("%d samples more on the same day", len(again))
	}
	box("nuova", storage.MailboxActive) // among numbers that are claimed: tomorrow
	if again := take(); len(again) != 0 {
		t.Errorf("%d samples of what was created since", len(again))
	}
	w.clk.Advance(24 * time.Hour)
	w.node.alarms.Raise(alarm.ClockDeviation, "test")
	if err := w.node.takeSamples(ctx, w.clk.Now().In(w.node.zone)); err == nil || len(samples()) != 0 {
		t.Errorf("samples while the clock is off: %v", err)
	}
	w.node.alarms.Clear(alarm.ClockDeviation)
	if next := take(); len(next) != there+sampledAtOnce+3 {
		t.Errorf("%d samples on the next day", len(next))
	}

	// The service takes them by itself, after each midnight.
	service, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { w.node.sampleUsage(service) })
	defer func() { cancel(); running.Wait() }()
	days := make(map[string]bool)
	for deadline := time.Now().Add(time.Minute); len(days) < 2; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("samples of the days %v", days)
		}
		w.clk.Advance(30 * time.Minute)
		for _, e := range samples() {
			days[e.At.In(w.node.zone).Format(time.DateOnly)] = true
		}
	}
}

// TestUntilSample: a minute after midnight of legal time, on days of 23 and 25
// hours, too.
func TestUntilSample(t *testing.T) {
	rome, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{
		{"2026-11-25T12:00:00+01:00", "2026-11-25T13:00:00+01:00"}, {"2026-11-25T23:30:00+01:00", "2026-11-26T00:01:00+01:00"},
		{"2026-03-28T23:59:00+01:00", "2026-03-29T00:01:00+01:00"}, {"2026-10-25T23:10:00+01:00", "2026-10-26T00:01:00+01:00"}, {"2026-10-25T00:30:00+02:00", "2026-10-25T01:30:00+02:00"},
	} {
		now, err := time.Parse(time.RFC3339, c[0])
		if err != nil {
			t.Fatal(err)
		}
		if got := now.Add(untilSample(now.In(rome))).In(rome).Format(time.RFC3339); got != c[1] {
			t.Errorf("after %s comes %s, want %s", c[0], got, c[1])
		}
	}
}
