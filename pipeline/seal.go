// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"time"

	"pecd/fault"
	"pecd/pec"
	"pecd/storage"
)

// original is the message inside an envelope or receipt: a range of bytes that
// is signed over and stored once, as blob.
type original struct {
	r    io.ReaderAt
	off  int64
	n    int64
	blob *storage.NewBlob
	// spool holds the bytes when they are not yet stored; nil otherwise.
	spool storage.Spool
	body  storage.Body // that r reads from, to be closed; may be nil
	bytes []byte       // all of it, where it is in memory; nil otherwise
}

// close ends the reading, and discards the spool unless a committed step has
// taken it. A nil original is closed.
func (o *original) close() {
	if o == nil {
		return
	}
	if o.spool != nil {
		o.spool.Close()
	}
	if o.body != nil {
		o.body.Close()
	}
}

func (o *original) reader() io.Reader {
	if o.bytes != nil {
		return bytes.NewReader(o.bytes)
	}
	return &section{Reader: io.NewSectionReader(o.r, o.off, o.n), r: o.r, off: o.off, n: o.n}
}

// section is a range of bytes that io.Copy copies by a buffer no larger than
// the range: most messages are small.
type section struct {
	io.Reader
	r      io.ReaderAt
	off, n int64
}

// WriteTo implements io.WriterTo, for a section that nothing was read of.
func (s *section) WriteTo(w io.Writer) (int64, error) {
	return s.n, copyRange(w, s.r, s.off, s.n)
}

// copyRange writes the n octets of r from off on to w.
func copyRange(w io.Writer, r io.ReaderAt, off, n int64) error {
	buf := make([]byte, min(copyBuffer, n))
	for n > 0 {
		b := buf[:min(int64(len(buf)), n)]
		if m, err := r.ReadAt(b, off); m < len(b) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		off, n = off+int64(len(b)), n-int64(len(b))
	}
	return nil
}

// seal signs a draft over its exact bytes and returns it as a body to store.
// o is nil for drafts without the original.
func (c *Core) seal(ctx context.Context, d pec.Draft, o *original, at time.Time) (*storage.NewBody, error) {
	const op = "pipeline.seal"
	h := sha256.New()
	var enclosed io.Reader
	if d.WithOriginal {
		enclosed = o.reader()
	}
	if err := d.WriteEntity(h, enclosed); err != nil {
		return nil, fault.New(op, fault.Temporary, err)
	}
	p7s, err := c.Signer.Sign(ctx, [32]byte(h.Sum(nil)), at)
	if err != nil {
		return nil, fault.New(op, fault.Temporary, err)
	}
	head, tail := d.Seal(p7s, c.Signer.MicAlg())
	if !d.WithOriginal {
		return &storage.NewBody{Head: append(head, tail...)}, nil
	}
	return &storage.NewBody{Head: head, Blob: o.blob, Tail: tail}, nil
}

// prefixed returns b with lines put before its head, as the trace of final
// delivery. The parts are shared, the head is copied.
func prefixed(b *storage.NewBody, lines string) *storage.NewBody {
	head := make([]byte, 0, len(lines)+len(b.Head))
	head = append(append(head, lines...), b.Head...)
	return &storage.NewBody{Head: head, Blob: b.Blob, Tail: b.Tail}
}
