// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"pecd/ledger"
)

// TestLargeDay: a day streams: sealing, verifying and extracting it takes the
// memory of some records, not of the day. PECD_LONG=1 makes it a day of 300,000
// records, otherwise it has 20,000.
func TestLargeDay(t *testing.T) {
	records := 20_000
	if os.Getenv("PECD_LONG") != "" {
		records = 300_000
	}
	const bound = 24 << 20 // of the heap, above what was there before
	e := newEnv(t, 2026, 11, 20)
	subject := strings.Repeat("Oggetto abbastanza lungo ", 40)
	for n := 0; n < records; n += 1000 {
		batch := make([]ledger.Event, 1000)
		for i := range batch {
			batch[i] = ledger.Event{
				Kind: ledger.SubmissionAccepted, ID: fmt.Sprintf("%d@alfa.example", n+i), Side: ledger.Own, Sender: mario, Mailbox: mario,
				Subject: subject, Recipients: []ledger.Recipient{{Address: anna, Type: ledger.Certified}},
			}
		}
		e.write(batch...)
	}
	e.moveTo("2026-11-21 00:10:00")
	measured := func(what string, do func()) {
		peak, took := heapPeak(do)
		t.Logf("%s %d records: %v, %.1f MiB of heap", what, records, took.Round(time.Millisecond), float64(peak)/(1<<20))
		if peak > bound {
			t.Errorf("%s: the heap grew by %d octets", what, peak)
		}
	}
	measured("seal", func() { e.turn(true) })
	info, err := os.Stat(filepath.Join(e.folder(), e.seals()[0].File))
	if err != nil || info.Size() < int64(records)*1000 {
		t.Fatalf("a file of %d octets, %v", info.Size(), err)
	}
	measured("verify", func() {
		if found, sum := e.verify(); len(found) > 0 || sum.Records != int64(records)+1 {
			t.Errorf("%+v\n%s", sum, lines(found))
		}
	})
	measured("verify the folder of", func() {
		if found, sum := e.verifyFolder(); len(found) > 0 || sum.Records != int64(records) {
			t.Errorf("%+v\n%s", sum, lines(found))
		}
	})
	measured("extract", func() {
		m, err := Extract(t.Context(), e.store, e.clk, Request{Holder: mario, Form: CSV, Actor: "admin"}, io.Discard)
		if err != nil || m.Records != int64(records) {
			t.Errorf("%+v, %v", m, err)
		}
	})
	// The needle in it is found.
	e.tamper(edit(records / 2))
	if found, sum := e.verify(); len(found) != 1 || sum.Altered.Seq != int64(records/2) {
		t.Errorf("found:\n%s", lines(found))
	}
}

// heapPeak runs do and returns how far the heap grew meanwhile.
func heapPeak(do func()) (grown uint64, took time.Duration) {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before, peak := m.HeapAlloc, m.HeapAlloc
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapAlloc)
			}
		}
	}()
	start := time.Now()
	do()
	took = time.Since(start)
	close(done)
	<-ended
	return peak - before, took
}
