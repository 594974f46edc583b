// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"bytes"
	"fmt"

	"pecd/ledger"
	"pecd/storage"
)

// records goes on with what is left of the records up to the end of s.
func (v *verifier) records(s storage.Seal) error {
	for _, ok := v.peek(s.Last); ok; _, ok = v.peek(s.Last) {
		if err := v.record(v.take(), s, nil); err != nil {
			return err
		}
	}
	if v.err != nil {
		return v.err
	}
	return v.gap(s.Last+1, s)
}

// record judges one record: its link, its columns, and where there is one that
// can be relied on, its line in the sealed file. Reasons of the caller come first.
func (v *verifier) record(r storage.Record, s storage.Seal, l *line, wrong ...string) error {
	if err := v.gap(r.Seq, s); err != nil {
		return err
	}
	all := reasons(wrong)
	if l != nil && !bytes.Equal(l.data, r.Data) {
		all.add("non è quella sigillata / is not what was sealed")
	}
	if !v.chain.next(r.Seq, r.Hash, r.Data) {
		all.add("la catena si interrompe: alterata questa o la precedente / the chain breaks: this one or the one before was altered")
	}
	if l != nil {
		v.chain.trust(l.hash) // one that differs without a reason here follows from an alteration before
	}
	v.last = cut{r.Seq, r.Hash}
	all = append(all, columns(r)...)
	if s.Number == 0 && dayOf(r.At, v.cfg.Zone).Before(v.overdue) {
		if v.old++; v.old == 1 {
			v.firstOld = r.Seq
		}
	}
	data := r.Data
	if l != nil {
		data = l.data
	}
	if err := v.claims(r.Seq, data, v.madeBefore(s), &all); err != nil {
		return err
	}
	if len(all) == 0 {
		return nil
	}
	p := Problem{Seq: r.Seq, Kind: ledger.Kind(r.Event), ID: r.ID, At: r.At, Seal: s.Number, File: s.File, What: all.String()}
	p.event(r.Data)
	if l != nil {
		p.event(l.data)
	}
	return v.report(p)
}

// gap tells of the records missing before the number next, and passes over them.
func (v *verifier) gap(next int64, s storage.Seal) error {
	first, last := v.chain.seq+1, next-1
	if first > last {
		return nil
	}
	v.chain.skip(last)
	what := "manca / missing"
	if first < last {
		what = fmt.Sprintf("mancano fino alla %d / missing up to %d", last, last)
	}
	return v.report(Problem{Seq: first, Seal: s.Number, File: s.File, What: what})
}

// missing tells of a record that the sealed file has and the store has not.
func (v *verifier) missing(l line, s storage.Seal) error {
	if err := v.gap(l.seq, s); err != nil {
		return err
	}
	v.chain.start(l.seq, l.hash)
	wrong := reasons{"manca, ma è sigillata / missing, but it was sealed"}
	if err := v.claims(l.seq, l.data, v.madeBefore(s), &wrong); err != nil {
		return err
	}
	p := Problem{Seq: l.seq, Seal: s.Number, File: s.File, What: wrong.String()}
	p.event(l.data)
	return v.report(p)
}
