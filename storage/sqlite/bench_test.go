// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"pecd/storage"
)

// BenchmarkAppend appends messages of 5 kB, the size of a receipt, each in a
// step of its own.
func BenchmarkAppend(b *testing.B) {
	for _, workers := range []int{1, 64} {
		b.Run(fmt.Sprint(workers), func(b *testing.B) { benchmarkAppend(b, workers) })
	}
}

func benchmarkAppend(b *testing.B, workers int) {
	s := openAt(b, b.TempDir(), Options{})
	boxes := make([]storage.Folder, 16)
	for i := range boxes {
		boxes[i] = inboxOf(b, s, fmt.Sprintf("m%d@x.it", i))
	}
	var text []byte
	for i := range uint64(70) {
		text = fmt.Appendf(text, "Received: from h%d.x.it by mx.y.it with ESMTPS id %016x\r\n", i, (i+1)*0x9e3779b97f4a7c15)
	}
	text = text[:5000]
	b.SetBytes(int64(len(text)))
	b.ResetTimer()
	var n, failed atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
				nb := &storage.NewBody{Head: fmt.Appendf(nil, "X-Number: %d\r\n%s", i, text)}
				a := &storage.Append{Folder: boxes[i%16].ID, Body: storage.BodyRef{New: nb}, Quota: 1 << 40}
				if err := s.Commit(context.Background(), new(storage.Step).Add(nb, a)); err != nil {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if failed.Load() > 0 {
		b.Fatal(errors.New("appends failed"))
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}
