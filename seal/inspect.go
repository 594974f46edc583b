// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"pecd/fault"
)

// maxStamp bounds a time stamp's file, in octets: it holds a few certificates.
const maxStamp = 1 << 20

// maxHeader bounds a day file's first line, in octets.
const maxHeader = 64 << 10

// sealed is a sealed file under examination.
type sealed struct {
	file    *os.File
	sum     [32]byte
	stamp   []byte    // as it lies beside the file; nil: none does
	at      time.Time // of the stamp, where it holds
	stamped bool      // the stamp holds: the file is as it was at that instant
	signed  bool      // the signature holds
	header  header    // where signed
	end     time.Time // of the day, where signed and readable
	lines   io.Reader // the content, where signed

	wrong reasons
}

// inspect opens a sealed file and judges it and the stamp beside it. Where there
// is no stamp the signature is judged at the instant sealed. The file must be of
// provider, where one is given. A file that is not there fails with
// fault.NotFound; what is wrong with it is collected. close it afterwards.
func (p Proof) inspect(dir, name, provider string, sealedAt time.Time) (*sealed, error) {
	const op = "seal.inspect"
	f, err := os.Open(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(op, fault.NotFound, err)
	}
	if err != nil {
		return nil, fault.New(op, fault.Temporary, err)
	}
	s := &sealed{file: f}
	if err := s.judge(p, dir, name, provider, sealedAt); err != nil {
		f.Close()
		return nil, temporary(op, err)
	}
	return s, nil
}

func (s *sealed) close() { s.file.Close() }

// judge fails only where it cannot read.
func (s *sealed) judge(p Proof, dir, name, provider string, at time.Time) error {
	h := sha256.New()
	size, err := io.Copy(h, s.file)
	if err != nil {
		return err
	}
	s.sum = [32]byte(h.Sum(nil))
	if s.stamp, err = readStamp(filepath.Join(dir, StampName(name))); err != nil {
		return err
	}
	if s.stamp != nil {
		if s.at, err = p.Stamp(s.stamp, s.sum); err != nil {
			s.wrong.add("la marca temporale non vale: %s / the time stamp does not hold", why(err))
		} else {
			s.stamped, at = true, s.at
		}
	}
	content, by, err := p.Open(s.file, size, at)
	if err == nil {
		s.signed, s.lines = true, content
		return s.readHeader(name, provider, by)
	}
	if fault.Is(err, fault.Temporary) {
		return err
	}
	s.wrong.add("la firma non vale: %s / the signature does not hold", why(err))
	return nil
}

// readHeader reads the first line of the content. A file without a header that
// can be read, or of another provider than is asked for, or signed by another than
// it names, counts as not signed.
func (s *sealed) readHeader(name, provider string, by []string) error {
	r := bufio.NewReaderSize(s.lines, maxHeader)
	first, err := r.ReadSlice('\n')
	if err == nil {
		s.header, err = parseHeader(first)
	} else if err == io.EOF || err == bufio.ErrBufferFull {
		err = errHeader
	}
	if err == nil && !names(by, s.header.Provider) {
		err = fault.Say("seal.inspect", fault.Denied, fmt.Sprintf("file di %q firmato da %q / signed by somebody else", s.header.Provider, by))
	}
	if err == nil && provider != "" && plain(provider) != plain(s.header.Provider) {
		err = fault.Say("seal.inspect", fault.Denied, fmt.Sprintf("file di %q, non di %q / file of another provider", s.header.Provider, provider))
	}
	var f *fault.Error
	if err != nil && !errors.As(err, &f) {
		return err
	}
	if err != nil {
		s.signed = false
		s.wrong.add("%s", why(err))
		return nil
	}
	s.lines = r
	s.checkHeader(name)
	return nil
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
	s.end = endOf(day, zone)
	if s.stamped && s.at.Before(s.end) {
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

// compareStamp looks at the stamp that the store keeps with the seal. Where there
// are two, that one counts: a file that was made anew can be stamped anew.
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
	if s.stamped = err == nil; !s.stamped {
		s.wrong.add("la marca temporale conservata non vale: %s / the time stamp that is kept does not hold", why(err))
		return
	}
	s.at = at
}

// tolerance is how long after a day's end its time stamp may come before it has
// to be explained.
const tolerance = 48 * time.Hour

// late tells of a stamp that came long after the day, or had not come at the
// instant now, where that is given; "" where it came in time.
func (s *sealed) late(now time.Time) string {
	switch {
	case s.end.IsZero():
	case s.stamped && s.at.Sub(s.end) > tolerance:
		return fmt.Sprintf("marca temporale del %s, oltre 48 ore dopo la fine del giorno / time stamp of more than 48 hours after the day's end", s.at.UTC().Format(time.RFC3339))
	case !s.stamped && s.stamp == nil && now.Sub(s.end) > tolerance:
		return "senza marca temporale da oltre 48 ore / without time stamp for more than 48 hours"
	}
	return ""
}
