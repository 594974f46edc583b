// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"bytes"
	"errors"
)

var errBareLineEnd = errors.New("message contains bare CR or LF")

// dotWriter makes a message fit for DATA (RFC 5321 §4.5.2): a dot before every
// line that starts with one, and the final dot. Not an octet else is changed,
// but for the CRLF that a message without one needs before the final dot. A
// bare CR or LF is an error: it would end the message early at some servers.
type dotWriter struct {
	buf   []byte
	write func(p []byte) error

	middle bool // inside a line
	cr     bool // the last octet was CR
}

const dotBuffer = 64 << 10

func newDotWriter(write func(p []byte) error) *dotWriter {
	return &dotWriter{buf: make([]byte, 0, dotBuffer), write: write}
}

// Write implements io.Writer.
func (d *dotWriter) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		if d.cr && p[0] != '\n' {
			return 0, errBareLineEnd
		}
		if !d.middle && p[0] == '.' {
			if err := d.put([]byte{'.'}); err != nil {
				return 0, err
			}
		}
		n := bytes.IndexByte(p, '\n') + 1
		line := p
		if n > 0 {
			line = p[:n]
		}
		if !d.strict(line) {
			return 0, errBareLineEnd
		}
		if err := d.put(line); err != nil {
			return 0, err
		}
		d.middle = n == 0
		d.cr = d.middle && line[len(line)-1] == '\r'
		p = p[len(line):]
	}
	return total, nil
}

// strict reports whether CR and LF come in pairs in line, which holds a line
// end at its end only. A CR that is the last octet is judged with the next.
func (d *dotWriter) strict(line []byte) bool {
	i := bytes.IndexByte(line, '\r')
	switch last := len(line) - 1; {
	case line[last] != '\n':
		return i < 0 || i == last
	case last == 0:
		return d.cr
	default:
		return i == last-1
	}
}

// Close writes the end of the message.
func (d *dotWriter) Close() error {
	end := ".\r\n"
	switch {
	case d.cr:
		return errBareLineEnd
	case d.middle:
		end = "\r\n.\r\n"
	}
	if err := d.put([]byte(end)); err != nil {
		return err
	}
	return d.flush()
}

func (d *dotWriter) put(p []byte) error {
	for len(p) > 0 {
		n := copy(d.buf[len(d.buf):cap(d.buf)], p)
		d.buf = d.buf[:len(d.buf)+n]
		p = p[n:]
		if len(d.buf) == cap(d.buf) {
			if err := d.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *dotWriter) flush() error {
	err := d.write(d.buf)
	d.buf = d.buf[:0]
	return err
}
