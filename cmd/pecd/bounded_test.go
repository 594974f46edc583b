// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"net"
	"testing"
	"time"
)

// TestBoundedListener: one connection too many is closed, and a place that
// becomes free is given away again.
func TestBoundedListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := newBoundedListener(l, 10, 2)
	defer b.Close()
	accepted := make(chan net.Conn, 8)
	go func() {
		defer close(accepted)
		for {
			c, err := b.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	dial()
	dial()
	first, second := <-accepted, <-accepted
	third := dial()
	third.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := third.Read(make([]byte, 1)); err == nil {
		t.Error("a third connection of one address is served")
	}
	first.Close()
	first.Close() // counts once
	dial()
	fourth := <-accepted
	if len(accepted) != 0 {
		t.Error("more than two are served")
	}
	second.Close()
	fourth.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.count != 0 || len(b.of) != 0 {
		t.Errorf("%d connections counted, %v", b.count, b.of)
	}
}
