// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"container/list"
	"context"
	"io"
	"sync"

	"pecd/fault"
	"pecd/pec"
	"pecd/rfc822"
	"pecd/storage"
)

const (
	openEnvelopes = 16        // kept in the cache
	keptBrief     = 256 << 10 // bytes of a brief original kept for further recipients
	copyBuffer    = 64 << 10  // bytes read at a time
)

// envelope is a stored transport envelope as the delivery point and the relay
// need it: read once, used for every recipient.
type envelope struct {
	cert     pec.Message
	size     int64
	primary  func(recipient string) bool // To and Cc tell primary from copy
	original storage.BlobID
	off, n   int64 // of the original within the stored message
	eightBit bool

	briefMu     sync.Mutex
	briefIntact bool   // the rules leave the original as it is
	brief       []byte // the brief original, when small
	brief8Bit   bool
}

// envelopes keeps the envelopes that are being delivered, so that a message
// with a thousand recipients is read once and not a thousand times.
type envelopes struct {
	store storage.Store
	mu    sync.Mutex
	byID  map[storage.BodyID]*list.Element
	order *list.List // of *cachedEnvelope, most recent first
}

type cachedEnvelope struct {
	id   storage.BodyID
	once sync.Once
	env  *envelope
	err  error
}

func newEnvelopes(st storage.Store) *envelopes {
	return &envelopes{store: st, byID: make(map[storage.BodyID]*list.Element), order: list.New()}
}

// get reads the envelope, or waits for whoever reads it already.
func (c *envelopes) get(ctx context.Context, id storage.BodyID) (*envelope, error) {
	c.mu.Lock()
	el := c.byID[id]
	if el == nil {
		el = c.order.PushFront(&cachedEnvelope{id: id})
		c.byID[id] = el
		if c.order.Len() > openEnvelopes {
			c.drop(c.order.Back())
		}
	} else {
		c.order.MoveToFront(el)
	}
	entry := el.Value.(*cachedEnvelope)
	c.mu.Unlock()

	entry.once.Do(func() { entry.env, entry.err = readEnvelope(ctx, c.store, id) })
	if entry.err != nil { // a failed read is tried again by the next one who asks
		c.mu.Lock()
		if c.byID[id] == el {
			c.drop(el)
		}
		c.mu.Unlock()
	}
	return entry.env, entry.err
}

func (c *envelopes) drop(el *list.Element) {
	c.order.Remove(el)
	delete(c.byID, el.Value.(*cachedEnvelope).id)
}

func readEnvelope(ctx context.Context, st storage.Store, id storage.BodyID) (*envelope, error) {
	const op = "pipeline.readEnvelope"
	body, err := st.OpenBody(ctx, id)
	if err != nil {
		return nil, fault.Wrap(op, err)
	}
	defer body.Close()
	scan, err := scanAt(body, 0, body.Size())
	if err != nil {
		return nil, fault.New(op, fault.Temporary, err)
	}
	rec, err := pec.Recognise(scan, body)
	if err != nil {
		return nil, fault.New(op, fault.Temporary, err)
	}
	if rec.Kind != pec.TransportEnvelope || rec.CertData == nil || rec.Original == nil {
		return nil, fault.Say(op, fault.Internal, "not a transport envelope: "+rec.ReasonEN)
	}
	e := &envelope{
		cert: pec.MessageOf(*rec.CertData), size: body.Size(), primary: pec.Primaries(headerOf(rec.Original, scan)),
		off: rec.Original.BodyOffset, n: rec.Original.End - rec.Original.BodyOffset, eightBit: rec.Original.Has8Bit,
	}
	if blob, off, n := body.Blob(); blob != 0 && off == e.off && n == e.n {
		e.original = blob
	}
	return e, nil
}

// headerOf is the header that To and Cc are read from: the original's, which is
// signed, or the envelope's where the original cannot be looked into.
func headerOf(o *rfc822.Part, scan *rfc822.Message) rfc822.Header {
	if o.Message != nil && o.Message.Header.Len() > 0 {
		return o.Message.Header
	}
	return scan.Root.Header
}

// scanAt scans n bytes of r from off; offsets of the result are relative to off.
func scanAt(r io.ReaderAt, off, n int64) (*rfc822.Message, error) {
	s := rfc822.NewScanner(storedLimits())
	buf := make([]byte, copyBuffer)
	if _, err := io.CopyBuffer(struct{ io.Writer }{s}, struct{ io.Reader }{io.NewSectionReader(r, off, n)}, buf); err != nil {
		return nil, err
	}
	return s.Finish(), nil
}

// whole is the original for a complete receipt. The blob is shared with the
// envelope; where the envelope has none of exactly that range, it is copied.
func (e *envelope) whole(st storage.Store, body storage.Body) (*original, error) {
	o := &original{r: body, off: e.off, n: e.n}
	if e.original != 0 {
		o.blob = &storage.NewBlob{Existing: e.original}
		return o, nil
	}
	spool := st.NewSpool()
	if _, err := io.Copy(spool, o.reader()); err != nil {
		spool.Close()
		return nil, fault.New("pipeline.whole", fault.Temporary, err)
	}
	o.spool = spool
	o.blob = &storage.NewBlob{Spool: spool, Len: e.n}
	return o, nil
}

// hashed is the original for a brief receipt (RFC 6109 §3.3.2.2) in a spool of
// its own. It is nil where the rules leave the original intact. What is small
// is kept for the other recipients.
func (e *envelope) hashed(st storage.Store, body storage.Body) (*original, error) {
	const op = "pipeline.hashed"
	e.briefMu.Lock()
	defer e.briefMu.Unlock()
	if e.briefIntact {
		return nil, nil
	}
	spool := st.NewSpool()
	o := &original{r: spool, spool: spool}
	if e.brief == nil {
		rewritten, err := e.writeBrief(spool, body)
		if err != nil || !rewritten {
			spool.Close()
			e.briefIntact = err == nil
			return nil, fault.Wrap(op, err)
		}
	} else if _, err := spool.Write(e.brief); err != nil {
		spool.Close()
		return nil, fault.New(op, fault.Temporary, err)
	}
	o.n = spool.Size()
	o.blob = &storage.NewBlob{Spool: spool, Len: o.n}
	return o, nil
}

func (e *envelope) writeBrief(spool storage.Spool, body storage.Body) (bool, error) {
	const op = "pipeline.writeBrief"
	scan, err := scanAt(body, e.off, e.n)
	if err != nil {
		return false, fault.New(op, fault.Temporary, err)
	}
	rewritten, err := pec.Brief(spool, io.NewSectionReader(body, e.off, e.n), scan)
	if err != nil {
		return false, fault.New(op, fault.Temporary, err)
	}
	if !rewritten {
		return false, nil
	}
	again, err := scanAt(spool, 0, spool.Size())
	if err != nil {
		return false, fault.New(op, fault.Temporary, err)
	}
	e.brief8Bit = again.Has8Bit
	if n := spool.Size(); n <= keptBrief {
		kept := make([]byte, n)
		if _, err := readFullAt(spool, kept, 0); err != nil {
			return false, err
		}
		e.brief = kept
	}
	return true, nil
}
