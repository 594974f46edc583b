// SPDX-License-Identifier: EUPL-1.2

package backup

import (
	"context"
	"testing"
	"time"
)

// lazyClock lets whoever waits go at once, and moves on by as much.
type lazyClock struct{ now time.Time }

func (c *lazyClock) Now() time.Time { return c.now }

func (c *lazyClock) After(d time.Duration) (<-chan time.Time, func()) {
	c.now = c.now.Add(d)
	ch := make(chan time.Time, 1)
	ch <- c.now
	return ch, func() {}
}

// TestPace: what is read takes its time, and a pause is not made up for.
func TestPace(t *testing.T) {
	clk := &lazyClock{now: time.Unix(1000, 0)}
	p := newPace(clk, 1000)
	for range 100 {
		if err := p.spend(t.Context(), 100); err != nil {
			t.Fatal(err)
		}
	}
	if d := clk.now.Sub(time.Unix(1000, 0)); d < 9900*time.Millisecond || d > 10100*time.Millisecond {
		t.Fatalf("10,000 bytes at 1,000 a second took %v", d)
	}
	clk.now = clk.now.Add(time.Hour)
	before := clk.now
	for range 100 {
		if err := p.spend(t.Context(), 100); err != nil {
			t.Fatal(err)
		}
	}
	if d := clk.now.Sub(before); d < 9*time.Second {
		t.Fatalf("after a pause 10,000 bytes took %v", d)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.spend(ctx, 1); err == nil {
		t.Fatal("goes on after its end")
	}
}
