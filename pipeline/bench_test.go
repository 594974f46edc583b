// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pecd/directory"
	"pecd/pipeline"
)

// BenchmarkCertified accepts and delivers certified messages of 5 kB between
// mailboxes of one provider, without the network: 64 senders, workers as in the
// daemon. An operation is a message with its three signatures, from the first
// octet to the delivery receipt. Filed: with what is sent and the receipts filed.
// Told: with a contact of the recipient's that is told of arrivals.
func BenchmarkCertified(b *testing.B) {
	b.Run("plain", func(b *testing.B) { certified64(b, newWorld(b)) })
	b.Run("filed", func(b *testing.B) {
		w := newWorld(b)
		w.choose(anna, directory.Options{FileSent: yes(), FileReceipts: yes()})
		certified64(b, w)
	})
	b.Run("told", func(b *testing.B) {
		w := newWorld(b)
		w.watched(bettina)
		certified64(b, w)
	})
}

func certified64(b *testing.B, w *world) {
	p := w.providers["alfa.example"]
	worker := &pipeline.Worker{
		Kind: pipeline.JobDeliver, Store: p.store, Clock: w.clock, Logger: slog.New(slog.DiscardHandler),
		Parallel: 8 * runtime.NumCPU(), Do: p.deliveries.Deliver,
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { worker.Run(ctx, context.Background()) })
	from, to := "anna@alfa.example", "bruno@alfa.example"
	text := message(from, to, "", strings.Repeat("Si trasmette in allegato quanto richiesto con la nota indicata in oggetto.\r\n", 60))
	spent := cpuTime()
	b.ResetTimer()
	var n atomic.Int64
	var senders sync.WaitGroup
	for range 64 {
		senders.Go(func() {
			for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
				_, err := p.access.Submit(ctx, pipeline.Submission{Login: from, Sender: from, Recipients: []string{to}},
					strings.NewReader(strings.Replace(text, "<m1@", fmt.Sprintf("<m%d@", i), 1)))
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	senders.Wait()
	accepted := b.Elapsed()
	for {
		if _, ok, _ := p.store.NextDue(ctx, pipeline.JobDeliver, 0); !ok {
			break
		}
		time.Sleep(time.Millisecond)
	}
	stop()
	running.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64(b.N)/accepted.Seconds(), "accepted/s")
	b.ReportMetric(float64(cpuTime()-spent)/float64(b.N)/float64(time.Millisecond), "cpu-ms/msg")
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
