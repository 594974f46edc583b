// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pecd/storage"
)

// TestFindRecordsIsLinear: whatever a search is restricted by, reading 50,000
// records takes the time of reading them, not that of sorting what is left
// before each chunk. Reading all of them by number is the measure.
func TestFindRecordsIsLinear(t *testing.T) {
	const n = 50_000
	s := openAt(t, t.TempDir(), Options{})
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	data := noise(400)
	at := make([]time.Time, n+1)
	for seq := 1; seq <= n; {
		step := new(storage.Step)
		for range 1000 {
			// Instants are not quite in order.
			at[seq] = start.Add(time.Duration(seq)*time.Second + time.Duration(rand.IntN(20_000))*time.Millisecond)
			step.Add(&storage.AppendRecord{Record: storage.Record{
				At: at[seq], Event: []string{"k", "l"}[seq%2], ID: fmt.Sprint(seq % 7), Mailbox: fmt.Sprintf("m%d@x.it", seq%3), Data: data,
			}})
			seq++
		}
		if err := s.Commit(t.Context(), step); err != nil {
			t.Fatal(err)
		}
	}
	read := func(q *storage.RecordQuery) (got []int64, took time.Duration) {
		begin := time.Now()
		fn := func(r storage.Record) error {
			got = append(got, r.Seq)
			return nil
		}
		var err error
		if q == nil {
			err = s.Records(t.Context(), 1, fn)
		} else {
			err = s.FindRecords(t.Context(), *q, fn)
		}
		if err != nil {
			t.Fatal(err)
		}
		return got, time.Since(begin)
	}
	read(nil) // warms the cache
	_, measure := read(nil)
	from, to := start.Add(1000*time.Second), start.Add(49_000*time.Second)
	within := func(seq int) bool { return !at[seq].Before(from) && at[seq].Before(to) }
	for _, c := range []struct {
		name string
		q    storage.RecordQuery
		want func(seq int) bool
	}{
		{"from", storage.RecordQuery{From: from}, func(seq int) bool { return !at[seq].Before(from) }},
		{"to", storage.RecordQuery{To: to}, func(seq int) bool { return at[seq].Before(to) }},
		{"from and to", storage.RecordQuery{From: from, To: to}, within},
		{"kind", storage.RecordQuery{Event: "k"}, func(seq int) bool { return seq%2 == 0 }},
		{"kind, from and to", storage.RecordQuery{From: from, To: to, Event: "k"}, func(seq int) bool { return seq%2 == 0 && within(seq) }},
		{"id, from and to", storage.RecordQuery{From: from, To: to, ID: "1"}, func(seq int) bool { return seq%7 == 1 && within(seq) }},
		{"mailbox and from", storage.RecordQuery{From: from, Mailbox: "m1@x.it"}, func(seq int) bool { return seq%3 == 1 && !at[seq].Before(from) }},
		{"id and mailbox", storage.RecordQuery{ID: "1", Mailbox: "m1@x.it"}, func(seq int) bool { return seq%3 == 1 && seq%7 == 1 }},
		{"a time without records", storage.RecordQuery{To: start}, func(int) bool { return false }},
	} {
		got, took := read(&c.q)
		var want []int64
		for seq := 1; seq <= n; seq++ {
			if c.want(seq) {
				want = append(want, int64(seq))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d records, want %d", c.name, len(got), len(want))
		}
		bound := 4*measure + 100*time.Millisecond
		for again := 0; took > bound && again < 2; again++ { // the machine may have been busy
			_, took = read(&c.q)
		}
		if took > bound {
			t.Errorf("%s: %v, where reading all of them takes %v", c.name, took, measure)
		}
	}
}
