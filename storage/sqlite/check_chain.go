// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"fmt"

	"pecd/ledger"
	"pecd/storage"
)

// checkChain computes the log's chain again. A record that was altered is
// reported once: the chain goes on from the hash it should have had.
func (s *Store) checkChain(ctx context.Context, report func(storage.Problem) error) error {
	st, err := s.LogState(ctx)
	if err != nil {
		return err
	}
	before := st.Before
	last := st.First - 1
	err = s.Records(ctx, st.First, func(r storage.Record) error {
		if r.Seq > st.Last {
			return nil // written meanwhile
		}
		want := ledger.Link(before, r.Seq, r.Data)
		before, last = r.Hash, r.Seq
		if want == r.Hash {
			return nil
		}
		return report(storage.Problem{Where: fmt.Sprintf("record %d", r.Seq), What: fmt.Sprintf("the chain breaks: its hash should be %x", want)})
	})
	if err != nil {
		return err
	}
	if last != st.Last {
		return report(storage.Problem{Where: "records", What: fmt.Sprintf("%d were written, the last is %d", st.Last, last)})
	}
	return nil
}
