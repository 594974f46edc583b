// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"io"

	"pecd/storage"
)

// newBlob is the blob of a step, prepared.
type newBlob struct {
	op    *storage.NewBlob
	users int // bodies of this step that are made of it

	id   storage.BlobID // of an existing blob; 0: by sum and size
	size int64
	sum  [sha256.Size]byte
	data []byte   // inline bytes
	file *newFile // or a published file; neither: the store had the blob
	off  int64    // in the file
}

// newFile is a published file that no row refers to yet.
type newFile struct {
	area  *fileArea
	name  string
	size  int64
	spool *spool // whose file it is; nil: written for this step
}

// settle decides what becomes of the file once the outcome of its step is known.
func (f *newFile) settle(q *request) {
	// The writer names the files it had a use for. After a commit of unknown
	// outcome a row may refer to the file: it stays, and is set aside at the
	// next start where that is not so.
	keep := q.unsure
	if q.run != nil {
		_, keep = q.run.files[f]
	}
	var err error
	switch {
	case f.spool != nil:
		err = f.spool.unclaim(keep)
	case !keep:
		err = f.area.remove(f.name)
	}
	_ = err // an orphan, set aside at the next start
}

// blob prepares a blob. With bytes set it brings them even where the store
// seems to have the blob.
func (s *Store) blob(ctx context.Context, p *prepared, op *storage.NewBlob, bytes bool) (*newBlob, error) {
	const opName = "sqlite.NewBlob"
	if b := p.blobs[op]; b != nil {
		return b, nil
	}
	b := &newBlob{op: op}
	p.blobs[op] = b
	if op.Existing != 0 {
		b.id = op.Existing
		if op.SumKnown {
			b.size, b.sum = op.Len, op.Sum
			return b, nil
		}
		var sum []byte
		err := s.read.row(ctx, "SELECT size, sum FROM blobs WHERE id = ?", []any{b.id}, &b.size, &sum)
		if noRows(err) {
			return nil, absent(opName, "blob %d", b.id)
		}
		copy(b.sum[:], sum)
		return b, failed(opName, err)
	}
	sp, ok := op.Spool.(*spool)
	if !ok || sp.files != s.files {
		return nil, invalid(opName, "spool is not one of this store")
	}
	if op.Off < 0 || op.Len < 0 || op.Off > sp.Size()-op.Len {
		return nil, invalid(opName, "range %d+%d of a spool of %d bytes", op.Off, op.Len, sp.Size())
	}
	b.size, b.sum = op.Len, op.Sum
	if b.size <= s.opts.InlineLimit {
		b.data = make([]byte, b.size)
		if _, err := sp.ReadAt(b.data, op.Off); err != nil && err != io.EOF {
			return nil, err
		}
		p.bytes += len(b.data)
		if !op.SumKnown {
			b.sum = sha256.Sum256(b.data)
		}
		return b, nil
	}
	if !op.SumKnown {
		h := sha256.New()
		if _, err := io.Copy(h, io.NewSectionReader(sp, op.Off, op.Len)); err != nil {
			return nil, err
		}
		h.Sum(b.sum[:0])
	}
	if !bytes {
		var id int64
		err := s.read.row(ctx, "SELECT id FROM blobs WHERE sum = ? AND size = ?", []any{b.sum[:], b.size}, &id)
		if err == nil {
			return b, nil // nothing to sync: the writer will find it as well
		}
		if !noRows(err) {
			return nil, failed(opName, err)
		}
	}
	var err error
	b.file, b.off, err = s.fileFor(p, sp, op)
	return b, err
}

// fileFor publishes a file that holds a range of a spool: the spool's own where
// the range is most of it, otherwise a copy of the range.
func (s *Store) fileFor(p *prepared, sp *spool, op *storage.NewBlob) (*newFile, int64, error) {
	const opName = "sqlite.NewBlob"
	if op.Len >= sp.Size()-op.Len {
		for _, f := range p.files {
			if f.spool == sp {
				return f, op.Off, nil
			}
		}
		name, ok, err := sp.claim()
		if err != nil {
			return nil, 0, err
		}
		if ok {
			f := &newFile{area: s.files, name: name, size: sp.Size(), spool: sp}
			p.files = append(p.files, f)
			return f, op.Off, nil
		}
	}
	name, err := s.files.write(sp, op.Off, op.Len)
	if err != nil {
		return nil, 0, ioFailed(opName, err)
	}
	f := &newFile{area: s.files, name: name, size: op.Len}
	p.files = append(p.files, f)
	return f, 0, nil
}

// place finds or stores the blob, and counts the new bodies of the step.
func (b *newBlob) place(r *run) (storage.BlobID, error) {
	const op = "sqlite.NewBlob"
	if id, ok := r.blobs[b]; ok {
		return id, nil
	}
	id, err := b.find(r)
	if noRows(err) && b.id != 0 {
		return 0, absent(op, "blob %d", b.id)
	}
	if noRows(err) {
		id, err = b.insert(r)
	}
	if err != nil {
		return 0, failed(op, err)
	}
	if r.blobs == nil {
		r.blobs = make(map[*newBlob]storage.BlobID)
	}
	r.blobs[b] = id
	r.after(func() { b.op.ID = id })
	return id, nil
}

func (b *newBlob) find(r *run) (id storage.BlobID, err error) {
	if b.id != 0 {
		// Its sum is part of the body's: a caller who is mistaken must not get far.
		n, err := r.affected("UPDATE blobs SET refs = refs + ? WHERE id = ? AND size = ? AND sum = ?", b.users, b.id, b.size, b.sum[:])
		if err == nil && n == 0 {
			err = sql.ErrNoRows
		}
		return b.id, err
	}
	err = r.row("UPDATE blobs SET refs = refs + ? WHERE sum = ? AND size = ? RETURNING id",
		b.users, b.sum[:], b.size).Scan(&id)
	return id, err
}

func (b *newBlob) insert(r *run) (storage.BlobID, error) {
	var file any
	switch {
	case b.file != nil:
		id, err := b.file.row(r)
		if err != nil {
			return 0, err
		}
		file = id
	case b.data == nil:
		return 0, errBlobGone
	}
	id, err := r.insert("INSERT INTO blobs (refs, size, sum, file, off, data) VALUES (?, ?, ?, ?, ?, ?)",
		b.users, b.size, b.sum[:], file, b.off, b.data)
	return storage.BlobID(id), err
}

// row returns the identifier of the file's row, counting one more blob in it.
func (f *newFile) row(r *run) (int64, error) {
	if id, ok := r.files[f]; ok {
		_, err := r.exec("UPDATE files SET refs = refs + 1 WHERE id = ?", id)
		return id, err
	}
	id, err := r.insert("INSERT INTO files (name, size, refs) VALUES (?, ?, 1)", f.name, f.size)
	if err != nil {
		return 0, err
	}
	if r.files == nil {
		r.files = make(map[*newFile]int64)
	}
	r.files[f] = id
	return id, nil
}
