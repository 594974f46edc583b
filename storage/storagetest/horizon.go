// SPDX-License-Identifier: EUPL-1.2

package storagetest

import (
	"fmt"
	"slices"

	"pecd/storage"
)

// testHorizon: what was expunged is remembered up to a bound, and an answer says
// from when on it is complete.
func testHorizon(e *env) {
	const n = 2*storage.MaxVanished + 200
	in := e.box("a@x.it")
	body := &storage.NewBody{Head: []byte("x")}
	e.ok(body, &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: body}})
	for left := n - 1; left > 0; left -= 1000 {
		step := new(storage.Step)
		for range min(left, 1000) {
			step.Add(&storage.Append{Folder: in.ID, Body: storage.BodyRef{ID: body.ID}})
		}
		e.ok(step.Ops...)
	}
	equal(e, "horizon", e.now(in).Horizon, 0)
	// Every second message, so that each is a range, a hundred a step.
	var marks []storage.Folder
	gone := make(map[uint64][]uint32)
	for first := uint32(1); first < n; first += 200 {
		op := &storage.Expunge{Folder: in.ID}
		for uid := first; uid < first+200; uid += 2 {
			op.UIDs = append(op.UIDs, uid)
		}
		e.ok(op)
		gone[op.ModSeq] = op.Expunged
		marks = append(marks, e.now(in))
	}
	f := e.now(in)
	if f.Horizon == 0 || f.Horizon >= f.ModSeq {
		e.Fatalf("horizon %d at modseq %d", f.Horizon, f.ModSeq)
	}
	for _, mark := range marks {
		ch := must(e.Store.Changes(e.ctx, in.ID, mark.ModSeq))(e)
		equal(e, "horizon", ch.Horizon, f.Horizon)
		if mark.ModSeq < ch.Horizon {
			continue
		}
		var want []uint32
		for modseq, uids := range gone {
			if modseq > mark.ModSeq {
				want = append(want, uids...)
			}
		}
		slices.Sort(want)
		equal(e, fmt.Sprint("vanished since ", mark.ModSeq), fmt.Sprint(ch.Vanished), fmt.Sprint(want))
	}
	// One step with more ranges than are kept: nothing of it is remembered.
	op := &storage.Expunge{Folder: in.ID}
	for uid := uint32(2); uid <= n; uid += 2 {
		op.UIDs = append(op.UIDs, uid)
	}
	e.ok(op)
	f = e.now(in)
	equal(e, "horizon after one step", f.Horizon, op.ModSeq)
	equal(e, "vanished before it", len(must(e.Store.Changes(e.ctx, in.ID, op.ModSeq-1))(e).Vanished), 0)
	e.put(in, "after")
	e.ok(&storage.Expunge{Folder: in.ID, UIDs: []uint32{n + 1}})
	equal(e, "vanished after it", fmt.Sprint(must(e.Store.Changes(e.ctx, in.ID, op.ModSeq))(e).Vanished), fmt.Sprint([]uint32{n + 1}))
	equal(e, "horizon stays", e.now(in).Horizon, op.ModSeq)
}
