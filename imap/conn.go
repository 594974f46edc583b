// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"pecd/connections"
	"pecd/directory"
	"pecd/storage"
)

const (
	// outBuffer is how much output is gathered before it is written at the
	// latest: the library writes every line by itself.
	outBuffer = 32 << 10
	inBuffer  = 1 << 10 // an idle connection keeps it; larger reads pass it by

	// Literals may last this long in all: a fixed part and the time their
	// octets take at slowest.
	literalBase = 10 * time.Minute
	slowest     = 4 << 10 // octets a second
)

// libraryBug is what the library answers to an error it did not expect. The
// session returns none of these while the connection stands, so it is what the
// library could not parse: a date, the encoding of a folder's name.
const libraryBug = " NO [SERVERBUG] Internal server error\r\n"

var errClosing = errors.New("imap: connection is closing")

// conn is the filter between the socket and the library. The library sees a
// net.Conn that yields one piece of one command at a time (commands.go) and
// takes output; it is told of TLS and of time limits by nobody, both are kept
// here.
//
// Read, Write and everything about commands belong to the connection's
// goroutine. Output may also come from the goroutine of IDLE, so it has its own
// lock.
type conn struct {
	srv         *Server
	ctx         context.Context // of the connection, for work on its behalf
	socket      *gather         // above raw, under TLS; nil before the handshake
	net         net.Conn        // raw, or TLS above it
	implicitTLS bool
	remote      netip.Addr
	network     netip.Prefix // what MaxConnsPerIP counts
	in          *bufio.Reader
	inflating   bool // in decompresses
	session     *session

	reader // commands.go

	connections.Deadlines
	loginBy int64
	waiting atomic.Bool // for the first octet of a command
	shaking atomic.Bool // in the TLS handshake
	closed  sync.Once

	wmu       sync.Mutex
	out       *[]byte // from the pool while something is held
	dead      bool    // nothing goes out any more
	deflating bool    // output is compressed
	skip      bool    // the next write is the library's greeting and is dropped
}

func newConn(ctx context.Context, srv *Server, raw net.Conn, implicitTLS bool) *conn {
	c := &conn{srv: srv, net: raw, implicitTLS: implicitTLS}
	c.Raw = raw
	c.ctx, c.Cancel = context.WithCancel(storage.Interactive(ctx))
	if ap, err := netip.ParseAddrPort(raw.RemoteAddr().String()); err == nil {
		c.remote = ap.Addr().Unmap()
	}
	c.network = directory.ClientNetwork(raw.RemoteAddr())
	c.in = bufio.NewReaderSize(beforeRead{c}, inBuffer)
	c.loginBy = c.after(srv.timing.login)
	c.ReadBy.Store(c.loginBy)
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

// secure runs the TLS handshake.
func (c *conn) secure() error {
	c.socket = &gather{Conn: c.Raw}
	t := tls.Server(c.socket, c.srv.cfg.TLS)
	c.shaking.Store(true)
	defer c.shaking.Store(false)
	if c.srv.conns.Closing() {
		return errClosing
	}
	if err := t.HandshakeContext(c.ctx); err != nil {
		return err
	}
	c.net = t
	return nil
}

// Write takes output of the library.
func (c *conn) Write(p []byte) (int, error) {
	if c.skip {
		c.skip = false
		return len(p), nil
	}
	if c.accepts(p) || c.libraryEnabled(p) {
		return len(p), nil
	}
	if c.now.tag != "" && string(p) == c.now.tag+libraryBug {
		return len(p), c.put([]byte(c.now.tag + " BAD sintassi non valida / invalid syntax\r\n"))
	}
	return len(p), c.put(c.withCapabilities(p))
}

// put appends output. It is written out when enough is there or when the
// connection waits for the client.
func (c *conn) put(p []byte) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	for len(p) > 0 {
		if c.dead {
			return net.ErrClosed
		}
		if c.out == nil {
			c.out = c.srv.buffers.Get().(*[]byte)
		}
		n := min(cap(*c.out)-len(*c.out), len(p))
		*c.out = append(*c.out, p[:n]...)
		p = p[n:]
		if len(*c.out) == cap(*c.out) {
			if err := c.flushLocked(); err != nil {
				return err
			}
		}
	}
	return nil
}

// errOutput marks a failure of the connection, as opposed to one of what is read.
var errOutput = errors.New("imap: output failed")

// copyRange puts [off, off+n) of r, reading straight into the output buffer. An
// error is errOutput or that of r.
func (c *conn) copyRange(r io.ReaderAt, off, n int64) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if n >= largeLiteral && c.socket != nil && !c.deflating {
		select {
		case l := <-c.srv.large:
			defer func() { c.srv.large <- l }()
			return c.copyLarge(l, r, off, n)
		default: // all in use: in small pieces
		}
	}
	for n > 0 {
		if c.dead {
			return errOutput
		}
		if c.out == nil {
			c.out = c.srv.buffers.Get().(*[]byte)
		}
		b := *c.out
		free := b[len(b):cap(b)]
		if int64(len(free)) > n {
			free = free[:n]
		}
		got, err := r.ReadAt(free, off)
		*c.out = b[:len(b)+got]
		off, n = off+int64(got), n-int64(got)
		if got < len(free) {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if len(*c.out) == cap(*c.out) {
			if c.flushLocked() != nil {
				return errOutput
			}
		}
	}
	return nil
}

// copyLarge is copyRange in large pieces.
func (c *conn) copyLarge(l *large, r io.ReaderAt, off, n int64) error {
	if l.plain == nil {
		l.plain, l.records = make([]byte, largeBuffer), make([]byte, 0, recordRoom)
	}
	if c.flushLocked() != nil {
		return errOutput
	}
	for n > 0 {
		if c.dead {
			return errOutput
		}
		piece := l.plain[:min(n, largeBuffer)]
		if got, err := r.ReadAt(piece, off); got < len(piece) {
			return unexpected(err)
		}
		off, n = off+int64(len(piece)), n-int64(len(piece))
		c.WriteBy.Store(c.after(c.srv.timing.progress))
		c.socket.hold(l.records)
		_, err := c.net.Write(piece)
		err = errors.Join(err, c.socket.release())
		c.WriteBy.Store(0)
		if err != nil {
			c.dead = true
			return errOutput
		}
	}
	return nil
}

func (c *conn) flush() error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	return c.flushLocked()
}

func (c *conn) flushLocked() error {
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
		return net.ErrClosed
	}
	c.WriteBy.Store(c.after(c.srv.timing.progress))
	var err error
	if c.deflating {
		err = c.deflate(*b)
	} else {
		_, err = c.net.Write(*b)
	}
	c.WriteBy.Store(0)
	if err != nil {
		c.dead = true
	}
	return err
}

// bye says BYE with a text (ASCII) and ends the connection.
func (c *conn) bye(text string) {
	_ = c.put([]byte("* BYE " + text + "\r\n"))
	_ = c.flush()
	c.stop()
}

// stop ends the connection: nothing is read or written from here on.
func (c *conn) stop() {
	c.wmu.Lock()
	c.dead = true
	c.wmu.Unlock()
	c.stage = ended
}

// Close implements net.Conn. The library calls it last.
func (c *conn) Close() error {
	var err error
	c.closed.Do(func() {
		_ = c.flush()
		c.stop()
		c.Cancel()
		err = c.net.Close()
		c.srv.conns.Leave(c)
	})
	return err
}

// Hint implements connections.Conn. It tells the connection that the server is closing: it says BYE as soon as
// it waits for a command. A handshake, which may never come, is not waited for.
// Called with the set closing.
func (c *conn) Hint() {
	if c.waiting.Load() || c.shaking.Load() {
		c.Wake()
	}
}

// LocalAddr and RemoteAddr implement net.Conn.
func (c *conn) LocalAddr() net.Addr { return c.Raw.LocalAddr() }

// RemoteAddr implements net.Conn.
func (c *conn) RemoteAddr() net.Addr { return c.Raw.RemoteAddr() }

// The library's deadlines are fixed (30 s for a command, five minutes for a
// literal of any size); the filter keeps rolling ones instead.

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }
