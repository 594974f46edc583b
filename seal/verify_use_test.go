// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"context"
	"errors"
	"testing"
	"time"

	"pecd/ledger"
	"pecd/storage"
)

// during is a log in which something happens while it is read.
type during struct {
	storage.Log
	seal int64 // just before the verification comes to this seal …
	seq  int64 // … or to this record
	does func()
	pass int
}

func (d *during) Records(ctx context.Context, from int64, fn func(storage.Record) error) error {
	err := d.Log.Records(ctx, from, func(r storage.Record) error {
		if r.Seq == d.seq && d.does != nil {
			return errTest
		}
		return fn(r)
	})
	if !errors.Is(err, errTest) {
		return err
	}
	d.does()
	d.does = nil
	return d.Log.Records(ctx, d.seq, fn)
}

func (d *during) Seals(ctx context.Context, from int64, fn func(storage.Seal) error) error {
	d.pass++
	second := d.pass == 2
	return d.Log.Seals(ctx, from, func(s storage.Seal) error {
		if second && s.Number == d.seal && d.does != nil {
			d.does()
			d.does = nil
		}
		return fn(s)
	})
}

// TestVerifyInUse: what is sealed, written or purged while the log is verified
// is no alteration.
func TestVerifyInUse(t *testing.T) {
	verify := func(e *env, d *during) (Summary, []Problem) {
		d.Log = e.store
		var found []Problem
		c := e.verification()
		c.Log = d
		sum, err := Verify(t.Context(), c, func(p Problem) error {
			found = append(found, p)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if d.does != nil {
			t.Fatal("it did not happen")
		}
		return sum, found
	}
	e := damaged(t)
	e.write(ledger.Event{Kind: ledger.Access})
	sum, found := verify(e, &during{seal: 2, does: func() { e.day(3) }})
	if len(found) > 0 || sum.Seals != 4 || sum.Last != 30 {
		t.Errorf("%+v\n%s", sum, lines(found))
	}
	e.store.Close()
	for _, d := range []*during{{seal: 1}, {seq: 1}, {seq: 4}, {seq: 5}, {seq: 6}, {seq: 8}} {
		e := e.clone(t)
		d.does = func() {
			e.book.cfg.Months = 1
			e.clk.Advance(28 * 24 * time.Hour)
			e.turn(true) // the last stamp says that the time is over
		}
		sum, found = verify(e, d)
		if _, purged := e.kept(); purged != 2 {
			t.Fatalf("%d purged", purged)
		}
		if len(found) > 0 || sum.Purged == 0 {
			t.Errorf("at seal %d, record %d: %+v\n%s", d.seal, d.seq, sum, lines(found))
		}
		e.clk.Advance(-28 * 24 * time.Hour)
	}
}
