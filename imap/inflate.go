// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"bufio"
	"errors"
	"io"
)

const (
	window    = 32 << 10 // how far back a deflate stream may refer
	inflateBy = 4 << 10  // octets decoded ahead of what is read, about
)

var (
	errCorrupt = errors.New("imap: not a deflate stream")
	// errDry: the client has sent no more, and something is there to be read.
	errDry = errors.New("imap: nothing more to decompress for now")
)

// inflater reads a deflate stream (RFC 1951) as a client sends it: whatever the
// octets that came tell is given out, whichever way the client flushes. The
// decoders at hand wait for more, and keep some 80 kB; this one keeps what came
// out, as far back as it may be referred to, and its codes.
type inflater struct {
	src  *bufio.Reader
	hist []byte // what came out, at least the last window of it
	read int    // octets of hist that were given out
	err  error

	// Bits that were read and not yet used, the lowest first. looked is how many
	// the element at work has looked at: it is decoded as a whole, or again.
	bits      uint64
	n, looked uint

	next  func(*inflater) error // decodes the next element
	final bool                  // the block at work is the last
	left  int                   // octets of a stored block
	lens  [320]uint8            // code lengths of a dynamic block
	nLens int                   // of these known
	nLit  int                   // … of literals and lengths
	nAll  int                   // … in all; the lengths of the code for them while that is read
	lit   huffman
	dist  huffman
}

func newInflater(src *bufio.Reader) *inflater { return &inflater{src: src, next: (*inflater).header} }

// Read implements io.Reader. An error of the source may be met again: reading
// goes on where it stopped.
func (f *inflater) Read(p []byte) (int, error) {
	for f.read == len(f.hist) {
		if f.err != nil {
			return 0, f.err
		}
		if err := f.decode(); err != nil {
			return 0, err
		}
	}
	n := copy(p, f.hist[f.read:])
	f.read += n
	return n, nil
}

// decode goes on until there is something to be read.
func (f *inflater) decode() error {
	if len(f.hist) >= window+inflateBy {
		f.hist = f.hist[:copy(f.hist, f.hist[len(f.hist)-window:])]
		f.read = len(f.hist)
	}
	for len(f.hist)-f.read < inflateBy {
		err := f.next(f)
		switch {
		case err == nil:
			f.bits, f.n = f.bits>>f.looked, f.n-f.looked
		case errors.Is(err, errCorrupt) || errors.Is(err, io.EOF):
			f.err = err
		}
		f.looked = 0
		if errors.Is(err, errDry) || f.err != nil && f.read < len(f.hist) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// octet reads one, and waits for it only where there is nothing to be read.
func (f *inflater) octet() (byte, error) {
	if f.read < len(f.hist) && f.src.Buffered() == 0 {
		return 0, errDry
	}
	return f.src.ReadByte()
}

// look returns the next k bits, at most 16, of the element at work.
func (f *inflater) look(k uint) (int, error) {
	for f.n < f.looked+k {
		b, err := f.octet()
		if err != nil {
			return 0, err
		}
		f.bits |= uint64(b) << f.n
		f.n += 8
	}
	v := int(f.bits>>f.looked) & (1<<k - 1)
	f.looked += k
	return v, nil
}

// header reads the beginning of a block (RFC 1951 §3.2.3).
func (f *inflater) header() error {
	if f.final {
		return io.EOF
	}
	head, err := f.look(3)
	if err != nil {
		return err
	}
	switch head >> 1 {
	case 0:
		err = f.stored()
	case 1:
		f.fixed()
	case 2:
		err = f.dynamic()
	default:
		err = errCorrupt
	}
	if err == nil {
		f.final = head&1 == 1
	}
	return err
}

// stored reads the length of a stored block, which begins with an octet.
func (f *inflater) stored() error {
	if _, err := f.look((f.n - f.looked) % 8); err != nil {
		return err
	}
	n, err := f.look(16)
	if err != nil {
		return err
	}
	check, err := f.look(16)
	if err != nil {
		return err
	}
	if n != check^0xffff {
		return errCorrupt
	}
	f.left, f.next = n, (*inflater).copyStored
	return nil
}

// copyStored gives out octets of a stored block.
func (f *inflater) copyStored() error {
	if f.left == 0 {
		f.next = (*inflater).header
		return nil
	}
	b, err := f.look(8)
	if err != nil {
		return err
	}
	f.left--
	f.hist = append(f.hist, byte(b))
	return nil
}

// fixed takes the codes of RFC 1951 §3.2.6.
func (f *inflater) fixed() {
	for i := range f.lens[:288] {
		switch {
		case i < 144 || i >= 280:
			f.lens[i] = 8
		case i < 256:
			f.lens[i] = 9
		default:
			f.lens[i] = 7
		}
	}
	f.lit.build(f.lens[:288])
	for i := range f.lens[:30] {
		f.lens[i] = 5
	}
	f.dist.build(f.lens[:30])
	f.next = (*inflater).symbol
}

// dynamic reads how many code lengths follow (RFC 1951 §3.2.7).
func (f *inflater) dynamic() error {
	v, err := f.look(14)
	if err != nil {
		return err
	}
	f.nLit = v&31 + 257
	f.nAll = f.nLit + v>>5&31 + 1
	if f.nLit > 286 || f.nAll > f.nLit+30 {
		return errCorrupt
	}
	clear(f.lens[:])
	f.left, f.nLens = v>>10+4, 0
	f.next = (*inflater).codeLength
	return nil
}

// codeLengthOrder is in which order the lengths of the code for lengths come.
var codeLengthOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// codeLength reads one length of the code for lengths.
func (f *inflater) codeLength() error {
	v, err := f.look(3)
	if err != nil {
		return err
	}
	f.lens[codeLengthOrder[f.nLens]] = uint8(v)
	if f.nLens++; f.nLens < f.left {
		return nil
	}
	if !f.dist.build(f.lens[:19]) { // the code for lengths, for now
		return errCorrupt
	}
	clear(f.lens[:])
	f.nLens, f.next = 0, (*inflater).length
	return nil
}

// length reads one code length, or a run of them.
func (f *inflater) length() error {
	sym, err := f.decodeBy(&f.dist)
	if err != nil {
		return err
	}
	value, times := uint8(sym), 1
	if sym >= 16 {
		extra := [3]uint{2, 3, 7}[sym-16]
		more, err := f.look(extra)
		if err != nil {
			return err
		}
		value, times = 0, more+[3]int{3, 3, 11}[sym-16]
		if sym == 16 {
			if f.nLens == 0 {
				return errCorrupt
			}
			value = f.lens[f.nLens-1]
		}
	}
	if f.nLens+times > f.nAll {
		return errCorrupt
	}
	for range times {
		f.lens[f.nLens] = value
		f.nLens++
	}
	if f.nLens < f.nAll {
		return nil
	}
	if f.lens[256] == 0 || !f.lit.build(f.lens[:f.nLit]) || !f.dist.build(f.lens[f.nLit:f.nAll]) {
		return errCorrupt
	}
	f.next = (*inflater).symbol
	return nil
}

// symbol decodes an octet, a reference to what came out before, or the end of a
// block (RFC 1951 §3.2.5).
func (f *inflater) symbol() error {
	sym, err := f.decodeBy(&f.lit)
	if err != nil {
		return err
	}
	switch {
	case sym < 256:
		f.hist = append(f.hist, byte(sym))
		return nil
	case sym == 256:
		f.next = (*inflater).header
		return nil
	case sym > 285:
		return errCorrupt
	}
	length := 258
	if sym < 285 {
		length, err = f.extended(sym-257, 2, 3)
		if err != nil {
			return err
		}
	}
	if sym, err = f.decodeBy(&f.dist); err != nil {
		return err
	}
	if sym > 29 {
		return errCorrupt
	}
	back, err := f.extended(sym, 1, 1)
	if err != nil {
		return err
	}
	if back > min(len(f.hist), window) {
		return errCorrupt
	}
	for range length {
		f.hist = append(f.hist, f.hist[len(f.hist)-back])
	}
	return nil
}

// extended is what a code for lengths or distances and its extra bits stand for:
// the values grow evenly within groups of 2^group codes, and twice as fast from
// one group to the next.
func (f *inflater) extended(code int, group uint, base int) (int, error) {
	if code < 2<<group {
		return code + base, nil
	}
	extra := uint(code>>group) - 1
	more, err := f.look(extra)
	return (1<<group+code&(1<<group-1))<<extra + more + base, err
}

// decodeBy decodes one symbol.
func (f *inflater) decodeBy(h *huffman) (int, error) {
	code, first, at := 0, 0, 0 // first code of the length at hand, and its place
	for l := 1; l < len(h.count); l++ {
		bit, err := f.look(1)
		if err != nil {
			return 0, err
		}
		code |= bit
		n := int(h.count[l])
		if code < first+n {
			return int(h.symbols[at+code-first]), nil
		}
		at += n
		first = (first + n) << 1
		code <<= 1
	}
	return 0, errCorrupt
}

// huffman is a canonical code (RFC 1951 §3.2.2): how many codes of each length
// there are, and their symbols in order.
type huffman struct {
	count   [16]uint16
	symbols [288]uint16
}

// build makes the code of its lengths, 0 for symbols that have none. It tells
// whether there can be such a code.
func (h *huffman) build(lens []uint8) bool {
	clear(h.count[:])
	for _, l := range lens {
		h.count[l]++
	}
	h.count[0] = 0
	var at [16]uint16
	room := 1
	for l := 1; l < len(h.count); l++ {
		if room = room<<1 - int(h.count[l]); room < 0 {
			return false
		}
		if l > 1 {
			at[l] = at[l-1] + h.count[l-1]
		}
	}
	for sym, l := range lens {
		if l > 0 {
			h.symbols[at[l]] = uint16(sym)
			at[l]++
		}
	}
	return true
}
