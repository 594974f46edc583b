// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"context"
	"errors"
	"slices"
	"sort"
	"time"

	"pecd/storage"
)

// A day of the calendar is a time.Time at midnight UTC: it is the same
// everywhere. Where it begins and ends is a matter of the zone.

// dayOf returns the civil day of an instant.
func dayOf(t time.Time, zone *time.Location) time.Time {
	y, m, d := t.In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// endOf returns the first instant after a day: 23, 24 or 25 hours after its first.
func endOf(day time.Time, zone *time.Location) time.Time {
	y, m, d := day.Date()
	return time.Date(y, m, d+1, 0, 0, 0, 0, zone)
}

// keepUntil returns the instant from which what is of at need not be kept any
// longer: the end of the day that many calendar months later. A month without
// such a day ends the term with its last one.
func keepUntil(at time.Time, months int, zone *time.Location) time.Time {
	y, m, d := at.In(zone).Date()
	longest := time.Date(y, m+time.Month(months)+1, 0, 0, 0, 0, 0, time.UTC) // the last day of that month
	y, m, _ = longest.Date()
	return endOf(time.Date(y, m, min(d, longest.Day()), 0, 0, 0, 0, time.UTC), zone)
}

// cut is the last record of a day.
type cut struct {
	seq  int64
	hash [32]byte
}

// cuts finds the last record of each of some days that follow one another,
// among the records after last. A record's instant is that of its transaction
// and it is numbered when that is committed, so that instants are not quite in
// order: a day ends with the last record that has an instant in it or before,
// whatever stands between. A clock that ran ahead for a while thus holds nothing
// back, and nothing is ever in two days or in none.
func cuts(ctx context.Context, log storage.Log, last cut, days []time.Time, zone *time.Location) ([]cut, error) {
	ends := make([]time.Time, len(days))
	for i, day := range days {
		ends[i] = endOf(day, zone)
	}
	state, err := log.LogState(ctx)
	if err != nil {
		return nil, err
	}
	out := slices.Repeat([]cut{last}, len(days))
	err = log.Records(ctx, last.seq+1, func(r storage.Record) error {
		if r.Seq > state.Last {
			return errStop // written meanwhile
		}
		if i := sort.Search(len(ends), func(i int) bool { return r.At.Before(ends[i]) }); i < len(ends) {
			out[i] = cut{r.Seq, r.Hash}
		}
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		return nil, err
	}
	for i := 1; i < len(out); i++ {
		if out[i].seq < out[i-1].seq {
			out[i] = out[i-1]
		}
	}
	return out, nil
}
