// SPDX-License-Identifier: EUPL-1.2

package storagetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"pecd/fault"
	"pecd/storage"
)

// testFailingStep: a step that fails at its last operation undoes all others.
func testFailingStep(e *env) {
	in := e.box("a@x.it")
	e.folder(in.Mailbox, "sub")
	e.folder(in.Mailbox, "gone")
	e.ok(&storage.Subscribe{Mailbox: in.Mailbox, Name: "gone", Subscribed: true}, &storage.DeleteFolder{Mailbox: in.Mailbox, Name: "gone"})
	e.put(in, "1")
	e.put(in, "2")
	job := e.queue("k", "l", 0)
	e.ok(&storage.PutTransaction{Transaction: sample("t", true)}, &storage.PutUser{User: storage.User{Login: "u", Hash: "h"}})
	nb, a := text(in, "new")
	large := &storage.NewBody{Blob: e.blobOf(noise(70, 200_000))}
	box := &storage.PutMailbox{Mailbox: storage.Mailbox{Address: "b@x.it"}}
	sub := e.named(in.Mailbox, "sub")
	ops := []storage.Op{
		nb, a, large,
		&storage.Append{Folder: sub.ID, Body: storage.BodyRef{New: large}},
		&storage.SetFlags{Folder: in.ID, UIDs: []uint32{1, 2}, Mode: storage.AddFlags, Flags: []string{`\Seen`}},
		&storage.CopyMessages{From: in.ID, UIDs: []uint32{1}, To: sub.ID},
		&storage.CopyMessages{From: in.ID, UIDs: []uint32{1}, To: sub.ID, Move: true},
		&storage.Expunge{Folder: in.ID, UIDs: []uint32{2}},
		&storage.CreateFolder{Mailbox: in.Mailbox, Name: "gone/c"},
		&storage.CreateFolder{Mailbox: in.Mailbox, Name: "c/d"},
		&storage.RenameFolder{Mailbox: in.Mailbox, From: "c", To: "e"},
		&storage.Subscribe{Mailbox: in.Mailbox, Name: "e", Subscribed: true},
		&storage.Subscribe{Mailbox: in.Mailbox, Name: "sub", Subscribed: true},
		&storage.DeleteFolder{Mailbox: in.Mailbox, Name: "sub"},
		&storage.Once{Keys: []string{"key"}},
		&storage.Enqueue{Job: storage.Job{Kind: "k", Due: at}, Body: storage.BodyRef{New: large}},
		&storage.RetryJob{ID: job, Due: at},
		&storage.FinishJob{ID: job},
		&storage.PutTransaction{Transaction: sample("t2", true)},
		&storage.MarkRecipient{ID: "t", Own: true, Address: "a@y.it", Outcome: storage.Delivered},
		&storage.AppendRecord{Record: storage.Record{Event: "x"}},
		&storage.PutTier{Tier: storage.Tier{Code: "t"}},
		&storage.PutDomain{Domain: storage.Domain{Name: "x.it"}},
		box,
		&storage.CreateFolderIn{New: box, Name: "f"},
		&storage.PutUser{User: storage.User{Login: "v"}},
		&storage.PutGrant{Login: "u", New: box, Permission: storage.MayAll},
	}
	bad := &storage.FinishJob{ID: job + 1000}
	e.fails(fault.NotFound, append(slices.Clone(ops), bad)...)
	equal(e, "claimed keys", len(must(e.Done(e.ctx, []string{"key"}))(e)), 0)
	equal(e, "fields set by Commit", fmt.Sprint(nb.ID, a.UID, large.ID, box.ID), "0 0 0 0")
	_, err := e.User(e.ctx, "v")
	e.wants(fault.NotFound, err)
	e.clean()
	e.ok(ops...)
	equal(e, "claimed keys", len(must(e.Done(e.ctx, []string{"key"}))(e)), 1)
}

func testReopen(e *env) {
	in := e.box("a@x.it")
	sub := e.folder(in.Mailbox, "sub")
	for i := range 10 {
		e.put(in, fmt.Sprint(i), "k", `\Seen`)
	}
	e.folder(in.Mailbox, "gone")
	e.ok(&storage.Subscribe{Mailbox: in.Mailbox, Name: "gone", Subscribed: true}, &storage.DeleteFolder{Mailbox: in.Mailbox, Name: "gone"})
	large := noise(71, 200_000)
	nb := &storage.NewBody{Head: []byte("h"), Blob: e.blobOf(large)}
	e.hold(sub, nb)
	e.ok(&storage.Expunge{Folder: in.ID, UIDs: []uint32{9, 10}})
	e.ok(&storage.PutTransaction{Transaction: sample("t", false)}, &storage.AppendRecord{Record: storage.Record{Event: "x", At: at}})
	e.queue("k", "l", 1)
	before := e.dump()
	for range 2 {
		e.again()
		equal(e, "state", e.dump(), before)
		e.wantBody(nb.ID, []byte("h"), large)
		e.clean()
	}
	equal(e, "UIDs go on", e.put(in, "x"), 11)
}

func testCancelled(e *env) {
	in := e.box("a@x.it")
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	b, a := text(in, "x")
	err := e.Commit(ctx, new(storage.Step).Add(b, a))
	n := len(e.list(in))
	if err == nil && n != 1 || err != nil && n != 0 {
		e.Fatalf("%v with %d messages", err, n)
	}
	if err != nil {
		e.wants(fault.Temporary, err)
	}
	_, err = e.Folders(ctx, in.Mailbox)
	if err != nil {
		e.wants(fault.Temporary, err)
	}
	// Contexts that end at any moment: what is told is what is so.
	var wg sync.WaitGroup
	var acked atomic.Int64
	before := len(e.list(in))
	for i := range 32 {
		ctx, cancel := context.WithCancel(e.ctx)
		wg.Go(func() {
			b, a := text(in, fmt.Sprint(i))
			if e.Commit(ctx, new(storage.Step).Add(b, a)) == nil {
				acked.Add(1)
			}
		})
		wg.Go(cancel)
	}
	wg.Wait()
	equal(e, "messages", int64(len(e.list(in))-before), acked.Load())
}

func testClosed(e *env) {
	in := e.box("a@x.it")
	if err := e.Store.Close(); err != nil {
		e.Fatal(err)
	}
	if err := e.Store.Close(); err != nil {
		e.Fatalf("closed twice: %v", err)
	}
	b, a := text(in, "x")
	e.wants(fault.Temporary, e.Commit(e.ctx, new(storage.Step).Add(b, a)))
	_, err := e.FolderByID(e.ctx, in.ID)
	e.wants(fault.Temporary, err)
	e.Store = e.open(e.T, e.dir)
}

// mirror is a client that knows a folder only through Changes.
type mirror struct {
	modseq uint64
	flags  map[uint32]string
}

func (m *mirror) apply(ch storage.Changes) error {
	if ch.ModSeq < m.modseq {
		return fmt.Errorf("modseq went from %d to %d", m.modseq, ch.ModSeq)
	}
	for _, msg := range ch.Changed {
		if msg.ModSeq <= m.modseq || msg.ModSeq > ch.ModSeq {
			return fmt.Errorf("uid %d has modseq %d, not within %d…%d", msg.UID, msg.ModSeq, m.modseq+1, ch.ModSeq)
		}
		m.flags[msg.UID] = strings.Join(msg.Flags, " ")
	}
	for _, uid := range ch.Vanished {
		delete(m.flags, uid)
	}
	m.modseq = ch.ModSeq
	return nil
}

// testConcurrentAppends: one hot folder, 64 writers, and a reader that follows
// it by Changes and misses nothing.
func testConcurrentAppends(e *env) {
	in := e.box("a@x.it")
	const writers, each = 64, 25
	stop := make(chan struct{})
	var reader, wg sync.WaitGroup
	client := &mirror{flags: make(map[uint32]string)}
	changed, cancel := e.Store.Watch(in.ID)
	defer cancel()
	poll := func() {
		ch, err := e.Store.Changes(e.ctx, in.ID, client.modseq)
		if err == nil {
			err = client.apply(ch)
		}
		if err != nil {
			e.Error(err)
		}
	}
	reader.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-changed:
				poll()
			}
		}
	})
	var mu sync.Mutex
	owner := make(map[uint32]string)
	for w := range writers {
		wg.Go(func() {
			last := uint32(0)
			for i := range each {
				body := fmt.Sprintf("%d.%d", w, i)
				b, a := text(in, body)
				step := new(storage.Step).Add(b, a)
				if i%5 == 4 { // fails after the append: its UID goes to somebody else
					step.Add(&storage.FinishJob{ID: 1 << 40})
					if err := e.Commit(e.ctx, step); !fault.Is(err, fault.NotFound) {
						e.Errorf("%v", err)
					}
					continue
				}
				if err := e.Commit(e.ctx, step); err != nil {
					e.Error(err)
					return
				}
				if a.UID <= last {
					e.Errorf("UID %d after %d", a.UID, last)
				}
				last = a.UID
				mu.Lock()
				if owner[a.UID] != "" {
					e.Errorf("UID %d given to %s and %s", a.UID, owner[a.UID], body)
				}
				owner[a.UID] = body
				mu.Unlock()
				var err error
				switch i % 5 {
				case 1:
					err = e.Commit(e.ctx, new(storage.Step).Add(&storage.SetFlags{Folder: in.ID, UIDs: []uint32{last}, Mode: storage.AddFlags, Flags: []string{fmt.Sprint("w", w)}}))
				case 2:
					err = e.Commit(e.ctx, new(storage.Step).Add(&storage.Expunge{Folder: in.ID, UIDs: []uint32{last}}))
					mu.Lock()
					delete(owner, last)
					mu.Unlock()
				}
				if err != nil {
					e.Error(err)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	reader.Wait()
	poll()
	ms := e.list(in)
	equal(e, "messages", len(ms), len(owner))
	have := make(map[uint32]string)
	for _, m := range ms {
		equal(e, fmt.Sprint("body of ", m.UID), string(e.read(m.Body)), owner[m.UID])
		have[m.UID] = strings.Join(m.Flags, " ")
	}
	if !maps.Equal(have, client.flags) {
		e.Fatalf("the client knows %d messages of %d, or other flags", len(client.flags), len(have))
	}
	equal(e, "modseq", client.modseq, e.now(in).ModSeq)
}

// testConcurrentIsolation: steps that share a commit do not share their fate,
// and a key is claimed by one of them.
func testConcurrentIsolation(e *env) {
	in := e.box("a@x.it")
	var wg sync.WaitGroup
	var won [20]atomic.Int64
	for w := range 64 {
		wg.Go(func() {
			for k := range won {
				b, a := text(in, fmt.Sprintf("key %d", k))
				rec := &storage.AppendRecord{Record: storage.Record{Event: "won", ID: fmt.Sprint(w)}}
				err := e.Commit(e.ctx, new(storage.Step).Add(rec, b, a, &storage.Once{Keys: []string{fmt.Sprint("key", k)}}))
				switch {
				case err == nil:
					won[k].Add(1)
				case !fault.Is(err, fault.Exists):
					e.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for k := range won {
		equal(e, fmt.Sprint("winners of key ", k), won[k].Load(), 1)
	}
	equal(e, "messages", len(e.list(in)), len(won))
	n := int64(0)
	err := e.Store.Records(e.ctx, 1, func(r storage.Record) error {
		n++
		if r.Seq != n {
			return errors.New("gap")
		}
		return nil
	})
	equal(e, "records", fmt.Sprint(n, err), fmt.Sprint(len(won), nil))
}

// testConcurrentLarge: steps of a thousand messages, some of which fail, among
// small ones.
func testConcurrentLarge(e *env) {
	in := e.box("a@x.it")
	hot := e.folder(in.Mailbox, "hot")
	const n = 1000
	fill := new(storage.Step)
	all := make([]uint32, n)
	for i := range n {
		b, a := text(in, fmt.Sprint(i))
		fill.Add(b, a)
		all[i] = uint32(i + 1)
	}
	e.ok(fill.Ops...)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 20 {
				b, a := text(hot, fmt.Sprint(w, i))
				if err := e.Commit(e.ctx, new(storage.Step).Add(b, a)); err != nil {
					e.Error(err)
				}
			}
		})
	}
	for w := range 3 {
		wg.Go(func() {
			set := &storage.SetFlags{Folder: in.ID, UIDs: all, Mode: storage.AddFlags, Flags: []string{fmt.Sprint("w", w)}}
			bad := &storage.FinishJob{ID: 1 << 40}
			if err := e.Commit(e.ctx, new(storage.Step).Add(set, bad)); !fault.Is(err, fault.NotFound) {
				e.Errorf("%v", err)
			}
			if err := e.Commit(e.ctx, new(storage.Step).Add(set)); err != nil || len(set.Changed) != n {
				e.Errorf("%d changed, %v", len(set.Changed), err)
			}
		})
	}
	wg.Wait()
	for _, m := range e.list(in) {
		equal(e, "flags", strings.Join(m.Flags, " "), "w0 w1 w2")
	}
	equal(e, "messages", len(e.list(hot)), 160)
	move := &storage.CopyMessages{From: in.ID, To: hot.ID, UIDs: all, Move: true}
	e.ok(move)
	e.ok(&storage.Expunge{Folder: hot.ID, UIDs: move.Dest})
	e.ok(&storage.DeleteFolder{Mailbox: in.Mailbox, Name: "hot"})
	equal(e, "held", must(e.MailboxByID(e.ctx, in.Mailbox))(e).Messages, 0)
}

// testConcurrentBlobs: few blobs come and go in many hands, while others read.
func testConcurrentBlobs(e *env) {
	in := e.box("a@x.it")
	data := [][]byte{noise(80, 100_000), noise(81, 100_000), noise(82, 1000)}
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for i := range 12 {
				want := data[(w+i)%len(data)]
				sp := e.NewSpool()
				sp.Write(want)
				b := &storage.NewBody{Head: []byte("h"), Blob: within(sp, 0, sp.Size())}
				a := &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: b}}
				err := e.Commit(e.ctx, new(storage.Step).Add(b, a))
				sp.Close()
				if err != nil {
					e.Error(err)
					return
				}
				body, err := e.OpenBody(e.ctx, b.ID)
				if err != nil {
					e.Error(err)
					return
				}
				err = e.Commit(e.ctx, new(storage.Step).Add(&storage.Expunge{Folder: in.ID, UIDs: []uint32{a.UID}}))
				got, rerr := io.ReadAll(io.NewSectionReader(body, 0, body.Size()))
				if err = errors.Join(err, rerr, body.Close()); err != nil {
					e.Error(err)
				}
				if string(got) != "h"+string(want) {
					e.Errorf("body %d: %d bytes", b.ID, len(got))
				}
			}
		})
	}
	wg.Wait()
	equal(e, "messages", len(e.list(in)), 0)
}
