// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"

	"pecd/storage"
)

// invariants are queries that yield a row (where, what) for each thing that is
// wrong. Each is one statement and so sees one state of the store.
var invariants = [...]string{
	`SELECT 'body ' || id, printf('%d references are counted, %d are there', refs, n) FROM (
		SELECT b.id, b.refs, (SELECT count(*) FROM messages m WHERE m.body = b.id) +
			(SELECT count(*) FROM jobs j WHERE j.body = b.id) +
			(SELECT count(*) FROM quarantine q WHERE q.body = b.id) AS n FROM bodies b)
		WHERE refs <> n OR n = 0`,
	`SELECT 'blob ' || id, printf('%d references are counted, %d are there', refs, n) FROM (
		SELECT l.id, l.refs, (SELECT count(*) FROM bodies b WHERE b.blob = l.id) AS n FROM blobs l)
		WHERE refs <> n OR n = 0`,
	`SELECT 'file ' || name, printf('%d references are counted, %d are there', refs, n) FROM (
		SELECT f.name, f.refs, (SELECT count(*) FROM blobs l WHERE l.file = f.id) AS n FROM files f)
		WHERE refs <> n OR n = 0`,
	`SELECT 'folder ' || m.folder || ' uid ' || m.uid, printf('size %d, its body %d has %d', m.size, b.id, b.size)
		FROM messages m JOIN bodies b ON b.id = m.body WHERE m.size <> b.size`,
	`SELECT 'folder ' || m.folder || ' uid ' || m.uid, printf('not below UIDNEXT %d', f.uidnext)
		FROM folders f JOIN messages m ON m.folder = f.id AND m.uid >= f.uidnext`,
	`SELECT 'folder ' || m.folder || ' uid ' || m.uid, printf('modseq %d is above the folder''s %d', m.modseq, f.modseq)
		FROM folders f JOIN messages m ON m.folder = f.id AND m.modseq > f.modseq`,
	`SELECT 'folder ' || v.folder || ' uid ' || v.first, printf('vanished to %d at modseq %d in a folder at UIDNEXT %d, modseq %d',
			v.last, v.modseq, f.uidnext, f.modseq)
		FROM folders f JOIN vanished v ON v.folder = f.id
		WHERE v.modseq > f.modseq OR v.last >= f.uidnext OR v.first > v.last`,
	`SELECT 'folder ' || f.id, printf('horizon %d, modseq %d, with %d ranges of expunged UIDs, %d of them not above the horizon',
			f.horizon, f.modseq, count(v.modseq), count(CASE WHEN v.modseq <= f.horizon THEN 1 END))
		FROM folders f LEFT JOIN vanished v ON v.folder = f.id GROUP BY f.id
		HAVING f.horizon > f.modseq OR count(v.modseq) > ` + strconv.Itoa(storage.MaxVanished) + ` OR count(CASE WHEN v.modseq <= f.horizon THEN 1 END) > 0`,
	`SELECT 'folder ' || m.folder || ' uid ' || m.uid, printf('is recorded as vanished at modseq %d', v.modseq)
		FROM vanished v JOIN messages m ON m.folder = v.folder AND m.uid BETWEEN v.first AND v.last`,
	`SELECT 'folder ' || f.id, printf('counts %d messages, %d unseen, %d bytes; there are %d, %d, %d',
			f.messages, f.unseen, f.bytes, count(m.uid), count(CASE WHEN m.flags & 8 = 0 THEN 1 END), total(m.size))
		FROM folders f LEFT JOIN messages m ON m.folder = f.id GROUP BY f.id
		HAVING f.messages <> count(m.uid) OR f.bytes <> total(m.size)
			OR f.unseen <> count(CASE WHEN m.flags & 8 = 0 THEN 1 END)`,
	`SELECT 'mailbox ' || b.id, printf('counts %d bytes, %d messages; its folders hold %d, %d',
			b.used, b.messages, total(f.bytes), total(f.messages))
		FROM mailboxes b LEFT JOIN folders f ON f.mailbox = b.id AND NOT f.recoverable GROUP BY b.id
		HAVING b.used <> total(f.bytes) OR b.messages <> total(f.messages)`,
	`SELECT 'mailbox ' || mailbox, printf('has %d recoverable folders', count(*)) FROM folders WHERE recoverable
		GROUP BY mailbox HAVING count(*) > 1`,
	`SELECT 'folder ' || u.folder || ' uid ' || u.uid, 'has an identifier of POP3, but is not there' FROM uidls u
		WHERE NOT EXISTS (SELECT 1 FROM messages m WHERE m.folder = u.folder AND m.uid = u.uid)`,
	`SELECT 'folder ' || s.folder || ' uid ' || s.uid, 'what ' || s.login || ' has seen is of no message, or of a mailbox where that is not kept'
		FROM seen s WHERE NOT EXISTS (SELECT 1 FROM messages m JOIN folders f ON f.id = m.folder JOIN mailboxes b ON b.id = f.mailbox
			WHERE m.folder = s.folder AND m.uid = s.uid AND b.personal_seen)`,
	`SELECT 'folder ' || folder, printf('counts %d unseen more for %s; there are %d', counted, login, n) FROM (
		SELECT u.folder, u.login, coalesce(c.unseen, 0) AS counted,
			(SELECT count(*) FILTER (WHERE m.flags & 8) - count(*) FILTER (WHERE NOT m.flags & 8) FROM seen s
				JOIN messages m ON m.folder = s.folder AND m.uid = s.uid WHERE s.folder = u.folder AND s.login = u.login) AS n
		FROM (SELECT DISTINCT folder, login FROM seen UNION SELECT folder, login FROM seen_counts) u
			LEFT JOIN seen_counts c ON c.folder = u.folder AND c.login = u.login)
		WHERE counted <> n`,
	`SELECT 'folder ' || f.id, printf('UIDVALIDITY %d is above the mailbox''s %d', f.uidvalidity, b.uidvalidity)
		FROM folders f JOIN mailboxes b ON b.id = f.mailbox WHERE f.uidvalidity > b.uidvalidity`,
	`SELECT 'mailbox ' || b.id, 'has no INBOX' FROM mailboxes b
		WHERE NOT EXISTS (SELECT 1 FROM folders WHERE mailbox = b.id AND name = 'INBOX')`,
	`SELECT 'record ' || r.seq, 'has no predecessor' FROM records r
		WHERE r.seq > 1 AND NOT EXISTS (SELECT 1 FROM records p WHERE p.seq = r.seq - 1)
			AND NOT EXISTS (SELECT 1 FROM seals s WHERE s.last = r.seq - 1 AND s.purged)`,
	`SELECT 'records', printf('%d were written, the last is %d', s.seq, n) FROM sqlite_sequence s, (SELECT max(
			coalesce((SELECT max(seq) FROM records), 0), coalesce((SELECT max(last) FROM seals WHERE purged), 0)) AS n)
		WHERE s.name = 'records' AND s.seq <> n`,
	`SELECT 'seal ' || s.number, printf('from record %d does not continue record %d', s.first, coalesce(p.last, 0))
		FROM seals s LEFT JOIN seals p ON p.number = s.number - 1
		WHERE s.first <> coalesce(p.last, 0) + 1 OR s.before <> coalesce(p.head, zeroblob(32))`,
	`SELECT 'table ' || "table", printf('row %d refers to a row of %s that is not there', rowid, parent) FROM pragma_foreign_key_check`,
	`SELECT 'database', integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'`,
}

// Check implements storage.Store. Files that no row names are counted in the
// log: they take up space and are set aside at the next start.
func (s *Store) Check(ctx context.Context, report func(storage.Problem) error) error {
	const op = "sqlite.Check"
	for _, query := range invariants {
		found, err := all(ctx, s.read, func(row scanner) (p storage.Problem, err error) {
			err = row.Scan(&p.Where, &p.What)
			return p, err
		}, query)
		if err != nil {
			return failed(op, err)
		}
		for _, p := range found {
			if err := report(p); err != nil {
				return err
			}
		}
	}
	if err := s.checkChain(ctx, report); err != nil {
		return failed(op, err)
	}
	if err := s.checkBlobs(ctx, report); err != nil {
		return failed(op, err)
	}
	if err := s.checkBodies(ctx, report); err != nil {
		return failed(op, err)
	}
	orphans := 0
	err := s.eachFile(ctx, func(_ string, known bool) error {
		orphans += btoi(!known)
		return nil
	})
	if orphans > 0 {
		s.opts.Logger.Info("files that no row names", "count", orphans)
	}
	return failed(op, err)
}

// checkChunk bounds what is held in memory of bodies and inline blobs.
const checkChunk = 32

type checkedBlob struct {
	id       storage.BlobID
	size     int64
	sum      []byte
	off      int64
	data     []byte
	file     sql.NullString
	fileSize sql.NullInt64
}

func scanCheckedBlob(row scanner) (b checkedBlob, err error) {
	err = row.Scan(&b.id, &b.size, &b.sum, &b.off, &b.data, &b.file, &b.fileSize)
	return b, err
}

// checkBlobs reads every blob back.
func (s *Store) checkBlobs(ctx context.Context, report func(storage.Problem) error) error {
	var after storage.BlobID
	for {
		bs, err := all(ctx, s.read, scanCheckedBlob, `SELECT l.id, l.size, l.sum, l.off, l.data, f.name, f.size
			FROM blobs l LEFT JOIN files f ON f.id = l.file WHERE l.id > ? ORDER BY l.id LIMIT ?`, after, checkChunk)
		if err != nil {
			return err
		}
		for _, b := range bs {
			after = b.id
			what, err := s.checkBlob(ctx, b)
			if err != nil {
				return err
			}
			if what == "" {
				continue
			}
			var id int64
			err = s.read.row(ctx, "SELECT id FROM blobs WHERE id = ?", []any{b.id}, &id)
			if noRows(err) {
				continue // deleted meanwhile
			}
			if err == nil {
				err = report(storage.Problem{Where: fmt.Sprintf("blob %d", b.id), What: what})
			}
			if err != nil {
				return err
			}
		}
		if len(bs) < checkChunk {
			return nil
		}
	}
}

// checkBlob says what is wrong with a blob, "" for nothing.
func (s *Store) checkBlob(ctx context.Context, b checkedBlob) (string, error) {
	h := sha256.New()
	n := int64(len(b.data))
	if b.file.Valid {
		f, err := os.Open(s.files.blobPath(b.file.String))
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Sprintf("file %s is missing", b.file.String), nil
		}
		if err != nil {
			return "", ioFailed("sqlite.Check", err)
		}
		defer f.Close()
		if info, err := f.Stat(); err != nil {
			return "", ioFailed("sqlite.Check", err)
		} else if info.Size() != b.fileSize.Int64 {
			return fmt.Sprintf("file %s has %d bytes, not %d", b.file.String, info.Size(), b.fileSize.Int64), nil
		}
		n, err = io.Copy(h, &contextReader{ctx, io.NewSectionReader(f, b.off, b.size)})
		if err != nil {
			return "", ioFailed("sqlite.Check", err)
		}
	} else {
		h.Write(b.data)
	}
	if n != b.size {
		return fmt.Sprintf("has %d bytes, not %d", n, b.size), nil
	}
	if got := h.Sum(nil); string(got) != string(b.sum) {
		return fmt.Sprintf("SHA-256 is %x, not %x", got, b.sum), nil
	}
	return "", nil
}

// contextReader ends when its context does: a blob may be large.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

type checkedBody struct {
	id               storage.BodyID
	size, skip       int64
	headLen, tailLen int
	flags            int
	head, tail, sum  []byte
	blobSum          []byte
	blobSize         sql.NullInt64
}

func scanCheckedBody(row scanner) (b checkedBody, err error) {
	err = row.Scan(&b.id, &b.size, &b.skip, &b.headLen, &b.tailLen, &b.flags, &b.head, &b.tail, &b.sum, &b.blobSum, &b.blobSize)
	return b, err
}

// checkBodies compares every body with its sum. The blobs were read before.
func (s *Store) checkBodies(ctx context.Context, report func(storage.Problem) error) error {
	var after storage.BodyID
	for {
		bs, err := all(ctx, s.read, scanCheckedBody, `SELECT b.id, b.size, b.skip, b.head_len, b.tail_len, b.packed, b.head, b.tail, b.sum, l.sum, l.size
			FROM bodies b LEFT JOIN blobs l ON l.id = b.blob WHERE b.id > ? ORDER BY b.id LIMIT ?`, after, checkChunk)
		if err != nil {
			return err
		}
		for _, b := range bs {
			after = b.id
			if what := b.wrong(); what != "" {
				if err := report(storage.Problem{Where: fmt.Sprintf("body %d", b.id), What: what}); err != nil {
					return err
				}
			}
		}
		if len(bs) < checkChunk {
			return nil
		}
	}
}

// wrong says what is wrong with a body, "" for nothing.
func (b *checkedBody) wrong() string {
	head, err := unpack(b.head, b.headLen, b.flags&packedHead != 0)
	if err != nil {
		return "head: " + err.Error()
	}
	tail, err := unpack(b.tail, b.tailLen, b.flags&packedTail != 0)
	if err != nil {
		return "tail: " + err.Error()
	}
	if n := int64(len(head)) + b.blobSize.Int64 - b.skip + int64(len(tail)); n != b.size {
		return fmt.Sprintf("has %d bytes, not %d", n, b.size)
	}
	h := sha256.New()
	h.Write(head)
	h.Write(sumOfBlob(b.blobSum, b.skip))
	h.Write(tail)
	if got := h.Sum(nil); string(got) != string(b.sum) {
		return fmt.Sprintf("SHA-256 is %x, not %x", got, b.sum)
	}
	return ""
}
