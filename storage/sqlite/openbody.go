// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"pecd/fault"
	"pecd/storage"
)

// body implements storage.Body. Head, tail and an inline blob are in memory, a
// larger blob is an open file: it stays readable though the message is deleted.
type body struct {
	head, inline, tail []byte
	file               *os.File // nil: none
	off                int64    // of the blob in the file

	blob storage.BlobID
	skip int64 // octets at the start of the blob that are not the message's
	n    int64 // octets of the blob that are

	id           storage.BodyID
	sum, blobSum []byte
}

// OpenBody implements storage.Mail.
func (s *Store) OpenBody(ctx context.Context, id storage.BodyID) (storage.Body, error) {
	const op = "sqlite.OpenBody"
	b := &body{}
	for {
		name, err := s.loadBody(ctx, id, b)
		if noRows(err) {
			return nil, absent(op, "body %d", id)
		}
		if err != nil {
			return nil, failed(op, err)
		}
		if name == "" {
			return b, nil
		}
		b.file, err = os.Open(s.files.blobPath(name))
		if err == nil {
			return b, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, ioFailed(op, err)
		}
		// Deleted between the row and the file? Then the row is gone by now:
		// files are removed after the commit that removes their rows.
		if _, err := s.loadBody(ctx, id, b); err == nil {
			return nil, fault.New(op, fault.Internal, fmt.Errorf("body %d: file %s is missing", id, name))
		}
	}
}

const bodyQuery = `SELECT b.head_len, b.tail_len, b.packed, b.head, b.tail, b.sum, b.blob, b.skip, l.size, l.off, l.data, l.sum, f.name
	FROM bodies b LEFT JOIN blobs l ON l.id = b.blob LEFT JOIN files f ON f.id = l.file WHERE b.id = ?`

// loadBody reads a body's rows and returns the name of its file, "" for none.
func (s *Store) loadBody(ctx context.Context, id storage.BodyID, b *body) (file string, err error) {
	var headLen, tailLen, flags int
	var head, tail []byte
	var blob, size, off sql.NullInt64
	var name sql.NullString
	b.inline = nil
	err = s.read.row(ctx, bodyQuery, []any{id},
		&headLen, &tailLen, &flags, &head, &tail, &b.sum, &blob, &b.skip, &size, &off, &b.inline, &b.blobSum, &name)
	if err != nil {
		return "", err
	}
	b.id, b.blob, b.n, b.off = id, storage.BlobID(blob.Int64), size.Int64-b.skip, off.Int64
	if b.head, err = unpack(head, headLen, flags&packedHead != 0); err != nil {
		return "", fmt.Errorf("body %d: head: %w", id, err)
	}
	if b.tail, err = unpack(tail, tailLen, flags&packedTail != 0); err != nil {
		return "", fmt.Errorf("body %d: tail: %w", id, err)
	}
	if b.skip < 0 || b.n < 0 {
		return "", fmt.Errorf("body %d: skips %d of %d bytes of blob %d", id, b.skip, size.Int64, b.blob)
	}
	if !name.Valid && int64(len(b.inline)) != size.Int64 {
		return "", fmt.Errorf("body %d: blob %d has %d bytes, not %d", id, b.blob, len(b.inline), size.Int64)
	}
	return name.String, nil
}

// Size implements storage.Body.
func (b *body) Size() int64 { return int64(len(b.head)) + b.n + int64(len(b.tail)) }

// Blob implements storage.Body.
func (b *body) Blob() (id storage.BlobID, off, n int64) {
	if b.blob == 0 || b.skip != 0 {
		return 0, 0, 0
	}
	return b.blob, int64(len(b.head)), b.n
}

// ReadAt implements io.ReaderAt.
func (b *body) ReadAt(p []byte, off int64) (int, error) {
	const op = "sqlite.Body"
	if off < 0 {
		return 0, invalid(op, "negative offset")
	}
	total := 0
	for len(p) > 0 {
		n, err := b.readSegment(p, off)
		total += n
		if err == io.EOF {
			return total, io.EOF
		}
		if err != nil {
			return total, failed(op, err)
		}
		p, off = p[n:], off+int64(n)
	}
	return total, nil
}

// readSegment reads from the segment that off lies in, no further.
func (b *body) readSegment(p []byte, off int64) (int, error) {
	if h := int64(len(b.head)); off < h {
		return copy(p, b.head[off:]), nil
	} else {
		off -= h
	}
	if off < b.n {
		return b.readBlob(p[:min(int64(len(p)), b.n-off)], b.skip+off)
	}
	off -= b.n
	if off < int64(len(b.tail)) {
		return copy(p, b.tail[off:]), nil
	}
	return 0, io.EOF
}

// readBlob reads from the blob, of which off is not the end, as much as p has.
func (b *body) readBlob(p []byte, off int64) (int, error) {
	if b.file == nil {
		return copy(p, b.inline[off:]), nil
	}
	n, err := b.file.ReadAt(p, b.off+off)
	if n == len(p) {
		return n, nil
	}
	if err == io.EOF {
		err = fmt.Errorf("file of blob %d: %w", b.blob, io.ErrUnexpectedEOF)
	}
	return n, err
}

// wholeBlob reads the blob from its start, also what is skipped of it.
type wholeBlob struct{ *body }

// ReadAt implements io.ReaderAt, for ranges within the blob.
func (b wholeBlob) ReadAt(p []byte, off int64) (int, error) { return b.readBlob(p, off) }

// Intact implements storage.Body. The sum is made as fillBody makes it.
func (b *body) Intact() error {
	const op = "sqlite.Body"
	whole := sha256.New()
	whole.Write(b.head)
	if b.blob != 0 {
		h := sha256.New()
		if _, err := io.Copy(h, io.NewSectionReader(wholeBlob{b}, 0, b.skip+b.n)); err != nil {
			return failed(op, err)
		}
		if !bytes.Equal(h.Sum(nil), b.blobSum) {
			return fault.New(op, fault.Internal, fmt.Errorf("blob %d of body %d is not what was stored: pecd verify", b.blob, b.id))
		}
		whole.Write(sumOfBlob(b.blobSum, b.skip))
	}
	whole.Write(b.tail)
	if !bytes.Equal(whole.Sum(nil), b.sum) {
		return fault.New(op, fault.Internal, fmt.Errorf("body %d is not what was stored: pecd verify", b.id))
	}
	return nil
}

// Close implements io.Closer.
func (b *body) Close() error {
	if b.file == nil {
		return nil
	}
	return ioFailed("sqlite.Body", b.file.Close())
}
