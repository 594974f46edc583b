// SPDX-License-Identifier: EUPL-1.2

package storagetest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"

	"pecd/fault"
	"pecd/storage"
)

// noise returns n bytes that do not compress, different for each seed.
func noise(seed uint64, n int) []byte {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	out := make([]byte, n)
	rand.NewChaCha8(key).Read(out)
	return out
}

// within is a blob that is the range [off, off+n) of a spool.
func within(sp storage.Spool, off, n int64) *storage.NewBlob {
	return &storage.NewBlob{Spool: sp, Off: off, Len: n}
}

// blobOf is a blob that is all of data.
func (e *env) blobOf(data []byte) *storage.NewBlob {
	return within(e.spool(data), 0, int64(len(data)))
}

// hold appends a body to a folder and returns its UID.
func (e *env) hold(f storage.Folder, b *storage.NewBody) uint32 {
	e.Helper()
	a := &storage.Append{Folder: f.ID, Body: storage.BodyRef{New: b}}
	e.ok(b, a)
	return a.UID
}

func (e *env) wantBody(id storage.BodyID, want ...[]byte) {
	e.Helper()
	if got := e.read(id); !bytes.Equal(got, bytes.Join(want, nil)) {
		e.Fatalf("body %d: %d bytes, want %d", id, len(got), len(bytes.Join(want, nil)))
	}
}

func testBodySegments(e *env) {
	in := e.box("a@x.it")
	long := []byte(strings.Repeat("Received: by mx\r\n", 1000))
	for i, c := range []struct{ head, blob, tail []byte }{
		{nil, nil, nil},
		{[]byte("h"), nil, nil},
		{nil, nil, []byte("t")},
		{long, nil, long},
		{noise(1, 20000), nil, noise(2, 20000)},
		{[]byte("h"), []byte("b"), []byte("t")},
		{nil, noise(3, 64<<10), nil},
		{nil, noise(4, 64<<10+1), nil},
		{long, noise(5, 300_000), noise(6, 5000)},
		{[]byte("h"), []byte{}, []byte("t")},
	} {
		nb := &storage.NewBody{Head: c.head, Tail: c.tail}
		if c.blob != nil {
			nb.Blob = e.blobOf(c.blob)
		}
		e.hold(in, nb)
		want := bytes.Join([][]byte{c.head, c.blob, c.tail}, nil)
		equal(e, fmt.Sprint("size of ", i), nb.Size, int64(len(want)))
		e.wantBody(nb.ID, want)
		b := must(e.OpenBody(e.ctx, nb.ID))(e)
		id, off, n := b.Blob()
		if c.blob == nil {
			equal(e, "no blob", id, 0)
		} else {
			equal(e, "blob", id, nb.Blob.ID)
			equal(e, "range", fmt.Sprint(off, n), fmt.Sprint(len(c.head), len(c.blob)))
		}
		randomReads(e, b, want, 30)
		if err := b.Intact(); err != nil {
			e.Errorf("body %d: %v", i, err)
		}
		if err := b.Close(); err != nil {
			e.Fatal(err)
		}
	}
}

// randomReads compares reads at random places, also across segments and the end.
func testBodySkip(e *env) {
	in := e.box("a@x.it")
	for i, size := range []int{1000, 300_000} {
		data := noise(uint64(60+i), size)
		shared := e.blobOf(data)
		whole := &storage.NewBody{Head: []byte("w"), Blob: shared}
		part := &storage.NewBody{Head: []byte("head"), Blob: shared, Skip: 700, Tail: []byte("tail")}
		e.ok(whole, part, &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: whole}}, &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: part}})
		equal(e, "size", part.Size, int64(len(data)-700+8))
		e.wantBody(part.ID, part.Head, data[700:], part.Tail)
		e.wantBody(whole.ID, whole.Head, data)
		e.ok(&storage.Expunge{Folder: in.ID, UIDs: []uint32{e.now(in).UIDNext - 2}})
		e.wantBody(part.ID, part.Head, data[700:], part.Tail)

		// The same octets that come in again are the same blob.
		again := &storage.NewBody{Head: []byte("a"), Blob: e.blobOf(data)}
		e.ok(again, &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: again}})
		equal(e, "blob", again.Blob.ID, shared.ID)
		body := must(e.OpenBody(e.ctx, part.ID))(e)
		if id, _, _ := body.Blob(); id != 0 {
			e.Errorf("blob %d, of which the message has a part", id)
		}
		if err := errors.Join(body.Intact(), body.Close()); err != nil {
			e.Error(err)
		}
		for _, skip := range []int64{-1, int64(size), int64(size) + 1} {
			b := &storage.NewBody{Blob: e.blobOf(data), Skip: skip}
			e.fails(fault.Invalid, b, &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: b}})
		}
	}
	b := &storage.NewBody{Head: []byte("x"), Skip: 1}
	e.fails(fault.Invalid, b, &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: b}})
}

func randomReads(e *env, r io.ReaderAt, want []byte, reads int) {
	e.Helper()
	for range reads {
		off := rand.IntN(len(want) + 3)
		p := make([]byte, rand.IntN(len(want)+10))
		n, err := r.ReadAt(p, int64(off))
		rest := want[min(off, len(want)):]
		expect := rest[:min(len(p), len(rest))]
		if !bytes.Equal(p[:n], expect) {
			e.Fatalf("ReadAt(%d bytes, %d) of %d: %d bytes", len(p), off, len(want), n)
		}
		if n < len(p) && err != io.EOF || n == len(p) && err != nil && err != io.EOF {
			e.Fatalf("ReadAt(%d bytes, %d) of %d: %d, %v", len(p), off, len(want), n, err)
		}
	}
	if _, err := r.ReadAt(make([]byte, 1), -1); err == nil {
		e.Fatal("negative offset")
	}
}

// testBodyShared: the envelope and every receipt of a transaction share the original.
func testBodyShared(e *env) {
	in := e.box("a@x.it")
	data := noise(7, 200_000)
	blob := e.blobOf(data)
	step := new(storage.Step)
	var bodies []*storage.NewBody
	for i := range 5 {
		b := &storage.NewBody{Head: fmt.Appendf(nil, "head %d", i), Blob: blob, Tail: fmt.Appendf(nil, "tail %d", i)}
		step.Add(b, &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: b}})
		bodies = append(bodies, b)
	}
	e.ok(step.Ops...)
	late := &storage.NewBody{Head: []byte("late"), Blob: &storage.NewBlob{Existing: blob.ID}}
	e.hold(in, late)
	equal(e, "size", late.Size, int64(4+len(data)))
	equal(e, "blob", late.Blob.ID, blob.ID)
	for i, b := range bodies {
		e.wantBody(b.ID, fmt.Appendf(nil, "head %d", i), data, fmt.Appendf(nil, "tail %d", i))
	}
	e.ok(&storage.Expunge{Folder: in.ID, UIDs: []uint32{1, 2, 3, 4, 5}})
	e.wantBody(late.ID, []byte("late"), data)
	e.clean()
	e.ok(&storage.Expunge{Folder: in.ID, UIDs: []uint32{6}})
	gone := &storage.NewBody{Blob: &storage.NewBlob{Existing: blob.ID}}
	e.fails(fault.NotFound, gone, &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: gone}})
}

func testBodyUnused(e *env) {
	in := e.box("a@x.it")
	e.ok(&storage.NewBody{Head: []byte("nobody wants me"), Blob: e.blobOf(noise(8, 100_000))})
	unused, used := &storage.NewBody{Head: []byte("unused")}, &storage.NewBody{Head: []byte("used")}
	a := &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: used}}
	e.ok(unused, used, a)
	equal(e, "unused body", unused.ID, 0)
	// Stored and dropped within one step.
	brief := &storage.NewBody{Head: []byte("brief"), Blob: e.blobOf(noise(9, 100_000))}
	e.ok(brief, &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: brief}},
		&storage.Expunge{Folder: in.ID, UIDs: []uint32{2}})
	if brief.ID != 0 {
		_, err := e.OpenBody(e.ctx, brief.ID)
		e.wants(fault.NotFound, err)
	}
}

func testBodyRefused(e *env) {
	in := e.box("a@x.it")
	b := &storage.NewBody{Head: []byte("x")}
	a := &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: b}}
	e.fails(fault.Invalid, a)
	e.fails(fault.Invalid, a, b)
	e.fails(fault.Invalid, b, b, a)
	e.fails(fault.Invalid, b, &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: b, ID: 1}})
	sp := e.spool([]byte("12345"))
	for _, bad := range []*storage.NewBlob{within(sp, 0, 6), within(sp, 5, 1), within(sp, -1, 2), within(sp, 1, -1), within(sp, 1, 1<<62), {}} {
		b := &storage.NewBody{Blob: bad}
		e.fails(fault.Invalid, b, &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: b}})
	}
	b = &storage.NewBody{Blob: &storage.NewBlob{Existing: 99}}
	e.fails(fault.NotFound, b, &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: b}})
}

// testBodyHandover: a body goes from a job to a folder in one step.
func testBodyHandover(e *env) {
	in := e.box("a@x.it")
	data := noise(10, 150_000)
	b := &storage.NewBody{Blob: e.blobOf(data)}
	q := &storage.Enqueue{Job: storage.Job{Kind: "deliver", Due: at}, Body: storage.BodyRef{New: b}}
	e.ok(b, q)
	a := &storage.Append{Folder: in.ID, Body: storage.BodyRef{ID: b.ID}}
	e.ok(&storage.FinishJob{ID: q.ID}, a)
	e.wantBody(b.ID, data)
	e.fails(fault.NotFound, &storage.FinishJob{ID: q.ID}, &storage.Append{Folder: in.ID, Body: storage.BodyRef{ID: b.ID}})
	e.ok(&storage.Expunge{Folder: in.ID, UIDs: []uint32{a.UID}})
	e.fails(fault.NotFound, &storage.Append{Folder: in.ID, Body: storage.BodyRef{ID: b.ID}})
}

func testBodyOpenOutlives(e *env) {
	in := e.box("a@x.it")
	for i, size := range []int{100, 30_000, 400_000} {
		data := noise(uint64(20+i), size)
		nb := &storage.NewBody{Head: []byte("head"), Blob: e.blobOf(data)}
		uid := e.hold(in, nb)
		b := must(e.OpenBody(e.ctx, nb.ID))(e)
		e.ok(&storage.Expunge{Folder: in.ID, UIDs: []uint32{uid}})
		_, err := e.OpenBody(e.ctx, nb.ID)
		e.wants(fault.NotFound, err)
		randomReads(e, b, append([]byte("head"), data...), 10)
		b.Close()
	}
}

func testBlobDedupe(e *env) {
	in := e.box("a@x.it")
	for i, size := range []int{10, 100_000} {
		data := noise(uint64(30+i), size)
		first, second := e.blobOf(data), e.blobOf(data)
		second.Sum, second.SumKnown = sha256.Sum256(data), true
		a, b := &storage.NewBody{Head: []byte("1"), Blob: first}, &storage.NewBody{Head: []byte("2"), Blob: second}
		u1, u2 := e.hold(in, a), e.hold(in, b)
		equal(e, "equal bytes", second.ID, first.ID)
		// Twice in one step.
		c, d := &storage.NewBody{Blob: e.blobOf(data)}, &storage.NewBody{Blob: e.blobOf(data)}
		ac, ad := &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: c}}, &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: d}}
		e.ok(c, d, ac, ad)
		equal(e, "in one step", fmt.Sprint(c.Blob.ID, d.Blob.ID), fmt.Sprint(first.ID, first.ID))
		e.ok(&storage.Expunge{Folder: in.ID, UIDs: []uint32{u1, u2, ac.UID}})
		e.wantBody(d.ID, data)
		e.ok(&storage.Expunge{Folder: in.ID, UIDs: []uint32{ad.UID}})
		again := &storage.NewBody{Blob: e.blobOf(data)}
		e.hold(in, again)
		if again.Blob.ID == first.ID {
			e.Fatal("identifier of a deleted blob came back")
		}
		e.wantBody(again.ID, data)
	}
}

func testBlobRange(e *env) {
	in := e.box("a@x.it")
	data := noise(40, 500_000)
	for _, c := range [][2]int64{{0, 500_000}, {1000, 499_000}, {400_000, 100_000}, {100, 70_000}, {7, 20}, {500_000, 0}} {
		sp := e.spool(data)
		b := &storage.NewBody{Head: []byte("h"), Blob: within(sp, c[0], c[1]), Tail: []byte("t")}
		e.hold(in, b)
		sp.Close()
		e.wantBody(b.ID, []byte("h"), data[c[0]:c[0]+c[1]], []byte("t"))
	}
	e.clean()
	e.again()
	for _, m := range e.list(in) {
		e.read(m.Body)
	}
}

func testBlobsOfOneSpool(e *env) {
	in := e.box("a@x.it")
	data := noise(41, 600_000)
	sp := e.spool(data)
	a := &storage.NewBody{Blob: within(sp, 0, 500_000)}
	b := &storage.NewBody{Blob: within(sp, 100_000, 500_000)}
	c := &storage.NewBody{Blob: within(sp, 10, 90_000)}
	step := new(storage.Step).Add(a, b, c)
	for _, n := range []*storage.NewBody{a, b, c} {
		step.Add(&storage.Append{Folder: in.ID, Body: storage.BodyRef{New: n}})
	}
	e.ok(step.Ops...)
	// The same spool once more.
	d := &storage.NewBody{Blob: within(sp, 50_000, 550_000)}
	e.hold(in, d)
	sp.Close()
	e.clean()
	e.ok(&storage.Expunge{Folder: in.ID, UIDs: []uint32{1}})
	e.wantBody(b.ID, data[100_000:])
	e.wantBody(c.ID, data[10:90_010])
	e.ok(&storage.Expunge{Folder: in.ID, UIDs: []uint32{2, 3}})
	e.wantBody(d.ID, data[50_000:])
}

func testLargeBody(e *env) {
	in := e.box("a@x.it")
	data := noise(42, 20<<20)
	sp := e.NewSpool()
	for rest := data; len(rest) > 0; {
		n := min(len(rest), 1+rand.IntN(100_000))
		if _, err := sp.Write(rest[:n]); err != nil {
			e.Fatal(err)
		}
		rest = rest[n:]
	}
	head, tail := noise(43, 3000), noise(44, 5000)
	nb := &storage.NewBody{Head: head, Blob: within(sp, 0, sp.Size()), Tail: tail}
	e.hold(in, nb)
	if err := sp.Close(); err != nil {
		e.Fatal(err)
	}
	e.again()
	want := bytes.Join([][]byte{head, data, tail}, nil)
	b := must(e.OpenBody(e.ctx, nb.ID))(e)
	defer b.Close()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				off := rand.IntN(len(want))
				p := make([]byte, rand.IntN(200_000))
				n, _ := b.ReadAt(p, int64(off))
				if !bytes.Equal(p[:n], want[off:min(off+len(p), len(want))]) {
					e.Errorf("ReadAt(%d bytes, %d): %d bytes", len(p), off, n)
				}
			}
		})
	}
	wg.Wait()
	randomReads(e, b, want, 5)
	e.wantBody(nb.ID, want)
}

func testSpool(e *env) {
	for _, size := range []int{0, 1, 1000, 128 << 10, 128<<10 + 1, 1 << 20} {
		data := noise(uint64(size), size)
		sp := e.NewSpool()
		for rest := data; len(rest) > 0; {
			n := min(len(rest), 1+rand.IntN(size))
			if got, err := sp.Write(rest[:n]); got != n || err != nil {
				e.Fatalf("write: %d, %v", got, err)
			}
			rest = rest[n:]
		}
		equal(e, "size", sp.Size(), int64(size))
		randomReads(e, sp, data, 20)
		if err := sp.Close(); err != nil {
			e.Fatal(err)
		}
		if err := sp.Close(); err != nil {
			e.Fatalf("closed twice: %v", err)
		}
		if _, err := sp.Write([]byte("x")); err == nil {
			e.Fatal("written after Close")
		}
	}
}

// testSpoolAfterFailure: a step that failed may be tried again with its spools.
func testSpoolAfterFailure(e *env) {
	in := e.box("a@x.it")
	for i, size := range []int{1000, 100_000, 300_000} {
		data := noise(uint64(50+i), size)
		sp := e.NewSpool()
		sp.Write(data)
		b := &storage.NewBody{Blob: within(sp, 0, sp.Size())}
		a := &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: b}, Quota: 1}
		e.fails(fault.Quota, b, a)
		randomReads(e, sp, data, 5)
		a.Quota = 0
		e.ok(b, a)
		sp.Close()
		e.wantBody(b.ID, data)
		lost := e.NewSpool()
		lost.Write(noise(uint64(60+i), size))
		b = &storage.NewBody{Blob: within(lost, 0, lost.Size())}
		e.fails(fault.NotFound, b, &storage.Append{Folder: in.ID + 99, Body: storage.BodyRef{New: b}})
		if err := lost.Close(); err != nil {
			e.Fatal(err)
		}
	}
}
