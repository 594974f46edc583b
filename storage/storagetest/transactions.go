// SPDX-License-Identifier: EUPL-1.2

package storagetest

import (
	"errors"
	"fmt"
	"time"

	"pecd/fault"
	"pecd/storage"
)

func testOnce(e *env) {
	in := e.box("a@x.it")
	b, a := text(in, "once")
	e.ok(&storage.Once{Keys: []string{"k1", "k2"}, At: at}, b, a)
	b, a = text(in, "twice")
	e.fails(fault.Exists, b, a, &storage.Once{Keys: []string{"k3", "k2"}, At: at})
	equal(e, "done", fmt.Sprint(must(e.Done(e.ctx, []string{"k1", "k2", "k3", "k4"}))(e)), "[k1 k2]")
	equal(e, "none asked", len(must(e.Done(e.ctx, nil))(e)), 0)
	e.ok(&storage.Once{Keys: []string{"k3", "k3"}}, &storage.Once{Keys: []string{"k3"}})
	e.fails(fault.Exists, &storage.Once{Keys: []string{"k3"}})
	e.fails(fault.Invalid, &storage.Once{Keys: []string{""}})
	e.ok(&storage.Once{})
	e.again()
	e.fails(fault.Exists, &storage.Once{Keys: []string{"k1"}})
}

func sample(id string, own bool) storage.Transaction {
	return storage.Transaction{
		ID: id, Own: own, Sender: "Mittente@x.it", MsgID: "<m@x.it>", Subject: "Oggetto è", ReplyTo: "Altri <r@x.it>", Provider: "Alfa",
		Receipt: "completa", At: at, Size: 12345,
		Recipients: []storage.TxRecipient{{Address: "Zeta@y.it"}, {Address: "b@z.it", External: true}, {Address: "a@y.it"}},
	}
}

func testTransactions(e *env) {
	own, other := sample("id1", true), sample("id1", false)
	other.Recipients = other.Recipients[:1]
	other.Recipients[0].TakenAt, other.Recipients[0].Outcome = at, storage.Delivered
	e.ok(&storage.PutTransaction{Transaction: own}, &storage.PutTransaction{Transaction: other})
	want := func(w storage.Transaction) {
		e.Helper()
		got := must(e.Transaction(e.ctx, w.ID, w.Own))(e)
		equal(e, "transaction", fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", w))
	}
	want(own)
	want(other)
	_, err := e.Transaction(e.ctx, "id2", true)
	e.wants(fault.NotFound, err)

	e.ok(&storage.MarkRecipient{ID: "id1", Own: true, Address: "ZETA@Y.IT", TakenAt: at.Add(1)})
	own.Recipients[0].TakenAt = at.Add(1)
	want(own)
	e.ok(&storage.MarkRecipient{ID: "id1", Own: true, Address: "zeta@y.it", Outcome: storage.Failed, OutcomeAt: at.Add(2), OutcomeRef: "<r@y.it>"})
	own.Recipients[0].Outcome, own.Recipients[0].OutcomeAt, own.Recipients[0].OutcomeRef = storage.Failed, at.Add(2), "<r@y.it>"
	want(own)
	e.ok(&storage.MarkRecipient{ID: "id1", Own: true, Address: "a@y.it", FirstNoticeAt: at.Add(3)},
		&storage.MarkRecipient{ID: "id1", Own: true, Address: "a@y.it", SecondNoticeAt: at.Add(4)},
		&storage.MarkRecipient{ID: "id1", Own: true, Address: "a@y.it", FirstNoticeAt: at.Add(9), SecondNoticeAt: at.Add(9)})
	own.Recipients[2].FirstNoticeAt, own.Recipients[2].SecondNoticeAt = at.Add(3), at.Add(4)
	want(own)
	want(other)
	before := e.dump()
	// The first outcome stands.
	e.ok(&storage.MarkRecipient{ID: "id1", Own: true, Address: "zeta@y.it", Outcome: storage.Delivered, OutcomeAt: at.Add(9), OutcomeRef: "<s@y.it>"})
	e.ok(&storage.MarkRecipient{ID: "id1", Own: true, Address: "nobody@y.it", Outcome: storage.Delivered},
		&storage.MarkRecipient{ID: "none", Own: true, Address: "a@y.it", Outcome: storage.Delivered})
	equal(e, "unknown ones passed over", e.dump(), before)
	e.ok(&storage.MarkRecipient{ID: "id1", Own: true, Address: "b@z.it", TakenAt: at, Outcome: storage.Delivered, OutcomeAt: at, Certified: true})
	want(own)
	e.ok(&storage.MarkRecipient{ID: "id1", Own: true, Address: "a@y.it", TakenAt: at, Certified: true},
		&storage.MarkRecipient{ID: "id1", Own: true, Address: "b@z.it", Outcome: storage.Failed, OutcomeAt: at})
	own.Recipients[2].TakenAt = at
	own.Recipients[1].Outcome, own.Recipients[1].OutcomeAt = storage.Failed, at
	want(own)

	// More recipients, taken in charge later; known ones stay as they are.
	more := sample("id1", true)
	more.Sender, more.Recipients = "other@x.it", []storage.TxRecipient{{Address: "zeta@Y.it"}, {Address: "new@y.it", TakenAt: at}}
	e.ok(&storage.PutTransaction{Transaction: more})
	own.Recipients = append(own.Recipients, more.Recipients[1])
	want(own)
	e.fails(fault.Invalid, &storage.PutTransaction{})
	e.again()
	want(own)
	want(other)
}

// testExpectPending: a step that depends on an outcome that is still unknown is
// applied whole, or fails and leaves no trace.
func testExpectPending(e *env) {
	in := e.box("a@x.it")
	other := sample("id1", false)
	other.Recipients[0].Outcome = storage.Delivered // of the other side: none of our business
	e.ok(&storage.PutTransaction{Transaction: sample("id1", true)}, &storage.PutTransaction{Transaction: other})
	expect := func(address string, notTaken bool) *storage.ExpectPending {
		return &storage.ExpectPending{ID: "id1", Own: true, Address: address, NotTaken: notTaken}
	}
	mark := func(address string) *storage.MarkRecipient {
		return &storage.MarkRecipient{ID: "id1", Own: true, Address: address}
	}
	e.ok(expect("ZETA@y.it", true), expect("zeta@Y.it", false), expect("b@z.it", true))
	e.fails(fault.Exists, &storage.ExpectPending{ID: "id1", Address: "zeta@y.it"})
	e.fails(fault.NotFound, expect("nobody@y.it", false))
	e.fails(fault.NotFound, &storage.ExpectPending{ID: "none", Own: true, Address: "zeta@y.it"})

	taken := mark("zeta@y.it")
	taken.TakenAt = at
	noticed := mark("zeta@y.it")
	noticed.FirstNoticeAt, noticed.SecondNoticeAt = at, at
	e.ok(noticed, expect("zeta@y.it", true), taken, expect("zeta@y.it", false))
	b, a := text(in, "a notice")
	e.fails(fault.Exists, b, a, expect("zeta@y.it", true))
	e.fails(fault.Exists, b, a, mark("a@y.it"), expect("a@y.it", true), expect("zeta@y.it", true))
	e.ok(b, a, expect("zeta@y.it", false))

	failed, delivered := mark("zeta@y.it"), mark("a@y.it")
	failed.Outcome, failed.OutcomeAt = storage.Failed, at
	delivered.Outcome, delivered.OutcomeAt = storage.Delivered, at
	b, a = text(in, "another")
	e.fails(fault.Exists, failed, b, a, expect("Zeta@y.it", false)) // its own mark counts
	e.ok(expect("Zeta@y.it", false), failed, delivered)
	e.again()
	b, a = text(in, "too late")
	for _, r := range []string{"zeta@y.it", "A@Y.IT"} {
		e.fails(fault.Exists, b, a, expect(r, false))
		e.fails(fault.Exists, b, a, expect(r, true))
	}
	e.ok(expect("b@z.it", true))
}

func testTransactionsMany(e *env) {
	step := new(storage.Step)
	const n = 1200
	for i := range n {
		t := sample(fmt.Sprint("id", i), true)
		t.At = at.Add(time.Duration(i/3) * time.Second)
		step.Add(&storage.PutTransaction{Transaction: t})
	}
	t := sample("big", true)
	t.At = at.Add(-time.Hour)
	t.Recipients = nil
	for i := range 1000 {
		t.Recipients = append(t.Recipients, storage.TxRecipient{Address: fmt.Sprintf("r%d@y.it", i)})
	}
	step.Add(&storage.PutTransaction{Transaction: t})
	e.ok(step.Ops...)
	got := must(e.Transaction(e.ctx, "big", true))(e)
	equal(e, "recipients", fmt.Sprint(got.Recipients), fmt.Sprint(t.Recipients))
	count := func(from time.Time) (n int) {
		e.Helper()
		var last time.Time
		err := e.EachTransaction(e.ctx, from, func(t storage.Transaction) error {
			if t.At.Before(last) || t.At.Before(from) || len(t.Recipients) < 3 {
				e.Fatalf("%v after %v, from %v, %d recipients", t.At, last, from, len(t.Recipients))
			}
			last = t.At
			n++
			return nil
		})
		if err != nil {
			e.Fatal(err)
		}
		return n
	}
	equal(e, "all", count(time.Time{}), n+1)
	equal(e, "from the first", count(at), n)
	equal(e, "from the middle", count(at.Add(100*time.Second)), n-300)
	equal(e, "from the end", count(at.Add(time.Hour)), 0)
	stop := errors.New("stop")
	if err := e.EachTransaction(e.ctx, at, func(storage.Transaction) error { return stop }); !errors.Is(err, stop) {
		e.Fatal(err)
	}
}

func testRecords(e *env) {
	record := func(event string) *storage.AppendRecord {
		return &storage.AppendRecord{Record: storage.Record{Seq: 99, At: at, Event: event, ID: "id", Mailbox: "a@x.it", Data: []byte(`{"a":1}`)}}
	}
	a, b := record("accepted"), record("delivered")
	b.Record.ID, b.Record.Mailbox, b.Record.Data = "", "", nil
	e.ok(a, b)
	equal(e, "sequence", fmt.Sprint(a.Seq, b.Seq), "1 2")
	e.fails(fault.NotFound, record("x"), &storage.FinishJob{ID: 1}, record("y"))
	e.fails(fault.Invalid, record(""))
	step := new(storage.Step)
	const n = 1100
	for range n {
		step.Add(record("many"))
	}
	e.ok(step.Ops...)
	e.again()
	last := record("last")
	e.ok(last)
	equal(e, "no gap", last.Seq, n+3)
	var got []storage.Record
	read := func(from int64) {
		e.Helper()
		got = nil
		err := e.Store.Records(e.ctx, from, func(r storage.Record) error {
			got = append(got, r)
			return nil
		})
		if err != nil {
			e.Fatal(err)
		}
	}
	read(0)
	equal(e, "records", len(got), n+3)
	for i, r := range got {
		equal(e, "gapless", r.Seq, int64(i+1))
	}
	a.Record.Seq, b.Record.Seq = 1, 2
	a.Record.Hash, b.Record.Hash = got[0].Hash, got[1].Hash // testLogChain looks at them
	equal(e, "contents", fmt.Sprintf("%+v", got[:2]), fmt.Sprintf("%+v", []storage.Record{a.Record, b.Record}))
	read(n + 2)
	equal(e, "from", len(got), 2)
	read(n + 4)
	equal(e, "beyond", len(got), 0)
}
