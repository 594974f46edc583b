// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"container/list"
	"context"
	"sync"

	"pecd/fault"
	"pecd/pec"
	"pecd/storage"
)

// What the cache of envelopes may hold.
const (
	openEnvelopes = 1024
	openBytes     = 16 << 20
)

// envelopes keeps the envelopes that are being delivered, so that a message
// with a thousand recipients is read once and not a thousand times, and one
// that was just accepted not at all.
type envelopes struct {
	store storage.Store
	mu    sync.Mutex
	byKey map[envelopeKey]*list.Element
	order *list.List // of *cachedEnvelope, most recent first
	bytes int        // of all of them, roughly
}

// envelopeKey is the identificativo of a message of ours, or the body of
// another provider's envelope.
type envelopeKey struct {
	own  string
	body storage.BodyID
}

func keyOf(p deliverPayload, body storage.BodyID) envelopeKey {
	if p.Own {
		return envelopeKey{own: p.ID}
	}
	return envelopeKey{body: body}
}

type cachedEnvelope struct {
	key    envelopeKey
	weight int

	ready chan struct{} // closed when the fields below are set
	env   *envelope     // nil: withdrawn, or the read failed
	err   error
}

func newEnvelopes(st storage.Store) *envelopes {
	return &envelopes{store: st, byKey: make(map[envelopeKey]*list.Element), order: list.New()}
}

// get reads the envelope that is stored as body, or waits for whoever reads or
// stores it already.
func (c *envelopes) get(ctx context.Context, key envelopeKey, body storage.BodyID) (*envelope, error) {
	for {
		el, first := c.entry(key)
		e := el.Value.(*cachedEnvelope)
		if first {
			return c.read(ctx, el, body)
		}
		select {
		case <-e.ready:
		case <-ctx.Done():
			return nil, fault.New("pipeline.envelopes", fault.Temporary, ctx.Err())
		}
		if e.env != nil || e.err != nil {
			return e.env, e.err
		}
	}
}

// read fills an entry, even where reading panics: others wait for it.
func (c *envelopes) read(ctx context.Context, el *list.Element, body storage.BodyID) (env *envelope, err error) {
	defer func() { c.settle(el, env, err) }()
	return readEnvelope(ctx, c.store, body)
}

// expect announces an envelope that is about to be stored. The function that it
// returns is to be called with it after the commit, or with nil where that
// failed; deliveries that come meanwhile wait for it.
func (c *envelopes) expect(key envelopeKey) (stored func(*envelope)) {
	el, first := c.entry(key)
	if !first {
		return func(*envelope) {}
	}
	return func(e *envelope) { c.settle(el, e, nil) }
}

// entry returns the entry of key. Who is first has to settle it.
func (c *envelopes) entry(key envelopeKey) (el *list.Element, first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el = c.byKey[key]; el != nil {
		c.order.MoveToFront(el)
		return el, false
	}
	el = c.order.PushFront(&cachedEnvelope{key: key, ready: make(chan struct{})})
	c.byKey[key] = el
	c.shrink()
	return el, true
}

// settle fills an entry. One without an envelope is forgotten, so that the next
// one who asks reads it.
func (c *envelopes) settle(el *list.Element, env *envelope, err error) {
	e := el.Value.(*cachedEnvelope)
	e.env, e.err = env, err
	close(e.ready)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byKey[e.key] != el { // pushed out meanwhile
		return
	}
	if env == nil {
		c.drop(el)
		return
	}
	e.weight = env.weight()
	c.bytes += e.weight
	c.shrink()
}

func (c *envelopes) shrink() {
	for c.order.Len() > 1 && (c.order.Len() > openEnvelopes || c.bytes > openBytes) {
		c.drop(c.order.Back())
	}
}

func (c *envelopes) drop(el *list.Element) {
	e := el.Value.(*cachedEnvelope)
	c.order.Remove(el)
	delete(c.byKey, e.key)
	c.bytes -= e.weight
}

// weight is what the envelope keeps in memory, or will once its brief original
// is made, roughly.
func (e *envelope) weight() int {
	const fixed, perRecipient = 4 << 10, 256
	n := fixed + perRecipient*len(e.cert.Recipients) + 2*e.header + len(e.bytes)
	if e.cert.Receipt == pec.ReceiptBrief {
		n += int(min(e.n, keptBrief))
	}
	return n
}
