// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"pecd/clock"
)

// guard bounds how long one connection may keep its goroutine waiting. The
// instants come from the injected clock, so a socket deadline proper cannot be
// used: a watcher wakes the blocked call instead. One call at a time.
type guard struct {
	clk clock.Clock
	nc  net.Conn

	mu      sync.Mutex
	op      guardOp
	at      time.Time // when op is over its time
	asleep  time.Time // until when the watcher sleeps; zero: until it is woken
	expired bool

	wake chan struct{}
	quit chan struct{}
	done chan struct{}
	once sync.Once
}

type guardOp uint8

const (
	guardIdle guardOp = iota
	guardRead
	guardWrite
)

// newGuard starts the watcher of nc; stop ends it.
func newGuard(clk clock.Clock, nc net.Conn) *guard {
	g := &guard{clk: clk, nc: nc, wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})}
	go g.watch()
	return g
}

// past is a deadline that is over, whatever the time.
func past() time.Time { return time.Unix(1, 0) }

// read calls r.Read and gives it at most d. It returns how long the call took.
func (g *guard) read(r io.Reader, p []byte, d time.Duration) (n int, took time.Duration, err error) {
	start, err := g.arm(guardRead, d)
	if err != nil {
		return 0, 0, err
	}
	n, err = r.Read(p)
	return n, g.disarm().Sub(start), err
}

// write calls w.Write and gives it at most d.
func (g *guard) write(w io.Writer, p []byte, d time.Duration) error {
	if _, err := g.arm(guardWrite, d); err != nil {
		return err
	}
	_, err := w.Write(p)
	g.disarm()
	return err
}

func (g *guard) arm(op guardOp, d time.Duration) (time.Time, error) {
	now := g.clk.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if d <= 0 || g.expired {
		return now, os.ErrDeadlineExceeded
	}
	g.op, g.at = op, now.Add(d)
	if g.asleep.IsZero() || g.at.Before(g.asleep) {
		select {
		case g.wake <- struct{}{}:
		default:
		}
	}
	return now, nil
}

func (g *guard) disarm() time.Time {
	g.mu.Lock()
	g.op = guardIdle
	g.mu.Unlock()
	return g.clk.Now()
}

// watch sleeps until the armed call is over its time. A connection at work
// moves the instant on with every call; the watcher only looks when it wakes.
func (g *guard) watch() {
	defer close(g.done)
	for {
		fire, release := g.next()
		select {
		case <-fire:
		case <-g.wake:
		case <-g.quit:
			release()
			return
		}
		release()
	}
}

func (g *guard) next() (fire <-chan time.Time, release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asleep = time.Time{}
	if g.op == guardIdle || g.expired {
		return nil, func() {}
	}
	left := g.at.Sub(g.clk.Now())
	if left > 0 {
		g.asleep = g.at
		return g.clk.After(left)
	}
	// A connection that was too slow once is not used again, except to say so.
	if g.op == guardRead {
		_ = g.nc.SetReadDeadline(past())
	} else {
		g.expired = true
		_ = g.nc.SetDeadline(past())
	}
	g.op = guardIdle
	return nil, func() {}
}

// interrupt ends a blocked read and every later one.
func (g *guard) interrupt() { _ = g.nc.SetReadDeadline(past()) }

// abort ends blocked reads and writes and every later one.
func (g *guard) abort() {
	g.mu.Lock()
	g.expired = true
	g.mu.Unlock()
	_ = g.nc.SetDeadline(past())
}

// abortWrite ends a write that is blocked now.
func (g *guard) abortWrite() {
	g.mu.Lock()
	blocked := g.op == guardWrite
	g.mu.Unlock()
	if blocked {
		g.abort()
	}
}

// stop ends the watcher and waits for it.
func (g *guard) stop() {
	g.once.Do(func() { close(g.quit) })
	<-g.done
}

// within returns a context that ends d after now on clk. The caller calls the
// returned function, which waits for the timer's goroutine.
func within(ctx context.Context, clk clock.Clock, d time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	fire, release := clk.After(d)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-fire:
			cancel(os.ErrDeadlineExceeded)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(context.Canceled)
		release()
		<-done
	}
}

// timedOut reports whether err says that the peer was silent for too long.
func timedOut(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}
