// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"net"
	"testing"
	"time"

	"pecd/fault"
)

func from(host string) context.Context {
	return From(ctx, &net.TCPAddr{IP: net.ParseIP(host), Port: 1})
}

// waits lets a client wait for its turn; what it is told comes from the channel.
func waits(t *testing.T, tu *turns, ctx context.Context) <-chan error {
	t.Helper()
	tu.mu.Lock()
	before := tu.count
	tu.mu.Unlock()
	told := make(chan error, 1)
	go func() { told <- tu.enter(ctx) }()
	for range 5000 {
		tu.mu.Lock()
		now := tu.count
		tu.mu.Unlock()
		if now != before || len(told) > 0 {
			return told
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("does not wait")
	return nil
}

// Somebody who sends many passwords at once does not keep others waiting.
func TestClientsTakeTurns(t *testing.T) {
	tu := newTurns(1, 100)
	if err := tu.enter(from("192.0.2.1")); err != nil {
		t.Fatal(err)
	}
	var many []<-chan error
	for range 50 {
		many = append(many, waits(t, tu, from("192.0.2.1")))
	}
	one := waits(t, tu, from("198.51.100.7"))
	tu.leave() // one of the many, who came first
	if err := <-many[0]; err != nil {
		t.Fatal(err)
	}
	tu.leave()
	select {
	case err := <-one:
		if err != nil {
			t.Fatal(err)
		}
	case err := <-many[1]:
		t.Fatalf("one waits behind all of another's: %v", err)
	}
	for _, m := range many[1:] {
		tu.leave()
		if err := <-m; err != nil {
			t.Fatal(err)
		}
	}
	tu.leave()
	if tu.free != 1 || tu.count != 0 || len(tu.waiting) != 0 || len(tu.order) != 0 {
		t.Errorf("left over: %+v", tu)
	}
}

// Who has most waiting is sent away first when too many wait.
func TestTheOneWhoHasMostGoesFirst(t *testing.T) {
	tu := newTurns(1, 10)
	if err := tu.enter(ctx); err != nil {
		t.Fatal(err)
	}
	var many []<-chan error
	for range 10 {
		many = append(many, waits(t, tu, from("192.0.2.1")))
	}
	if err := tu.enter(from("192.0.2.1")); !fault.Is(err, fault.Temporary) || fault.TextOf(err) == "" {
		t.Errorf("an eleventh waits: %v", err)
	}
	var few []<-chan error
	for i := range 5 {
		told := make(chan error, 1)
		go func() { told <- tu.enter(from("198.51.100.7")) }()
		if err := <-many[9-i]; !fault.Is(err, fault.Temporary) {
			t.Errorf("kept: %v", err)
		}
		few = append(few, told)
	}
	if err := tu.enter(from("198.51.100.7")); !fault.Is(err, fault.Temporary) {
		t.Errorf("five and five, and a sixth waits: %v", err)
	}
	cancelled, cancel := context.WithCancel(from("203.0.113.5"))
	third := make(chan error, 1)
	go func() { third <- tu.enter(cancelled) }()
	gone := 0
	for gone == 0 { // one of the five and five was sent away for it
		for _, told := range append(many[:5:5], few...) {
			if len(told) == 1 {
				gone++
			}
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-third; !fault.Is(err, fault.Temporary) {
		t.Error(err)
	}
	for range 10 {
		tu.leave()
	}
	if tu.free != 1 || tu.count != 0 || len(tu.order) != 0 {
		t.Errorf("left over: free %d, %d wait", tu.free, tu.count)
	}
}
