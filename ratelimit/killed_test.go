// SPDX-License-Identifier: EUPL-1.2

package ratelimit_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pecd/fault"
	"pecd/ratelimit"
	"pecd/ratelimit/ratelimittest"
)

// hammer has eight senders try at each node until nothing passes any more, and
// returns how many passed.
func (c *cluster) hammer(box string, f ratelimit.Figures, meanwhile func(passed int64)) int {
	var passed atomic.Int64
	var all sync.WaitGroup
	for _, m := range c.nodes {
		for range 8 {
			all.Go(func() {
				for {
					h, err := m.Take(context.Background(), box, f, 1)
					if err != nil {
						if !fault.Is(err, fault.Limited) {
							c.t.Error(err)
						}
						return
					}
					m.record.Add(box, h.At, 1)
					h.Keep()
					if n := passed.Add(1); meanwhile != nil {
						meanwhile(n)
					}
				}
			})
		}
	}
	all.Wait()
	return int(passed.Load())
}

func (c *cluster) seconds(n int) {
	for range n {
		c.clk.Advance(time.Second)
		c.beat()
	}
}

// back waits until all nodes use Redis again, and returns how long that took. The
// client does not try again within the same second.
func (c *cluster) back() time.Duration {
	c.t.Helper()
	begun := time.Now()
	for time.Since(begun) < 10*time.Second {
		c.beat()
		all := true
		for _, m := range c.nodes {
			all = all && m.InUse()
		}
		if all {
			return time.Since(begun)
		}
		time.Sleep(20 * time.Millisecond)
	}
	c.t.Fatal("the nodes do not come back")
	return 0
}

func (c *cluster) opened() *cluster {
	c.t.Helper()
	c.beat()
	c.back()
	return c
}

// TestRedisKilledUnderLoad is issue 6's second line. One node goes on exactly.
// Two have their parts, each of them whole, and together never more than the
// figures; with Redis back, empty, they pass what is left, to the last message.
func TestRedisKilledUnderLoad(t *testing.T) {
	f := ratelimit.Figures{PerMinute: 50, PerDay: 500, RecipientsPerMinute: 2000, RecipientsPerDay: 20000}
	start := time.Date(2026, 6, 3, 8, 0, 0, 0, time.UTC)
	const box = "rossi@alfa.example"
	for _, nodes := range []int{1, 2} {
		server := ratelimittest.StartRedis(t)
		c := newCluster(t, server.Addr, nodes, "killed", start).opened()
		var once sync.Once
		first := c.hammer(box, f, func(n int64) {
			if n >= 20 {
				once.Do(server.Kill)
			}
		})
		if nodes == 1 && first != 50 || first < 20 || first > 50 {
			t.Fatalf("%d nodes: %d passed in the minute of the kill", nodes, first)
		}
		// What is left to a node alone: it knows of what the others accepted until
		// it asked last, and takes a minute of theirs as used up.
		left := 0
		for _, m := range c.nodes {
			left += (500 - m.record.Messages(box) - 50) / 2
		}
		c.seconds(60)
		second := c.hammer(box, f, nil)
		if nodes == 2 && second != 0 || nodes == 1 && second != 50 {
			t.Fatalf("%d nodes: %d passed in the minute after", nodes, second)
		}
		if nodes == 1 {
			c.seconds(60)
		} else {
			c.seconds(11) // until the other is known to have noticed
		}
		day := first + second
		for minute := 0; ; minute++ {
			n := c.hammer(box, f, nil)
			if day += n; n == 0 {
				break
			}
			// The whole of what each may: 25 a minute of 50, until its part of the day is used up.
			if nodes == 2 && n != min(50, left) {
				t.Fatalf("%d of the stricter budget passed in minute %d", n, minute)
			}
			left -= n
			c.seconds(60)
		}
		alone := day
		server.Start()
		took := c.back()
		for {
			n := c.hammer(box, f, nil)
			if day += n; n == 0 {
				break
			}
			c.seconds(60)
		}
		if day != 500 {
			t.Errorf("%d nodes: %d on the day, want 500", nodes, day)
		}
		t.Logf("%d nodes: %d in the minute of the kill, %d by the end of the outage, back %v after Redis (empty), %d on the day",
			nodes, first, alone, took.Round(time.Millisecond), day)
		server.Kill()
	}
}

// TestRedisStandsStill: a Redis that does not answer costs a sender a second, not
// the message, and goes on being used where it was silent for less.
func TestRedisStandsStill(t *testing.T) {
	f := ratelimit.Figures{PerMinute: 50, PerDay: 500, RecipientsPerMinute: 2000, RecipientsPerDay: 20000}
	server := ratelimittest.StartRedis(t)
	c := newCluster(t, server.Addr, 2, "still", time.Date(2026, 6, 3, 8, 0, 0, 0, time.UTC)).opened()
	server.Stop()
	time.AfterFunc(400*time.Millisecond, server.Continue)
	if !c.take(c.nodes[0], "rossi@alfa.example", f) || !c.nodes[0].InUse() {
		t.Error("a silence of 400 ms was not waited out")
	}
	// What was told twice counts once.
	for range 49 {
		if !c.take(c.nodes[1], "rossi@alfa.example", f) {
			t.Fatal("less than 50 pass")
		}
	}
	if c.take(c.nodes[1], "rossi@alfa.example", f) {
		t.Error("51 pass")
	}
	server.Stop()
	defer server.Continue()
	begun := time.Now()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if h, err := c.nodes[0].Take(context.Background(), "bianchi@alfa.example", f, 1); !fault.Is(err, fault.Limited) {
				t.Errorf("%+v, %v", h, err)
			}
		})
	}
	all.Wait()
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("20 senders waited %v", took)
	}
}
