// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"net"
	"sync"
)

// boundedListener bounds the connections of an HTTP listener, in all and of one
// address: the SMTP and IMAP servers do so themselves. One too many is closed
// at once.
type boundedListener struct {
	net.Listener
	all, each int

	mu    sync.Mutex
	count int
	of    map[string]int
}

func newBoundedListener(l net.Listener, all, each int) *boundedListener {
	return &boundedListener{Listener: l, all: all, each: each, of: make(map[string]int)}
}

// Accept implements net.Listener.
func (b *boundedListener) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		host, _, err := net.SplitHostPort(c.RemoteAddr().String())
		if err != nil {
			host = "" // a Unix socket
		}
		if b.enter(host) {
			return &boundedConn{Conn: c, leave: sync.OnceFunc(func() { b.leave(host) })}, nil
		}
		c.Close()
	}
}

func (b *boundedListener) enter(host string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.count >= b.all || b.of[host] >= b.each {
		return false
	}
	b.count++
	b.of[host]++
	return true
}

func (b *boundedListener) leave(host string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count--
	if b.of[host]--; b.of[host] == 0 {
		delete(b.of, host)
	}
}

// boundedConn tells its listener when it is closed.
type boundedConn struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (c *boundedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
