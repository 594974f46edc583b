// SPDX-License-Identifier: EUPL-1.2

package pop3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"pecd/fault"
	"pecd/storage"
	"pecd/trail"
)

// retr is RETR. It leaves the flags alone: who reads the mailbox by other means
// must not find read what a program has fetched (ADR 0019).
func (s *session) retr(args string) error {
	i, body, err := s.open(strings.TrimSpace(args))
	if body == nil {
		return err
	}
	defer body.Close()
	if err := s.record(i); err != nil {
		return s.unrecorded(err)
	}
	if err := s.text(fmt.Sprintf("+OK %d octets\r\n", body.Size())); err != nil {
		return err
	}
	if err := s.send(body, i, nil); err != nil {
		return err
	}
	s.srv.cfg.Counters.retrieved.Add(1)
	s.srv.cfg.Counters.octets.Add(body.Size())
	return nil
}

// top is TOP: the header and so many lines of the text.
func (s *session) top(args string) error {
	msg, count, _ := strings.Cut(strings.TrimSpace(args), " ")
	lines, ok := number(strings.TrimSpace(count))
	if !ok {
		return s.mistake("numero di righe non valido / malformed number of lines")
	}
	i, body, err := s.open(msg)
	if body == nil {
		return err
	}
	defer body.Close()
	if lines > 0 { // otherwise it looks at the list, and reads no message
		if err := s.record(i); err != nil {
			return s.unrecorded(err)
		}
	}
	if err := s.text("+OK\r\n"); err != nil {
		return err
	}
	return s.send(body, i, &beginning{lines: lines})
}

// record says that a message is read.
func (s *session) record(i int) error {
	f := s.drop.folder
	return s.srv.cfg.Trail.Read(s.ctx, s.by, trail.Messages{
		Mailbox: s.grant.Address, Folder: f.Name, UIDValidity: f.UIDValidity, UIDs: []uint32{s.drop.uids[i]},
	})
}

// unrecorded answers a reading that cannot be recorded.
func (s *session) unrecorded(err error) error {
	s.log.Error("pop3: reading not recorded", "error", err)
	return s.refuse(tryAgain)
}

// open opens a message. Where that cannot be done the client is told, and body is nil.
func (s *session) open(msg string) (i int, body storage.Body, err error) {
	i, ok, err := s.message(msg)
	if !ok {
		return 0, nil, err
	}
	body, err = s.srv.cfg.Store.OpenBody(s.ctx, s.drop.bodies[i])
	switch {
	case err == nil:
		return i, body, nil
	case fault.Is(err, fault.NotFound): // by somebody else, since the login
		return 0, nil, s.refuse("messaggio eliminato nel frattempo / message was deleted meanwhile")
	case errors.Is(err, context.Canceled):
		return 0, nil, err
	}
	s.log.Error("pop3: message not opened", "folder", s.drop.folder.ID, "uid", s.drop.uids[i], "error", err)
	return 0, nil, s.refuse(tryAgain)
}

// send writes a message, or its beginning, and the line that ends it. A message
// that cannot be read to its end must not look complete: the connection ends.
func (s *session) send(body storage.Body, i int, only *beginning) error {
	buf := s.srv.buffers.Get().(*[]byte)
	defer s.srv.buffers.Put(buf)
	out := stuffer{c: s.conn, start: true}
	for off := int64(0); off < body.Size() && !only.complete(); {
		piece := (*buf)[:min(int64(cap(*buf)), body.Size()-off)]
		if n, err := body.ReadAt(piece, off); n < len(piece) {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			s.log.Error("pop3: message not read", "folder", s.drop.folder.ID, "uid", s.drop.uids[i], "error", err)
			_ = s.flush()
			s.dead = true
			return err
		}
		off += int64(len(piece))
		if err := out.write(only.of(piece)); err != nil {
			return err
		}
	}
	return out.end()
}

// beginning keeps the header of a message and its first lines. nil keeps all.
type beginning struct {
	lines  int  // of the text that are still to come
	inText bool // the header's end was seen
	inLine bool // octets of the present line were seen, other than its end
	done   bool
}

func (t *beginning) complete() bool { return t != nil && t.done }

// of returns what of the next piece of the message is kept.
func (t *beginning) of(piece []byte) []byte {
	if t == nil {
		return piece
	}
	for n := 0; n < len(piece); {
		if t.inText && t.lines == 0 {
			t.done = true
			return piece[:n]
		}
		end := bytes.IndexByte(piece[n:], '\n')
		if end < 0 {
			t.inLine = t.inLine || len(bytes.TrimSuffix(piece[n:], []byte("\r"))) > 0
			return piece
		}
		empty := !t.inLine && len(bytes.TrimSuffix(piece[n:n+end], []byte("\r"))) == 0
		switch {
		case t.inText:
			t.lines--
		case empty:
			t.inText = true
		}
		t.inLine = false
		n += end + 1
	}
	return piece
}

// stuffer writes the lines of a message as RFC 1939 §3 wants them: a point before
// each point that begins a line, and every line ended by CRLF. A message that
// came through certified mail has no other line ends; in one that an IMAP client
// put there, a single LF gets its CR, because clients disagree on where a line
// with a single LF ends. A single CR is passed on.
type stuffer struct {
	c     *conn
	start bool // of a line
	cr    bool // the last octet was a CR
}

func (w *stuffer) write(p []byte) error {
	for len(p) > 0 {
		if w.start && p[0] == '.' {
			if err := w.c.text("."); err != nil {
				return err
			}
		}
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			w.start, w.cr = false, p[len(p)-1] == '\r'
			return w.c.put(p)
		}
		line, end := p[:i+1], ""
		if i == 0 && !w.cr || i > 0 && p[i-1] != '\r' {
			line, end = p[:i], "\r\n"
		}
		if err := w.c.put(line); err != nil {
			return err
		}
		if err := w.c.text(end); err != nil {
			return err
		}
		w.start, w.cr = true, false
		p = p[i+1:]
	}
	return nil
}

// end ends the last line, where the message does not, and the answer.
func (w *stuffer) end() error {
	switch {
	case w.start:
		return w.c.text(".\r\n")
	case w.cr:
		return w.c.text("\n.\r\n")
	}
	return w.c.text("\r\n.\r\n")
}
