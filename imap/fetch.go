// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"errors"
	"io"
	"slices"

	"pecd/fault"
	"pecd/rfc822"
	"pecd/storage"
)

const (
	// \Seen is set in batches of so many messages or octets.
	markMessages = 64
	markOctets   = 4 << 20

	keepScratch = 256 << 10
)

// fetch answers FETCH and UID FETCH (RFC 9051 §6.4.5).
func (s *session) fetch(args []byte) error {
	q, ok := parseFetch(args, s.c.now.uid())
	if !ok {
		return bad("FETCH non valido / invalid FETCH")
	}
	if s.view == nil {
		return errNotSelected
	}
	spans, ok := s.view.resolve(q.set)
	if !ok {
		return errNoSuchMessage
	}
	if hasItem(q.items, itemModSeq) {
		s.knowsModSeqs()
	}
	if q.changed {
		var err error
		if spans, err = s.changedSince(&q, spans); err != nil {
			return err
		}
	}
	if q.page.given() {
		spans = q.page.within(spans)
	}
	f := &fetcher{s: s, items: q.items, utf8: s.utf8(), marks: s.view.marks && slices.ContainsFunc(q.items, setsSeen), reads: slices.ContainsFunc(q.items, reads)}
	if !slices.ContainsFunc(q.items, func(it fetchItem) bool { return it.kind > itemFlags }) {
		return f.fromView(spans)
	}
	err := s.rows(s.ctx, spans, slices.ContainsFunc(q.items, asksSummary), f.message)
	if err = errors.Join(err, f.recordReads()); err != nil {
		return err
	}
	s.remember()
	if err := f.mark(); err != nil {
		return err
	}
	if f.failed == nil && f.told < count(spans) && !q.set.uid {
		if f.told == 0 {
			return errExpunged
		}
		s.code = codeExpunged // a refusal would have clients throw away what they got
	}
	return f.failed
}

// changedSince leaves of spans the messages that a CHANGEDSINCE lets through, and
// tells what of the set is gone where VANISHED asks for it (RFC 7162 §3.2.6).
func (s *session) changedSince(q *fetchQuery, spans []span) ([]span, error) {
	if q.vanished && !s.qresync {
		return nil, bad("prima serve ENABLE QRESYNC / QRESYNC is not enabled")
	}
	away, err := s.missed(s.view, &resync{modseq: q.since, known: numSet{ranges: q.set.uids()}})
	if err != nil {
		return nil, s.refuse(err)
	}
	if q.vanished && !q.set.saved {
		out := s.c.lines()
		out.vanished("(EARLIER) ", away.gone)
		if err := out.done(); err != nil {
			return nil, err
		}
	}
	var changed []span
	for _, m := range away.changed {
		i, _ := s.view.index(m.UID)
		for len(spans) > 0 && spans[0].hi <= i {
			spans = spans[1:]
		}
		if len(spans) > 0 && spans[0].lo <= i {
			changed = append(changed, span{i, i + 1})
		}
	}
	return merge(changed), nil
}

// asksSummary tells whether an item may be answered by the summary of a message.
func asksSummary(it fetchItem) bool {
	switch it.kind {
	case itemEnvelope, itemBody, itemBodyStructure, itemPreview:
		return true
	case itemSection, itemBinary, itemBinarySize:
		return len(it.part) > 0 || it.spec == specFields
	}
	return false
}

func setsSeen(it fetchItem) bool {
	return !it.peek && (it.kind == itemSection || it.kind == itemBinary)
}

// fetcher answers one FETCH.
type fetcher struct {
	s     *session
	items []fetchItem
	utf8  bool
	marks bool
	reads bool

	stillAt int64 // when the login is to be looked at again, as the connection's deadlines

	told   int
	failed error // the first refusal; the other messages are told all the same

	unseen []uint32 // UIDs told since the last mark
	octets int64
	read   []uint32 // UIDs to be recorded

	scratch []byte
	pieces  []piece
}

// piece is a run of response text (a range of scratch) and the octets of the
// message that follow it.
type piece struct {
	from, to int
	extents  []extent
	decode   *rfc822.Part // instead of extents: decoded octets of a part
	off, n   int64        // of these
}

// fromView tells UIDs and flags, which the view knows.
func (f *fetcher) fromView(spans []span) error {
	v, out := f.s.view, f.s.c.lines()
	for _, sp := range spans {
		for i := sp.lo; i < sp.hi; i++ {
			out.b = append(out.b, "* "...)
			out.b = appendInt(out.b, i+1)
			out.b = append(out.b, " FETCH ("...)
			for k, it := range f.items {
				if k > 0 {
					out.b = append(out.b, ' ')
				}
				out.b = append(out.b, it.name...)
				out.b = append(out.b, ' ')
				if it.kind == itemUID {
					out.b = appendInt(out.b, v.uids[i])
				} else {
					out.b = append(out.b, v.flagText(i)...)
				}
			}
			out.b = append(out.b, ')')
			out.end()
		}
	}
	return out.done()
}

// message tells one message: first everything is worked out, so that a failure
// leaves no response half written, then it is sent.
func (f *fetcher) message(i int, m storage.Message, summary []byte) error {
	if err := f.s.ctx.Err(); err != nil {
		return err
	}
	if err := f.still(); err != nil {
		return err
	}
	mm := &fetched{s: f.s, ctx: f.s.ctx, m: m, kept: summary}
	defer mm.close()
	if err := f.plan(i, mm); err != nil {
		switch {
		case fault.Is(err, fault.NotFound): // expunged since its row was read
		case f.failed == nil:
			f.failed = f.s.refuse(err)
		}
		return nil
	}
	if err := f.noteRead(m.UID); err != nil {
		return err
	}
	f.told++
	if err := f.send(mm); err != nil {
		if !errors.Is(err, errOutput) {
			f.s.log.Error("imap: message not readable", "uid", m.UID, "body", int64(m.Body), "error", err)
		}
		f.s.c.stop() // the response cannot be completed
		return io.EOF
	}
	if f.marks && !slices.Contains(m.Flags, flagSeen) {
		f.unseen = append(f.unseen, m.UID)
		f.octets += m.Size
		if len(f.unseen) >= markMessages || f.octets >= markOctets {
			return f.mark()
		}
	}
	return nil
}

// still is that of the session, from time to time: a client that takes its octets
// slowly can be at one FETCH for days.
func (f *fetcher) still() error {
	now := f.s.c.after(0)
	if f.stillAt == 0 {
		f.stillAt = now + int64(recheck)
	}
	if now < f.stillAt {
		return nil
	}
	f.stillAt = now + int64(recheck)
	return f.s.still()
}

// mark sets \Seen on what was sent. It comes after the octets, so that an
// application whose connection breaks finds the message unseen again.
func (f *fetcher) mark() error {
	if len(f.unseen) == 0 {
		return nil
	}
	if err := f.s.c.flush(); err != nil {
		return err
	}
	op := &storage.SetFlags{Folder: f.s.view.folder.ID, UIDs: f.unseen, Mode: storage.AddFlags, Flags: []string{flagSeen},
		Personal: f.s.view.readOnly}
	err := f.s.commit(op)
	if op.Personal && fault.Is(err, fault.Denied) { // not any more: nothing is marked from now on
		f.s.view.marks, f.marks, f.unseen = false, false, nil
		return nil
	}
	if err != nil {
		return f.s.refuse(err)
	}
	f.unseen, f.octets = nil, 0
	return f.s.tellStored(op, false)
}

// plan fills scratch and pieces.
func (f *fetcher) plan(i int, mm *fetched) error {
	if cap(f.scratch) > keepScratch {
		f.scratch = nil
	}
	f.scratch, f.pieces = f.scratch[:0], f.pieces[:0]
	b := append(f.scratch, "* "...)
	b = appendInt(b, i+1)
	b = append(b, " FETCH ("...)
	start := 0
	for k := range f.items {
		it := &f.items[k]
		if k > 0 {
			b = append(b, ' ')
		}
		b = append(b, it.name...)
		b = append(b, ' ')
		var follows piece
		var err error
		if b, follows, err = f.item(b, i, it, mm); err != nil {
			return err
		}
		if follows.extents != nil || follows.decode != nil {
			follows.from, follows.to = start, len(b)
			f.pieces = append(f.pieces, follows)
			start = len(b)
		}
	}
	f.scratch = append(b, ')', '\r', '\n')
	f.pieces = append(f.pieces, piece{from: start, to: len(f.scratch)})
	return nil
}

// item appends the value of an item, or the announcement of a literal.
func (f *fetcher) item(b []byte, i int, it *fetchItem, mm *fetched) ([]byte, piece, error) {
	switch it.kind {
	case itemUID:
		return appendInt(b, mm.m.UID), piece{}, nil
	case itemFlags:
		v := f.s.view
		v.set(i, mm.m.Flags)
		if v.table.fresh {
			out := f.s.c.lines() // nothing of this response is out yet
			out.keywords(v)
			if err := out.done(); err != nil {
				return b, piece{}, err
			}
		}
		return append(b, v.flagText(i)...), piece{}, nil
	case itemModSeq:
		b = append(b, '(')
		return append(appendInt(b, mm.m.ModSeq), ')'), piece{}, nil
	case itemDate:
		return appendDate(b, mm.m.InternalDate), piece{}, nil
	case itemSize:
		return appendInt(b, mm.m.Size), piece{}, nil
	case itemEnvelope:
		h, err := mm.fields()
		return appendEnvelope(b, h, f.utf8), piece{}, err
	case itemBody, itemBodyStructure:
		tree, err := mm.tree()
		if err != nil {
			return b, piece{}, err
		}
		w := bodyWriter{b: b, extended: it.kind == itemBodyStructure, utf8: f.utf8}
		w.part(tree.Root)
		return w.b, piece{}, nil
	case itemBinary, itemBinarySize:
		return f.binary(b, it, mm)
	case itemPreview:
		b, err := appendPreview(b, it, mm, f.utf8)
		return b, piece{}, err
	case itemEmailID:
		return append(append(append(b, '('), emailID(mm.m.Body)...), ')'), piece{}, nil
	case itemThreadID:
		return append(b, "NIL"...), piece{}, nil
	case itemSaveDate:
		return appendDate(b, mm.m.SavedDate), piece{}, nil
	}
	if raw, ok := mm.keptFields(it); ok {
		return appendLiteral(b, raw, it), piece{}, nil
	}
	extents, err := mm.section(it)
	if err != nil {
		return b, piece{}, err
	}
	extents = clip(extents, it)
	b = append(b, '{')
	b = appendInt(b, total(extents))
	b = append(b, '}', '\r', '\n')
	return b, piece{extents: extents}, nil
}

// appendLiteral appends the fields that an item asks for, out of a header block.
func appendLiteral(b, raw []byte, it *fetchItem) []byte {
	extents := clip(headerFields(raw, 0, it), it)
	b = append(b, '{')
	b = appendInt(b, total(extents))
	b = append(b, '}', '\r', '\n')
	for _, e := range extents {
		b = append(b, raw[e.off:e.off+e.n]...)
	}
	return b
}

func (f *fetcher) send(mm *fetched) error {
	c := f.s.c
	for _, p := range f.pieces {
		if err := c.put(f.scratch[p.from:p.to]); err != nil {
			return errOutput
		}
		for _, e := range p.extents {
			if err := c.copyRange(mm.body, e.off, e.n); err != nil {
				return err
			}
		}
		if p.decode != nil {
			r, _ := decodedBody(mm.body, p.decode)
			if _, err := io.CopyN(io.Discard, r, p.off); err != nil {
				return unexpected(err)
			}
			if _, err := io.CopyN(output{c}, r, p.n); err != nil {
				return unexpected(err)
			}
		}
	}
	return nil
}

// output puts without taking a literal's octets for anything else.
type output struct{ c *conn }

func (o output) Write(p []byte) (int, error) {
	if err := o.c.put(p); err != nil {
		return 0, errOutput
	}
	return len(p), nil
}
