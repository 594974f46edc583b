// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"bytes"
	"context"
	"io"
	"sync"
	"time"

	"pecd/fault"
	"pecd/pec"
	"pecd/rfc822"
	"pecd/storage"
)

const (
	keptOriginal = 64 << 10  // bytes of an original kept with its envelope
	keptBrief    = 256 << 10 // bytes of a brief original kept for further recipients
	copyBuffer   = 64 << 10  // bytes read at a time
)

// envelope is a stored transport envelope as the delivery point and the relay
// need it: read once, used for every recipient.
type envelope struct {
	cert     pec.Message
	accepted time.Time // when the sender's provider accepted it, as certified
	size     int64
	primary  func(recipient string) bool // To and Cc tell primary from copy
	header   int                         // octets of the header that they are in
	original storage.BlobID
	sum      [32]byte // of the original, where known
	off, n   int64    // of the original within the stored message
	eightBit bool
	// bytes is the original where it is small and was at hand; nil otherwise.
	bytes []byte

	briefMu     sync.Mutex
	briefIntact bool   // the rules leave the original as it is
	brief       []byte // the brief original, when small
	brief8Bit   bool
}

func readEnvelope(ctx context.Context, st storage.Store, id storage.BodyID) (*envelope, error) {
	const op = "pipeline.readEnvelope"
	body, err := st.OpenBody(ctx, id)
	if err != nil {
		return nil, fault.Wrap(op, err)
	}
	defer body.Close()
	if err := body.Intact(); err != nil { // a receipt must not vouch for what the disk altered
		return nil, fault.Wrap(op, err)
	}
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
	header := headerOf(rec.Original, scan)
	e := &envelope{
		cert: pec.MessageOf(*rec.CertData), accepted: rec.CertData.At, size: body.Size(), primary: pec.Primaries(header), header: len(header.Raw()),
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
	if err := copyRange(s, r, off, n); err != nil {
		return nil, err
	}
	return s.Finish(), nil
}

// whole is the original for a complete receipt. The blob is shared with the
// envelope; where the envelope has none of exactly that range, it is copied.
func (e *envelope) whole(ctx context.Context, st storage.Store, id storage.BodyID) (*original, error) {
	blob := &storage.NewBlob{Existing: e.original, Len: e.n, Sum: e.sum, SumKnown: e.sum != [32]byte{}}
	if e.original != 0 && e.bytes != nil {
		return &original{r: bytes.NewReader(e.bytes), n: e.n, bytes: e.bytes, blob: blob}, nil
	}
	body, err := st.OpenBody(ctx, id)
	if err != nil {
		return nil, fault.Wrap("pipeline.whole", err)
	}
	o := &original{r: body, off: e.off, n: e.n, body: body}
	if e.original != 0 {
		o.blob = blob
		return o, nil
	}
	spool := st.NewSpool()
	o.spool = spool
	if _, err := io.Copy(spool, o.reader()); err != nil {
		o.close()
		return nil, fault.New("pipeline.whole", fault.Temporary, err)
	}
	o.blob = &storage.NewBlob{Spool: spool, Len: e.n}
	return o, nil
}

// hashed is the original for a brief receipt (RFC 6109 §3.3.2.2) in a spool of
// its own. It is nil where the rules leave the original intact. What is small
// is kept for the other recipients.
func (e *envelope) hashed(ctx context.Context, st storage.Store, id storage.BodyID) (*original, error) {
	const op = "pipeline.hashed"
	e.briefMu.Lock()
	defer e.briefMu.Unlock()
	if e.briefIntact {
		return nil, nil
	}
	spool := st.NewSpool()
	o := &original{r: spool, spool: spool}
	if e.brief == nil {
		rewritten, err := e.writeBrief(ctx, st, spool, id)
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

func (e *envelope) writeBrief(ctx context.Context, st storage.Store, spool storage.Spool, id storage.BodyID) (bool, error) {
	const op = "pipeline.writeBrief"
	body, err := st.OpenBody(ctx, id)
	if err != nil {
		return false, fault.Wrap(op, err)
	}
	defer body.Close()
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
