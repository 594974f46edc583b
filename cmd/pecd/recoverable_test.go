// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"slices"
	"testing"
	"time"

	"pecd/alarm"
	"pecd/ledger"
	"pecd/storage"
)

// TestRecoverableKeeping: what POP3 clients deleted is kept for thirty days from
// then, not while the clock is in doubt, and its end is on record.
func TestRecoverableKeeping(t *testing.T) {
	w := newYesterday(t)
	defer func() { w.must(w.node.close()) }()
	ctx := context.Background()
	st := w.node.store
	box := &storage.PutMailbox{Mailbox: storage.Mailbox{Address: "pop@x.example", Domain: "x.example", Tier: "t", State: storage.MailboxActive}}
	w.must(st.Commit(ctx, new(storage.Step).Add(box)))
	in, err := st.Folder(ctx, box.ID, "INBOX")
	w.must(err)
	discard := func(n int) {
		step := new(storage.Step)
		var puts []*storage.Append
		for range n {
			b := &storage.NewBody{Head: []byte("12345")}
			puts = append(puts, &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: b}, InternalDate: w.clk.Now().AddDate(-1, 0, 0)})
			step.Add(b, puts[len(puts)-1])
		}
		w.must(st.Commit(ctx, step))
		op := &storage.Discard{From: in.ID, Name: "Eliminati"}
		for _, p := range puts {
			op.UIDs = append(op.UIDs, p.UID)
		}
		w.must(st.Commit(ctx, new(storage.Step).Add(op)))
	}
	kept := func() uint32 {
		w.must(w.node.purgeRecovered(ctx))
		f, err := st.Folder(ctx, box.ID, "Eliminati")
		w.must(err)
		return f.Messages
	}
	const many = purgedAtOnce + 3
	discard(many)
	w.clk.Advance(10 * 24 * time.Hour)
	discard(2)
	w.clk.Advance(20*24*time.Hour - time.Second)
	if n := kept(); n != many+2 {
		t.Errorf("%d are kept a second before thirty days", n)
	}
	w.clk.Advance(2 * time.Second)
	w.node.alarms.Raise(alarm.ClockDeviation, "test")
	if n := kept(); n != many+2 {
		t.Errorf("%d are kept while the clock is off", n)
	}
	w.node.alarms.Clear(alarm.ClockDeviation)
	if n := kept(); n != 2 {
		t.Errorf("%d are kept after thirty days, 2 are younger", n)
	}
	deleted, err := st.Folder(ctx, box.ID, "Eliminati")
	w.must(err)
	var messages, octets int64
	records := 0
	var named []string
	w.must(st.FindRecords(ctx, storage.RecordQuery{Event: string(ledger.RecoverablePurged), Mailbox: "pop@x.example"}, func(r storage.Record) error {
		e, err := ledger.Decode(r.Data)
		messages, octets = messages+e.Messages, octets+e.Size
		records++
		if e.Folder != "Eliminati" || e.UIDValidity != deleted.UIDValidity {
			t.Errorf("purged of %q, %d", e.Folder, e.UIDValidity)
		}
		named = append(named, e.UIDs)
		return err
	}))
	if messages != many || octets != 5*many || records != 2 {
		t.Errorf("%d messages of %d octets in %d records", messages, octets, records)
	}
	if want := []string{"1:1000", "1001:1003"}; !slices.Equal(named, want) {
		t.Errorf("purged are %q, want %q", named, want)
	}
	w.clk.Advance(10 * 24 * time.Hour)
	if n := kept(); n != 0 {
		t.Errorf("%d are kept", n)
	}
}
