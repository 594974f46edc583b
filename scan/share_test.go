// SPDX-License-Identifier: EUPL-1.2

package scan_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"pecd/alarm"
	"pecd/clock"
	"pecd/scan"
	"pecd/scan/clamdtest"
)

// TestShare: mail that is slow to look at holds no more than its share, its own
// kind waits a short time, and a place is free again only when clamd has
// certainly done with what was given up.
func TestShare(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	arrived := make(chan struct{}, 10)
	f := newFake(t, func(c peerConn) {
		c.command()
		if m, _ := c.message(0); bytes.Contains(m, []byte("slow")) {
			arrived <- struct{}{}
			<-hold
		}
		c.say("stream: OK\x00")
	})
	clk := clock.NewManual(time.Unix(1e9, 0))
	s := newDesk(scan.ScannerConfig{Engine: client(t, scan.ClamdConfig{MaxConcurrent: 3, ScanTime: 5 * time.Minute}, f.addr), Clock: clk})
	v := s.Share(scan.Share{Places: 2, Wait: 10 * time.Second, Time: time.Minute, Linger: 5 * time.Minute})
	begun := make(chan struct{})
	close(begun)
	one := func(r scan.Result, err error) error { return err }
	slow := make(chan error, 2)
	for range 2 {
		go func() { slow <- one(v.Scan(context.Background(), strings.NewReader("slow"))) }()
		<-arrived
	}
	err := advancing(t, clk, 10*time.Second, begun, func() error { return one(v.Scan(context.Background(), strings.NewReader("x"))) })
	failed(t, err, "all 2 places", "10s")
	check := func() {
		t.Helper()
		if _, err := s.Scan(context.Background(), strings.NewReader("x")); err != nil {
			t.Errorf("the rest of the mail waits: %v", err)
		}
	}
	check()
	start := clk.Now()
	clk.Advance(time.Minute)
	for range 2 {
		failed(t, <-slow, "no answer within 1m0s")
	}
	check()
	if text := s.raised(alarm.ScannerDown); text != "" {
		t.Errorf("two messages raised the alarm: %s", text)
	}
	// Both places go on being taken, although nobody waits for clamd.
	failed(t, advancing(t, clk, 10*time.Second, begun, func() error { return one(v.Scan(context.Background(), strings.NewReader("x"))) }), "all 2 places")
	clk.Advance(5*time.Minute - 20*time.Second)
	failed(t, advancing(t, clk, 5*time.Second, begun, func() error { // its caller gives up first
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		clk.Advance(5 * time.Second)
		return one(v.Scan(ctx, strings.NewReader("x")))
	}), "canceled")
	// One that waits gets the place at its time.
	if err := advancing(t, clk, time.Second, begun, func() error { return one(v.Scan(context.Background(), strings.NewReader("x"))) }); err != nil {
		t.Error(err)
	}
	if took := clk.Now().Sub(start); took < 6*time.Minute {
		t.Errorf("a place was free %v after the beginning", took)
	}
}

// TestShareHandsOver: who waits gets the place of the one who leaves.
func TestShareHandsOver(t *testing.T) {
	f := newFake(t, answering("stream: OK\x00"))
	s := newDesk(scan.ScannerConfig{Engine: client(t, scan.ClamdConfig{}, f.addr)})
	v := s.Share(scan.Share{Wait: 20 * time.Second, Time: 20 * time.Second, Linger: time.Hour}) // one place
	g := newGate(strings.NewReader("x"), strings.NewReader(""))
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { _, err := v.Scan(context.Background(), g); first <- err }()
	<-g.middle
	go func() { _, err := v.Scan(context.Background(), strings.NewReader("x")); second <- err }()
	select {
	case err := <-second:
		t.Errorf("did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(g.open)
	for _, ch := range []chan error{first, second} {
		if err := <-ch; err != nil {
			t.Error(err)
		}
	}
	// A failure that is not for lack of time frees the place at once.
	for range 2 {
		if _, err := v.Scan(context.Background(), failingReader{io.ErrUnexpectedEOF}); err == nil {
			t.Error("no error")
		}
	}
}

// TestGivenUp: a real clamd goes on with a message that nobody waits for, which
// is why its place stays taken, and the rest of the mail goes on.
func TestGivenUp(t *testing.T) {
	d := clamdtest.Start(t, clamdtest.Options{})
	defer d.Kill()
	s := newDesk(scan.ScannerConfig{Engine: client(t, scan.ClamdConfig{MaxConcurrent: 2}, d.Addr), Policy: scan.DefaultPolicy()})
	v := s.Share(scan.Share{Places: 1, Wait: 50 * time.Millisecond, Time: 500 * time.Millisecond, Linger: time.Hour})
	many := make([]clamdtest.File, 30000)
	for i := range many {
		many[i] = clamdtest.File{Name: fmt.Sprint(i), Content: []byte(fresh())}
	}
	_, err := v.Scan(context.Background(), bytes.NewReader(clamdtest.Message(fresh(), many...)))
	failed(t, err, "no answer within 500ms")
	_, err = v.Scan(context.Background(), strings.NewReader("x"))
	failed(t, err, "all 1 places")
	for range 5 {
		if r, err := s.Scan(context.Background(), bytes.NewReader(clamdtest.Message(clamdtest.Virus))); err != nil || !r.Refuse {
			t.Errorf("%+v, %v", r, err)
		}
	}
	if text := s.raised(alarm.ScannerDown); text != "" {
		t.Error(text)
	}
}
