// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"time"

	"pecd/storage"
	"pecd/trail"
)

const (
	// recoverableFor is how long what a POP3 client deleted is kept.
	recoverableFor = 30 * 24 * time.Hour
	// purgedAtOnce is how many messages one commit removes: others pass in between.
	purgedAtOnce = 1000
)

// purgeRecoverable removes what POP3 clients deleted and nobody took back.
func (n *node) purgeRecoverable(ctx context.Context) {
	for {
		if err := n.purgeRecovered(ctx); err != nil && ctx.Err() == nil {
			n.log.Error("recoverable messages not purged", "error", err)
		}
		if !n.pause(ctx, purgeEvery) {
			return
		}
	}
}

func (n *node) purgeRecovered(ctx context.Context) error {
	if n.clockDoubtful() {
		return nil // a wrong clock must not destroy what was promised to be kept
	}
	folders, err := n.store.RecoverableFolders(ctx)
	if err != nil {
		return err
	}
	before := n.clock.Now().Add(-recoverableFor)
	for _, f := range folders {
		if err := n.purgeFolder(ctx, f, before); err != nil {
			return err
		}
	}
	return nil
}

// purgeFolder removes what was put into a recoverable folder before an instant,
// with a record of which messages that were.
func (n *node) purgeFolder(ctx context.Context, f storage.Folder, before time.Time) error {
	box, err := n.store.MailboxByID(ctx, f.Mailbox)
	if err != nil {
		return err
	}
	for {
		sizes := make(map[uint32]int64)
		op := &storage.Expunge{Folder: f.ID, Logged: trail.Purged(n.clock.Now(), trail.Place{Mailbox: box.Address, Folder: f.Name}, before,
			func(uid uint32) int64 { return sizes[uid] })}
		err := n.store.Messages(ctx, f.ID, 0, 0, func(m storage.Message) error {
			if !m.SavedDate.Before(before) || len(op.UIDs) == purgedAtOnce {
				return errEnough // they came in order: the first one tells
			}
			op.UIDs = append(op.UIDs, m.UID)
			sizes[m.UID] = m.Size
			return nil
		})
		if err != nil && err != errEnough || len(op.UIDs) == 0 {
			return ignoring(err, errEnough)
		}
		if err := n.store.Commit(ctx, new(storage.Step).Add(op)); err != nil {
			return err
		}
	}
}
