// SPDX-License-Identifier: EUPL-1.2

package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"pecd/clock"
	"pecd/fault"
	"pecd/ratelimit"
	"pecd/ratelimit/ratelimittest"
)

// cutter is a network to Redis that can be cut.
type cutter struct {
	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func (c *cutter) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut {
		return nil, errors.New("cut by the test")
	}
	nc, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err == nil {
		c.conns = append(c.conns, nc)
	}
	return nc, err
}

func (c *cutter) set(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
	if cut {
		for _, nc := range c.conns {
			nc.Close()
		}
		c.conns = nil
	}
}

// cluster is n nodes, each with a store of its own and a way of its own to Redis.
type cluster struct {
	t      *testing.T
	clk    *clock.Manual
	loc    *time.Location
	prefix string
	nodes  []*member
	sent   map[string][]time.Time // by mailbox: what was accepted, by whomever
}

type member struct {
	*ratelimit.Shared
	cutter
	client redis.UniversalClient
	record *ratelimittest.Record
	name   string
}

func newCluster(t *testing.T, addr string, n int, prefix string, start time.Time) *cluster {
	t.Helper()
	logging.Disable()
	loc, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, clk: clock.NewManual(start), loc: loc, prefix: prefix, sent: make(map[string][]time.Time)}
	for i := range n {
		m := &member{record: new(ratelimittest.Record), name: fmt.Sprint("node", i)}
		m.client = redis.NewUniversalClient(&redis.UniversalOptions{
			Addrs: []string{addr}, MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true, PipelinePoolSize: -1, PoolSize: 10000, // after so many failures it would wait a second
			DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: timeout, Dialer: m.dial,
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}, DisableIdentity: true,
		})
		t.Cleanup(func() { m.client.Close() })
		c.nodes = append(c.nodes, m)
	}
	for _, m := range c.nodes {
		c.start(m)
	}
	return c
}

// start starts a node anew: it knows nothing but its record.
func (c *cluster) start(m *member) {
	m.Shared = ratelimit.NewShared(ratelimit.SharedConfig{
		Config: ratelimit.Config{Clock: c.clk, Location: c.loc, Record: m.record},
		Client: m.client, Prefix: c.prefix, Store: m.name, Nodes: len(c.nodes), Timeout: timeout, Logger: discard(),
	})
}

func (c *cluster) beat() {
	for _, m := range c.nodes {
		m.Beat(context.Background())
	}
}

func (c *cluster) take(m *member, box string, f ratelimit.Figures) bool {
	h, err := m.Take(context.Background(), box, f, 1)
	switch {
	case err == nil:
		m.record.Add(box, h.At, 1)
		h.Keep()
		c.sent[box] = append(c.sent[box], h.At)
		return true
	case !fault.Is(err, fault.Limited):
		c.t.Fatal(err)
	}
	return false
}

// check wants no more accepted than the figures, in any minute and on any day.
func (c *cluster) check(f ratelimit.Figures) {
	c.t.Helper()
	for box, all := range c.sent {
		days := make(map[string]int)
		for i, at := range all {
			d := at.In(c.loc).Format(time.DateOnly)
			if days[d]++; days[d] > f.PerDay {
				c.t.Fatalf("%s: %d on %s, at most %d", box, days[d], d, f.PerDay)
			}
			if j := i - f.PerMinute; j >= 0 && at.Sub(all[j]) < time.Minute {
				c.t.Fatalf("%s: %d within %v before %v, at most %d", box, f.PerMinute+1, at.Sub(all[j]), at, f.PerMinute)
			}
		}
	}
}

// TestNeverMoreWhateverFails: nodes are cut off and come back, are started anew,
// stand still; Redis loses everything. Never is more accepted than the figures.
func TestNeverMoreWhateverFails(t *testing.T) {
	server := ratelimittest.StartRedis(t)
	runs, steps := 8, 120
	if long() {
		runs, steps = 100, 400
	}
	accepted := 0
	for seed := range uint64(runs) {
		accepted += runCluster(t, server, seed, steps)
	}
	t.Logf("%d runs of %d steps: %d accepted", runs, steps, accepted)
}

// storm cuts some of the nodes off, one after the other, and has all of them
// send whatever they may for minutes.
func (c *cluster) storm(rnd *rand.Rand, box string, f ratelimit.Figures) {
	for i := range 30 {
		switch {
		case i < len(c.nodes):
			c.nodes[i].set(true)
		case rnd.IntN(20) == 0:
			c.nodes[rnd.IntN(len(c.nodes))].set(rnd.IntN(2) == 0)
		}
		for range 1 + rnd.IntN(30) {
			c.clk.Advance(time.Duration(1+rnd.IntN(1500)) * time.Millisecond)
			c.beat()
		}
		for _, m := range c.nodes {
			for rnd.IntN(10) > 0 && c.take(m, box, f) {
			}
		}
		c.check(f)
	}
}

func runCluster(t *testing.T, server *ratelimittest.Redis, seed uint64, steps int) (accepted int) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 6))
	f := ratelimit.Figures{PerMinute: 6 + rnd.IntN(20), RecipientsPerMinute: 1000, RecipientsPerDay: 10000}
	f.PerDay = f.PerMinute * (2 + rnd.IntN(6))
	start := time.Date(2026, 6, 3, 19, rnd.IntN(115), 0, 0, time.UTC)
	c := newCluster(t, server.Addr, 2+rnd.IntN(2), fmt.Sprint("seed", seed), start)
	ctx, uncut := context.Background(), client(t, server.Addr)
	c.beat()
	c.beat()
	boxes := []string{"a@x.it", "b@x.it"}
	for step := range steps {
		m := c.nodes[rnd.IntN(len(c.nodes))]
		switch act := rnd.IntN(100); {
		case act < 55:
			box := boxes[rnd.IntN(len(boxes))]
			for range 1 + rnd.IntN(5) {
				c.take(m, box, f)
			}
		case act < 85:
			c.clk.Advance(time.Duration(rnd.IntN(1500)) * time.Millisecond)
			c.beat()
		case act < 88:
			for range 20 + rnd.IntN(60) {
				c.clk.Advance(time.Second)
				c.beat()
			}
		case act < 90:
			c.clk.Advance(time.Duration(rnd.IntN(100)) * time.Second) // nobody was at work
		case act < 94:
			m.set(true)
		case act < 97:
			m.set(false)
		case act < 97+rnd.IntN(2):
			c.start(m)
		case act < 99 || step == steps/2:
			c.storm(rnd, boxes[0], f)
		default:
			if err := uncut.FlushAll(ctx).Err(); err != nil {
				t.Fatal(err)
			}
		}
		c.check(f)
	}
	// All come back by themselves, and together pass what is left.
	for _, m := range c.nodes {
		m.set(false)
	}
	for range 70 {
		c.clk.Advance(time.Second)
		c.beat()
	}
	for _, m := range c.nodes {
		if !m.InUse() {
			t.Fatalf("seed %d: %s is alone", seed, m.name)
		}
	}
	c.clk.Advance(24 * time.Hour)
	c.beat()
	c.beat()
	passed := 0
	for i := range 2 * f.PerMinute {
		if c.take(c.nodes[i%len(c.nodes)], boxes[0], f) {
			passed++
		}
	}
	if passed != f.PerMinute {
		t.Fatalf("seed %d: %d of %d passed on the day after", seed, passed, f.PerMinute)
	}
	c.check(f)
	for _, all := range c.sent {
		accepted += len(all)
	}
	return accepted
}
