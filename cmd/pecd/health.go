// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"pecd/alarm"
)

// storeHealth hears from the store whether it can be written.
func (n *node) storeHealth(err error) {
	if err == nil {
		n.alarms.Clear(alarm.StoreFailing)
		return
	}
	n.alarms.Raise(alarm.StoreFailing, fmt.Sprintf(
		"l'archivio non si scrive, la posta attende: %[1]v / the store cannot be written, mail waits: %[1]v", err))
}

// storeTry is how often a store that could not be written is tried.
const storeTry = 10 * time.Second

// watchStore tries the files of a store that could not be written: that a large
// message comes may take hours. Its log is tried by the record of the alarm.
func (n *node) watchStore(ctx context.Context) {
	for n.pause(ctx, storeTry) {
		if slices.ContainsFunc(n.alarms.Raised(), func(a alarm.Alarm) bool { return a.Name == alarm.StoreFailing }) {
			_ = n.store.TryFiles() // the alarm says it
		}
	}
}
