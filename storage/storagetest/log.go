// SPDX-License-Identifier: EUPL-1.2

package storagetest

import (
	"fmt"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// write appends one record and returns its number.
func (e *env) write(d time.Duration, event, id, mailbox string) int64 {
	e.Helper()
	op := &storage.AppendRecord{Record: storage.Record{At: at.Add(d), Event: event, ID: id, Mailbox: mailbox, Data: []byte(event + id)}}
	e.ok(op)
	return op.Seq
}

func (e *env) state() storage.LogState {
	e.Helper()
	return must(e.LogState(e.ctx))(e)
}

// testLogChain: every record links to the one before, whatever fails in between.
func testLogChain(e *env) {
	equal(e, "empty", e.state(), storage.LogState{First: 1})
	for i := range 5 {
		e.write(time.Duration(i), "k", fmt.Sprint("id", i), "a@x.it")
		e.fails(fault.Invalid, &storage.AppendRecord{Record: storage.Record{Event: "k"}}, &storage.AppendRecord{})
	}
	a, b := &storage.AppendRecord{Record: storage.Record{Event: "one"}}, &storage.AppendRecord{Record: storage.Record{Event: "two"}}
	e.ok(a, b)
	equal(e, "numbers", fmt.Sprint(a.Seq, b.Seq), "6 7")
	e.again()
	e.write(0, "k", "", "")
	var head [32]byte
	last := int64(0)
	err := e.Records(e.ctx, 0, func(r storage.Record) error {
		head = ledger.Link(head, r.Seq, r.Data)
		equal(e, "hash", r.Hash, head)
		equal(e, "number", r.Seq, last+1)
		last = r.Seq
		return nil
	})
	if err != nil {
		e.Fatal(err)
	}
	equal(e, "state", e.state(), storage.LogState{First: 1, Last: 8, Head: head})
}

func testFindRecords(e *env) {
	e.write(0, "k", "id1", "A@x.it")
	e.write(time.Hour, "l", "id1", "b@x.it")
	e.write(2*time.Hour, "k", "", "a@X.it")
	e.write(3*time.Hour, "k", "id2", "")
	for _, c := range []struct {
		q    storage.RecordQuery
		want string
	}{
		{storage.RecordQuery{}, "[1 2 3 4]"},
		{storage.RecordQuery{ID: "id1"}, "[1 2]"},
		{storage.RecordQuery{Mailbox: "a@x.IT"}, "[1 3]"},
		{storage.RecordQuery{Event: "k"}, "[1 3 4]"},
		{storage.RecordQuery{From: at.Add(time.Hour)}, "[2 3 4]"},
		{storage.RecordQuery{To: at.Add(time.Hour)}, "[1]"},
		{storage.RecordQuery{From: at, To: at.Add(3 * time.Hour), Event: "k", Mailbox: "a@x.it"}, "[1 3]"},
		{storage.RecordQuery{ID: "none"}, "[]"},
	} {
		var got []int64
		err := e.FindRecords(e.ctx, c.q, func(r storage.Record) error {
			got = append(got, r.Seq)
			return nil
		})
		equal(e, fmt.Sprintf("%+v", c.q), fmt.Sprint(got, err), c.want+" <nil>")
	}
}

// seal closes the log up to its last record.
func (e *env) seal(number, first int64) storage.Seal {
	e.Helper()
	st := e.state()
	s := storage.Seal{Number: number, Day: "2026-06-03", First: first, Last: st.Last, Head: st.Head, File: fmt.Sprintf("%d.p7m", number), Sum: [32]byte{byte(number)}, At: at}
	for _, before := range e.seals() {
		s.Before = before.Head
	}
	return s
}

func (e *env) seals() (all []storage.Seal) {
	e.Helper()
	err := e.Seals(e.ctx, 0, func(s storage.Seal) error {
		all = append(all, s)
		return nil
	})
	if err != nil {
		e.Fatal(err)
	}
	return all
}

func testSeals(e *env) {
	for range 3 {
		e.write(0, "k", "", "")
	}
	one := e.seal(1, 1)
	for what, bad := range map[string]storage.Seal{
		"number": e.seal(2, 1), "first": e.seal(1, 2),
		"head":   {Number: 1, Day: "d", First: 1, Last: 3, File: "f", Head: [32]byte{1}},
		"last":   {Number: 1, Day: "d", First: 1, Last: 9, File: "f", Head: one.Head},
		"before": {Number: 1, Day: "d", First: 1, Last: 3, File: "f", Head: one.Head, Before: [32]byte{1}},
	} {
		e.Log(what)
		e.fails(fault.Conflict, &storage.PutSeal{Seal: bad})
	}
	e.fails(fault.Invalid, &storage.PutSeal{Seal: storage.Seal{Number: 1, First: 1, Last: 3, Head: one.Head}})
	e.ok(&storage.PutSeal{Seal: one})
	empty := e.seal(2, 4) // a day on which nothing happened
	e.ok(&storage.PutSeal{Seal: empty})
	e.fails(fault.Conflict, &storage.PutSeal{Seal: empty})
	e.write(0, "k", "", "")
	three := e.seal(3, 4)
	e.ok(&storage.PutSeal{Seal: three})

	e.fails(fault.Conflict, &storage.PurgeSeal{Number: 1}) // no stamp
	e.fails(fault.NotFound, &storage.StampSeal{Number: 9, Stamp: []byte("t"), At: at})
	e.fails(fault.Invalid, &storage.StampSeal{Number: 1, At: at})
	for _, s := range []*storage.Seal{&one, &empty} {
		e.ok(&storage.StampSeal{Number: s.Number, Stamp: []byte("token"), At: at.Add(time.Hour)})
		s.Stamp, s.StampedAt = []byte("token"), at.Add(time.Hour)
	}
	e.fails(fault.Exists, &storage.StampSeal{Number: 1, Stamp: []byte("other"), At: at})
	equal(e, "seals", fmt.Sprintf("%+v", e.seals()), fmt.Sprintf("%+v", []storage.Seal{one, empty, three}))

	e.fails(fault.Conflict, &storage.PurgeSeal{Number: 2}) // the first is kept
	e.fails(fault.NotFound, &storage.PurgeSeal{Number: 9})
	e.ok(&storage.PurgeSeal{Number: 1}, &storage.PurgeSeal{Number: 2})
	equal(e, "state", e.state(), storage.LogState{First: 4, Last: 4, Before: one.Head, Head: three.Head})
	e.ok(&storage.StampSeal{Number: 3, Stamp: []byte("token"), At: at}, &storage.PurgeSeal{Number: 3})
	equal(e, "all purged", e.state(), storage.LogState{First: 5, Last: 4, Before: three.Head, Head: three.Head})
	e.clean()
	e.again()
	equal(e, "the next number", e.write(0, "k", "", ""), 5)
	equal(e, "links to the purged", e.state().Head, ledger.Link(three.Head, 5, []byte("k")))
	equal(e, "purged", e.seals()[2].Purged, true)
}

func testQuarantine(e *env) {
	items := make([]storage.Quarantined, 3)
	for i := range items {
		b := &storage.NewBody{Head: fmt.Appendf(nil, "ciphertext %d", i)}
		op := &storage.PutQuarantined{Body: storage.BodyRef{New: b}, Item: storage.Quarantined{
			At: at.Add(time.Duration(i) * time.Hour), Point: "access", Message: fmt.Sprint("id", i), Provider: "Beta", Sender: "a@x.it",
			Recipients: []string{"b@y.it", "è\"<x>@y.it"}, Virus: "Eicar", Size: 77,
		}}
		e.ok(b, op)
		items[i] = op.Item
		items[i].ID, items[i].Body = op.ID, b.ID
	}
	equal(e, "one", fmt.Sprintf("%+v", must(e.Quarantined(e.ctx, items[1].ID))(e)), fmt.Sprintf("%+v", items[1]))
	list := func(from time.Time) string {
		e.Helper()
		var got []storage.Quarantined
		err := e.EachQuarantined(e.ctx, from, func(q storage.Quarantined) error {
			got = append(got, q)
			return nil
		})
		if err != nil {
			e.Fatal(err)
		}
		return fmt.Sprintf("%+v", got)
	}
	equal(e, "all", list(time.Time{}), fmt.Sprintf("%+v", items))
	equal(e, "from", list(items[1].At), fmt.Sprintf("%+v", items[1:]))
	e.fails(fault.Invalid, &storage.PutQuarantined{Item: items[0]})
	e.fails(fault.NotFound, &storage.PutQuarantined{Item: items[0], Body: storage.BodyRef{ID: 999}})
	_, err := e.Quarantined(e.ctx, 999)
	e.wants(fault.NotFound, err)
	e.clean()
	purge := &storage.PurgeQuarantined{Before: items[1].At}
	e.ok(purge)
	equal(e, "purged", fmt.Sprint(purge.Purged), fmt.Sprint([]int64{items[0].ID}))
	_, err = e.OpenBody(e.ctx, items[0].Body)
	e.wants(fault.NotFound, err)
	e.again()
	equal(e, "the rest", list(time.Time{}), fmt.Sprintf("%+v", items[1:]))
}
