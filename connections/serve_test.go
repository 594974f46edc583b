// SPDX-License-Identifier: EUPL-1.2

package connections

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"pecd/clock"
	"pecd/fault"
)

// faltering fails to accept the first time.
type faltering struct {
	net.Listener
	fails atomic.Int32
}

func (f *faltering) Accept() (net.Conn, error) {
	if f.fails.Add(-1) >= 0 {
		return nil, errors.New("too many open files")
	}
	return f.Listener.Accept()
}

// TestServe: a failure is told and not the end; ctx, Shutdown and a listener that
// somebody else closed are.
func TestServe(t *testing.T) {
	listen := func() *faltering {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return &faltering{Listener: l}
	}
	s := NewSet[*fake](clock.System{}, 0, 0)
	taken, told := make(chan struct{}, 1), make(chan error, 1)
	serve := func(ctx context.Context, l net.Listener) <-chan error {
		ended := make(chan error, 1)
		go func() {
			ended <- s.Serve(ctx, l, time.Second, func(c net.Conn) { c.Close(); taken <- struct{}{} }, func(err error) { told <- err })
		}()
		return ended
	}
	ctx, cancel := context.WithCancel(context.Background())
	first := listen()
	first.fails.Store(1)
	ended := serve(ctx, first)
	c, err := net.Dial("tcp", first.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	<-told
	<-taken
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ended by its context: %v", err)
	}

	second := listen()
	ended = serve(context.Background(), second)
	second.Close()
	if err := <-ended; !fault.Is(err, fault.Internal) {
		t.Errorf("closed by somebody else: %v", err)
	}

	third := listen()
	ended = serve(context.Background(), third)
	if c, err = net.Dial("tcp", third.Addr().String()); err != nil {
		t.Fatal(err)
	}
	c.Close()
	<-taken
	if err := s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("ended by Shutdown: %v", err)
	}
	if err := <-serve(context.Background(), listen()); !fault.Is(err, fault.Disabled) {
		t.Errorf("after Shutdown: %v", err)
	}
}
