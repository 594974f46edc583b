// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"

	imaplib "github.com/emersion/go-imap/v2"
)

const (
	maxCommand = 48 << 10 // octets of a command without its literals; the library stops at 50 KiB
	maxDiscard = 1 << 20  // octets of an over-long line that are read past

	// maxLiteral is the bound of a literal that is no message: what the library
	// takes, and what RFC 7888 §5 (LITERAL-) allows unasked.
	maxLiteral  = 4096
	maxLiterals = 128 << 10 // octets of all such literals of one command
	maxSASL     = 4000      // octets of a line of AUTHENTICATE; the library's buffer
)

// stage is what the filter reads next.
type stage uint8

const (
	atCommand stage = iota // the first line of a command
	offered                // the library was shown a literal and has not asked for it
	inCommand              // the rest of a command after a literal
	inSASL                 // an answer to a challenge
	ended                  // nothing more
)

// command is the client's command at work.
type command struct {
	tag  string
	verb string // upper case, "UID FETCH" for two words
}

// uid tells whether the command speaks of UIDs.
func (c command) uid() bool { return strings.HasPrefix(c.verb, "UID ") }

// literal is a literal announced at the end of a line.
type literal struct {
	size    int64
	nonSync bool
}

// reader is the part of conn that reads commands.
type reader struct {
	stage stage
	now   command
	// lineBuf holds the line or piece being handed over; pass is what the
	// library has not taken of it.
	lineBuf []byte
	pass    []byte

	size     int     // of the command so far
	literals int64   // octets of its small literals
	lit      literal // offered
	left     int64   // octets of an accepted literal still to come
	litBy    int64   // when that literal must be there
	answered bool    // the library wrote something since it got the last piece
	farewell string  // say BYE with this text instead of reading the next command
}

// Read hands the library the next octets it may see.
//
// Literals are passed on only when the library has asked for them. A refused
// one that the client sent unasked is read past: its octets, which may be a
// message written by somebody else, never reach the command parser.
func (c *conn) Read(p []byte) (int, error) {
	for {
		if len(c.pass) > 0 {
			n := copy(p, c.pass)
			c.pass = c.pass[n:]
			return n, nil
		}
		if c.left > 0 && !c.answered {
			return c.readLiteral(p)
		}
		err := c.advance()
		if err != nil {
			if c.stage != ended {
				c.failed(err)
			}
			return 0, io.EOF
		}
	}
}

// advance makes pass or left non-empty, or reports that the connection is over.
func (c *conn) advance() error {
	switch c.stage {
	case atCommand:
		return c.nextCommand()
	case inCommand:
		if c.answered {
			// The library is done with the command, on an error in it.
			return c.giveUp(c.left)
		}
		return c.nextPiece()
	case inSASL:
		return c.nextSASL()
	case offered:
		if !c.answered {
			return errors.New("literal where the library takes none")
		}
		if c.lit.nonSync {
			return c.giveUp(c.lit.size)
		}
		c.stage = atCommand
		return nil
	}
	return io.EOF
}

// giveUp reads past the rest of a command, which starts with n octets of a
// literal.
func (c *conn) giveUp(n int64) error {
	c.left = 0
	if err := c.readPast(n); err != nil {
		return err
	}
	c.stage = atCommand
	return nil
}

// failed says why reading stopped, where somebody may hear it.
func (c *conn) failed(err error) {
	var timeout net.Error
	var refused *imaplib.Error
	switch {
	case errors.Is(err, errFolderGone):
		c.bye("cartella eliminata / selected mailbox was deleted")
	case errors.As(err, &refused):
		c.bye(strings.TrimPrefix(statusLine(refused), string(refused.Type)+" "))
	case c.srv.conns.Closing():
		c.bye("servizio in chiusura / server shutting down")
	case errors.As(err, &timeout) && timeout.Timeout():
		c.bye("tempo scaduto / timed out")
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed):
		c.stop()
	case errors.Is(err, errTooLong):
		c.bye("[TOOBIG] comando troppo lungo / command too long")
	default:
		c.srv.log.Debug("imap: connection ended", "remote", c.remote.String(), "error", err)
		c.bye("errore di protocollo / protocol error")
	}
}

func (c *conn) readLiteral(p []byte) (int, error) {
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	c.ReadBy.Store(min(c.after(c.srv.timing.progress), c.litBy))
	n, err := c.in.Read(p)
	c.ReadBy.Store(0)
	c.left -= int64(n)
	if err != nil {
		c.failed(err)
		return n, io.EOF
	}
	return n, nil
}

// accepts tells whether p is to be dropped on its way out, and learns from
// output whether a literal was taken.
func (c *conn) accepts(p []byte) bool {
	c.answered = true
	if c.stage != offered || !bytes.HasPrefix(p, []byte("+ ")) {
		return false
	}
	c.stage, c.answered = inCommand, false
	c.left = c.lit.size
	c.litBy = c.after(literalBase) + c.lit.size/slowest*1e9
	return c.lit.nonSync
}

// nextCommand reads commands until there is one for the library.
func (c *conn) nextCommand() error {
	if c.now.verb != "" && !c.answered {
		// The library wants more of a command that is complete. Whatever comes
		// next would be taken for the rest of it.
		return errors.New("command without an answer")
	}
	c.now, c.size, c.literals = command{}, 0, 0
	if cap(c.lineBuf) > 8<<10 {
		c.lineBuf = nil
	}
	if c.farewell != "" {
		c.bye(c.farewell)
		return io.EOF
	}
	if err := c.awaitCommand(); err != nil {
		return err
	}
	line, err := c.readLine(maxCommand)
	if errors.Is(err, errTooLong) {
		return c.refuse(line, "[TOOBIG] riga troppo lunga / line too long")
	}
	if err != nil {
		return err
	}
	if len(line) == 0 {
		return nil
	}
	c.size = len(line)
	rest, ok := c.parse(line)
	if !ok {
		return c.refuse(line, "comando non valido / invalid command")
	}
	if !wellFormed(line) {
		return c.refuse(line, "virgolette non chiuse o controlli / unbalanced quotes or control characters")
	}
	if c.session != nil && c.session.open() {
		if err := c.session.still(); err != nil {
			return err
		}
	}
	if c.now.verb == "COMPRESS" {
		return c.compress(line, rest)
	}
	if run := own(c.now.verb); run != nil && c.session != nil {
		return c.ownCommand(run, rest)
	}
	if c.now.verb == "ENABLE" && c.session != nil && c.session.open() {
		line = c.enable(line, rest)
	}
	return c.handOver(line)
}

// awaitCommand waits for the first octet of a command.
func (c *conn) awaitCommand() error {
	by := c.loginBy
	if c.session != nil && c.session.open() {
		by = c.after(c.srv.timing.idle)
	}
	c.ReadBy.Store(by)
	c.waiting.Store(true)
	var err error
	if c.srv.conns.Closing() {
		err = errClosing
	} else {
		_, err = c.in.Peek(1)
	}
	c.waiting.Store(false)
	c.ReadBy.Store(0)
	return err
}

// handOver gives the library a line, or holds it back when it ends in a literal
// that may not be.
func (c *conn) handOver(line []byte) error {
	c.answered = false
	lit, at, ok := literalAt(line)
	if !ok {
		c.stage = atCommand
		c.pass = append(line, '\r', '\n')
		return nil
	}
	// The first argument of APPEND is the name of the folder, a later literal
	// the message.
	folder := c.stage == atCommand && len(bytes.Fields(line[:at])) <= 2
	message := c.now.verb == "APPEND" && !folder
	if lit.nonSync && lit.size > maxLiteral {
		return errTooLong
	}
	if !message {
		if c.literals += lit.size; lit.size > maxLiteral || c.literals > maxLiterals {
			if lit.nonSync {
				return errTooLong
			}
			return c.spoil()
		}
	}
	if message && c.stage == atCommand && !lit.nonSync && c.srv.room(lit.size) != nil {
		return c.answer("NO [UNAVAILABLE] " + noRoom) // before the client sends it
	}
	c.lit, c.stage = lit, offered
	line = append(line[:at], '{')
	line = appendInt(line, lit.size)
	c.pass = append(line, '}', '\r', '\n')
	return nil
}

// spoil refuses a literal the client waits to send: the library gets a line
// that no grammar allows and says BAD.
func (c *conn) spoil() error {
	if c.stage == atCommand {
		return c.answer("BAD [TOOBIG] dato troppo lungo / literal too large")
	}
	c.stage = atCommand
	c.pass = []byte("\\\r\n")
	return nil
}

// nextPiece reads the rest of a command after a literal.
func (c *conn) nextPiece() error {
	line, err := c.piece()
	if err != nil {
		return err
	}
	return c.handOver(line)
}

// piece reads a line of a command that has begun.
func (c *conn) piece() ([]byte, error) {
	line, err := c.readLine(maxCommand - c.size)
	if err != nil {
		return nil, err
	}
	c.size += len(line)
	if !wellFormed(line) {
		return nil, errors.New("unbalanced quotes or control characters")
	}
	return line, nil
}

// nextSASL passes a line of an authentication exchange on.
func (c *conn) nextSASL() error {
	c.ReadBy.Store(c.loginBy)
	line, err := c.readLine(maxSASL)
	if err != nil {
		return err
	}
	c.stage = atCommand // unless the answer is met by another challenge
	c.pass = append(line, '\r', '\n')
	return nil
}

// readPast reads the rest of a command that was refused, literals included.
func (c *conn) readPast(n int64) error {
	for {
		c.ReadBy.Store(c.after(c.srv.timing.line))
		if _, err := io.CopyN(io.Discard, c.in, n); err != nil {
			return err
		}
		line, err := c.readLine(maxCommand)
		if err != nil {
			return err
		}
		lit, _, ok := literalAt(line)
		if !ok || !lit.nonSync {
			return nil
		}
		if c.literals += lit.size; lit.size > maxLiteral || c.literals > maxLiterals {
			return errTooLong
		}
		n = lit.size
	}
}

// refuse answers BAD to a line that no command can be made of. Where the line
// announces octets nobody has asked for, the connection ends.
func (c *conn) refuse(line []byte, text string) error {
	if lit, _, ok := literalAt(line); ok && lit.nonSync {
		return errTooLong
	}
	if c.now.tag == "" {
		if tag, _, found := bytes.Cut(line, []byte(" ")); (found || len(tag) <= 32) && validTag(tag) {
			c.now.tag = string(tag)
		}
	}
	if c.session == nil || !c.session.open() {
		// As the library does: another protocol may be speaking.
		c.farewell = "errore di protocollo / protocol error"
	}
	return c.answer("BAD " + text)
}

// answer writes a tagged response and is done with the command.
func (c *conn) answer(text string) error {
	tag := c.now.tag
	if tag == "" {
		tag = "*"
	}
	c.now = command{}
	c.stage = atCommand
	return c.put([]byte(tag + " " + text + "\r\n"))
}
