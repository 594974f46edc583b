// SPDX-License-Identifier: EUPL-1.2

package storagetest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"pecd/fault"
	"pecd/storage"
)

func testAppend(e *env) {
	in := e.box("a@x.it")
	b, a := text(in, "Subject: x\r\n\r\nbody\r\n", "$Forwarded", `\seen`, `\Flagged`, `\Seen`)
	e.ok(b, a)
	equal(e, "UID", a.UID, 1)
	equal(e, "UIDVALIDITY", a.UIDValidity, in.UIDValidity)
	equal(e, "folder", a.In, in.ID)
	equal(e, "size", b.Size, 20)
	m := e.message(in, 1)
	if m.SavedDate.IsZero() || m.SavedDate.Location() != time.UTC {
		e.Fatalf("saved %v", m.SavedDate)
	}
	m.SavedDate = time.Time{}
	want := storage.Message{Folder: in.ID, UID: 1, Body: b.ID, Size: 20, ModSeq: a.ModSeq,
		Flags: []string{"$Forwarded", `\Flagged`, `\Seen`}, InternalDate: at.Truncate(time.Second)}
	equal(e, "message", fmt.Sprintf("%+v", m), fmt.Sprintf("%+v", want))
	f := e.now(in)
	equal(e, "counters", fmt.Sprint(f.UIDNext, f.Messages, f.Unseen, f.Bytes, f.ModSeq), fmt.Sprint(2, 1, 0, 20, a.ModSeq))
	e.put(in, "two")
	f = e.now(in)
	equal(e, "counters", fmt.Sprint(f.UIDNext, f.Messages, f.Unseen, f.Bytes), "3 2 1 23")
	if f.ModSeq <= a.ModSeq {
		e.Fatalf("modseq %d after %d", f.ModSeq, a.ModSeq)
	}
	box := must(e.Mailbox(e.ctx, "A@X.it"))(e)
	equal(e, "mailbox", fmt.Sprint(box.Used, box.Messages), "23 2")
}

func testAppendTargets(e *env) {
	in := e.box("a@x.it")
	sub := e.folder(in.Mailbox, "Sub")
	b := &storage.NewBody{Head: []byte("x")}
	ref := storage.BodyRef{New: b}
	byName := &storage.Append{Mailbox: in.Mailbox, Name: "Sub", Body: ref}
	toInbox := &storage.Append{Mailbox: in.Mailbox, Body: ref, InternalDate: at.In(time.FixedZone("", 7200))}
	twice := &storage.Append{Folder: sub.ID, Body: ref}
	e.ok(b, byName, toInbox, twice)
	equal(e, "by name", byName.In, sub.ID)
	equal(e, "INBOX", toInbox.In, in.ID)
	equal(e, "second UID of the step", twice.UID, byName.UID+1)
	equal(e, "date", e.message(in, 1).InternalDate, at.Truncate(time.Second))
	if e.message(sub, 1).InternalDate.IsZero() {
		e.Fatal("a message without date is dated by the store")
	}
	e.fails(fault.NotFound, &storage.Append{Mailbox: in.Mailbox, Name: "none", Body: storage.BodyRef{ID: b.ID}})
	e.fails(fault.NotFound, &storage.Append{Mailbox: in.Mailbox + 9, Body: storage.BodyRef{ID: b.ID}})
	e.fails(fault.NotFound, &storage.Append{Folder: sub.ID + 9, Body: storage.BodyRef{ID: b.ID}})
	e.fails(fault.NotFound, &storage.Append{Folder: sub.ID, Body: storage.BodyRef{ID: b.ID + 9}})
	e.fails(fault.Invalid, &storage.Append{Folder: sub.ID})
	e.fails(fault.Invalid, &storage.Append{Folder: sub.ID, Body: storage.BodyRef{ID: b.ID}, Flags: []string{`\Recent`}})
}

func testQuota(e *env) {
	in := e.box("a@x.it")
	quota := func(body string, bound int64) (*storage.NewBody, *storage.Append) {
		b, a := text(in, body)
		a.Quota = bound
		return b, a
	}
	b, a := quota("12345", 5)
	e.ok(b, a)
	b, a = quota("1", 5)
	e.fails(fault.Quota, b, a)
	b, a = quota("1", 0)
	e.ok(b, a)
	b, a = quota("12345", 10)
	e.fails(fault.Quota, b, a)

	other := e.box("b@x.it")
	e.fails(fault.Quota, &storage.CopyMessages{From: in.ID, UIDs: []uint32{1, 2}, To: other.ID, Quota: 5})
	e.fails(fault.Quota, &storage.CopyMessages{From: in.ID, UIDs: []uint32{1, 2}, To: other.ID, Quota: 5, Move: true})
	e.fails(fault.Quota, &storage.CopyMessages{From: in.ID, UIDs: []uint32{1}, To: in.ID, Quota: 10})
	sub := e.folder(in.Mailbox, "s")
	e.ok(&storage.CopyMessages{From: in.ID, UIDs: []uint32{1}, To: sub.ID, Quota: 1, Move: true})
	e.ok(&storage.CopyMessages{From: in.ID, UIDs: []uint32{2}, To: other.ID, Quota: 1, Move: true})
	equal(e, "held", must(e.Mailbox(e.ctx, "b@x.it"))(e).Used, 1)
	equal(e, "held", must(e.Mailbox(e.ctx, "a@x.it"))(e).Used, 5)
}

func testMessagesRange(e *env) {
	in := e.box("a@x.it")
	step := new(storage.Step)
	const n = 1500
	for i := range n {
		b, a := text(in, fmt.Sprint(i))
		step.Add(b, a)
	}
	e.ok(step.Ops...)
	e.ok(&storage.Expunge{Folder: in.ID, UIDs: []uint32{2, 700}})
	ms := e.list(in)
	equal(e, "messages", len(ms), n-2)
	if !slices.IsSorted(uids(ms)) {
		e.Fatal("not ascending")
	}
	equal(e, "range", fmt.Sprint(uids(e.between(in, 1, 4))), "[1 3 4]")
	equal(e, "range", fmt.Sprint(uids(e.between(in, 1499, 0))), "[1499 1500]")
	equal(e, "range", len(e.between(in, 9000, 0)), 0)
	equal(e, "range", len(e.between(in, 5, 4)), 0)
	equal(e, "range", len(e.between(in, 0, math.MaxUint32)), n-2)
	stop, calls := errors.New("stop"), 0
	err := e.Messages(e.ctx, in.ID, 1, 0, func(storage.Message) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		e.Fatalf("%v after %d calls", err, calls)
	}
	// The store may be used from within.
	err = e.Messages(e.ctx, in.ID, 1, 3, func(m storage.Message) error {
		return e.Commit(e.ctx, new(storage.Step).Add(&storage.SetFlags{Folder: in.ID, UIDs: []uint32{m.UID}, Mode: storage.AddFlags, Flags: []string{`\Seen`}}))
	})
	if err != nil {
		e.Fatal(err)
	}
}

func flagsOf(ms []storage.Message) string {
	var out []string
	for _, m := range ms {
		out = append(out, fmt.Sprintf("%d:%s", m.UID, strings.Join(m.Flags, ",")))
	}
	return strings.Join(out, " ")
}

func testFlags(e *env) {
	in := e.box("a@x.it")
	e.put(in, "1", `\Seen`)
	e.put(in, "2")
	e.put(in, "3", "Work", `\Draft`)
	for _, c := range []struct {
		mode   storage.FlagMode
		uids   []uint32
		flags  []string
		found  string
		unseen uint32
	}{
		{storage.AddFlags, []uint32{3, 1, 9, 1}, []string{`\Answered`, "work"}, `1:\Answered,\Seen,work 3:Work,\Answered,\Draft`, 2},
		{storage.AddFlags, []uint32{1, 2, 3}, []string{`\Seen`}, `1:\Answered,\Seen,work 2:\Seen 3:Work,\Answered,\Draft,\Seen`, 0},
		{storage.RemoveFlags, []uint32{1, 3}, []string{"WORK", `\answered`, "none"}, `1:\Seen 3:\Draft,\Seen`, 0},
		{storage.ReplaceFlags, []uint32{2, 3}, []string{`\Flagged`, "$b", "$a"}, `2:$a,$b,\Flagged 3:$a,$b,\Flagged`, 2},
		{storage.ReplaceFlags, []uint32{2}, nil, `2:`, 2},
		{storage.AddFlags, nil, []string{`\Seen`}, ``, 2},
	} {
		op := &storage.SetFlags{Folder: in.ID, UIDs: c.uids, Mode: c.mode, Flags: c.flags}
		e.ok(op)
		equal(e, "changed", flagsOf(op.Changed), c.found)
		equal(e, "unseen", e.now(in).Unseen, c.unseen)
		for _, m := range op.Changed {
			got := e.message(in, m.UID)
			equal(e, "stored", fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", m))
		}
	}
	before := e.now(in)
	op := &storage.SetFlags{Folder: in.ID, UIDs: []uint32{2, 3}, Mode: storage.AddFlags, Flags: []string{"$A"}}
	e.ok(op) // 3 has it
	f := e.now(in)
	if f.ModSeq <= before.ModSeq || op.Changed[0].ModSeq != f.ModSeq || op.Changed[1].ModSeq > before.ModSeq {
		e.Fatalf("folder %d → %d, messages %+v", before.ModSeq, f.ModSeq, op.Changed)
	}
	e.ok(&storage.SetFlags{Folder: in.ID, UIDs: []uint32{2, 3}, Mode: storage.AddFlags, Flags: []string{"$a"}})
	equal(e, "modseq without change", e.now(in).ModSeq, f.ModSeq)
}

func testFlagsConditional(e *env) {
	in := e.box("a@x.it")
	for i := range 3 {
		e.put(in, fmt.Sprint(i))
	}
	since := e.now(in).ModSeq
	e.ok(&storage.SetFlags{Folder: in.ID, UIDs: []uint32{2}, Mode: storage.AddFlags, Flags: []string{`\Seen`}})
	op := &storage.SetFlags{Folder: in.ID, UIDs: []uint32{3, 2, 1, 7}, Mode: storage.AddFlags, Flags: []string{"x"}, UnchangedSince: since}
	e.ok(op)
	equal(e, "changed", flagsOf(op.Changed), "1:x 3:x")
	equal(e, "modified", fmt.Sprint(op.Modified), "[2]")
	equal(e, "left out", flagsOf(e.between(in, 2, 2)), `2:\Seen`)
}

func testFlagsRefused(e *env) {
	in := e.box("a@x.it")
	e.put(in, "x")
	set := func(flags ...string) *storage.SetFlags {
		return &storage.SetFlags{Folder: in.ID, UIDs: []uint32{1}, Mode: storage.AddFlags, Flags: flags}
	}
	var many []string
	for i := range 60 {
		many = append(many, fmt.Sprint("k", i))
	}
	for _, bad := range [][]string{{""}, {"a b"}, {"a\r\nb"}, {"a(b"}, {`\Unknown`}, {`\*`}, {"è"}, {strings.Repeat("k", 200)}, many} {
		e.fails(fault.Invalid, set(bad...))
	}
	e.ok(set(many[:40]...))
	e.fails(fault.Invalid, set(many[30:]...))
	e.fails(fault.NotFound, &storage.SetFlags{Folder: in.ID + 9, UIDs: []uint32{1}})
	e.fails(fault.Invalid, &storage.SetFlags{Folder: in.ID, UIDs: []uint32{1}, Mode: 9})
}

func testExpunge(e *env) {
	in := e.box("a@x.it")
	for i := range 6 {
		e.put(in, strings.Repeat("x", i+1))
	}
	e.ok(&storage.SetFlags{Folder: in.ID, UIDs: []uint32{2, 4}, Mode: storage.AddFlags, Flags: []string{`\Deleted`, `\Seen`}})
	body := e.message(in, 2).Body
	before := e.now(in)
	op := &storage.Expunge{Folder: in.ID, UIDs: []uint32{5, 4, 3, 2, 99}, DeletedOnly: true}
	e.ok(op)
	equal(e, "expunged", fmt.Sprint(op.Expunged), "[2 4]")
	f := e.now(in)
	equal(e, "modseq", op.ModSeq, f.ModSeq)
	if f.ModSeq <= before.ModSeq {
		e.Fatal("modseq did not move")
	}
	equal(e, "counters", fmt.Sprint(f.Messages, f.Unseen, f.Bytes, f.UIDNext), "4 4 15 7")
	_, err := e.OpenBody(e.ctx, body)
	e.wants(fault.NotFound, err)
	op = &storage.Expunge{Folder: in.ID, UIDs: []uint32{2, 4}}
	e.ok(op)
	equal(e, "expunged again", fmt.Sprint(op.Expunged, op.ModSeq), fmt.Sprint([]uint32{}, f.ModSeq))
	op = &storage.Expunge{Folder: in.ID, UIDs: []uint32{6}}
	e.ok(op)
	equal(e, "UID after the last was expunged", e.put(in, "new"), 7)
	ch := must(e.Store.Changes(e.ctx, in.ID, before.ModSeq))(e)
	equal(e, "vanished", fmt.Sprint(ch.Vanished), "[2 4 6]")
	e.fails(fault.NotFound, &storage.Expunge{Folder: in.ID + 9, UIDs: []uint32{1}})
}

func testCopy(e *env) {
	in := e.box("a@x.it")
	other := e.box("b@x.it")
	e.put(in, "one", `\Seen`, "k")
	e.put(in, "two")
	e.put(other, "first")
	op := &storage.CopyMessages{From: in.ID, UIDs: []uint32{2, 1, 9}, To: other.ID}
	e.ok(op)
	equal(e, "result", fmt.Sprint(op.Source, op.Dest, op.UIDValidity), fmt.Sprint([]uint32{1, 2}, []uint32{2, 3}, other.UIDValidity))
	src, dst := e.list(in), e.list(other)[1:]
	for i := range src {
		if dst[i].Body != src[i].Body || !slices.Equal(dst[i].Flags, src[i].Flags) || !dst[i].InternalDate.Equal(src[i].InternalDate) {
			e.Fatalf("%+v copied as %+v", src[i], dst[i])
		}
	}
	f := e.now(other)
	equal(e, "counters", fmt.Sprint(f.Messages, f.Unseen, f.Bytes), "3 2 11")
	equal(e, "held", must(e.Mailbox(e.ctx, "b@x.it"))(e).Used, 11)
	// The copy holds the body.
	e.ok(&storage.Expunge{Folder: in.ID, UIDs: []uint32{1, 2}})
	equal(e, "body", string(e.read(dst[0].Body)), "one")
	// Into the same folder.
	op = &storage.CopyMessages{From: other.ID, UIDs: []uint32{1, 2}, To: other.ID}
	e.ok(op)
	equal(e, "within a folder", fmt.Sprint(op.Source, op.Dest), "[1 2] [4 5]")
	op = &storage.CopyMessages{From: other.ID, UIDs: []uint32{77}, To: in.ID}
	e.ok(op)
	equal(e, "none found", len(op.Source)+len(op.Dest), 0)
	e.fails(fault.NotFound, &storage.CopyMessages{From: in.ID + 99, UIDs: []uint32{1}, To: in.ID})
	e.fails(fault.NotFound, &storage.CopyMessages{From: in.ID, UIDs: []uint32{1}, To: in.ID + 99})
}

func testMove(e *env) {
	in := e.box("a@x.it")
	sub := e.folder(in.Mailbox, "sub")
	for i := range 4 {
		e.put(in, fmt.Sprint(i), `\Flagged`)
	}
	before := e.now(in)
	op := &storage.CopyMessages{From: in.ID, UIDs: []uint32{3, 2}, To: sub.ID, Move: true}
	e.ok(op)
	equal(e, "result", fmt.Sprint(op.Source, op.Dest), "[2 3] [1 2]")
	equal(e, "left", fmt.Sprint(uids(e.list(in))), "[1 4]")
	equal(e, "body", string(e.read(e.message(sub, 1).Body)), "1")
	ch := must(e.Store.Changes(e.ctx, in.ID, before.ModSeq))(e)
	equal(e, "vanished", fmt.Sprint(ch.Vanished, len(ch.Changed)), "[2 3] 0")
	box := must(e.Mailbox(e.ctx, "a@x.it"))(e)
	equal(e, "held", fmt.Sprint(box.Used, box.Messages), "4 4")
	op = &storage.CopyMessages{From: in.ID, UIDs: []uint32{1}, To: in.ID, Move: true}
	e.ok(op)
	equal(e, "within a folder", fmt.Sprint(op.Source, op.Dest, uids(e.list(in))), "[1] [5] [4 5]")
}

func testChanges(e *env) {
	in := e.box("a@x.it")
	mark := e.now(in).ModSeq
	want := func(changed, vanished string) {
		e.Helper()
		ch := must(e.Store.Changes(e.ctx, in.ID, mark))(e)
		equal(e, "changed", fmt.Sprint(uids(ch.Changed)), changed)
		equal(e, "vanished", fmt.Sprint(ch.Vanished), vanished)
		equal(e, "modseq", ch.ModSeq, e.now(in).ModSeq)
		mark = ch.ModSeq
	}
	want("[]", "[]")
	e.put(in, "1")
	e.put(in, "2")
	e.put(in, "3")
	want("[1 2 3]", "[]")
	want("[]", "[]")
	e.ok(&storage.SetFlags{Folder: in.ID, UIDs: []uint32{1, 3}, Mode: storage.AddFlags, Flags: []string{"k"}})
	e.put(in, "4")
	e.ok(&storage.Expunge{Folder: in.ID, UIDs: []uint32{3}})
	want("[1 4]", "[3]")
	e.put(in, "5")
	e.ok(&storage.Expunge{Folder: in.ID, UIDs: []uint32{5, 2, 1}})
	want("[]", "[1 2 5]")
	all := must(e.Store.Changes(e.ctx, in.ID, 0))(e)
	equal(e, "everything", fmt.Sprint(uids(all.Changed), all.Vanished), "[4] [1 2 3 5]")
	future := must(e.Store.Changes(e.ctx, in.ID, math.MaxUint64))(e)
	equal(e, "future", len(future.Changed)+len(future.Vanished), 0)
}

// told reports whether a watcher has been told, waiting for a while if it should be.
func told(ch <-chan struct{}, wait time.Duration) bool {
	select {
	case <-ch:
		return true
	case <-time.After(wait):
		return false
	}
}

func testWatch(e *env) {
	in := e.box("a@x.it")
	sub := e.folder(in.Mailbox, "sub")
	ch, cancel := e.Store.Watch(in.ID)
	second, cancelSecond := e.Store.Watch(in.ID)
	other, cancelOther := e.Store.Watch(sub.ID)
	defer cancelOther()
	expect := func(what string, c <-chan struct{}, want bool) {
		e.Helper()
		wait := 10 * time.Second
		if !want {
			wait = 20 * time.Millisecond
		}
		equal(e, what, told(c, wait), want)
	}
	e.put(in, "1")
	e.put(in, "2")
	expect("append", ch, true)
	expect("append, second watcher", second, true)
	expect("coalesced", ch, false)
	expect("other folder", other, false)
	cancelSecond()
	cancelSecond()
	for _, op := range []storage.Op{
		&storage.SetFlags{Folder: in.ID, UIDs: []uint32{1}, Flags: []string{"k"}},
		&storage.CopyMessages{From: in.ID, UIDs: []uint32{1}, To: sub.ID},
		&storage.CopyMessages{From: in.ID, UIDs: []uint32{1}, To: sub.ID, Move: true},
		&storage.Expunge{Folder: in.ID, UIDs: []uint32{2}},
	} {
		e.ok(op)
		cp, copied := op.(*storage.CopyMessages)
		expect(fmt.Sprintf("%T", op), ch, !copied || cp.Move)
		expect(fmt.Sprintf("%T, destination", op), other, copied)
	}
	e.ok(&storage.SetFlags{Folder: sub.ID, UIDs: []uint32{1}, Flags: []string{"k"}})
	expect("nothing changed", other, false)
	e.ok(&storage.DeleteFolder{Mailbox: in.Mailbox, Name: "sub"})
	expect("folder gone", other, true)
	b, a := text(in, "x")
	a.Quota, a.Flags = 1, nil
	b.Head = []byte("too much")
	e.fails(fault.Quota, b, a)
	expect("failed step", ch, false)
	cancel()
	e.put(in, "3")
	expect("cancelled", ch, false)
	expect("cancelled", second, false)
}
