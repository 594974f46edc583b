// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

const (
	inSize = 16 << 10
	// maxCommandLine is the longest line an AUTH exchange may have (RFC 4954
	// §4), CRLF included; every command is shorter.
	maxCommandLine = 12288 + 2
	// minRate is the slowest message that is waited for, octets a second.
	minRate = 1 << 10
	// maxJunk bounds the commands that bring no message nearer.
	maxJunk = 100
	// lastWord is how long the reply to a login that came too late may take.
	lastWord = 5 * time.Second
)

// phase is what the next octets from the client are.
type phase uint8

const (
	phaseCommand phase = iota
	phaseSASL          // a line of an AUTH exchange
	phaseData
)

var (
	errDraining = errors.New("smtp: shutting down")
	errFlood    = errors.New("smtp: message goes on far beyond the limit")
)

// conn filters one connection between the wire and go-smtp. It runs on the
// goroutine of the library's session; only the fields under mu are shared.
type conn struct {
	srv    *Server
	raw    net.Conn
	top    net.Conn // raw, or the TLS connection over it
	hand   *handoff
	key    netip.Prefix
	client string // who is counted for Admission: the login, or the network
	guard  *guard
	ctx    context.Context // what the pipeline works under
	cancel context.CancelFunc

	in      []byte
	r, w    int    // in[r:w] is unread
	pending []byte // a command line go-smtp has not read to its end
	out     []byte // replies not sent yet
	partial []byte // a reply line of which the library wrote a part
	budget  time.Duration
	loginBy time.Time // until when the client must have logged in; zero: it has, or need not
	phase   phase
	secured bool // TLS is on
	shaken  bool // and its handshake is done
	swallow bool // the next reply is the greeting of a session after STARTTLS
	ending  bool // nothing more is read

	verb     string // the command that go-smtp is answering
	path     string // of MAIL or RCPT, see parsePath
	declared int64  // SIZE= of MAIL
	scan     dataScan
	boxes    int    // recipients of the message so far
	leave    func() // gives the message's place back to srv.cfg.Admission; nil: it has none
	body     int64  // octets of the message so far, on the wire; counted in srv.flight
	window   int64  // octets since the budget was refilled
	failure  error  // what cut the message off

	failed  int // logins
	junk    int // commands that led to nothing, since the last message
	refused int // 5xx replies since then

	mu       sync.Mutex
	waiting  bool // blocked between two commands
	draining bool
	cut      bool
	closed   bool
}

func newConn(s *Server, nc net.Conn, h *handoff, key netip.Prefix, implicitTLS bool) *conn {
	c := &conn{srv: s, raw: nc, top: nc, hand: h, key: key, client: key.String(), guard: newGuard(s.cfg.Clock, nc), in: make([]byte, inSize)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.budget = s.cfg.CommandTimeout
	if s.logins != nil {
		c.loginBy = s.cfg.Clock.Now().Add(s.cfg.LoginTimeout)
	}
	if implicitTLS {
		c.top, c.secured = tls.Server(nc, s.cfg.TLS), true
	} else {
		c.shaken = true
	}
	return c
}

// read yields what go-smtp may see: at most one command line, or message
// octets up to the end of the message.
func (c *conn) read(v *view, p []byte) (int, error) {
	for {
		switch {
		case len(c.pending) > 0:
			n := copy(p, c.pending)
			c.pending = c.pending[n:]
			return n, nil
		case c.ending:
			return 0, io.EOF
		case c.phase == phaseData:
			return c.readData(p)
		}
		line, err := c.line()
		switch {
		case errors.Is(err, errDraining):
			c.end(closingDown())
			return 0, io.EOF
		case err != nil:
			return 0, err
		case line == nil:
			continue // answered, or the last one
		case c.phase == phaseSASL:
			c.pending = append(line, "\r\n"...)
			continue
		}
		if isSTARTTLS(line) {
			if c.startTLS(line) {
				if c.hand.push(&view{conn: c}) {
					v.dead = true // and c is another goroutine's now
					return 0, io.EOF
				}
				c.ending = true
			}
			continue
		}
		if pass := c.command(string(line)); pass != "" {
			c.pending = append([]byte(pass), "\r\n"...)
		}
	}
}

// line returns the next command line without its CRLF, nil if it was refused.
func (c *conn) line() ([]byte, error) {
	for {
		if c.isDraining() {
			return nil, errDraining
		}
		unread := c.in[c.r:c.w]
		if i := bytes.IndexByte(unread, '\n'); i >= 0 {
			c.r += i + 1
			c.budget = c.srv.cfg.CommandTimeout
			line := bytes.TrimSuffix(unread[:i], []byte{'\r'})
			if len(line) == i || bytes.IndexByte(line, '\r') >= 0 {
				c.end(bareLineEnd())
				return nil, nil
			}
			if i >= maxCommandLine {
				return nil, c.tooLong()
			}
			return bytes.Clone(line), nil
		}
		if len(unread) >= maxCommandLine {
			return nil, c.tooLong()
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

func (c *conn) tooLong() error {
	c.end(answer{500, [3]int{5, 5, 2}, "riga troppo lunga, chiudo / line too long, closing"})
	return nil
}

// readData is read inside a message.
func (c *conn) readData(p []byte) (int, error) {
	var small [2]byte
	dst := p
	if len(p) < len(small) {
		dst = small[:]
	}
	for {
		n, used, end := c.scan.feed(dst, c.in[c.r:c.w])
		c.r += used
		c.body += int64(n)
		c.srv.flight.octets.Add(int64(n))
		if end {
			c.phase = phaseCommand
			c.budget = c.srv.cfg.CommandTimeout
		}
		if n > 0 {
			// Dot-stuffing adds a third at most: twice the limit is no message.
			if c.body > 2*c.srv.cfg.MaxMessage+inSize {
				c.failure = errFlood
				return 0, errFlood
			}
			m := copy(p, dst[:n])
			if len(dst) == len(small) {
				c.pending = bytes.Clone(dst[m:n])
			}
			return m, nil
		}
		if err := c.fill(); err != nil {
			c.failure = err
			return 0, err
		}
	}
}

// beginData is called when the library asked for the message.
func (c *conn) beginData() {
	c.phase, c.scan, c.window, c.failure = phaseData, dataScan{}, 0, nil
	c.budget = c.srv.cfg.DataTimeout
}

// endData is called when the message was answered for, or is lost.
func (c *conn) endData() {
	c.srv.flight.octets.Add(-c.body)
	c.body = 0
	if c.leave != nil {
		c.leave()
		c.leave = nil
	}
}

// patience is d, or less where the time to log in ends sooner.
func (c *conn) patience(d time.Duration) time.Duration {
	if c.loginBy.IsZero() {
		return d
	}
	return min(d, c.loginBy.Sub(c.srv.cfg.Clock.Now()))
}

// fill sends what is to be sent and reads from the client once.
func (c *conn) fill() error {
	if err := c.handshake(); err != nil {
		return err
	}
	if err := c.flush(); err != nil {
		return err
	}
	copy(c.in, c.in[c.r:c.w])
	c.r, c.w = 0, c.w-c.r
	if !c.wait(true) {
		return errDraining
	}
	n, took, err := c.guard.read(c.top, c.in[c.w:], c.patience(c.budget))
	if !c.wait(false) {
		return errDraining
	}
	c.w += n
	c.budget -= took
	if c.phase == phaseData {
		if c.window += int64(n); c.window >= int64(c.srv.cfg.DataTimeout.Seconds()*minRate) {
			c.window, c.budget = 0, c.srv.cfg.DataTimeout
		}
	}
	if n > 0 {
		return nil
	}
	if err != nil && timedOut(err) {
		return os.ErrDeadlineExceeded
	}
	return err
}

// wait marks the connection as blocked between commands, or not. It reports
// false when the server drains and this connection is not inside a message.
func (c *conn) wait(on bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == phaseData {
		return !c.cut
	}
	c.waiting = on
	return !c.draining
}

func (c *conn) handshake() error {
	if c.shaken {
		return nil
	}
	ctx, done := within(c.srv.stopping, c.srv.cfg.Clock, c.patience(c.srv.cfg.CommandTimeout))
	defer done()
	if err := c.top.(*tls.Conn).HandshakeContext(ctx); err != nil {
		c.srv.cfg.Logger.Info("smtp: TLS handshake failed", "remote", c.remote(), "err", err)
		c.ending = true
		c.out = nil
		return io.EOF
	}
	c.shaken = true
	return nil
}

func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	d := c.srv.cfg.CommandTimeout
	err := c.guard.write(c.top, c.out, max(c.patience(d), min(d, lastWord)))
	c.out = c.out[:0]
	return err
}

// drain ends the connection unless it is inside a message.
func (c *conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	if c.waiting {
		c.guard.interrupt()
	}
}

// cutOff ends it wherever it is.
func (c *conn) cutOff() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining, c.cut = true, true
	c.cancel()
	c.guard.interrupt()
	c.guard.abortWrite()
}

func (c *conn) isDraining() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.draining
}

// close sends the last reply and closes the socket.
func (c *conn) close() {
	c.mu.Lock()
	again := c.closed
	c.closed = true
	c.mu.Unlock()
	if again {
		return
	}
	defer func() {
		c.raw.Close()
		c.guard.stop()
		c.cancel()
		c.endData()
		c.srv.forget(c)
	}()
	if c.shaken {
		_ = c.flush()
		c.top.Close()
	}
}

func (c *conn) remote() string { return c.raw.RemoteAddr().String() }

// tlsName is how trace lines name the cipher, "" for cleartext.
func (c *conn) tlsName() string {
	t, ok := c.top.(*tls.Conn)
	if !ok {
		return ""
	}
	s := t.ConnectionState()
	return fmt.Sprintf("%s %s", compactVersion(s.Version), tls.CipherSuiteName(s.CipherSuite))
}

func compactVersion(v uint16) string {
	name := []byte(tls.VersionName(v)) // "TLS 1.3"
	return "TLSv" + string(bytes.TrimPrefix(name, []byte("TLS ")))
}

// LocalAddr implements net.Conn.
func (c *conn) LocalAddr() net.Addr { return c.raw.LocalAddr() }

// RemoteAddr implements net.Conn.
func (c *conn) RemoteAddr() net.Addr { return c.raw.RemoteAddr() }

// SetDeadline implements net.Conn: the filter has its own deadlines.
func (c *conn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }
