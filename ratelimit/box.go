// SPDX-License-Identifier: EUPL-1.2

package ratelimit

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// taken is a message of the last minute, or what is on record for a second of it.
type taken struct {
	at   int64 // µs since 1970
	id   int64
	n    Count
	open bool // not on record yet
}

// box is what this node itself accepted of one mailbox.
type box struct {
	filled bool // minute is known
	known  bool // today is known
	day    day
	today  Count
	minute []taken // what counts for the minute, by instant
	sum    Count   // of minute
	open   Count   // holds that have not ended
	// away is what of today was accepted since the connection to the other nodes
	// was lost.
	away    Count
	fresh   bool  // minute was read from the record, and the other nodes were not told
	changes int64 // how often what is above has changed
	reads   int   // how often the record was read
}

// advance moves the box to an instant.
func (b *box) advance(now time.Time, loc *time.Location) {
	if now.Before(b.day.start) || !now.Before(b.day.end) {
		today := dayOf(now, loc)
		// Back to a day before, as the clock was put back: the record knows it.
		b.known = b.known && today.number > b.day.number
		b.day, b.today, b.away = today, Count{}, Count{}
	}
	b.prune(now.UnixMicro())
}

// prune forgets what no longer counts for the minute. What lies in the future,
// because the clock was put back, counts from now.
func (b *box) prune(now int64) {
	gone := 0
	for gone < len(b.minute) && b.minute[gone].at <= now-span.Microseconds() {
		b.sum = b.sum.minus(b.minute[gone].n)
		gone++
	}
	b.minute = b.minute[gone:]
	for i := len(b.minute) - 1; i >= 0 && b.minute[i].at > now; i-- {
		b.minute[i].at = now
	}
}

// fill counts what is on record where it is not known. A second's messages count
// from its end, so that no more passes than would by their instants.
func (b *box) fill(ctx context.Context, r Record, key string, now time.Time) error {
	if b.filled && b.known {
		return nil
	}
	from := b.day.start
	if minute := now.Add(-span - time.Second); minute.Before(from) {
		from = minute
	}
	entries, err := r.Sent(ctx, key, from)
	if err != nil {
		return err
	}
	today, fresh := b.open, !b.filled
	if fresh {
		b.minute = slices.DeleteFunc(b.minute, func(t taken) bool { return !t.open })
	}
	for _, e := range entries {
		if !e.At.Before(b.day.start) && e.At.Before(b.day.end) {
			today = today.plus(e.Count)
		}
		at := min(e.At.Add(time.Second).UnixMicro(), now.UnixMicro())
		if fresh && at > now.Add(-span).UnixMicro() {
			b.minute = append(b.minute, taken{at: at, id: e.At.Unix(), n: e.Count})
		}
	}
	if fresh {
		b.fresh = true
		slices.SortStableFunc(b.minute, func(x, y taken) int { return cmp.Compare(x.at, y.at) })
		b.sum = Count{}
		for _, t := range b.minute {
			b.sum = b.sum.plus(t.n)
		}
	}
	b.today, b.filled, b.known = today, true, true
	b.changes++
	b.reads++
	return nil
}

// add counts a message.
func (b *box) add(id int64, now time.Time, n Count) {
	b.minute = append(b.minute, taken{at: now.UnixMicro(), id: id, n: n, open: true})
	b.changes++
	b.sum, b.today, b.open = b.sum.plus(n), b.today.plus(n), b.open.plus(n)
}

// settled notes that a message is on record.
func (b *box) settled(id int64) {
	if i := b.find(id); i >= 0 {
		b.minute[i].open = false
	}
}

// find looks for a message from the end: it is one of the last.
func (b *box) find(id int64) int {
	for i := len(b.minute) - 1; i >= 0; i-- {
		if b.minute[i].id == id {
			return i
		}
	}
	return -1
}

// remove takes back a message of a day.
func (b *box) remove(id int64, n Count, number int) {
	b.changes++
	if i := b.find(id); i >= 0 {
		b.minute = slices.Delete(b.minute, i, i+1)
		b.sum = b.sum.minus(n)
	}
	if b.day.number == number {
		b.today = b.today.minus(n)
	}
}

// opens is the instant at which so much no longer counts for the minute, in µs.
func (b *box) opens(need Count) int64 {
	var freed Count
	for _, t := range b.minute {
		freed = freed.plus(t.n)
		if freed.Messages >= need.Messages && freed.Recipients >= need.Recipients {
			return t.at + span.Microseconds()
		}
	}
	return 0
}
