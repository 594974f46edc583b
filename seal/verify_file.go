// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"bytes"
	"context"
	"errors"
	"os"

	"pecd/fault"
	"pecd/storage"
)

// file compares a sealed file with its row and with the records of the store. It
// reports whether the seal was purged while this was going on, and tells where
// its time stamp is late. Where the file can be relied on and says something else than the row, s becomes what it says:
// one altered row is told of once, and no record or later seal for it.
func (v *verifier) file(ctx context.Context, s *storage.Seal, wrong *reasons) (gone bool, late string, err error) {
	if number, _, stamp, ok := parseName(s.File); !ok || stamp || number != s.Number {
		wrong.add("nome di file sbagliato / wrong file name")
		s.File = sealedName(s.Number, s.Day)
		if _, _, _, ok := parseName(s.File); !ok {
			return false, "", nil
		}
	}
	v.files[s.File] = true
	f, err := v.cfg.Proof.inspect(v.cfg.Dir, s.File, v.cfg.Provider, s.At)
	if fault.Is(err, fault.NotFound) {
		gone, err := v.purgedMeanwhile(ctx, s.Number)
		if !gone && err == nil {
			wrong.add("il file manca / the file is missing")
		}
		return gone, "", err
	}
	if err != nil {
		return false, "", err
	}
	defer f.close()
	f.compareStamp(v.cfg.Proof, s.Stamp)
	if f.stamped {
		s.StampedAt = f.at
	}
	if f.sum != s.Sum {
		f.wrong.add("il file non ha la somma registrata / the file has another sum than recorded")
	}
	// A stamp that does not hold says that the file was made anew.
	unstamped := f.stamp == nil && len(s.Stamp) == 0
	reliable := f.signed && (f.stamped || unstamped && f.sum == s.Sum)
	if f.signed {
		f.compareRow(s, v.before, reliable)
		c := &comparison{v: v, ctx: ctx, seal: *s, last: s.First - 1, reliable: reliable}
		err := eachLine(f.lines, c.line)
		switch {
		case c.gone:
			return true, "", nil
		case errors.Is(err, errLine):
			f.wrong.add("%s", why(err))
		case err != nil:
			return false, "", err
		case c.last != s.Last:
			f.wrong.add("il file finisce con la registrazione %d / the file ends with another record", c.last)
		}
		if c.other > 0 {
			f.wrong.add("dalla registrazione %d il file non è quel che è conservato / from there on the file is not what is kept", c.other)
		}
	}
	*wrong = append(*wrong, f.wrong...)
	return false, f.late(v.cfg.Now), nil
}

// compareRow compares the row of a seal with its file, and where that can be
// relied on, mends the row by it.
func (s *sealed) compareRow(row *storage.Seal, before storage.Seal, reliable bool) {
	h := s.header
	if !h.follows(before.File, before.Sum) {
		s.wrong.add("il file non nomina quello del sigillo precedente / the file does not name that of the seal before")
	}
	want := headerOf(*row, storage.Seal{}, h.Provider, h.Zone)
	h.Previous = nil
	if h != want {
		s.wrong.add("il sigillo registrato non è quello del file firmato / the seal recorded is not the one in the signed file")
	}
	if reliable && h.Number == row.Number {
		row.Day, row.First, row.Last, row.Before, row.Head, row.Sum = h.Day, h.First, h.Last, h.Before, h.Head, s.sum
	}
}

// comparison holds the lines of a file against the records of the store.
type comparison struct {
	v        *verifier
	ctx      context.Context
	seal     storage.Seal
	reliable bool // the file is what was sealed: where they differ, the record was altered

	last  int64 // number of the last line
	other int64 // the first record that differs from a file that is not reliable
	gone  bool  // the seal was purged meanwhile
}

func (c *comparison) line(b []byte) error {
	l, err := parseLine(b)
	if err != nil {
		return err
	}
	if l.seq <= c.last || l.seq > c.seal.Last {
		return errLine
	}
	c.last = l.seq
	if err := c.compare(l); err != nil {
		return err
	}
	if c.gone {
		return errStop
	}
	return c.ctx.Err()
}

func (c *comparison) compare(l line) error {
	v := c.v
	for r, ok := v.peek(l.seq - 1); ok; r, ok = v.peek(l.seq - 1) {
		if err := c.unlisted(r); err != nil {
			return err
		}
	}
	if v.err != nil {
		return v.err
	}
	r, ok := v.peek(l.seq)
	switch {
	case ok && c.reliable:
		return v.record(v.take(), c.seal, &l)
	case ok:
		if c.other == 0 && (r.Hash != l.hash || !bytes.Equal(r.Data, l.data)) {
			c.other = r.Seq
		}
		return v.record(v.take(), c.seal, nil)
	case !c.reliable:
		return nil // the gap will be told of
	}
	var err error
	if c.gone, err = v.purgedMeanwhile(c.ctx, c.seal.Number); err != nil || c.gone {
		return err
	}
	return v.missing(l, c.seal)
}

// unlisted judges a record that has no line in the file.
func (c *comparison) unlisted(r storage.Record) error {
	if c.reliable {
		return c.v.record(c.v.take(), c.seal, nil, "non è nel file sigillato / is not in the sealed file")
	}
	if c.other == 0 {
		c.other = r.Seq
	}
	return c.v.record(c.v.take(), c.seal, nil)
}

// purgedMeanwhile reports whether a seal was purged since its row was read.
func (v *verifier) purgedMeanwhile(ctx context.Context, number int64) (purged bool, err error) {
	err = v.cfg.Log.Seals(ctx, number, func(s storage.Seal) error {
		purged = s.Purged && s.Number == number
		return errStop
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return purged, err
}

// strays tells of sealed files that no seal names: of an interrupted sealing,
// which the next one writes again, or of a seal whose row was removed.
func (v *verifier) strays(ctx context.Context) error {
	entries, err := os.ReadDir(v.cfg.Dir)
	if err != nil {
		return fault.New("seal.strays", fault.Temporary, err)
	}
	first := v.sum.Purged // what is left of purged ones is swept later
	for _, e := range entries {
		number, day, stamp, ok := parseName(e.Name())
		if !ok || stamp || number <= first || v.files[e.Name()] {
			continue
		}
		made := false // meanwhile
		err := v.cfg.Log.Seals(ctx, number, func(s storage.Seal) error {
			made = s.File == sealedName(number, day)
			return errStop
		})
		if err != nil && !errors.Is(err, errStop) {
			return err
		}
		if made {
			continue
		}
		err = v.report(Problem{File: e.Name(), What: "nessun sigillo lo nomina: sigillo interrotto, o riga tolta / no seal names it: an interrupted sealing, or a removed row"})
		if err != nil {
			return err
		}
	}
	return nil
}
