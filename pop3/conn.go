// SPDX-License-Identifier: EUPL-1.2

package pop3

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"pecd/connections"
	"pecd/directory"
	"pecd/storage"
)

const (
	// bufferSize is how much output is gathered before it is written at the
	// latest, and how much of a message is read at a time.
	bufferSize = 32 << 10
	inBuffer   = 4 << 10

	// maxCommand is how long a line may be; RFC 2449 §4 has 255 octets. Before a
	// login it may be longer: tokens of SASL are (RFC 5034 §4: 12,288).
	maxCommand = 1 << 10
	maxToken   = 16 << 10
)

var (
	errClosing = errors.New("pop3: connection is closing")
	errTooLong = errors.New("pop3: line too long")
	// errOutput marks a failure of the connection, as opposed to one of what is read.
	errOutput = errors.New("pop3: output failed")
)

// conn is one client's connection. Everything belongs to its goroutine but what
// the reaper looks at, which is atomic.
type conn struct {
	srv     *Server
	net     net.Conn // raw, or TLS above it
	in      *bufio.Reader
	out     *[]byte // nil: nothing is held back
	dead    bool    // nothing is read or written any more
	ctx     context.Context
	remote  netip.Addr
	network netip.Prefix

	connections.Deadlines
	loginBy int64       // end of the time for a login; 0 after one
	waiting atomic.Bool // for a command, or for a handshake: nothing is under way
}

func newConn(ctx context.Context, srv *Server, raw net.Conn) *conn {
	c := &conn{srv: srv, net: raw, network: directory.ClientNetwork(raw.RemoteAddr())}
	c.Raw = raw
	c.ctx, c.Cancel = context.WithCancel(storage.Interactive(ctx))
	if ap, err := netip.ParseAddrPort(raw.RemoteAddr().String()); err == nil {
		c.remote = ap.Addr().Unmap()
	}
	c.in = bufio.NewReaderSize(beforeRead{c}, inBuffer)
	c.loginBy = c.after(srv.timing.login)
	return c
}

// after is the instant d from now as the deadlines count.
func (c *conn) after(d time.Duration) int64 { return c.srv.cfg.Clock.Now().Add(d).UnixNano() }

// beforeRead reads from the socket, and flushes first: that is the moment at
// which the client may be waiting for what is held back.
type beforeRead struct{ c *conn }

func (r beforeRead) Read(p []byte) (int, error) {
	if err := r.c.flush(); err != nil {
		return 0, err
	}
	return r.c.net.Read(p)
}

// secure runs the TLS handshake. Nothing that came before it is kept.
func (c *conn) secure() error {
	if err := c.flush(); err != nil {
		return err
	}
	if c.in.Buffered() > 0 {
		return errors.New("pop3: octets before the TLS handshake")
	}
	t := tls.Server(c.Raw, c.srv.cfg.TLS)
	c.ReadBy.Store(c.loginBy)
	c.waiting.Store(true)
	defer c.waiting.Store(false)
	if c.srv.conns.Closing() {
		return errClosing
	}
	if err := t.HandshakeContext(c.ctx); err != nil {
		return err
	}
	c.net = t
	return nil
}

func (c *conn) isSecure() bool { return c.net != c.Raw }

// command waits for the next line and returns it without its end. It is valid
// until the next call.
func (c *conn) command() ([]byte, error) {
	if !c.lineBuffered() { // the client's time begins when it has its answers
		if err := c.flush(); err != nil {
			return nil, err
		}
	}
	by := c.after(c.srv.timing.idle)
	limit := maxCommand
	if c.loginBy != 0 {
		by, limit = min(by, c.loginBy), maxToken
	}
	c.ReadBy.Store(by)
	defer c.ReadBy.Store(0)
	c.waiting.Store(true)
	defer c.waiting.Store(false)
	if c.dead || c.srv.conns.Closing() {
		return nil, errClosing
	}
	if _, err := c.in.Peek(1); err != nil {
		return nil, err
	}
	c.ReadBy.Store(min(by, c.after(c.srv.timing.line)))
	var long []byte
	for {
		piece, err := c.in.ReadSlice('\n')
		if len(long)+len(piece) > limit {
			return nil, errTooLong
		}
		switch {
		case err == nil && long == nil:
			return withoutEnd(piece), nil
		case err == nil:
			return withoutEnd(append(long, piece...)), nil
		case errors.Is(err, bufio.ErrBufferFull):
			long = append(long, piece...)
		default:
			return nil, err
		}
	}
}

// lineBuffered tells whether a whole line has come in already.
func (c *conn) lineBuffered() bool {
	b, _ := c.in.Peek(c.in.Buffered())
	return bytes.IndexByte(b, '\n') >= 0
}

func withoutEnd(line []byte) []byte {
	line = line[:len(line)-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line
}

// put appends output. It is written out when enough is there or when the
// connection waits for the client.
func (c *conn) put(p []byte) error {
	for len(p) > 0 {
		if c.dead {
			return errOutput
		}
		if c.out == nil {
			c.out = c.srv.buffers.Get().(*[]byte)
		}
		n := min(cap(*c.out)-len(*c.out), len(p))
		*c.out = append(*c.out, p[:n]...)
		p = p[n:]
		if len(*c.out) == cap(*c.out) {
			if err := c.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *conn) text(s string) error { return c.put([]byte(s)) }

func (c *conn) flush() error {
	if c.out == nil {
		return nil
	}
	b := c.out
	c.out = nil
	defer func() {
		*b = (*b)[:0]
		c.srv.buffers.Put(b)
	}()
	if c.dead {
		return errOutput
	}
	c.WriteBy.Store(c.after(c.srv.timing.progress))
	_, err := c.net.Write(*b)
	c.WriteBy.Store(0)
	if err != nil {
		c.dead = true
		return errOutput
	}
	return nil
}

// close writes out what is held back and ends the connection.
func (c *conn) close() {
	_ = c.flush()
	c.dead = true
	c.Cancel()
	_ = c.net.Close()
}

// Hint implements connections.Conn. It tells the connection that the server is closing: it ends as soon as it
// waits for a command. Called with the set closing.
func (c *conn) Hint() {
	if c.waiting.Load() {
		c.Wake()
	}
}
