// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"pecd/storage"
)

func openTest(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(context.Background(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func mailbox(t testing.TB, s *Store, addr string) storage.MailboxID {
	t.Helper()
	m := &storage.PutMailbox{Mailbox: storage.Mailbox{Address: addr}}
	if err := s.Commit(context.Background(), new(storage.Step).Add(m)); err != nil {
		t.Fatal(err)
	}
	return m.ID
}

func TestSmoke(t *testing.T) {
	ctx := context.Background()
	s := openTest(t, t.TempDir())
	id := mailbox(t, s, "a@x.it")
	sp := s.NewSpool()
	data := bytes.Repeat([]byte("0123456789abcdef"), 100000)
	sp.Write(data)
	b := &storage.NewBody{Head: []byte("head"), Blob: &storage.NewBlob{Spool: sp, Len: sp.Size()}, Tail: []byte("tail")}
	a := &storage.Append{Mailbox: id, Body: storage.BodyRef{New: b}, Flags: []string{"\\Seen", "x"}}
	if err := s.Commit(ctx, new(storage.Step).Add(b, a)); err != nil {
		t.Fatal(err)
	}
	sp.Close()
	r, err := s.OpenBody(ctx, b.ID)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	if err != nil || string(got) != "head"+string(data)+"tail" {
		t.Fatal(len(got), err)
	}
	f, err := s.FolderByID(ctx, a.In)
	t.Logf("%+v %v", f, err)
}

func benchmarkAppend(b *testing.B, goroutines int) {
	ctx := context.Background()
	s := openTest(b, b.TempDir())
	ids := make([]storage.MailboxID, 16)
	for i := range ids {
		ids[i] = mailbox(b, s, fmt.Sprintf("a%d@x.it", i))
	}
	head := make([]byte, 0, 5000)
	for i := 0; len(head) < 5000; i++ {
		head = fmt.Appendf(head, "Received: from host%d.example.it by pec.example.it with ESMTP id %x\r\n", i, i*7919*1000003)
	}
	head = head[:5000]
	b.SetBytes(int64(len(head)))
	b.ResetTimer()
	var n atomic.Int64
	done := make(chan error)
	for range goroutines {
		go func() {
			for {
				i := n.Add(1)
				if i > int64(b.N) {
					done <- nil
					return
				}
				h := fmt.Appendf(nil, "X-N: %d\r\n%s", i, head)
				nb := &storage.NewBody{Head: h}
				a := &storage.Append{Mailbox: ids[int(i)%len(ids)], Body: storage.BodyRef{New: nb}, Quota: 1 << 40}
				if err := s.Commit(ctx, new(storage.Step).Add(nb, a)); err != nil {
					done <- err
					return
				}
			}
		}()
	}
	for range goroutines {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
}

func BenchmarkAppend1(b *testing.B)  { benchmarkAppend(b, 1) }
func BenchmarkAppend64(b *testing.B) { benchmarkAppend(b, 64) }
