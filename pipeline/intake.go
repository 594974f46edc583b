// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"bufio"
	"errors"
	"hash"
	"io"

	"pecd/fault"
	"pecd/rfc822"
	"pecd/storage"
)

const (
	// The buffer of a message on its way in: small ones are many.
	smallBuffer, intakeBuffer = 4 << 10, 32 << 10
	// maxHops bounds the Received lines of a message that comes in: a loop otherwise.
	maxHops = 50
	// What the access point leaves free under the limits of a header, for the
	// fields that the envelope and every trace on its way add.
	spareFields, spareHeader = 64, 64 << 10
	// maxFrame bounds what is held in memory around an embedded original. A
	// message with more around it is stored whole, as one blob.
	maxFrame = 2 << 20
)

// submissionLimits are those of a submitted message: stricter than the
// reader's, so that nothing accepted grows out of what can be read again.
func submissionLimits() rfc822.Limits {
	lim := rfc822.DefaultLimits()
	lim.HeaderFields -= spareFields
	lim.HeaderBytes -= spareHeader
	return lim
}

// storedLimits are those of a message read back: it came in under
// DefaultLimits and has had trace lines put before it.
func storedLimits() rfc822.Limits {
	lim := rfc822.DefaultLimits()
	lim.HeaderFields += spareFields
	lim.HeaderBytes += spareHeader
	lim.TotalHeaderBytes += 2 * spareHeader
	return lim
}

// intake is a message on its way in: spooled and scanned in one pass.
type intake struct {
	spool   storage.Spool
	scanner *rfc822.Scanner
	scan    *rfc822.Message
	// hash sums up all bytes where the whole message will be a blob; nil otherwise.
	hash hash.Hash
	// inner sums up the embedded original, filled while its signature is verified.
	inner *rangeSum
}

func newIntake(st storage.Store) *intake {
	return &intake{spool: st.NewSpool(), scanner: rfc822.NewScanner(rfc822.DefaultLimits())}
}

// Write implements io.Writer.
func (in *intake) Write(p []byte) (int, error) {
	if n, err := in.spool.Write(p); err != nil {
		return n, fault.New("pipeline.intake", fault.Temporary, err)
	}
	if in.hash != nil {
		in.hash.Write(p)
	}
	return in.scanner.Write(p)
}

// readAll takes in the rest of r. A reader that fails has lost its connection:
// its error is passed on, nothing was kept.
func (in *intake) readAll(r io.Reader) error {
	buf := make([]byte, smallBuffer)
	for {
		if in.spool.Size() > intakeBuffer && len(buf) < intakeBuffer {
			buf = make([]byte, intakeBuffer)
		}
		n, err := r.Read(buf)
		if n > 0 {
			if _, werr := in.Write(buf[:n]); werr != nil {
				return werr
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			in.scan = in.scanner.Finish()
			return nil
		case err != nil:
			return fault.Wrap("pipeline.intake", err)
		}
	}
}

// reader reads the whole intake.
func (in *intake) reader() io.Reader { return io.NewSectionReader(in.spool, 0, in.spool.Size()) }

// blob names the range [off, off+n) of the intake as a blob.
func (in *intake) blob(off, n int64) *storage.NewBlob {
	b := &storage.NewBlob{Spool: in.spool, Off: off, Len: n}
	switch {
	case in.hash != nil && off == 0 && n == in.spool.Size():
		b.Sum, b.SumKnown = [32]byte(in.hash.Sum(nil)), true
	case in.inner != nil && in.inner.complete(off, n):
		b.Sum, b.SumKnown = [32]byte(in.inner.hash.Sum(nil)), true
	}
	return b
}

// rangeSum hashes the range [off, end) of what is written to it from pos on, so
// that reading the signed bytes once serves the signature and the blob.
type rangeSum struct {
	hash          hash.Hash
	off, end, pos int64
}

// Write implements io.Writer.
func (r *rangeSum) Write(p []byte) (int, error) {
	from, to := max(r.off-r.pos, 0), min(r.end-r.pos, int64(len(p)))
	if from < to {
		r.hash.Write(p[from:to])
	}
	r.pos += int64(len(p))
	return len(p), nil
}

// complete reports whether exactly the range [off, off+n) has gone through.
func (r *rangeSum) complete(off, n int64) bool {
	return r.off == off && r.end == off+n && r.pos >= r.end
}

// body stores the intake as it came, with lines before it. The range of the
// embedded original (n > 0) becomes the blob, so that equal originals are kept once.
func (in *intake) body(lines string, off, n int64) (*storage.NewBody, error) {
	if n <= 0 || in.spool.Size()-n > maxFrame {
		off, n = 0, in.spool.Size()
	}
	head := make([]byte, len(lines)+int(off))
	copy(head, lines)
	if _, err := readFullAt(in.spool, head[len(lines):], 0); err != nil {
		return nil, err
	}
	tail := make([]byte, in.spool.Size()-off-n)
	if _, err := readFullAt(in.spool, tail, off+n); err != nil {
		return nil, err
	}
	return &storage.NewBody{Head: head, Blob: in.blob(off, n), Tail: tail}, nil
}

func readFullAt(r io.ReaderAt, p []byte, off int64) (int, error) {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return n, nil
	}
	return n, fault.New("pipeline.intake", fault.Temporary, err)
}

// readHeader reads the header block with its blank line. Beyond max bytes it
// stops: complete is false and the rest is still in r.
func readHeader(r *bufio.Reader, max int) (raw []byte, complete bool, err error) {
	lineStart := true
	for len(raw) < max {
		line, err := r.ReadSlice('\n')
		raw = append(raw, line...)
		switch {
		case err == nil:
			if lineStart && (len(line) == 2 && line[0] == '\r' || len(line) == 1) {
				return raw, true, nil
			}
			lineStart = true
		case errors.Is(err, bufio.ErrBufferFull):
			lineStart = false
		case errors.Is(err, io.EOF):
			return raw, true, nil
		default:
			return nil, false, fault.Wrap("pipeline.readHeader", err)
		}
	}
	return raw, false, nil
}
