// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"pecd/fault"
)

// maxStamp bounds a time stamp's file, in octets: it holds a few certificates.
const maxStamp = 1 << 20

// sealed is a sealed file under examination.
type sealed struct {
	file    *os.File
	size    int64
	sum     [32]byte
	header  header
	stamp   []byte    // as it lies beside the file; nil: none does
	at      time.Time // of the stamp, where it holds
	stamped bool      // the stamp holds: the file is as it was at that instant
	signed  bool      // the signature holds

	wrong reasons
}

// inspect opens a sealed file and judges it and the stamp beside it. A file that
// is not there fails with fault.NotFound; everything else that is wrong with it
// is collected. close it afterwards.
func (p Proof) inspect(ctx context.Context, dir, name string) (*sealed, error) {
	const op = "seal.inspect"
	f, err := os.Open(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(op, fault.NotFound, err)
	}
	if err != nil {
		return nil, fault.New(op, fault.Temporary, err)
	}
	s := &sealed{file: f}
	if err := s.judge(ctx, p, dir, name); err != nil {
		f.Close()
		return nil, temporary(op, err)
	}
	return s, nil
}

func (s *sealed) close() { s.file.Close() }

// judge fails only where it cannot read.
func (s *sealed) judge(ctx context.Context, p Proof, dir, name string) (err error) {
	h := sha256.New()
	if s.size, err = io.Copy(h, s.file); err != nil {
		return err
	}
	s.sum = [32]byte(h.Sum(nil))
	if s.stamp, err = readStamp(filepath.Join(dir, stampName(name))); err != nil {
		return err
	}
	if s.stamp != nil {
		if at, err := p.Stamp(s.stamp, s.sum); err != nil {
			s.wrong.add("la marca temporale non vale: %s / the time stamp does not hold", why(err))
		} else {
			s.at, s.stamped = at, true
		}
	}
	first := true
	err = s.read(ctx, p, func(b []byte) error {
		if !first {
			return nil
		}
		first = false
		s.header, err = parseHeader(b)
		return err
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil && first {
		err = fault.Say("seal.read", fault.Invalid, "vuoto / empty")
	}
	if err != nil {
		s.wrong.add("la firma o il contenuto non vale: %s / signature or content does not hold", why(err))
		return nil
	}
	s.signed = true
	s.checkHeader(name)
	return nil
}

// read calls fn with every line. Its error is that of the signature or of fn.
func (s *sealed) read(ctx context.Context, p Proof, fn func([]byte) error) error {
	w := &lineWriter{fn: fn}
	if err := p.Open(ctx, w, s.file, s.size, s.at); err != nil {
		return err
	}
	return w.close()
}

// checkHeader compares the header with the file's name, and the day with the
// instant of the stamp.
func (s *sealed) checkHeader(name string) {
	h := s.header
	if sealedName(h.Number, h.Day) != name {
		s.wrong.add("l'intestazione è di un altro file, %d del %q / the header is another file's", h.Number, h.Day)
	}
	if h.First < 1 || h.Last < h.First-1 || h.Last == h.First-1 && h.Head != h.Before {
		s.wrong.add("intervallo %d-%d impossibile / impossible range", h.First, h.Last)
	}
	day, err := time.Parse(time.DateOnly, h.Day)
	zone, zoneErr := time.LoadLocation(h.Zone)
	if err != nil || zoneErr != nil {
		s.wrong.add("giorno %q o fuso %q illeggibile / day or zone unreadable", h.Day, h.Zone)
		return
	}
	if s.stamped && s.at.Before(endOf(day, zone)) {
		s.wrong.add("la marca temporale (%s) precede la fine del giorno / the time stamp is of before the day's end", s.at.UTC().Format(time.RFC3339))
	}
}

// follows reports whether the header names the sealed file before it; file is
// "" where there is none.
func (h header) follows(file string, sum [32]byte) bool {
	if file == "" {
		return h.Previous == nil
	}
	return h.Previous != nil && h.Previous.File == file && h.Previous.Sum == Hash(sum)
}

// readStamp reads a time stamp's file; nil where there is none.
func readStamp(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxStamp+1))
	if err == nil && len(b) > maxStamp {
		b = b[:maxStamp] // what is cut does not hold
	}
	if b == nil {
		b = []byte{}
	}
	return b, err
}

// compareStamp looks at the stamp that the store keeps with the seal.
func (s *sealed) compareStamp(p Proof, kept []byte) {
	switch {
	case bytes.Equal(s.stamp, kept) || len(kept) == 0:
		return
	case s.stamp == nil:
		s.wrong.add("manca il file della marca temporale / the file of the time stamp is missing")
	default:
		s.wrong.add("il file della marca temporale non è quello conservato / the file of the time stamp is not the one kept")
	}
	at, err := p.Stamp(kept, s.sum)
	if err != nil {
		s.wrong.add("la marca temporale conservata non vale: %s / the time stamp that is kept does not hold", why(err))
		return
	}
	s.at, s.stamped = at, true
}
