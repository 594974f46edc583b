// SPDX-License-Identifier: EUPL-1.2

package ratelimit_test

import (
	"context"
	"math"
	"syscall"
	"testing"
	"time"

	"pecd/clock"
	"pecd/ratelimit"
	"pecd/ratelimit/ratelimittest"
)

// processorTime is what this process has used so far.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkMessage is what a message costs: asking at MAIL, counting at DATA, of a
// mailbox that has sent 5,000 within the minute.
func BenchmarkMessage(b *testing.B) {
	f := ratelimit.Figures{PerMinute: math.MaxInt32, PerDay: math.MaxInt32, RecipientsPerMinute: math.MaxInt32, RecipientsPerDay: math.MaxInt32}
	ctx, clk := context.Background(), clock.NewManual(time.Date(2026, 6, 3, 8, 0, 0, 0, time.UTC))
	rome, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		b.Fatal(err)
	}
	run := func(b *testing.B, l ratelimit.Limiter) {
		message := func() {
			clk.Advance(time.Minute / 5000)
			if _, err := l.Peek(ctx, "rossi@alfa.example", f, 1); err != nil {
				b.Fatal(err)
			}
			h, err := l.Take(ctx, "rossi@alfa.example", f, 1)
			if err != nil {
				b.Fatal(err)
			}
			h.Keep()
		}
		for range 5000 {
			message()
		}
		before := processorTime(b)
		b.ResetTimer()
		for range b.N {
			message()
		}
		b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
	}
	cfg := ratelimit.Config{Clock: clk, Location: rome, Record: new(ratelimittest.Record)}
	b.Run("local", func(b *testing.B) { run(b, ratelimit.NewLocal(cfg)) })
	b.Run("redis", func(b *testing.B) {
		s := ratelimit.NewShared(ratelimit.SharedConfig{
			Config: cfg, Client: client(b, ratelimittest.StartRedis(b).Addr), Prefix: "bench", Store: "a", Nodes: 1, Timeout: timeout, Logger: discard(),
		})
		s.Beat(ctx)
		run(b, s)
		if !s.InUse() {
			b.Fatal("counted alone")
		}
	})
}
