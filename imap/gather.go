// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"net"
	"sync"
)

const (
	// largeLiteral is from how many octets on a literal is read and written in
	// pieces of largeBuffer, as long as one of the largeBuffers is free.
	largeLiteral = 128 << 10
	largeBuffer  = 256 << 10
	largeBuffers = 16
	// recordRoom is what the records of largeBuffer octets take: TLS adds at most
	// 22 to each 16 KiB, more while its records are still small.
	recordRoom = largeBuffer + 8<<10
)

// large is what one transfer of large literals needs.
type large struct {
	plain   []byte
	records []byte
}

// gather is a socket under TLS. While it holds, records are put together, so that
// a large piece is one write and not one for every 16 KiB.
type gather struct {
	net.Conn
	mu   sync.Mutex
	held []byte // nil: not holding
}

// Write implements net.Conn. TLS calls it once for each record.
func (g *gather) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held == nil {
		return g.Conn.Write(p)
	}
	if len(g.held)+len(p) > cap(g.held) {
		if err := g.put(); err != nil {
			return 0, err
		}
	}
	if len(p) > cap(g.held) {
		return g.Conn.Write(p)
	}
	g.held = append(g.held, p...)
	return len(p), nil
}

// put writes what is held.
func (g *gather) put() error {
	_, err := g.Conn.Write(g.held)
	g.held = g.held[:0]
	return err
}

// hold puts records together in room until release.
func (g *gather) hold(room []byte) {
	g.mu.Lock()
	g.held = room[:0]
	g.mu.Unlock()
}

// release writes what is held; from here on nothing is.
func (g *gather) release() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	err := g.put()
	g.held = nil
	return err
}
