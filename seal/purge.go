// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"context"
	"errors"
	"time"

	"pecd/alarm"
	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// mostPurged bounds the days that one turn removes: whatever is wrong, somebody
// has the time to see it.
const mostPurged = 7

// purge removes the sealed days whose time of keeping is over, oldest first: the
// records with the row's mark, then the files. The time is counted from the
// instant of the stamp or of sealing, the later one, before which everything in
// the file had happened.
//
// What is removed is lost, so that the clock alone is not believed: the newest
// time stamp must be of after that time, too, and no alarm about the clock may
// be raised.
func (d *Daybook) purge(ctx context.Context) error {
	const op = "seal.purge"
	now, trusted := d.cfg.Clock.Now(), time.Time{}
	for range mostPurged {
		s, ok, err := d.oldestKept(ctx)
		if err != nil {
			return fault.Wrap(op, err)
		}
		until := keepUntil(later(s.At, s.StampedAt), d.cfg.Months, d.cfg.Zone)
		if !ok || len(s.Stamp) == 0 || now.Before(until) || d.doubtful(alarm.ClockDeviation, alarm.ClockUnchecked) {
			break
		}
		if trusted.IsZero() {
			if trusted, err = d.newestStamp(ctx); err != nil {
				return fault.Wrap(op, err)
			}
		}
		if trusted.Before(until) {
			break
		}
		step := new(storage.Step).Add(&storage.PurgeSeal{Number: s.Number}, event(ledger.Event{
			At: now, Kind: ledger.LedgerPurged, Provider: d.cfg.Provider, Detail: purgedDetail(s),
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

// newestStamp returns the instant of the time stamp of the newest seal that has
// one: the authority's word for what time it was at least.
func (d *Daybook) newestStamp(ctx context.Context) (at time.Time, err error) {
	err = d.cfg.Store.Seals(ctx, d.kept, func(s storage.Seal) error {
		if len(s.Stamp) > 0 {
			at = s.StampedAt
		}
		return nil
	})
	return at, err
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
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
