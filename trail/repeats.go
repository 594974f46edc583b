// SPDX-License-Identifier: EUPL-1.2

package trail

import (
	"time"

	"pecd/ledger"
)

const (
	window      = time.Minute
	maxAccesses = 16384 // kinds of logins that are counted; beyond it each login is a record
	maxDenied   = 4096  // kinds of failed logins that are kept apart
)

// others is the reason of failed logins that are counted together.
const others = "altri accessi rifiutati / other refused logins"

// alike says which logins are repetitions of one another.
type alike struct {
	kind                         ledger.Kind
	user, program, peer, mailbox string
	channel                      ledger.Channel
	id                           int64 // of the program
	detail                       string
}

func kindOf(e ledger.Event) alike {
	return alike{e.Kind, e.User, e.Program, e.Peer, e.Mailbox, e.Protocol, e.ProgramID, e.Detail}
}

// repeated counts the repetitions of one login since the last record of it.
type repeated struct {
	since time.Time    // of that record
	event ledger.Event // the first repetition, Count of them
}

func (c *repeated) add(e ledger.Event) {
	if c.event.Count == 0 {
		c.event = e
	}
	c.event.Count++
}

// repeats counts logins that repeat. Not safe for concurrent use.
type repeats struct {
	most int
	of   map[alike]*repeated
}

func newRepeats(most int) repeats { return repeats{most, make(map[alike]*repeated)} }

// counted reports whether e repeats another login and was counted with it.
func (r repeats) counted(e ledger.Event) bool {
	c, ok := r.of[kindOf(e)]
	if ok {
		c.add(e)
	}
	return ok
}

// follow counts the repetitions of e, which is written by itself, from now on.
// It reports false where no more are followed.
func (r repeats) follow(e ledger.Event) bool {
	if len(r.of) >= r.most {
		return false
	}
	r.of[kindOf(e)] = &repeated{since: e.At}
	return true
}

// lump counts e among the others of its channel.
func (r repeats) lump(e ledger.Event) {
	e = ledger.Event{At: e.At, Kind: e.Kind, Protocol: e.Protocol, Detail: others}
	c, ok := r.of[kindOf(e)]
	if !ok {
		c = &repeated{since: e.At}
		r.of[kindOf(e)] = c
	}
	c.add(e)
}

// due returns the repetitions whose minute is over, or all of them, and forgets
// logins that did not repeat in theirs.
func (r repeats) due(now time.Time, all bool) []ledger.Event {
	var due []ledger.Event
	for k, c := range r.of {
		switch {
		case !all && now.Sub(c.since) < window:
		case c.event.Count == 0:
			delete(r.of, k)
		default:
			if c.event.Count == 1 {
				c.event.Count = 0
			}
			due = append(due, c.event)
			c.since, c.event = now, ledger.Event{}
		}
	}
	return due
}
