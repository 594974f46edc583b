// SPDX-License-Identifier: EUPL-1.2

package scan

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"pecd/clock"
)

const chunkSize = 64 << 10

var errIdle = errors.New("clamd does not take the message: nothing moved for too long")

// session is one connection to clamd, for one command. A goroutine watches over
// its time, another one reads the answer while the message is being sent: clamd
// answers early when the message is too long, and then closes the connection.
type session struct {
	nc   net.Conn
	clk  clock.Clock
	idle time.Duration

	moved   atomic.Int64 // instant of the last step, nanoseconds
	waiting atomic.Bool  // for the verdict, which has the time of the whole
	ended   atomic.Bool  // the end of the message is being sent
	over    atomic.Bool  // the answer is in: nothing more is to be sent
	source  error        // of the message's reader

	mu    sync.Mutex
	cause error // why the watch ended the connection

	quit chan struct{}
	done chan struct{}
}

// newSession takes over nc, until close or the end of ctx.
func newSession(ctx context.Context, clk clock.Clock, nc net.Conn, idle time.Duration) *session {
	s := &session{nc: nc, clk: clk, idle: idle, quit: make(chan struct{}), done: make(chan struct{})}
	s.step()
	go s.watch(ctx)
	return s
}

// close ends the watch, waits for it and closes the connection.
func (s *session) close() {
	close(s.quit)
	<-s.done
	_ = s.nc.Close()
}

// step notes that something moves.
func (s *session) step() { s.moved.Store(s.clk.Now().UnixNano()) }

// left is how long the present step may still take.
func (s *session) left() time.Duration {
	return s.idle - time.Duration(s.clk.Now().UnixNano()-s.moved.Load())
}

// watch ends blocked reads and writes when ctx ends or a step takes too long.
func (s *session) watch(ctx context.Context) {
	defer close(s.done)
	for {
		var fire <-chan time.Time
		release := func() {}
		if !s.waiting.Load() {
			fire, release = s.clk.After(s.left())
		}
		select {
		case <-fire:
			if s.left() > 0 || s.waiting.Load() {
				continue
			}
			s.abort(errIdle)
		case <-ctx.Done():
			s.abort(context.Cause(ctx))
		case <-s.quit:
		}
		release()
		return
	}
}

// abort ends blocked reads and writes, and every later one.
func (s *session) abort(cause error) {
	s.mu.Lock()
	s.cause = cause
	s.mu.Unlock()
	_ = s.nc.SetDeadline(past())
}

// why returns the reason for which the watch ended the connection, else err.
func (s *session) why(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		return s.cause
	}
	return err
}

func (s *session) write(p []byte) error {
	s.step()
	_, err := s.nc.Write(p)
	s.step()
	return err
}

// instream sends the message after an INSTREAM command and returns the verdict.
func (s *session) instream(r io.Reader) (Finding, error) {
	type answer struct {
		text  string
		err   error
		early bool
	}
	answers := make(chan answer, 1)
	go func() {
		var a answer
		a.text, a.err = readReply(s.nc)
		if a.early = !s.ended.Load(); a.early {
			s.over.Store(true)
			_ = s.nc.SetWriteDeadline(past())
		}
		answers <- a
	}()
	sendErr := s.send(r)
	if s.source != nil {
		s.abort(s.source)
	}
	a := <-answers
	switch {
	case s.source != nil:
		return Finding{}, s.source
	case s.why(a.err) != nil:
		return Finding{}, s.why(a.err)
	}
	f, err := parseReply(a.text)
	if err == nil && (a.early || sendErr != nil) {
		err = fmt.Errorf("%w: %q", errEarly, printable(a.text))
	}
	return f, err
}

// reply returns the answer to a short command.
func (s *session) reply() (string, error) {
	text, err := readReply(s.nc)
	return text, s.why(err)
}

// send sends the message in chunks: four octets of length, most significant
// first, and the octets; a length of zero ends it. A failure of r is kept in
// s.source.
func (s *session) send(r io.Reader) error {
	buf := make([]byte, 4+chunkSize)
	for {
		n, err := fill(r, buf[4:])
		if err != nil && err != io.EOF {
			s.source = err
			return err
		}
		if n > 0 {
			if s.over.Load() {
				return errEarly
			}
			binary.BigEndian.PutUint32(buf, uint32(n))
			if err := s.write(buf[:4+n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			s.ended.Store(true)
			werr := s.write([]byte{0, 0, 0, 0})
			s.waiting.Store(true)
			return werr
		}
	}
}

// fill reads until p is full or r fails. It is not io.ReadFull, whose error
// hides whether the message ended or was cut.
func fill(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = r.Read(p[n:])
		n += k
	}
	return n, err
}

// past is a deadline that is over, whatever the time.
func past() time.Time { return time.Unix(1, 0) }

// within returns a context that ends d after now on clk, with
// os.ErrDeadlineExceeded as its cause. The caller calls the returned function,
// which waits for the timer's goroutine.
func within(ctx context.Context, clk clock.Clock, d time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	fire, release := clk.After(d)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-fire:
			cancel(fmt.Errorf("no answer within %v: %w", d, os.ErrDeadlineExceeded))
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(context.Canceled)
		release()
		<-done
	}
}
