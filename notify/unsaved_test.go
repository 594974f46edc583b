// SPDX-License-Identifier: EUPL-1.2

package notify_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"pecd/fault"
	"pecd/storage"
)

// full is a store that takes nothing which ends or puts off a notice, as long as
// it is full.
type full struct {
	storage.Store
	is atomic.Bool
}

// Commit implements storage.Store.
func (f *full) Commit(ctx context.Context, step *storage.Step) error {
	for _, op := range step.Ops {
		switch op.(type) {
		case *storage.SettleNotice, *storage.RetryNotice:
			if f.is.Load() {
				return fault.New("test", fault.Temporary, errors.New("disk full"))
			}
		}
	}
	return f.Store.Commit(ctx, step)
}

// TestS4_014_NoTextMessageTwiceForAFullDisk: what the gateway said is kept until the
// store takes it. Nobody gets a text message each second meanwhile.
func TestS4_014_NoTextMessageTwiceForAFullDisk(t *testing.T) {
	for _, c := range []struct {
		answer error
		after  int // text messages once the disk has room and an hour is over
	}{
		{nil, 1},
		{fault.New("test", fault.Denied, errors.New("no such number")), 1},
		{fault.New("test", fault.Temporary, errors.New("no answer")), 4},
	} {
		t.Run(fmt.Sprint(c.answer), func(t *testing.T) {
			w := newWorld(t)
			disk := w.onDisk()
			w.ok(w.service.Tell(w.ctx, standard, standard, w.confirmed(standard, cell).ID, true))
			w.playing(c.answer)
			disk.is.Store(true)
			w.arrives(standard, 1, 0)
			w.running()
			sent := 0
			w.until("the gateway is asked", func() (bool, string) {
				sent += len(w.texts())
				return sent > 0, ""
			})
			w.moves(30 * time.Second)
			if sent += len(w.texts()); sent != 1 {
				t.Errorf("%d text messages while the disk is full", sent)
			}
			disk.is.Store(false)
			w.step = time.Minute
			w.until("the notice is done with", func() (bool, string) {
				due, err := w.store.DueNotices(w.ctx, storage.ContactSMS, w.clk.Now().Add(24*time.Hour), 10)
				return err == nil && len(due) == 0, fmt.Sprint(due, err)
			})
			if sent += len(w.texts()); sent != c.after {
				t.Errorf("%d text messages, want %d", sent, c.after)
			}
		})
	}
}
