// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"context"
	"io"

	"pecd/fault"
	"pecd/storage"
)

// stampSeals has the seals stamped that lack it, oldest first, until one is
// refused. It returns the oldest that is left, number 0 without any.
func (d *Daybook) stampSeals(ctx context.Context) (oldest storage.Seal, err error) {
	_, unstamped, err := d.state(ctx)
	if err != nil {
		return storage.Seal{}, err
	}
	for _, s := range unstamped {
		if err := d.stamp(ctx, s); err != nil {
			return s, err
		}
		d.open = s.Number
	}
	return storage.Seal{}, nil
}

// stamp has one seal stamped. The file is written first: a stamp without its row
// is asked for again, a row without its file would be a loss.
func (d *Daybook) stamp(ctx context.Context, s storage.Seal) error {
	const op = "seal.stamp"
	if d.cfg.Stamper == nil {
		return fault.Say(op, fault.Unsupported, "nessuna autorità di marcatura temporale configurata / no time-stamping authority configured")
	}
	response, at, err := d.cfg.Stamper.Stamp(ctx, s.Sum)
	if err != nil {
		return fault.Wrap(op, err)
	}
	err = put(d.cfg.Dir, StampName(s.File), func(w io.Writer) error {
		_, err := w.Write(response)
		return err
	})
	if err != nil {
		return temporary(op, err)
	}
	err = d.cfg.Store.Commit(ctx, new(storage.Step).Add(&storage.StampSeal{Number: s.Number, Stamp: response, At: at}))
	if err != nil {
		return fault.Wrap(op, err)
	}
	d.cfg.Logger.Info("sealed day of the log stamped", "number", s.Number, "day", s.Day, "at", at)
	return nil
}
