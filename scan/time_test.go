// SPDX-License-Identifier: EUPL-1.2

package scan_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"pecd/clock"
	"pecd/scan"
)

// TestTimeouts: every wait ends, on the injected clock.
func TestTimeouts(t *testing.T) {
	tests := []struct {
		name string
		size int64 // of the message
		play func(c peerConn)
		wait time.Duration // after which it must be over
		word string
	}{
		{"reads nothing", 20 << 20, func(peerConn) {}, 10 * time.Second, "nothing moved"},
		{"reads a part", 20 << 20, func(c peerConn) {
			c.command()
			_, _ = c.message(1 << 20)
		}, 10 * time.Second, "nothing moved"},
		{"gives no verdict", 1000, func(c peerConn) {
			c.command()
			_, _ = c.message(0)
		}, 100 * time.Second, "no answer within 1m40s"},
		{"gives half a verdict", 1000, func(c peerConn) {
			c.command()
			_, _ = c.message(0)
			c.say("stream: ")
		}, 100 * time.Second, "no answer within 1m40s"},
	}
	for _, tt := range tests {
		played, hold := make(chan struct{}), make(chan struct{})
		f := newFake(t, func(c peerConn) {
			tt.play(c)
			close(played)
			<-hold
		})
		clk := clock.NewManual(time.Unix(1e9, 0))
		c := client(t, scan.ClamdConfig{Clock: clk, Idle: 10 * time.Second, ScanTime: 100 * time.Second}, f.addr)
		err := advancing(t, clk, tt.wait, played, func() error {
			_, err := c.Scan(context.Background(), bigMessage(tt.size))
			return err
		})
		failed(t, err, tt.word, f.addr)
		close(hold)
	}
}

// TestConnectTimeout: an address that does not even refuse a connection is
// passed over.
func TestConnectTimeout(t *testing.T) {
	dead := fullBacklog(t)
	f := newFake(t, answering("stream: OK\x00"))
	clk := clock.NewManual(time.Unix(1e9, 0))
	c := client(t, scan.ClamdConfig{Clock: clk, Connect: 5 * time.Second}, dead, f.addr)
	begin := make(chan struct{})
	close(begin)
	if err := advancing(t, clk, 5*time.Second, begin, func() error {
		_, err := c.Scan(context.Background(), strings.NewReader("x"))
		return err
	}); err != nil {
		t.Error(err)
	}
	// It is tried last for a while, whoever has the turn.
	for range 3 {
		if name := look(t, c, []byte("x")); name != "" {
			t.Error(name)
		}
	}
	alone := client(t, scan.ClamdConfig{Clock: clk, Connect: 5 * time.Second}, dead)
	failed(t, advancing(t, clk, 5*time.Second, begin, func() error { return alone.Ping(context.Background()) }), dead, "no answer within 5s")
}

// fullBacklog is an address whose queue of connections is full: the system
// drops every further attempt without an answer.
func fullBacklog(t testing.TB) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for range 10 {
		nc, err := net.DialTimeout("tcp", addr, 100*time.Millisecond)
		if err != nil {
			return "tcp:" + addr
		}
		t.Cleanup(func() { _ = nc.Close() })
	}
	t.Fatal("the queue of connections does not fill up")
	return ""
}

// advancing moves clk second by second, once begin is closed, while call runs.
// It returns what call returned, which must not be before d has passed.
func advancing(t testing.TB, clk *clock.Manual, d time.Duration, begin <-chan struct{}, call func() error) error {
	t.Helper()
	start := clk.Now()
	done := make(chan error, 1)
	go func() { done <- call() }()
	<-begin
	for {
		select {
		case err := <-done:
			if took := clk.Now().Sub(start); took < d {
				t.Errorf("over after %v, want %v", took, d)
			}
			return err
		case <-time.After(2 * time.Millisecond):
			if clk.Now().Sub(start) > 100*d {
				t.Fatalf("not over after %v", clk.Now().Sub(start))
			}
			clk.Advance(time.Second)
		}
	}
}

// TestSlowButMoving: a message that comes slowly is not idle.
func TestSlowButMoving(t *testing.T) {
	clk := clock.NewManual(time.Unix(1e9, 0))
	f := newFake(t, answering("stream: OK\x00"))
	c := client(t, scan.ClamdConfig{Clock: clk, Idle: 10 * time.Second}, f.addr)
	if _, err := c.Scan(context.Background(), &ticking{clk: clk, left: 40}); err != nil || clk.Now().Sub(time.Unix(1e9, 0)) < 4*time.Minute {
		t.Error(err)
	}
}

// ticking is a reader for which every read takes six seconds.
type ticking struct {
	clk  *clock.Manual
	left int
}

func (r *ticking) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	r.left--
	r.clk.Advance(6 * time.Second)
	time.Sleep(time.Millisecond) // for the watch to wake
	return len(p), nil
}

// TestContext: the caller's end is the scan's end, at every stage.
func TestContext(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	f := newFake(t, func(c peerConn) {
		c.command()
		_, _ = c.message(0)
		<-release
	})
	c := client(t, scan.ClamdConfig{MaxConcurrent: 1}, f.addr)
	ctx, cancel := context.WithCancel(context.Background())
	g := newGate(strings.NewReader("x"), strings.NewReader(""))
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { _, err := c.Scan(ctx, g); first <- err }()
	<-g.middle
	close(g.open)
	// The second one waits for its turn.
	go func() { _, err := c.Scan(ctx, strings.NewReader("x")); second <- err }()
	select {
	case err := <-first:
		t.Errorf("over too early: %v", err)
	case err := <-second:
		t.Errorf("did not wait for its turn: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	cancel()
	for _, ch := range []chan error{first, second} {
		err := <-ch
		failed(t, err)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cause: %v", err)
		}
	}
	if _, err := c.Scan(ctx, strings.NewReader("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("begun after the end: %v", err)
	}
}

// TestBusy: waiting for a turn ends with the time of the whole scan.
func TestBusy(t *testing.T) {
	f := newFake(t, answering("stream: OK\x00"))
	clk := clock.NewManual(time.Unix(1e9, 0))
	c := client(t, scan.ClamdConfig{MaxConcurrent: 1, Clock: clk, Idle: time.Hour, ScanTime: time.Minute}, f.addr)
	g := newGate(strings.NewReader("x"), strings.NewReader(""))
	first := make(chan error, 1)
	go func() { _, err := c.Scan(context.Background(), g); first <- err }()
	<-g.middle
	err := advancing(t, clk, time.Minute, g.middle, func() error {
		_, err := c.Scan(context.Background(), strings.NewReader("x"))
		return err
	})
	failed(t, err, "busy", "no answer within 1m0s")
	close(g.open)
	<-first // its time ends with the other's: either may win
	if name := look(t, c, []byte("x")); name != "" {
		t.Error(name)
	}
}
