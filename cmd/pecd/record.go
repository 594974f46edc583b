// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"time"

	"pecd/alarm"
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

// alarmTick is how often the board is compared with what the log knows of it.
const alarmTick = time.Second

// recordAlarms writes to the PEC log which alarms are raised and cleared. What
// could not be written is written later.
func (n *node) recordAlarms(ctx context.Context) {
	known := make(map[string]alarm.Alarm)
	for ctx.Err() == nil {
		timer, stop := n.clock.After(alarmTick)
		select {
		case <-ctx.Done():
		case <-timer:
			now := make(map[string]alarm.Alarm)
			for _, a := range n.alarms.Raised() {
				now[a.Name] = a
			}
			n.recordChanges(ctx, known, now)
		}
		stop()
	}
}

// recordChanges brings known, and the log, to now.
func (n *node) recordChanges(ctx context.Context, known, now map[string]alarm.Alarm) {
	write := func(kind ledger.Kind, at time.Time, detail string) bool {
		err := n.store.Commit(ctx, new(storage.Step).Add(recordOf(ledger.Event{At: at, Kind: kind, Detail: detail})))
		return err == nil
	}
	for name, a := range known {
		if _, still := now[name]; !still && write(ledger.AlarmCleared, n.clock.Now(), name) {
			delete(known, name)
		} else if still && !now[name].Since.Equal(a.Since) {
			delete(known, name) // it was away between two looks
		}
	}
	for name, a := range now {
		if _, had := known[name]; !had && write(ledger.AlarmRaised, a.Since, name+": "+a.Text) {
			known[name] = a
		}
	}
}
