// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"pecd/storage"
)

// newBody is the body of a step, prepared. A body that no operation of the step
// refers to is neither filled nor stored.
type newBody struct {
	op   *storage.NewBody
	refs int // operations of this step that refer to it

	head, tail packed
	blob       *newBlob // nil: none
	size       int64
	sum        [sha256.Size]byte
}

// newBody prepares the operation NewBody; fillBody does the work once it is
// known who refers to the body.
func (p *prepared) newBody(op *storage.NewBody) (change, error) {
	if p.bodies[op] != nil {
		return nil, invalid("sqlite.NewBody", "body added twice to one step")
	}
	if op.Skip != 0 && op.Blob == nil {
		return nil, invalid("sqlite.NewBody", "%d bytes are skipped of no blob", op.Skip)
	}
	if len(op.Summary) > storage.MaxSummary {
		return nil, invalid("sqlite.NewBody", "summary of %d bytes, at most %d are kept", len(op.Summary), storage.MaxSummary)
	}
	b := &newBody{op: op}
	p.bodies[op] = b
	return b.apply, nil
}

// refer checks a reference to a body and counts it. Afterwards exactly one of
// the results is set, or none where ref is zero.
func (p *prepared) refer(op string, ref storage.BodyRef) (storage.BodyID, *newBody, error) {
	if ref.New == nil {
		return ref.ID, nil, nil
	}
	if ref.ID != 0 {
		return 0, nil, invalid(op, "body given both by identifier and as new")
	}
	b := p.bodies[ref.New]
	if b == nil {
		return 0, nil, invalid(op, "new body is not part of the step, or added later")
	}
	b.refs++
	return 0, b, nil
}

// fillBody hashes and compresses a body and prepares its blob.
//
// The sum of a body is SHA-256(head ‖ SHA-256(blob) ‖ tail), without the middle
// term where there is no blob: a shared blob is hashed once, however many
// messages are made of it. See sumOfBlob for what is skipped.
func (s *Store) fillBody(ctx context.Context, p *prepared, b *newBody, bytes bool) error {
	if b.refs == 0 {
		return nil
	}
	b.size = int64(len(b.op.Head)) + int64(len(b.op.Tail))
	h := sha256.New()
	h.Write(b.op.Head)
	if b.op.Blob != nil {
		var err error
		if b.blob, err = s.blob(ctx, p, b.op.Blob, bytes); err != nil {
			return err
		}
		if b.op.Skip < 0 || b.op.Skip > 0 && b.op.Skip >= b.blob.size {
			return invalid("sqlite.NewBody", "%d of %d bytes of a blob are skipped", b.op.Skip, b.blob.size)
		}
		b.blob.users++
		b.size += b.blob.size - b.op.Skip
		h.Write(sumOfBlob(b.blob.sum[:], b.op.Skip))
	}
	h.Write(b.op.Tail)
	h.Sum(b.sum[:0])
	b.head, b.tail = s.pack(b.op.Head), s.pack(b.op.Tail)
	p.bytes += len(b.head.bytes) + len(b.tail.bytes) + len(b.op.Summary)
	return nil
}

// sumOfBlob is what a body's sum has of its blob: the blob's, and what is skipped
// of it, if anything is.
func sumOfBlob(sum []byte, skip int64) []byte {
	if skip == 0 {
		return sum
	}
	return binary.BigEndian.AppendUint64(slices.Clone(sum), uint64(skip))
}

// apply stores the body.
func (b *newBody) apply(r *run) error {
	if b.refs == 0 {
		return nil
	}
	var blob any
	if b.blob != nil {
		id, err := b.blob.place(r)
		if err != nil {
			return err
		}
		blob = id
	}
	flags := 0
	if b.head.deflated {
		flags |= packedHead
	}
	if b.tail.deflated {
		flags |= packedTail
	}
	id, err := r.insert(`INSERT INTO bodies (refs, size, blob, skip, head_len, tail_len, packed, sum, head, tail)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		b.refs, b.size, blob, b.op.Skip, b.head.size, b.tail.size, flags, b.sum[:], b.head.bytes, b.tail.bytes)
	if err != nil {
		return err
	}
	if len(b.op.Summary) > 0 {
		if _, err := r.exec("INSERT INTO summaries (body, data) VALUES (?, ?)", id, b.op.Summary); err != nil {
			return err
		}
	}
	if r.bodies == nil {
		r.bodies = make(map[*newBody]storage.BodyID)
	}
	r.bodies[b] = storage.BodyID(id)
	r.after(func() { b.op.ID, b.op.Size = storage.BodyID(id), b.size })
	return nil
}

// use returns the identifier and size of a body that one more row refers to.
// The references to new bodies are counted beforehand.
func (r *run) use(op string, id storage.BodyID, b *newBody) (storage.BodyID, int64, error) {
	if b != nil {
		return r.bodies[b], b.size, nil
	}
	var size int64
	err := r.row("SELECT size FROM bodies WHERE id = ?", id).Scan(&size)
	if noRows(err) {
		return 0, 0, absent(op, "body %d", id)
	}
	if err != nil {
		return 0, 0, err
	}
	r.refBody(id, 1)
	return id, size, nil
}

func (p *prepared) putSummary(op *storage.PutSummary) (change, error) {
	if n := len(op.Summary); n == 0 || n > storage.MaxSummary {
		return nil, invalid("sqlite.PutSummary", "summary of %d bytes, 1 to %d are kept", n, storage.MaxSummary)
	}
	p.bytes += len(op.Summary)
	return func(r *run) error {
		_, err := r.exec(`INSERT INTO summaries (body, data) SELECT id, ? FROM bodies WHERE id = ?
			ON CONFLICT (body) DO UPDATE SET data = excluded.data`, op.Summary, op.Body)
		return err
	}, nil
}
