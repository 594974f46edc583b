// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"fmt"
	"time"

	"pecd/alarm"
	"pecd/pipeline"
	"pecd/storage"
)

// restoredCheck is how often the node looks whether a restore left something
// that waits for its operator.
const restoredCheck = 10 * time.Minute

// watchRestored keeps the alarm about what a restore set aside up to date.
func (n *node) watchRestored(ctx context.Context) {
	for {
		if err := n.checkRestored(ctx); err != nil && ctx.Err() == nil {
			n.log.Warn("what a restore set aside cannot be read", "error", err)
		}
		if !n.pause(ctx, restoredCheck) {
			return
		}
	}
}

func (n *node) checkRestored(ctx context.Context) error {
	waiting := false
	for _, kind := range []string{pipeline.JobDeliver, pipeline.JobRelay, pipeline.JobForward, pipeline.JobDeadline} {
		err := n.store.Jobs(ctx, storage.SetAside+kind, func(storage.Job) error {
			waiting = true
			return errEnough
		})
		if ignoring(err, errEnough) != nil {
			return err
		}
	}
	if !waiting {
		n.alarms.Clear(alarm.RestoredJobs)
		return nil
	}
	id, err := n.store.Identity(ctx)
	if err != nil {
		return err
	}
	n.alarms.Raise(alarm.RestoredJobs, fmt.Sprintf("archivio ripristinato alla copia del %s: lavori messi da parte attendono (pecd queue list --restored) / "+
		"store put back to a copy of that time: what was set aside waits", id.Copied.In(n.zone).Format(time.RFC3339)))
	return nil
}
