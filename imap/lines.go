// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"bufio"
	"bytes"
	"errors"
	"strings"
)

var errTooLong = errors.New("imap: line too long")

// readLine reads a line without its end. With errTooLong it returns the
// beginning and the end of the line, joined.
func (c *conn) readLine(limit int) ([]byte, error) {
	if c.stage != inSASL {
		c.ReadBy.Store(c.after(c.srv.timing.line))
	}
	defer c.ReadBy.Store(0)
	c.lineBuf = c.lineBuf[:0]
	total := 0
	for {
		b, err := c.in.ReadSlice('\n')
		total += len(b)
		if len(c.lineBuf)+len(b) > limit+2 {
			keep := min(len(c.lineBuf), 256)
			c.lineBuf = append(c.lineBuf[:keep], b[max(0, len(b)-64):]...)
		} else {
			c.lineBuf = append(c.lineBuf, b...)
		}
		if errors.Is(err, bufio.ErrBufferFull) && total < maxDiscard {
			continue
		}
		if err != nil {
			return nil, err
		}
		break
	}
	line := bytes.TrimSuffix(bytes.TrimSuffix(c.lineBuf, []byte("\n")), []byte("\r"))
	if total > limit+2 {
		return line, errTooLong
	}
	return line, nil
}

// literalAt finds the literal that a line announces at its end (RFC 9051 §4.3),
// and where its brace stands.
func literalAt(line []byte) (lit literal, at int, ok bool) {
	b, closed := bytes.CutSuffix(line, []byte("}"))
	if !closed {
		return lit, 0, false
	}
	b, lit.nonSync = bytes.CutSuffix(b, []byte("+"))
	at = bytes.LastIndexByte(b, '{')
	if at < 0 || at == len(b)-1 || len(b)-at > 19 {
		return lit, 0, false
	}
	for _, d := range b[at+1:] {
		if d < '0' || d > '9' {
			return lit, 0, false
		}
		lit.size = lit.size*10 + int64(d-'0')
	}
	return lit, at, true
}

// wellFormed tells whether a line of a command may be passed on: RFC 9051 allows
// neither a line end inside a quoted string nor a CR or NUL outside a literal,
// but the library reads on over the one and stops at the other.
func wellFormed(line []byte) bool {
	open := false
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '\r' || line[i] == 0:
			return false
		case line[i] == '"':
			open = !open
		case line[i] == '\\' && open:
			if i++; i < len(line) && (line[i] == '\r' || line[i] == 0) {
				return false
			}
		}
	}
	return !open
}

// parse fills c.now from the first line and returns what follows the verb.
func (c *conn) parse(line []byte) (rest []byte, ok bool) {
	tag, rest, _ := bytes.Cut(line, []byte(" "))
	word, rest := cutWord(rest)
	verb := strings.ToUpper(string(word))
	if !validTag(tag) || len(verb) == 0 || len(verb) > 32 {
		return nil, false
	}
	if verb == "UID" {
		if len(rest) == 0 {
			return nil, false
		}
		word, after := cutWord(rest[1:])
		if len(word) == 0 || len(word) > 32 {
			return nil, false
		}
		verb, rest = "UID "+strings.ToUpper(string(word)), after
	}
	c.now = command{tag: string(tag), verb: verb}
	return rest, true
}

// cutWord splits an atom off; the rest starts with what ends it.
func cutWord(b []byte) (word, rest []byte) {
	i := 0
	for i < len(b) && isAtomChar(b[i]) {
		i++
	}
	return b[:i], b[i:]
}

func validTag(tag []byte) bool {
	if len(tag) == 0 || len(tag) > 128 {
		return false
	}
	for _, ch := range tag {
		if ch == '+' || ch != ']' && !isAtomChar(ch) {
			return false
		}
	}
	return true
}
