// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"pecd/ledger"
	"pecd/storage"
)

// sealState is what is known of a seal, against which the log's own records are
// held.
type sealState struct {
	file   string
	sum    [32]byte
	purged bool      // its row says so
	gone   bool      // … or came to say so while the log was read
	until  time.Time // of a purged one: what it had to be kept until; zero: its stamp does not hold

	sealing int64 // the record that tells of its sealing
	purging int64 // … and of its purge
	wrong   bool  // a record says something else, and that was told
}

// claim is what a record says of a seal that was not read.
type claim struct {
	seq, number int64
	file        string
	sum         [32]byte
}

// mark is in every record that tells of a seal: it spares decoding the others.
var mark = []byte(`"kind":"ledger.`)

// claims holds what a record of the log says about a seal against that seal. The
// record is not of after the instant before: an instant that a clock made up does
// not count.
func (v *verifier) claims(seq int64, data []byte, before time.Time, wrong *reasons) error {
	if !bytes.Contains(data, mark) {
		return nil
	}
	e, err := ledger.Decode(data)
	if err != nil {
		return nil // the columns tell
	}
	switch e.Kind {
	case ledger.LedgerSealed:
		number, file, sum, ok := readSealed(e.Detail)
		if !ok {
			wrong.add("non dice quale file fu sigillato / does not tell which file was sealed")
			return nil
		}
		return v.claimSealed(claim{seq, number, file, sum})
	case ledger.LedgerPurged:
		number, file, _, ok := readDetail(e.Detail)
		if !ok {
			wrong.add("non dice quale file fu eliminato / does not tell which file was purged")
			return nil
		}
		at := e.At
		if before.Before(at) {
			at = before
		}
		return v.claimPurged(claim{seq: seq, number: number, file: file}, at)
	}
	return nil
}

// madeBefore is an instant that the records of a seal were made before: that of its
// stamp, where that holds, or the present.
func (v *verifier) madeBefore(s storage.Seal) time.Time {
	if s.StampedAt.IsZero() {
		return v.cfg.Now
	}
	return s.StampedAt
}

func (v *verifier) claimSealed(c claim) error {
	s := v.seals[c.number]
	switch {
	case s == nil:
		v.told = append(v.told, c)
		return nil
	case s.wrong:
		return nil
	case s.file != c.file || s.sum != c.sum:
		s.wrong = true
		return v.report(Problem{Seal: c.number, File: s.file, What: fmt.Sprintf(
			"la registrazione %d dice sigillato %q con un'altra somma: sigillato di nuovo? / record %d tells of another file or sum: sealed anew?", c.seq, c.file, c.seq)})
	case s.sealing > 0:
		s.wrong = true
		return v.report(Problem{Seal: c.number, File: s.file, What: fmt.Sprintf(
			"due registrazioni ne dicono la sigillatura / two records tell of its sealing: %d, %d", s.sealing, c.seq)})
	}
	s.sealing = c.seq
	return nil
}

func (v *verifier) claimPurged(c claim, at time.Time) error {
	s := v.seals[c.number]
	switch {
	case s == nil || s.file != c.file || !s.purged:
		return v.report(Problem{Seal: c.number, File: c.file, What: fmt.Sprintf(
			"la registrazione %d lo dice eliminato, e non lo è / record %d tells that it was purged, which it is not", c.seq, c.seq)})
	case s.purging > 0:
		return nil
	}
	s.purging = c.seq
	if at.Before(s.until) {
		return v.report(Problem{Seal: c.number, File: s.file, What: fmt.Sprintf(
			"eliminato non dopo il %s, da conservare fino al %s / purged before its time of keeping was over (record %d)",
			at.UTC().Format(time.RFC3339), s.until.UTC().Format(time.RFC3339), c.seq)})
	}
	return nil
}

// keptUntil notes until when a purged seal had to be kept, by its time stamp.
func (v *verifier) keptUntil(s storage.Seal, wrong *reasons) {
	at, err := v.cfg.Proof.Stamp(s.Stamp, s.Sum)
	if err != nil {
		wrong.add("la marca temporale conservata non vale: %s / the time stamp that is kept does not hold", why(err))
		return
	}
	v.seals[s.Number].until = keepUntil(at, v.cfg.Months, v.cfg.Zone)
	v.purgedTo = later(v.purgedTo, at)
}

// untold tells of kept seals whose sealing no record tells of, and of records
// that tell of a seal that is not there.
func (v *verifier) untold(ctx context.Context) error {
	for _, n := range slices.Sorted(maps.Keys(v.seals)) {
		s := v.seals[n]
		if s.purged || s.gone || s.wrong || s.sealing > 0 {
			continue
		}
		gone, err := v.purgedMeanwhile(ctx, n) // and with it the next one, which had the record
		if err != nil {
			return err
		}
		if gone {
			continue
		}
		if err := v.report(Problem{Seal: n, File: s.file, What: "nessuna registrazione ne dice la sigillatura / no record tells of its sealing"}); err != nil {
			return err
		}
	}
	for _, c := range v.told {
		made, err := v.made(ctx, c.number, func(s storage.Seal) bool { return s.File == c.file && s.Sum == c.sum })
		if err != nil {
			return err
		}
		if made || v.files[c.file] {
			continue
		}
		v.files[c.file] = true
		err = v.report(Problem{File: c.file, What: fmt.Sprintf(
			"la registrazione %d lo dice sigillato, ma nessun sigillo lo nomina / record %d tells that it was sealed, but no seal names it", c.seq, c.seq)})
		if err != nil {
			return err
		}
	}
	return nil
}

// made reports whether the store has a seal now that was not read.
func (v *verifier) made(ctx context.Context, number int64, is func(storage.Seal) bool) (made bool, err error) {
	err = v.cfg.Log.Seals(ctx, number, func(s storage.Seal) error {
		made = s.Number == number && is(s)
		return errStop
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return made, err
}

// early tells of purged seals of which nothing shows that they were kept long
// enough. The record of a purge may itself be purged: then a seal that is gone,
// too, was stamped after it, and so after the time of keeping.
func (v *verifier) early(ctx context.Context) error {
	var unproven []int64
	for _, n := range slices.Sorted(maps.Keys(v.seals)) {
		if s := v.seals[n]; s.purged && s.purging == 0 && v.purgedTo.Before(s.until) {
			unproven = append(unproven, n)
		}
	}
	if len(unproven) == 0 {
		return nil
	}
	// Those that were purged when the verification had just begun.
	err := v.cfg.Log.Records(ctx, v.sum.Last+1, func(r storage.Record) error {
		return v.claims(r.Seq, r.Data, r.At, new(reasons))
	})
	if err != nil {
		return err
	}
	for _, n := range unproven {
		s := v.seals[n]
		if s.purging > 0 {
			continue
		}
		err := v.report(Problem{Seal: n, File: s.file, What: fmt.Sprintf(
			"eliminato senza che il log lo dica; da conservare fino al %s / purged without a record of it", s.until.UTC().Format(time.RFC3339))})
		if err != nil {
			return err
		}
	}
	return nil
}

// stale tells of a log that ends too early: its last days were not sealed, or
// were removed.
func (v *verifier) stale(context.Context) error {
	last := v.before
	if day, err := time.Parse(time.DateOnly, last.Day); last.Number > 0 && err == nil && day.Before(v.overdue) {
		err := v.report(Problem{Seal: last.Number, File: last.File, What: "è l'ultimo: i giorni seguenti non sono sigillati / is the last one: the days after it are not sealed"})
		if err != nil {
			return err
		}
	}
	if v.old == 0 {
		return nil
	}
	return v.report(Problem{What: fmt.Sprintf(
		"%d registrazioni anteriori al %s non sono in alcun sigillo, la prima è la %d / older records are in no seal",
		v.old, v.overdue.Format(time.DateOnly), v.firstOld)})
}
