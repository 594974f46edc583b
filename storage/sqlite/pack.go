// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
)

// Bits of bodies.packed.
const (
	packedHead = 1 << iota
	packedTail
)

// Segments of more than packAbove bytes are folded and deflated where that saves
// a quarter. Higher levels save 1 % more on receipts and take half as long again.
const (
	packAbove = 16 << 10
	packLevel = flate.BestSpeed
)

// packed is a segment as it is stored.
type packed struct {
	bytes    []byte
	size     int // of the segment itself
	deflated bool
}

// pack returns how a segment is stored.
func (s *Store) pack(b []byte) packed {
	if len(b) <= packAbove {
		return packed{bytes: b, size: len(b)}
	}
	bound := len(b) - len(b)/4
	var out bytes.Buffer
	out.Grow(bound)
	w := s.packer(&out)
	_, err := w.Write(fold(b)) // to memory: cannot fail
	if err == nil {
		err = w.Close()
	}
	s.idle(w)
	if err != nil || out.Len() > bound {
		return packed{bytes: b, size: len(b)}
	}
	return packed{bytes: out.Bytes(), size: len(b), deflated: true}
}

// packer returns an idle compressor that writes to w.
func (s *Store) packer(w io.Writer) *flate.Writer {
	select {
	case f := <-s.packers:
		f.Reset(w)
		return f
	default:
		f, _ := flate.NewWriter(w, packLevel) // fails for a bad level only
		return f
	}
}

// idle puts a compressor back, or drops it where there are enough.
func (s *Store) idle(f *flate.Writer) {
	select {
	case s.packers <- f:
	default:
	}
}

// unpack returns the size bytes of a stored segment.
func unpack(b []byte, size int, deflated bool) ([]byte, error) {
	if !deflated {
		if len(b) != size {
			return nil, fmt.Errorf("segment has %d bytes, not %d", len(b), size)
		}
		return b, nil
	}
	limit := int64(size) + maxFoldOverhead
	folded, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(b)), limit))
	if err != nil {
		return nil, fmt.Errorf("segment of %d bytes: %w", size, err)
	}
	return unfold(folded, size)
}
