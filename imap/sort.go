// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"cmp"
	"context"
	"slices"
	"strings"

	imaplib "github.com/emersion/go-imap/v2"

	"pecd/fault"
	"pecd/rfc822"
	"pecd/storage"
)

// sort answers SORT and UID SORT (RFC 5256 §3, RFC 5267 §3, RFC 5957).
func (s *session) sort(args []byte) error {
	q, charset, ok := parseSort(args)
	switch {
	case !ok:
		return bad("SORT non valido / invalid SORT")
	case s.view == nil:
		return errNotSelected
	}
	hits, err := s.matches(q.key, charset)
	if err == nil {
		hits, err = s.order(hits, q.criteria)
	}
	return s.results(&q.searchQuery, "SORT", hits, err)
}

// order sorts messages. Those that have been expunged since the client was last
// told are left out.
func (s *session) order(hits []int, criteria []criterion) ([]int, error) {
	o := &orderer{texts: newTexts()}
	for _, c := range criteria {
		o.columns = append(o.columns, column{criterion: c})
	}
	err := s.examine(hits, o.add, func(context.Context) error {
		o.rank()
		hits = o.sorted()
		return nil
	})
	return hits, err
}

// examine calls add for those of the messages that are still there, in order,
// with what is kept of them at hand, and then order. It is bounded in time as a
// search is, and in how many commands do it at a time, since add is to gather
// what it is told.
func (s *session) examine(hits []int, add func(i int, f *fetched) error, order func(context.Context) error) error {
	if len(hits) == 0 {
		return nil
	}
	spans := make([]span, len(hits))
	for k, i := range hits {
		spans[k] = span{i, i + 1}
	}
	w := s.work()
	defer w.end()
	select {
	case s.srv.orders <- struct{}{}:
	case <-w.ctx.Done():
		return w.outcome(w.ctx.Err())
	}
	defer func() { <-s.srv.orders }()
	err := s.rows(w.ctx, merge(spans), true, func(i int, m storage.Message, summary []byte) error {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		f := &fetched{s: s, ctx: w.ctx, m: m, kept: summary}
		defer f.close()
		return s.gone(w.ctx, add(i, f))
	})
	s.remember()
	if err == nil {
		err = order(w.ctx)
	}
	return w.outcome(err)
}

// gone makes an error out of one of the store: none where the message is no
// longer there.
func (s *session) gone(ctx context.Context, err error) error {
	switch {
	case err == nil || fault.Is(err, fault.NotFound):
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return s.refuse(err)
}

// column holds what one criterion says of each message, as numbers to be
// compared.
type column struct {
	criterion
	keys []int64
}

// orderer gathers what messages are sorted by.
type orderer struct {
	indexes []int // into the view
	columns []column
	texts   *texts
}

// add takes a message up.
func (o *orderer) add(i int, f *fetched) error {
	h, err := f.fields()
	if err != nil {
		return err
	}
	for k := range o.columns {
		c := &o.columns[k]
		key, err := o.key(c.key, h, f.m)
		if err != nil {
			return err
		}
		c.keys = append(c.keys[:len(o.indexes)], key)
	}
	o.indexes = append(o.indexes, i)
	return nil
}

// key is the sort key of one message: of a text its number.
func (o *orderer) key(k sortKey, h rfc822.Header, m storage.Message) (int64, error) {
	switch k {
	case keyArrival:
		return m.InternalDate.Unix(), nil
	case keyDate:
		return sentAt(h, m), nil
	case keySize:
		return m.Size, nil
	}
	return o.texts.number(sortText(k, h))
}

// sentAt is the sent date in seconds (RFC 5256 §2.2).
func sentAt(h rfc822.Header, m storage.Message) int64 {
	if d, ok := rfc822.ParseDate(h.Get("Date")); ok {
		return d.UTC().Unix()
	}
	return m.InternalDate.Unix()
}

// sortText is what messages are compared by, not yet collated.
func sortText(k sortKey, h rfc822.Header) string {
	switch k {
	case keySubject:
		base, _ := baseSubject(rfc822.DecodeText(h.Get("Subject")))
		return base
	case keyFrom:
		return firstAddress(h, "From").mailbox
	case keyTo:
		return firstAddress(h, "To").mailbox
	case keyCc:
		return firstAddress(h, "Cc").mailbox
	case keyDisplayFrom:
		return firstAddress(h, "From").display()
	case keyDisplayTo:
		return firstAddress(h, "To").display()
	}
	return ""
}

// firstAddress is the first element of a list as ENVELOPE tells it, the zero
// value where there is none.
func firstAddress(h rfc822.Header, field string) address {
	for _, v := range h.Values(field) {
		if list := parseAddresses(v, 1); len(list) > 0 {
			return list[0]
		}
	}
	return address{}
}

// display is what RFC 5957 §3 sorts an address by.
func (a address) display() string {
	if name := rfc822.DecodeText(a.name); name != "" {
		return name
	}
	if a.mailbox != "" && a.host != "" {
		return a.mailbox + "@" + a.host
	}
	return a.mailbox
}

// rank puts ranks in the place of the numbers of texts.
func (o *orderer) rank() {
	ranks := o.texts.ranks()
	for _, c := range o.columns {
		if c.key == keyArrival || c.key == keyDate || c.key == keySize {
			continue
		}
		for n, k := range c.keys {
			c.keys[n] = ranks[k]
		}
	}
}

// sorted returns the indexes in order. What all criteria leave equal stays in the
// order of the mailbox, reversed or not (RFC 5256 §3).
func (o *orderer) sorted() []int {
	order := make([]int32, len(o.indexes))
	for n := range order {
		order[n] = int32(n)
	}
	slices.SortFunc(order, func(a, b int32) int {
		for _, c := range o.columns {
			if d := cmp.Compare(c.keys[a], c.keys[b]); d != 0 {
				if c.reverse {
					return -d
				}
				return d
			}
		}
		return cmp.Compare(a, b)
	})
	out := make([]int, len(order))
	for n, at := range order {
		out[n] = o.indexes[at]
	}
	return out
}

const (
	maxText  = 512      // octets of a text that are compared
	maxTexts = 64 << 20 // octets of all texts of a command
)

var errTooManyTexts = no(imaplib.ResponseCodeLimit, "troppi messaggi da ordinare / too many messages to sort")

// texts numbers collated texts, of which many messages share each.
type texts struct {
	numbers map[string]int64
	octets  int
}

func newTexts() *texts { return &texts{numbers: make(map[string]int64)} }

// number returns the number of a text: 0 is the empty one.
func (t *texts) number(text string) (int64, error) {
	if len(t.numbers) == 0 {
		t.numbers[""] = 0
	}
	text = collate(text)
	text = text[:min(len(text), maxText)]
	if n, ok := t.numbers[text]; ok {
		return n, nil
	}
	const entry = 48 // octets that a text takes besides its own
	if t.octets += len(text) + entry; t.octets > maxTexts {
		return 0, errTooManyTexts
	}
	n := int64(len(t.numbers))
	t.numbers[strings.Clone(text)] = n // not the header that it is cut from
	return n, nil
}

// ranks tells for each number where its text stands among all of them.
func (t *texts) ranks() []int64 {
	sorted := make([]string, 0, len(t.numbers))
	for text := range t.numbers {
		sorted = append(sorted, text)
	}
	slices.Sort(sorted)
	ranks := make([]int64, len(sorted))
	for rank, text := range sorted {
		ranks[t.numbers[text]] = int64(rank)
	}
	return ranks
}
