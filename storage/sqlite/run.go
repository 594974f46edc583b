// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"database/sql"
	"database/sql/driver"
	"maps"
	"slices"
	"time"

	"pecd/storage"
)

// change is one operation, checked and ready for the writer.
type change func(*run) error

// run is one step being applied by the writer. What it collects takes effect
// only once the engine's commit has succeeded.
type run struct {
	w      *writer
	now    time.Time
	viewer string // whose step it is, "" for nobody's

	// Reference counts to be moved at the end of the step, so that a body may
	// go from a job to a folder without being deleted in between.
	bodyRefs map[storage.BodyID]int
	blobRefs map[storage.BlobID]int
	fileRefs map[int64]int

	made   map[*storage.PutMailbox]storage.MailboxID
	bodies map[*newBody]storage.BodyID
	blobs  map[*newBlob]storage.BlobID
	files  map[*newFile]int64 // the new files that rows refer to
	once   map[string]bool    // keys claimed by this step
	head   *logHead           // end of the log, once the step has appended to it

	folders []storage.FolderID
	jobs    []jobChange
	set     []func() // sets the fields of the operations; runs in the caller's goroutine
	unlink  []string // files whose last reference is gone
}

// after registers fn to run in the caller's goroutine after the commit.
func (r *run) after(fn func()) { r.set = append(r.set, fn) }

// touched notes that a folder changed, for its watchers.
func (r *run) touched(id storage.FolderID) {
	if !slices.Contains(r.folders, id) {
		r.folders = append(r.folders, id)
	}
}

func (r *run) refBody(id storage.BodyID, n int) {
	if r.bodyRefs == nil {
		r.bodyRefs = make(map[storage.BodyID]int)
	}
	r.bodyRefs[id] += n
}

func (r *run) refBlob(id storage.BlobID, n int) {
	if r.blobRefs == nil {
		r.blobRefs = make(map[storage.BlobID]int)
	}
	r.blobRefs[id] += n
}

func (r *run) refFile(id int64, n int) {
	if r.fileRefs == nil {
		r.fileRefs = make(map[int64]int)
	}
	r.fileRefs[id] += n
}

// settle moves the reference counts, from bodies down to files, and deletes
// what nothing refers to any more.
func (r *run) settle() error {
	for _, id := range slices.Sorted(maps.Keys(r.bodyRefs)) {
		if err := r.settleBody(id, r.bodyRefs[id]); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(r.blobRefs)) {
		if err := r.settleBlob(id, r.blobRefs[id]); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(r.fileRefs)) {
		if err := r.settleFile(id, r.fileRefs[id]); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) settleBody(id storage.BodyID, n int) error {
	if n == 0 {
		return nil
	}
	var refs int64
	var blob sql.NullInt64
	err := r.row("UPDATE bodies SET refs = refs + ? WHERE id = ? RETURNING refs, blob", n, id).Scan(&refs, &blob)
	if noRows(err) {
		return absent("sqlite.Commit", "body %d", id)
	}
	if err != nil || refs > 0 {
		return err
	}
	if blob.Valid {
		r.refBlob(storage.BlobID(blob.Int64), -1)
	}
	_, err = r.exec("DELETE FROM bodies WHERE id = ?", id)
	return err
}

func (r *run) settleBlob(id storage.BlobID, n int) error {
	if n == 0 {
		return nil
	}
	var refs int64
	var file sql.NullInt64
	err := r.row("UPDATE blobs SET refs = refs + ? WHERE id = ? RETURNING refs, file", n, id).Scan(&refs, &file)
	if noRows(err) {
		return absent("sqlite.Commit", "blob %d", id)
	}
	if err != nil || refs > 0 {
		return err
	}
	if file.Valid {
		r.refFile(file.Int64, -1)
	}
	_, err = r.exec("DELETE FROM blobs WHERE id = ?", id)
	return err
}

func (r *run) settleFile(id int64, n int) error {
	if n == 0 {
		return nil
	}
	var refs int64
	var name string
	err := r.row("UPDATE files SET refs = refs + ? WHERE id = ? RETURNING refs, name", n, id).Scan(&refs, &name)
	if err != nil || refs > 0 {
		return err
	}
	r.unlink = append(r.unlink, name)
	_, err = r.exec("DELETE FROM files WHERE id = ?", id)
	return err
}

// exec runs a statement of the writer.
func (r *run) exec(query string, args ...any) (driver.Result, error) {
	return r.w.eng.exec(query, args...)
}

// insert runs an INSERT and returns the identifier it was given.
func (r *run) insert(query string, args ...any) (int64, error) {
	res, err := r.exec(query, args...)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

// affected runs a statement and returns how many rows it changed.
func (r *run) affected(query string, args ...any) (int64, error) {
	res, err := r.exec(query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// row runs a query of one row.
func (r *run) row(query string, args ...any) oneRow { return r.w.eng.row(query, args...) }

// rows runs a query inside the step and collects its rows.
func rows[T any](r *run, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	var out []T
	err := r.w.eng.query(func(row scanner) error {
		v, err := scan(row)
		out = append(out, v)
		return err
	}, query, args...)
	if err != nil {
		return nil, err
	}
	return out, nil
}
