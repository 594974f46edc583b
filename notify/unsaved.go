// SPDX-License-Identifier: EUPL-1.2

package notify

import (
	"context"
	"sync"

	"pecd/storage"
)

// unsaved is what is to be recorded of text messages that the gateway was handed,
// where the store did not take it: they are not handed over again for that.
type unsaved struct {
	mu  sync.Mutex
	all map[int64]func(context.Context) error // by the number of the notice
}

// save records what became of a notice. Where that fails it is kept.
func (u *unsaved) save(ctx context.Context, id int64, record func(context.Context) error) error {
	err := record(ctx)
	u.mu.Lock()
	defer u.mu.Unlock()
	if err == nil {
		delete(u.all, id)
		return nil
	}
	if u.all == nil {
		u.all = make(map[int64]func(context.Context) error)
	}
	u.all[id] = record
	return err
}

// of is what is to be recorded of a notice, nil for nothing.
func (u *unsaved) of(id int64) func(context.Context) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.all[id]
}

// only forgets notices that are not due any more: their contacts are gone.
func (u *unsaved) only(due []storage.Notice) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.all) == 0 {
		return
	}
	kept := make(map[int64]func(context.Context) error)
	for _, n := range due {
		if record := u.all[n.ID]; record != nil {
			kept[n.ID] = record
		}
	}
	u.all = kept
}
