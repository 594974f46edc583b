// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"cmp"
	"context"
	"hash/maphash"
	"slices"

	"pecd/rfc822"
)

// thread answers THREAD and UID THREAD (RFC 5256 §3).
func (s *session) thread(args []byte) error {
	by, q, charset, ok := parseThread(args)
	switch {
	case !ok:
		return bad("THREAD non valido / invalid THREAD")
	case s.view == nil:
		return errNotSelected
	}
	if q.modseq {
		s.knowsModSeqs()
	}
	hits, err := s.matches(q.key, charset)
	if err != nil {
		return err
	}
	t := &threader{by: by, texts: newTexts(), seed: maphash.MakeSeed()}
	var roots []int32
	err = s.examine(hits, t.add, func(ctx context.Context) error {
		var err error
		roots, err = t.threads(ctx)
		return err
	})
	if err != nil {
		return err
	}
	out := s.c.lines()
	out.b = append(out.b, "* THREAD"...)
	if len(roots) > 0 {
		out.b = append(out.b, ' ')
	}
	out.b = appendThreads(out.b, roots, &t.forest, s.numbers(t.indexes))
	out.end()
	return out.done()
}

// threader gathers what threads are made of.
type threader struct {
	by    threading
	texts *texts
	seed  maphash.Seed // of the message identifiers: 64 bits nobody can foresee

	indexes  []int    // of the messages into the view
	dates    []int64  // sent
	subjects []int64  // numbers of base subjects, 0 for the empty one
	replies  []bool   // the subject is one of a reply or forward
	ids      []uint64 // Message-ID, 0 for none
	refs     []uint64 // references of all messages, one after the other
	ends     []int    // of each message's references

	forest forest
}

// maxReferences is how many references of a message count: the last ones.
const maxReferences = 100

// add takes a message up.
func (t *threader) add(i int, f *fetched) error {
	h, err := f.fields()
	if err != nil {
		return err
	}
	base, reply := baseSubject(rfc822.DecodeText(h.Get("Subject")))
	subject, err := t.texts.number(base)
	if err != nil {
		return err
	}
	t.indexes = append(t.indexes, i)
	t.dates = append(t.dates, sentAt(h, f.m))
	t.subjects = append(t.subjects, subject)
	t.replies = append(t.replies, reply)
	if t.by == references {
		t.refer(h)
	}
	return nil
}

// refer takes the identifiers of a message up.
func (t *threader) refer(h rfc822.Header) {
	id := uint64(0)
	for _, own := range firstMessageID(h.Get("Message-ID")) {
		id = t.hash(own)
	}
	t.ids = append(t.ids, id)
	refs := messageIDs(h.Get("References"), maxReferences)
	if len(refs) == 0 {
		refs = firstMessageID(h.Get("In-Reply-To"))
	}
	for _, r := range refs {
		if ref := t.hash(r); ref != id { // to itself says nothing
			t.refs = append(t.refs, ref)
		}
	}
	t.ends = append(t.ends, len(t.refs))
}

// hash is never 0, which is no identifier.
func (t *threader) hash(id string) uint64 { return max(maphash.String(t.seed, id), 1) }

// referencesOf returns those of message n.
func (t *threader) referencesOf(n int) []uint64 {
	start := 0
	if n > 0 {
		start = t.ends[n-1]
	}
	return t.refs[start:t.ends[n]]
}

// threads returns the roots of the threads in order.
func (t *threader) threads(ctx context.Context) ([]int32, error) {
	if t.by == orderedSubject {
		return t.bySubject(), nil
	}
	return t.byReferences(ctx)
}

// older compares messages by their sent dates, equal ones as they lie in the
// mailbox.
func (t *threader) older(a, b int32) int {
	if d := cmp.Compare(t.dates[a], t.dates[b]); d != 0 {
		return d
	}
	return cmp.Compare(a, b)
}

// bySubject makes a thread of the messages of each base subject: under the oldest
// one lie all others.
func (t *threader) bySubject() []int32 {
	t.forest.grow(len(t.indexes))
	order := make([]int32, len(t.indexes))
	for n := range order {
		order[n] = int32(n)
	}
	slices.SortFunc(order, t.older)
	first := make(map[int64]int32)
	var roots []int32
	for _, n := range order {
		root, ok := first[t.subjects[n]]
		if !ok {
			first[t.subjects[n]] = n
			roots = append(roots, n)
			continue
		}
		t.forest.append(root, n)
	}
	return roots
}
