// SPDX-License-Identifier: EUPL-1.2

package scan_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// fakeClamd listens like clamd and does to each connection what script says.
type fakeClamd struct {
	addr string
}

// peerConn is the side of a connection that plays clamd.
type peerConn struct {
	net.Conn
	t testing.TB
}

// newFake starts a clamd that runs script for every connection and closes it
// afterwards. It ends with the test.
func newFake(t testing.TB, script func(c peerConn)) fakeClamd {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[nc] = true
			mu.Unlock()
			wg.Go(func() {
				script(peerConn{nc, t})
				_ = nc.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for nc := range open {
			_ = nc.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return fakeClamd{addr: "tcp:" + l.Addr().String()}
}

// command reads the command and returns it without its prefix and its end.
func (c peerConn) command() string {
	var b [1]byte
	var cmd []byte
	for {
		if _, err := io.ReadFull(c, b[:]); err != nil {
			return ""
		}
		if b[0] == 0 {
			break
		}
		cmd = append(cmd, b[0])
	}
	if len(cmd) == 0 || cmd[0] != 'z' {
		c.t.Errorf("the command %q has no z before it", cmd)
		return ""
	}
	return string(cmd[1:])
}

// message reads chunks to the end, or until limit octets have come, and
// returns what it read.
func (c peerConn) message(limit int) ([]byte, error) {
	var all []byte
	for {
		var size [4]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return all, err
		}
		n := binary.BigEndian.Uint32(size[:])
		if n == 0 {
			return all, nil
		}
		if n > 1<<20 {
			return all, errors.New("a chunk of more than 1 MiB")
		}
		chunk := make([]byte, n)
		if _, err := io.ReadFull(c, chunk); err != nil {
			return all, err
		}
		if all = append(all, chunk...); limit > 0 && len(all) >= limit {
			return all, nil
		}
	}
}

// say sends an answer; a client that has gone does not hear it.
func (c peerConn) say(s string) { _, _ = io.WriteString(c, s) }

// answering is a script that reads the message and answers.
func answering(s string) func(peerConn) {
	return func(c peerConn) {
		c.command()
		if _, err := c.message(0); err == nil {
			c.say(s)
		}
	}
}
