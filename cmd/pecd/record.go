// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"time"

	"pecd/ledger"
	"pecd/storage"
)

// recordOf turns an event of the node itself into the operation that writes it
// to the PEC log.
func recordOf(e ledger.Event) *storage.AppendRecord {
	return &storage.AppendRecord{Record: storage.Record{At: e.At, Event: string(e.Kind), ID: e.ID, Mailbox: e.Mailbox, Data: e.Encode()}}
}

// errEnough ends an iteration that has seen what it wanted.
var errEnough = errors.New("enough")

// ignoring returns err, or nil where it is what was expected.
func ignoring(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

// recordWait is how long a change of an alarm that could not be written waits.
const recordWait = 10 * time.Second

// recordAlarms writes to the PEC log which alarms are raised and cleared.
func (n *node) recordAlarms(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.alarms.Changed():
		}
		for _, c := range n.alarms.Changes() {
			e := ledger.Event{At: c.At, Kind: ledger.AlarmCleared, Detail: c.Name}
			if c.Raised {
				e.Kind, e.Detail = ledger.AlarmRaised, c.Name+": "+c.Text
			}
			for n.store.Commit(ctx, new(storage.Step).Add(recordOf(e))) != nil {
				if !n.pause(ctx, recordWait) {
					return
				}
			}
		}
	}
}

// pause waits; it reports false when ctx ended first.
func (n *node) pause(ctx context.Context, d time.Duration) bool {
	timer, stop := n.clock.After(d)
	defer stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer:
		return true
	}
}
