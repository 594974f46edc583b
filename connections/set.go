// SPDX-License-Identifier: EUPL-1.2

// Package connections keeps the open connections of a server: bounded in all and
// for each client, held to their deadlines, and ended in order when the server
// stops.
package connections

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"pecd/clock"
	"pecd/fault"
)

// Conn is a connection as a Set sees it. Its methods are called with the set
// locked, and must neither wait nor call it.
type Conn interface {
	comparable
	// Hint tells that the server is closing: the connection ends as soon as
	// nothing is under way on it.
	Hint()
	// Cut ends the connection from outside, without ceremony.
	Cut()
	// Overdue ends it if one of its deadlines lies before now, in nanoseconds of
	// the server's clock.
	Overdue(now int64)
}

// Set holds the connections and the listeners of one server. Its methods may be
// called concurrently.
type Set[C Conn] struct {
	clk         clock.Clock
	max, perNet int

	closing  atomic.Bool
	stopping chan struct{} // closed when closing is set
	ended    chan struct{} // closed when Shutdown is done with waiting

	mu        sync.Mutex
	started   bool // the reaper runs
	listeners map[net.Listener]struct{}
	conns     map[C]netip.Prefix
	perClient map[netip.Prefix]int
	running   sync.WaitGroup // connections
	reaper    sync.WaitGroup
}

// NewSet returns an empty set that takes max connections in all, and perNet of
// one client network; 0 for no bound.
func NewSet[C Conn](clk clock.Clock, max, perNet int) *Set[C] {
	return &Set[C]{
		clk: clk, max: max, perNet: perNet,
		stopping:  make(chan struct{}),
		ended:     make(chan struct{}),
		listeners: make(map[net.Listener]struct{}),
		conns:     make(map[C]netip.Prefix),
		perClient: make(map[netip.Prefix]int),
	}
}

// Closing tells whether Shutdown was called.
func (s *Set[C]) Closing() bool { return s.closing.Load() }

// Stopping is closed when Shutdown is called.
func (s *Set[C]) Stopping() <-chan struct{} { return s.stopping }

// Open takes a listener in, to be closed by Shutdown; false, and it is closed,
// after that. From the first one on deadlines are looked at every tick.
func (s *Set[C]) Open(l net.Listener, tick time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() {
		l.Close()
		return false
	}
	s.listeners[l] = struct{}{}
	if !s.started {
		s.started = true
		s.reaper.Add(1)
		go s.reap(tick)
	}
	return true
}

// Release closes a listener and forgets it.
func (s *Set[C]) Release(l net.Listener) {
	l.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

// Admit counts a connection in, unless a bound is reached or the server closes.
func (s *Set[C]) Admit(c C, client netip.Prefix) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Load() ||
		s.max > 0 && len(s.conns) >= s.max ||
		s.perNet > 0 && s.perClient[client] >= s.perNet {
		return false
	}
	s.conns[c] = client
	s.perClient[client]++
	s.running.Add(1)
	return true
}

// Leave counts a connection out that was counted in.
func (s *Set[C]) Leave(c C) {
	s.mu.Lock()
	client := s.conns[c]
	delete(s.conns, c)
	if s.perClient[client]--; s.perClient[client] <= 0 {
		delete(s.perClient, client)
	}
	s.mu.Unlock()
	s.running.Done()
}

// Each calls fn for every connection, with the set locked.
func (s *Set[C]) Each(fn func(C)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		fn(c)
	}
}

// Len is the number of connections.
func (s *Set[C]) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Shutdown closes the listeners, gives every connection a hint and waits until
// all have left. When ctx ends first, the connections left are cut and the error
// is of kind Temporary.
func (s *Set[C]) Shutdown(ctx context.Context) error {
	const op = "connections.Shutdown"
	s.mu.Lock()
	again := s.closing.Swap(true)
	if !again {
		close(s.stopping)
	}
	for l := range s.listeners {
		l.Close()
	}
	for c := range s.conns {
		c.Hint()
	}
	s.mu.Unlock()
	if again {
		select {
		case <-s.ended:
			return nil
		case <-ctx.Done():
			return fault.New(op, fault.Temporary, ctx.Err())
		}
	}
	cut := context.AfterFunc(ctx, func() { s.Each(C.Cut) })
	s.running.Wait()
	close(s.ended)
	s.reaper.Wait()
	if !cut() {
		return fault.New(op, fault.Temporary, ctx.Err())
	}
	return nil
}

// reap enforces the deadlines of all connections. One goroutine with the
// server's clock replaces a timer for each connection.
func (s *Set[C]) reap(tick time.Duration) {
	defer s.reaper.Done()
	for {
		next, stop := s.clk.After(tick)
		select {
		case <-s.ended:
			stop()
			return
		case <-next:
		}
		now := s.clk.Now().UnixNano()
		s.Each(func(c C) { c.Overdue(now) })
	}
}
