// SPDX-License-Identifier: EUPL-1.2

package ratelimit_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
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

// client is as cmd/pecd makes it.
func client(t testing.TB, addr string) redis.UniversalClient {
	t.Helper()
	logging.Disable()
	c := redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs: []string{addr}, MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true, PipelinePoolSize: -1, PoolSize: 8,
		DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: timeout,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}, DisableIdentity: true,
	})
	t.Cleanup(func() { c.Close() })
	return c
}

const timeout = 250 * time.Millisecond

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func long() bool { return os.Getenv("PECD_LONG") == "1" }

// TestShared: the contract, for one node alone with its Redis, and for two.
func TestShared(t *testing.T) {
	server := ratelimittest.StartRedis(t)
	c := client(t, server.Addr)
	for _, nodes := range []int{1, 2} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			ratelimittest.Run(t, long(), func(w *ratelimittest.World) {
				ctx := context.Background()
				if err := c.FlushAll(ctx).Err(); err != nil {
					w.Fatal(err)
				}
				var all []*ratelimit.Shared
				prefix := fmt.Sprint("test", nodes)
				open := func(i int) *ratelimit.Shared {
					record := w.Record
					if i > 0 {
						record = new(ratelimittest.Record) // a store of its own
					}
					return ratelimit.NewShared(ratelimit.SharedConfig{
						Config: ratelimit.Config{Clock: w.Clock, Location: w.Location, Record: record},
						Client: c, Prefix: prefix, Store: fmt.Sprint("store", i), Nodes: nodes, Timeout: timeout, Logger: discard(),
					})
				}
				for i := range nodes {
					s := open(i)
					all = append(all, s)
					w.Limiters = append(w.Limiters, s)
				}
				w.Beat = func() {
					for range 2 { // the first one waits for the last to be there
						for _, s := range all {
							s.Beat(ctx)
						}
					}
				}
				w.Restart = func() ratelimit.Limiter {
					all[0] = open(0)
					w.Beat()
					return all[0]
				}
				w.Beat()
				for _, s := range all {
					if !s.InUse() {
						w.Fatal("the nodes do not see each other")
					}
				}
			})
		})
	}
}

// TestSharedEvicted: a Redis that gives up single keys, because it is configured as
// a cache and full, does not have a node forget what it knows itself.
func TestSharedEvicted(t *testing.T) {
	server := ratelimittest.StartRedis(t)
	c, ctx := client(t, server.Addr), context.Background()
	clk := clock.NewManual(time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC))
	s := ratelimit.NewShared(ratelimit.SharedConfig{
		Config: ratelimit.Config{Clock: clk, Location: time.UTC, Record: new(ratelimittest.Record)},
		Client: c, Prefix: "evicted", Store: "store", Nodes: 1, Timeout: timeout, Logger: slog.New(slog.DiscardHandler),
	})
	s.Beat(ctx)
	for _, f := range []ratelimit.Figures{
		{PerMinute: 3, PerDay: 100, RecipientsPerMinute: 100, RecipientsPerDay: 100},
		{PerMinute: 100, PerDay: 5, RecipientsPerMinute: 100, RecipientsPerDay: 100},
	} {
		for {
			h, err := s.Take(ctx, "a@x.it", f, 1)
			if err != nil {
				break
			}
			h.Keep()
		}
		keys, err := c.Keys(ctx, "{evicted}:limits:*a@x.it").Result()
		if err != nil || len(keys) != 3 {
			t.Fatalf("%q, %v", keys, err)
		}
		if err := c.Del(ctx, keys...).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Take(ctx, "a@x.it", f, 1); !fault.Is(err, fault.Limited) || !s.InUse() {
			t.Errorf("%+v: one more passes: %v", f, err)
		}
	}
}
