// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"fmt"

	"pecd/fault"
	"pecd/storage"
)

const sealColumns = "number, day, first, last, before, head, file, sum, at, stamp, stamped_at, purged"

func scanSeal(row scanner) (s storage.Seal, err error) {
	var at, stampedAt int64
	var before, head, sum []byte
	err = row.Scan(&s.Number, &s.Day, &s.First, &s.Last, &before, &head, &s.File, &sum, &at, &s.Stamp, &stampedAt, &s.Purged)
	s.At, s.StampedAt = instant(at), instant(stampedAt)
	copy(s.Before[:], before)
	copy(s.Head[:], head)
	copy(s.Sum[:], sum)
	return s, err
}

func putSeal(op *storage.PutSeal) (change, error) {
	const opName = "sqlite.PutSeal"
	s := op.Seal
	if s.Day == "" || s.File == "" || s.Last < s.First-1 {
		return nil, invalid(opName, "seal %d without day, file or range", s.Number)
	}
	return func(r *run) error {
		var prev storage.Seal
		prev, err := scanSeal(r.row("SELECT " + sealColumns + " FROM seals ORDER BY number DESC LIMIT 1"))
		if err != nil && !noRows(err) {
			return err
		}
		if s.Number != prev.Number+1 || s.First != prev.Last+1 || s.Before != prev.Head {
			return conflict(opName, "seal %d from record %d does not continue seal %d to record %d", s.Number, s.First, prev.Number, prev.Last)
		}
		head := s.Before
		if s.Last >= s.First {
			var hash []byte
			err := r.row("SELECT hash FROM records WHERE seq = ?", s.Last).Scan(&hash)
			if noRows(err) {
				return conflict(opName, "seal %d ends at record %d, which is not there", s.Number, s.Last)
			}
			if err != nil {
				return err
			}
			copy(head[:], hash)
		}
		if s.Head != head {
			return conflict(opName, "seal %d: its head is not the hash of record %d", s.Number, s.Last)
		}
		_, err = r.exec("INSERT INTO seals (number, day, first, last, before, head, file, sum, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			s.Number, s.Day, s.First, s.Last, s.Before[:], s.Head[:], s.File, s.Sum[:], nanos(s.At))
		return err
	}, nil
}

func stampSeal(op *storage.StampSeal) (change, error) {
	const opName = "sqlite.StampSeal"
	if len(op.Stamp) == 0 {
		return nil, invalid(opName, "no time stamp for seal %d", op.Number)
	}
	return func(r *run) error {
		n, err := r.affected("UPDATE seals SET stamp = ?, stamped_at = ? WHERE number = ? AND stamp IS NULL", op.Stamp, nanos(op.At), op.Number)
		if err != nil || n == 1 {
			return err
		}
		var one int
		if err := r.row("SELECT 1 FROM seals WHERE number = ?", op.Number).Scan(&one); noRows(err) {
			return absent(opName, "seal %d", op.Number)
		} else if err != nil {
			return err
		}
		return fault.New(opName, fault.Exists, fmt.Errorf("seal %d has its time stamp", op.Number))
	}, nil
}

func purgeSeal(op *storage.PurgeSeal) change {
	const opName = "sqlite.PurgeSeal"
	return func(r *run) error {
		s, err := scanSeal(r.row("SELECT "+sealColumns+" FROM seals WHERE number = ?", op.Number))
		if noRows(err) {
			return absent(opName, "seal %d", op.Number)
		}
		if err != nil {
			return err
		}
		var earlier int
		if err := r.row("SELECT count(*) FROM seals WHERE number < ? AND purged = 0", op.Number).Scan(&earlier); err != nil {
			return err
		}
		if earlier > 0 || len(s.Stamp) == 0 {
			return conflict(opName, "seal %d: %d earlier ones are kept, time stamp of %d octets", op.Number, earlier, len(s.Stamp))
		}
		if _, err := r.exec("DELETE FROM records WHERE seq BETWEEN ? AND ?", s.First, s.Last); err != nil {
			return err
		}
		_, err = r.exec("UPDATE seals SET purged = 1 WHERE number = ?", op.Number)
		return err
	}
}

// Seals implements storage.Log.
func (s *Store) Seals(ctx context.Context, from int64, fn func(storage.Seal) error) error {
	for {
		seals, err := all(ctx, s.read, scanSeal, "SELECT "+sealColumns+" FROM seals WHERE number >= ? ORDER BY number LIMIT ?", from, chunk)
		if err != nil {
			return failed("sqlite.Seals", err)
		}
		for _, seal := range seals {
			if err := fn(seal); err != nil {
				return err
			}
			from = seal.Number + 1
		}
		if len(seals) < chunk {
			return nil
		}
	}
}

func conflict(op, format string, args ...any) error {
	return fault.New(op, fault.Conflict, fmt.Errorf(format, args...))
}
