// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"

	driver "modernc.org/sqlite"

	"pecd/fault"
)

// copyPages is how many pages are copied at a time: half a megabyte, which
// keeps steps waiting for a fraction of a millisecond.
const copyPages = 128

// errCopyBroken ends a copy whose source connection was given up.
var errCopyBroken = errors.New("the writing connection was given up during the copy")

// DatabaseCopy is a copy of the database that is being made while the store is
// in use. The pages are read in pieces between commits, over the writing
// connection: pages that a commit changes behind the copy are brought up to
// date in it by that very commit, so that nothing begins anew, no transaction
// stays open, and the log is checkpointed as always. What is copied is the
// state at the moment of Finish (ADR 0012).
//
// Files of blobs whose last reference goes away stay until Close.
type DatabaseCopy struct {
	store *Store
	path  string

	// Of the writer's goroutine.
	backup *driver.Backup

	pages, left int
	closed      bool
}

// chore is something that is done with the writing connection between commits.
type chore struct {
	do   func() error
	err  error
	done chan struct{}
}

// chore has the writer's goroutine do something between two commits.
func (s *Store) chore(ctx context.Context, do func() error) error {
	c := &chore{do: do, done: make(chan struct{})}
	select {
	case s.writer.chores <- c:
	case <-s.writer.finished:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	<-c.done // a piece of work that does not wait for anybody
	return c.err
}

func (c *chore) run() {
	c.err = c.do()
	close(c.done)
}

// CopyDatabase begins a copy of the database into a new file. One copy can be
// made at a time: a second one fails with fault.Conflict.
func (s *Store) CopyDatabase(ctx context.Context, path string) (*DatabaseCopy, error) {
	const op = "sqlite.CopyDatabase"
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, ioFailed(op, err)
	}
	if err := f.Close(); err != nil {
		return nil, ioFailed(op, err)
	}
	c := &DatabaseCopy{store: s, path: path}
	s.files.hold()
	if err := s.chore(ctx, func() error { return s.writer.beginCopy(c) }); err != nil {
		return nil, failed(op, errors.Join(err, c.Close(), os.Remove(path)))
	}
	return c, nil
}

// Pages returns how many pages the database had at the last step, and how many
// of them remain to be copied.
func (c *DatabaseCopy) Pages() (all, left int) { return c.pages, c.left }

// PageBytes is the size of a page of the database.
const PageBytes = pageSize

// Step copies the next pages and returns how many bytes it has read. ready says
// that Finish will be as short as a step.
func (c *DatabaseCopy) Step(ctx context.Context) (bytes int, ready bool, err error) {
	if c.left <= copyPages {
		return 0, true, nil // a last page is left for Finish, which decides the instant
	}
	before := c.left
	err = c.store.chore(ctx, func() error {
		if c.backup == nil {
			return errCopyBroken
		}
		return c.advance(copyPages)
	})
	if err != nil {
		return 0, false, failed("sqlite.CopyDatabase", err)
	}
	if c.left > before {
		c.store.opts.Logger.Info("the database grows while it is copied, or its copy begins anew", "pages", c.pages, "left", c.left)
	}
	return copyPages * pageSize, c.left <= copyPages, nil
}

// advance copies n pages in the writer's goroutine.
func (c *DatabaseCopy) advance(n int32) error {
	more, err := c.backup.Step(n)
	if err == nil && !more {
		err = errors.New("the copy ended before its end")
	}
	c.pages, c.left = c.backup.PageCount(), c.backup.Remaining()
	return err
}

// Finish copies what remains and brings the file to stable storage. The copy is
// the state of the store at an instant within this call.
func (c *DatabaseCopy) Finish(ctx context.Context) error {
	const op = "sqlite.CopyDatabase"
	err := c.store.chore(ctx, func() error {
		if c.backup == nil {
			return errCopyBroken
		}
		more, err := c.backup.Step(-1)
		if err == nil && more {
			err = errors.New("the copy did not end")
		}
		return errors.Join(err, c.store.writer.endCopy())
	})
	if err != nil {
		return failed(op, err)
	}
	f, err := os.OpenFile(c.path, os.O_RDWR, 0)
	if err != nil {
		return ioFailed(op, err)
	}
	return ioFailed(op, errors.Join(f.Sync(), f.Close()))
}

// Close gives the copy up where it is not finished, and lets go of the files
// that were kept for it. The context of a call that ends does not matter here.
func (c *DatabaseCopy) Close() error {
	if c.closed {
		return nil
	}
	c.closed = true
	err := c.store.chore(context.Background(), func() error {
		if c.store.writer.copying != c {
			return nil
		}
		return c.store.writer.endCopy()
	})
	if errors.Is(err, errClosed) { // the writer has ended the copy with itself
		err = nil
	}
	return failed("sqlite.CopyDatabase", errors.Join(err, c.store.files.release()))
}

// beginCopy starts the engine's backup.
func (w *writer) beginCopy(c *DatabaseCopy) error {
	if w.copying != nil {
		return fault.Say("sqlite.CopyDatabase", fault.Conflict, "una copia è già in corso / a copy is being made")
	}
	if w.eng == nil {
		if err := w.reconnect(); err != nil {
			return err
		}
	}
	source, ok := w.eng.conn.(interface {
		NewBackup(string) (*driver.Backup, error)
	})
	if !ok {
		return fmt.Errorf("driver connection %T makes no copies", w.eng.conn)
	}
	// Half a copy is thrown away: its file needs neither journal nor syncs
	// before Finish.
	backup, err := source.NewBackup(copyURI(c.path))
	if err != nil {
		return err
	}
	w.copying, c.backup = c, backup
	return c.advance(0)
}

func copyURI(path string) string {
	return source(path, "journal_mode(OFF)", "synchronous(OFF)", "cache_size(-2048)")
}

// endCopy ends the engine's backup, finished or not: it must be over before its
// connection is closed.
func (w *writer) endCopy() error {
	c := w.copying
	if c == nil {
		return nil
	}
	w.copying = nil
	b := c.backup
	c.backup = nil
	return b.Finish()
}
