// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"bufio"
	"bytes"
	"errors"
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
	c.in = bufio.NewReaderSize(newInflater(c.in), inflatedBuffer)
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
