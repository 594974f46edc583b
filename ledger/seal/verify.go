// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"context"
	"errors"
	"iter"

	"pecd/fault"
	"pecd/storage"
)

// Verify reads the whole log back and reports everything that does not hold: the
// chain over all records that are kept; each record's columns against its
// octets; the seals' numbers, ranges and hashes; and each sealed file: its sum,
// signature, header and time stamp, and its lines against the records, octet by
// octet. Each altered record is reported once, by number, kind, identificativo
// and instant. It needs memory for one record, whatever the log's size.
//
// What it cannot see: records altered, or removed at the end, after the last
// seal, with all later hashes recomputed (Summary.SealedTo says where that is).
//
// The log may be in use. Verify fails where the store or a file cannot be read,
// and with the error of report.
func Verify(ctx context.Context, log storage.Log, dir string, proof Proof, report func(Problem) error) (Summary, error) {
	const op = "seal.Verify"
	// What is made meanwhile is left out: seals after this one, records after those.
	var newest int64
	err := log.Seals(ctx, 1, func(s storage.Seal) error {
		newest = s.Number
		return nil
	})
	if err != nil {
		return Summary{}, fault.Wrap(op, err)
	}
	state, err := log.LogState(ctx)
	if err != nil {
		return Summary{}, fault.Wrap(op, err)
	}
	next, stop := iter.Pull2(records(ctx, log, state.Last))
	defer stop()
	v := &verifier{log: log, dir: dir, proof: proof, pull: next, files: make(map[string]bool), reporter: reporter{to: report}}
	v.chain.start(0, [32]byte{})
	v.sum.First = 1
	err = log.Seals(ctx, 1, func(s storage.Seal) error {
		if s.Number > newest {
			return errStop
		}
		return v.seal(ctx, s)
	})
	if err != nil && !errors.Is(err, errStop) {
		return v.sum, fault.Wrap(op, err)
	}
	v.sum.SealedTo, v.sum.Last = v.before.Last, state.Last
	if err := v.records(storage.Seal{Last: state.Last}); err != nil {
		return v.sum, fault.Wrap(op, err)
	}
	return v.sum, fault.Wrap(op, v.strays(ctx))
}

// records iterates over the records up to last.
func records(ctx context.Context, log storage.Log, last int64) iter.Seq2[storage.Record, error] {
	return func(yield func(storage.Record, error) bool) {
		err := log.Records(ctx, 1, func(r storage.Record) error {
			if r.Seq > last || !yield(r, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(storage.Record{}, err)
		}
	}
}

// verifier walks along seals, files and records at once.
type verifier struct {
	reporter
	log   storage.Log
	dir   string
	proof Proof

	pull   func() (storage.Record, error, bool)
	rec    storage.Record // while peeked
	peeked bool
	err    error // of pull

	chain  chain
	last   cut          // the last record that is there, with its hash in the store
	before storage.Seal // the seal before
	ends   bool         // the hashes are others than those in the seals, and that was told
	files  map[string]bool
}

// peek shows the next record, if its number is not above last.
func (v *verifier) peek(last int64) (storage.Record, bool) {
	if !v.peeked && v.err == nil {
		v.rec, v.err, v.peeked = v.pull()
		v.peeked = v.peeked && v.err == nil
	}
	return v.rec, v.peeked && v.rec.Seq <= last
}

// take consumes the record that peek showed.
func (v *verifier) take() storage.Record {
	v.peeked = false
	v.sum.Records++
	return v.rec
}

// seal goes on with one seal: its row, its file, its records.
func (v *verifier) seal(ctx context.Context, s storage.Seal) error {
	var wrong reasons
	b := v.before
	if s.Number != b.Number+1 || s.First != b.Last+1 || s.Before != b.Head || s.Last < s.First-1 {
		wrong.add("%d-%d: non continua il sigillo %d, che finisce a %d / does not continue the seal before", s.First, s.Last, b.Number, b.Last)
	}
	if s.Purged && !b.Purged && b.Number > 0 {
		wrong.add("eliminato prima di uno precedente / purged before an earlier one")
	}
	gone := s.Purged
	var err error
	if !gone {
		gone, err = v.file(ctx, &s, &wrong)
	}
	switch {
	case err != nil:
	case gone:
		err = v.purged(s, &wrong)
	default:
		err = v.kept(s, &wrong)
	}
	if err != nil {
		return err
	}
	v.before = s
	if len(wrong) == 0 {
		return nil
	}
	return v.report(Problem{Seal: s.Number, File: s.File, What: wrong.String()})
}

// purged passes over a seal whose records are gone, or go while they are read.
// The first that is kept links to its head.
func (v *verifier) purged(s storage.Seal, wrong *reasons) error {
	left := 0
	for _, ok := v.peek(s.Last); ok; _, ok = v.peek(s.Last) {
		v.take()
		left++
	}
	if left > 0 && s.Purged {
		wrong.add("eliminato, ma restano %d registrazioni / purged, but records are left", left)
	}
	v.sum.Purged++
	v.sum.First = s.Last + 1
	v.chain.start(s.Last, s.Head)
	v.last = cut{s.Last, s.Head}
	return v.err
}

// kept goes on with the records of a seal that its file did not lead to, and
// holds the hash of the last one against the seal's.
func (v *verifier) kept(s storage.Seal, wrong *reasons) error {
	if err := v.records(s); err != nil {
		return err
	}
	v.sum.Seals++
	if len(s.Stamp) == 0 {
		v.sum.Unstamped++
	}
	differs := s.Last == v.last.seq && s.Head != v.last.hash
	if differs && !v.ends {
		wrong.add("l'ultima registrazione, %d, ha un altro hash di quello sigillato / the last record has another hash than was sealed", s.Last)
	}
	v.ends = differs
	v.chain.trust(s.Head)
	return nil
}
