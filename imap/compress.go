// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/klauspost/compress/flate"
)

// inflatedBuffer is the room for commands that were decompressed and not yet
// read: little, for what is behind it has room as well.
const inflatedBuffer = 1 << 10

// compress answers COMPRESS (RFC 4978). From the octet after its OK on both
// sides send a deflate stream. It is offered after the login alone, so that no
// password is ever compressed.
func (c *conn) compress(line, rest []byte) error {
	switch {
	case c.session == nil || !c.session.open() || !strings.EqualFold(string(rest), " DEFLATE"):
		return c.refuse(line, "sintassi non valida o login mancante / invalid syntax, or not logged in")
	case c.inflating:
		return c.answer("NO [COMPRESSIONACTIVE] gia' attiva / compression is active")
	case c.in.Buffered() > 0:
		return errors.New("octets after COMPRESS")
	}
	if err := c.answer("OK DEFLATE active"); err != nil {
		return err
	}
	if err := c.flush(); err != nil {
		return err
	}
	c.inflating = true
	c.in = bufio.NewReaderSize(&inflater{src: c.src}, inflatedBuffer)
	c.wmu.Lock()
	c.deflating = true
	c.wmu.Unlock()
	return nil
}

// deflate writes b compressed, as a whole number of blocks that refer to nothing
// before them: nothing is kept between two writes.
func (c *conn) deflate(b []byte) error {
	out := c.srv.deflated.Get().(*bytes.Buffer)
	defer func() {
		out.Reset()
		c.srv.deflated.Put(out)
	}()
	if err := flate.StatelessDeflate(out, b, false, nil); err != nil {
		return err
	}
	_, err := c.net.Write(out.Bytes())
	return err
}

// window is how far back a deflate stream refers.
const window = 32 << 10

// inflater reads a deflate stream. A decoder takes some 80 kB, too much for a
// connection that waits for its next command: where the client has said nothing
// more behind a stored block, with which every flush ends, the decoder is let go,
// and a new one goes on with what came out so far. Of that, up to a window is
// kept.
type inflater struct {
	src  *bufio.Reader
	dec  *decoder // nil: let go
	past []byte
}

// decoder decodes the octets of src.
type decoder struct {
	flate  io.Reader
	src    *bufio.Reader
	stored bool // the last octets belong to a stored block: only of these several are read at once
	ended  bool // and it has ended with them
}

// errDry lets go of a decoder.
var errDry = errors.New("imap: nothing more to decompress for now")

// Read implements io.Reader.
func (i *inflater) Read(p []byte) (int, error) {
	for {
		if i.dec == nil {
			if _, err := i.src.Peek(1); err != nil {
				return 0, err
			}
			i.dec = newDecoder(i.src, i.past)
		}
		n, err := i.dec.flate.Read(p)
		i.keep(p[:n])
		if errors.Is(err, errDry) {
			i.dec, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// keep remembers the last window of what came out.
func (i *inflater) keep(p []byte) {
	if drop := len(i.past) + len(p) - window; drop > 0 {
		n := copy(i.past, i.past[min(drop, len(i.past)):])
		i.past = i.past[:n]
		p = p[max(0, len(p)-window):]
	}
	i.past = append(i.past, p...)
}

func newDecoder(src *bufio.Reader, past []byte) *decoder {
	d := &decoder{src: src}
	d.flate = flate.NewReaderOpts(d, flate.WithDict(past), flate.WithEobCallback(func(flate.InflateCheckpoint) { d.ended = d.stored }))
	return d
}

// ReadByte implements io.ByteReader, which keeps the package from reading ahead.
// After a stored block it begins with a whole octet.
func (d *decoder) ReadByte() (byte, error) {
	if d.ended && d.src.Buffered() == 0 {
		return 0, errDry
	}
	d.stored, d.ended = false, false
	return d.src.ReadByte()
}

// Read implements io.Reader.
func (d *decoder) Read(p []byte) (int, error) {
	d.stored, d.ended = true, false
	return d.src.Read(p)
}
