// SPDX-License-Identifier: EUPL-1.2

// Package ratelimit bounds what a mailbox sends (D4, D5): messages accepted
// within any 60 seconds and within a civil day of legal time, and the recipients
// of them all together. A message counts once it is accepted, not when it is
// refused and not when its acceptance could not be stored.
//
// Local counts for one node by itself, Shared for several through Redis. Both
// count from the record of what was accepted where they know nothing yet. What
// goes wrong makes them stricter, never looser (ADR 0023).
package ratelimit

import (
	"context"
	"sync/atomic"
	"time"
)

// Figures are the bounds of one mailbox, all above 0.
type Figures struct {
	PerMinute, PerDay                     int // messages
	RecipientsPerMinute, RecipientsPerDay int
}

// Window is one of the four bounds. The names are label values of a metric.
type Window string

// The windows.
const (
	Minute           Window = "minute"
	Day              Window = "day"
	RecipientsMinute Window = "recipients_minute"
	RecipientsDay    Window = "recipients_day"
)

// Windows lists the windows.
func Windows() []Window { return []Window{Minute, Day, RecipientsMinute, RecipientsDay} }

// span is how long a message counts for the minute: one accepted at t counts
// until t+60s, exclusive.
const span = time.Minute

// Limiter decides whether a mailbox, named by a key, may send now. Its errors
// are *fault.Error: of kind Limited around a *Reached where a bound is reached,
// and of another kind where that is not known, which is no leave to send.
type Limiter interface {
	// Peek reports whether one more message to so many recipients would pass now,
	// and how many recipients it may have at most. It counts nothing.
	Peek(ctx context.Context, key string, f Figures, recipients int) (room int, err error)
	// Take counts one message to so many recipients, or fails with nothing counted.
	Take(ctx context.Context, key string, f Figures, recipients int) (*Hold, error)
	// Use tells what counts now.
	Use(ctx context.Context, key string, f Figures) (Use, error)
}

// Count is a number of messages and of their recipients.
type Count struct{ Messages, Recipients int }

func (c Count) plus(d Count) Count {
	return Count{c.Messages + d.Messages, c.Recipients + d.Recipients}
}

func (c Count) minus(d Count) Count {
	return Count{c.Messages - d.Messages, c.Recipients - d.Recipients}
}

// Use is what of a mailbox's figures is used up.
type Use struct {
	Minute, Day Count
	// Figures are what holds now: less than the mailbox's while nodes do not know
	// of each other (Reduced).
	Figures Figures
	Reduced bool
	// MinuteOpens and DayOpens are when one more message to one recipient passes
	// in that window; zero: it passes now.
	MinuteOpens, DayOpens time.Time
}

// WindowUse is how much of one window is used up.
type WindowUse struct {
	Window      Window
	Used, Limit int
	Opens       time.Time // when one more passes; zero: the window is open
}

// Windows tells the use of each window.
func (u Use) Windows() []WindowUse {
	one := func(w Window, used, limit int, opens time.Time) WindowUse {
		if used < limit {
			opens = time.Time{} // the other bound of the same span is what is closed
		}
		return WindowUse{w, used, limit, opens}
	}
	return []WindowUse{
		one(Minute, u.Minute.Messages, u.Figures.PerMinute, u.MinuteOpens),
		one(RecipientsMinute, u.Minute.Recipients, u.Figures.RecipientsPerMinute, u.MinuteOpens),
		one(Day, u.Day.Messages, u.Figures.PerDay, u.DayOpens),
		one(RecipientsDay, u.Day.Recipients, u.Figures.RecipientsPerDay, u.DayOpens),
	}
}

// Entry is what a mailbox has on record for one second.
type Entry struct {
	At time.Time // the second's beginning
	Count
}

// Record reads what mailboxes were accepted for, by this node.
type Record interface {
	// Sent returns what is on record of one mailbox at or after from, by instant.
	Sent(ctx context.Context, key string, from time.Time) ([]Entry, error)
	// Senders calls fn for every mailbox with something on record at or after from.
	Senders(ctx context.Context, from time.Time, fn func(key string) error) error
}

// Hold is one message that was counted and is not stored yet. Exactly one of
// Keep, GiveBack and Doubt ends it; what comes after the first has no effect.
type Hold struct {
	// At is the instant that it counts from, for the record.
	At    time.Time
	ended atomic.Bool
	end   func(ctx context.Context, how ending)
}

type ending int

const (
	kept ending = iota
	given
	doubtful
)

// Keep ends the hold: the message is on record.
func (h *Hold) Keep() { h.over(context.Background(), kept) }

// GiveBack ends the hold: the message was not accepted after all, and nothing is
// on record.
func (h *Hold) GiveBack(ctx context.Context) { h.over(ctx, given) }

// Doubt ends the hold of a message whose commit failed: the record tells whether
// it was accepted.
func (h *Hold) Doubt(ctx context.Context) { h.over(ctx, doubtful) }

func (h *Hold) over(ctx context.Context, how ending) {
	if h.ended.CompareAndSwap(false, true) {
		h.end(ctx, how)
	}
}
