// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"context"
	"errors"
	"fmt"

	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// purge removes the sealed days whose time of keeping is over, oldest first: the
// records with the row's mark, then the files. The time is counted from the
// instant of sealing, before which everything in the file had happened.
func (d *Daybook) purge(ctx context.Context) error {
	const op = "seal.purge"
	for {
		s, ok, err := d.oldestKept(ctx)
		if err != nil {
			return fault.Wrap(op, err)
		}
		now := d.cfg.Clock.Now()
		if !ok || len(s.Stamp) == 0 || now.Before(keepUntil(s.At, d.cfg.Months, d.cfg.Zone)) {
			break
		}
		step := new(storage.Step).Add(&storage.PurgeSeal{Number: s.Number}, event(ledger.Event{
			At: now, Kind: ledger.LedgerPurged, Provider: d.cfg.Provider,
			Detail: fmt.Sprintf("%s, registrazioni %d-%d / records", s.File, s.First, s.Last),
		}))
		if err := d.cfg.Store.Commit(ctx, step); err != nil {
			return fault.Wrap(op, err)
		}
		d.kept = s.Number + 1
		d.cfg.Logger.Info("sealed day of the log purged", "number", s.Number, "day", s.Day)
	}
	if err := sweep(d.cfg.Dir, d.kept); err != nil {
		return fault.New(op, fault.Temporary, err)
	}
	return nil
}

// oldestKept returns the first seal that is not purged.
func (d *Daybook) oldestKept(ctx context.Context) (seal storage.Seal, ok bool, err error) {
	err = d.cfg.Store.Seals(ctx, d.kept, func(s storage.Seal) error {
		if s.Purged {
			d.kept = s.Number + 1
			return nil
		}
		seal, ok = s, true
		return errStop
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return seal, ok, err
}
