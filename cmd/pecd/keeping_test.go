// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"pecd/alarm"
	"pecd/storage"
)

// TestMonthsBefore: what is kept for calendar months is never kept too short.
func TestMonthsBefore(t *testing.T) {
	for at, want := range map[string]string{
		"2029-08-31": "2027-02-28", "2028-08-31": "2026-02-28", "2030-08-30": "2028-02-29", "2029-05-31": "2026-11-30", "2029-01-15": "2026-07-15",
	} {
		now, err := time.Parse(time.DateOnly, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := monthsBefore(now.Add(5*time.Hour), 30).Format("2006-01-02 15"); got != want+" 05" {
			t.Errorf("30 months before %s: %s, want %s", at, got, want)
		}
	}
}

// TestQuarantineKeeping: nothing goes before its 30 months, nothing at all
// while the clock is in doubt, and what goes leaves a record.
func TestQuarantineKeeping(t *testing.T) {
	w := newYesterday(t)
	defer func() { w.must(w.node.close()) }()
	ctx := context.Background()
	body := &storage.NewBody{Head: []byte("ciphertext")}
	w.must(w.node.store.Commit(ctx, new(storage.Step).Add(body, &storage.PutQuarantined{
		Item: storage.Quarantined{At: w.clk.Now(), Point: "access", Virus: "x"}, Body: storage.BodyRef{New: body},
	})))
	kept := func() (n int) {
		w.must(w.node.purgeQuarantined(ctx))
		w.must(w.node.store.EachQuarantined(ctx, time.Time{}, func(storage.Quarantined) error { n++; return nil }))
		return n
	}
	w.clk.Advance(w.clk.Now().AddDate(0, 29, 0).Sub(w.clk.Now()))
	if kept() != 1 {
		t.Error("gone after 29 months")
	}
	w.clk.Advance(40 * 24 * time.Hour)
	w.node.alarms.Raise(alarm.ClockDeviation, "test")
	if kept() != 1 {
		t.Error("gone while the clock is off")
	}
	w.node.alarms.Clear(alarm.ClockDeviation)
	if kept() != 0 {
		t.Error("kept after 30 months")
	}
	found := 0
	w.must(w.node.store.FindRecords(ctx, storage.RecordQuery{Event: "quarantine.purged"}, func(storage.Record) error { found++; return nil }))
	if found != 1 {
		t.Errorf("%d records of the purge", found)
	}
}

// TestExpiry: an ending certificate is told of a month ahead.
func TestExpiry(t *testing.T) {
	w := newYesterday(t)
	defer func() { w.must(w.node.close()) }()
	w.node.alarms = alarm.NewBoard(w.clk, slog.New(slog.DiscardHandler))
	w.node.checkExpiry()
	if got := w.node.alarms.Raised(); len(got) != 0 {
		t.Fatalf("%+v", got)
	}
	w.clk.Advance(w.node.signer.Certificate().NotAfter.Sub(w.clk.Now()) - 29*24*time.Hour)
	w.node.checkExpiry()
	if got := w.node.alarms.Raised(); len(got) != 1 || got[0].Name != alarm.CertificateExpiring {
		t.Errorf("%+v", got)
	}
}
