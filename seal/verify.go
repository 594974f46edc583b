// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"context"
	"errors"
	"iter"
	"time"

	"pecd/fault"
	"pecd/storage"
)

// Verification says which log Verify looks at, and how it judges it. Every field
// is needed but Months.
type Verification struct {
	Log      storage.Log
	Dir      string         // of the sealed files
	Provider string         // whose log it is: the name in the headers and in the certificates
	Zone     *time.Location // of the days
	Now      time.Time
	Proof    Proof
	// Months is the shortest time of keeping that was ever configured; 0: the 30
	// of the law. A longer one that holds today would blame what was removed
	// before it held.
	Months int
}

// Verify reads the whole log back and reports everything that does not hold: the
// chain over all records that are kept; each record's columns against its
// octets; the seals' numbers, ranges and hashes; each sealed file: its sum,
// signature, provider, header and time stamp, and its lines against the records,
// octet by octet; what the log's own records say of the seals against these; that
// what was purged had been kept long enough; and that the last days are there.
// Each altered record is reported once, by number, kind, identificativo and
// instant. It needs memory for one record and some octets for each seal.
//
// What it cannot see: records altered, or removed at the end, after the last
// seal, with all later hashes recomputed (Summary.SealedTo says where that is);
// the last two days, where they were removed without a trace; and a log that was
// written anew as a whole, but for its time stamps, which are late then
// (Summary.Late). Against these a Summary.Head kept elsewhere helps.
//
// The log may be in use. Verify fails where the store or a file cannot be read,
// and with the error of report.
func Verify(ctx context.Context, c Verification, report func(Problem) error) (Summary, error) {
	const op = "seal.Verify"
	if c.Provider == "" || c.Zone == nil || c.Now.IsZero() {
		return Summary{}, fault.New(op, fault.Internal, errors.New("without provider, zone or present instant"))
	}
	if c.Months == 0 {
		c.Months = Months
	}
	// What is made meanwhile is left out: seals after this one, records after those.
	var newest int64
	err := c.Log.Seals(ctx, 1, func(s storage.Seal) error {
		newest = s.Number
		return nil
	})
	if err != nil {
		return Summary{}, fault.Wrap(op, err)
	}
	state, err := c.Log.LogState(ctx)
	if err != nil {
		return Summary{}, fault.Wrap(op, err)
	}
	next, stop := iter.Pull2(records(ctx, c.Log, state.Last))
	defer stop()
	v := &verifier{
		cfg: c, pull: next, files: make(map[string]bool), seals: make(map[int64]*sealState), reporter: reporter{to: report},
		overdue: dayOf(c.Now, c.Zone).AddDate(0, 0, -2),
	}
	v.chain.start(0, [32]byte{})
	v.sum.First, v.sum.Provider, v.sum.Head = 1, c.Provider, state.Head
	err = c.Log.Seals(ctx, 1, func(s storage.Seal) error {
		if s.Number > newest {
			return errStop
		}
		return v.seal(ctx, s)
	})
	if err != nil && !errors.Is(err, errStop) {
		return v.sum, fault.Wrap(op, err)
	}
	v.sum.SealedTo, v.sum.Last = v.before.Last, state.Last
	err = v.records(storage.Seal{Last: state.Last})
	for _, last := range []func(context.Context) error{v.untold, v.early, v.strays, v.stale} {
		if err == nil {
			err = last(ctx)
		}
	}
	return v.sum, fault.Wrap(op, err)
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
	cfg Verification

	pull   func() (storage.Record, error, bool)
	rec    storage.Record // while peeked
	peeked bool
	err    error // of pull

	chain  chain
	last   cut          // the last record that is there, with its hash in the store
	before storage.Seal // the seal before
	ends   bool         // the hashes are others than those in the seals, and that was told
	files  map[string]bool
	seals  map[int64]*sealState // those that were read
	told   []claim              // of seals that were not read

	purgedTo time.Time // the latest stamp of a purged seal
	overdue  time.Time // the day before yesterday: what is older must be sealed
	old      int64     // records that are older and in no seal
	firstOld int64     // the first of them
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
	gone, late := s.Purged, ""
	var err error
	if !gone {
		s.StampedAt = time.Time{} // the file will tell
		gone, late, err = v.file(ctx, &s, &wrong)
	}
	v.seals[s.Number] = &sealState{file: s.File, sum: s.Sum, purged: s.Purged, gone: gone}
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
	if late != "" {
		if err := v.report(Problem{Seal: s.Number, File: s.File, What: late, Late: true}); err != nil {
			return err
		}
	}
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
		r := v.take()
		left++
		if err := v.claims(r.Seq, r.Data, v.cfg.Now, new(reasons)); err != nil {
			return err
		}
	}
	if left > 0 && s.Purged {
		wrong.add("eliminato, ma restano %d registrazioni / purged, but records are left", left)
	}
	if s.Purged {
		v.keptUntil(s, wrong)
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
