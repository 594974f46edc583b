// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"sync"
	"time"

	"pecd/storage"
)

// maxBudgets is of how many mailboxes is known what they forwarded.
const maxBudgets = 50_000

// forwardBudget bounds what filters forward: as many messages as the mailbox may
// send in a minute and a day, so that whoever writes to many mailboxes, or to one
// that forwards, cannot multiply his mail without end. What is beyond it waits for
// its turn. It is memory of this process: after a restart a mailbox has its day
// anew.
type forwardBudget struct {
	zone  *time.Location
	mu    sync.Mutex
	boxes map[storage.MailboxID]*forwarded
}

// forwarded is where the next forward of a mailbox is booked: the last minute that
// has any, and the last day.
type forwarded struct {
	minute   time.Time
	inMinute int
	day      time.Time // its midnight in legal time
	inDay    int
}

func newForwardBudget(zone *time.Location) *forwardBudget {
	return &forwardBudget{zone: zone, boxes: make(map[storage.MailboxID]*forwarded)}
}

// book takes the next turn of a mailbox and returns when it is: not after now
// where it is at once. One that is not before end is not taken: what is given up
// for it must not keep later mail from its turn.
func (b *forwardBudget) book(box storage.MailboxID, perMinute, perDay int, now, end time.Time) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.boxes[box]
	if f == nil {
		b.shrink(now)
		f = new(forwarded)
		b.boxes[box] = f
	}
	at := now.Truncate(time.Minute)
	if at.Before(f.minute) {
		at = f.minute
	}
	day := b.midnight(at, 0)
	if day.Before(f.day) {
		day = f.day
	}
	if day.Equal(f.day) && f.inDay >= perDay {
		day = b.midnight(day, 1)
	}
	if at.Before(day) {
		at = day
	}
	if at.Equal(f.minute) && f.inMinute >= perMinute {
		at = at.Add(time.Minute)
		day = b.midnight(at, 0)
	}
	if !at.Before(end) {
		return at
	}
	if !at.Equal(f.minute) {
		f.minute, f.inMinute = at, 0
	}
	if !day.Equal(f.day) {
		f.day, f.inDay = day, 0
	}
	f.inMinute++
	f.inDay++
	return at
}

// midnight is the beginning of the civil day of t, or of one some days later.
func (b *forwardBudget) midnight(t time.Time, days int) time.Time {
	y, m, d := t.In(b.zone).Date()
	return time.Date(y, m, d+days, 0, 0, 0, 0, b.zone)
}

// shrink forgets mailboxes whose day is over where there are many.
func (b *forwardBudget) shrink(now time.Time) {
	if len(b.boxes) < maxBudgets {
		return
	}
	today := b.midnight(now, 0)
	for id, f := range b.boxes {
		if f.day.Before(today) {
			delete(b.boxes, id)
		}
	}
}
