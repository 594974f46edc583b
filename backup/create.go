// SPDX-License-Identifier: EUPL-1.2

package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"pecd/clock"
	"pecd/fault"
	"pecd/storage"
	"pecd/storage/sqlite"
)

// Source is the store that is copied, while it is in use.
type Source struct {
	Store *sqlite.Store
	Dir   string // of the store
	// Still calls fn while no sealed day of the log comes or goes.
	Still    func(fn func() error) error
	Extras   []Extra // sorted by name
	Provider string  // domain
	Node     string
}

// Extra is a file that goes into node/ of the copy.
type Extra struct {
	Name    string
	Content io.Reader
}

// Options adjusts a copy.
type Options struct {
	Rate int64 // bytes a second that are read at most; 0: no bound
	Keep int   // how many copies stay in the folder; 0: all
	// Anew copies every file, also those that the copy before has.
	Anew   bool
	Clock  clock.Clock
	Logger *slog.Logger
}

// Result tells of a copy that was made.
type Result struct {
	Point
	Copied  int64 // files
	Linked  int64 // files that the copy before had
	Removed []string
}

// maxTrials is how often the copy of the database is begun anew where its
// connection was given up.
const maxTrials = 3

// Create makes a copy of the store in a folder of copies, which it creates where
// it is missing. It fails with fault.Conflict where another copy is being made,
// or the folder has copies of another store, and leaves nothing then.
func Create(ctx context.Context, src Source, to string, opts Options) (res Result, err error) {
	const op = "backup.Create"
	if err := sqlite.MakeDirs(to); err != nil {
		return res, temporary(op, err)
	}
	lock, err := lockFolder(to)
	if err != nil {
		return res, err
	}
	defer lock.Close()
	if err := sweep(to); err != nil {
		return res, temporary(op, err)
	}
	id, err := src.Store.Identity(ctx)
	if err != nil {
		return res, err
	}
	before, err := previous(to, id.ID, opts.Logger)
	if err != nil {
		return res, err
	}
	if opts.Anew {
		before = nil
	}
	w := &work{Source: src, Options: opts, pace: newPace(opts.Clock, opts.Rate), before: before}
	w.recall()
	w.dir, err = os.MkdirTemp(to, partial)
	if err != nil {
		return res, temporary(op, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, temporary(op, os.RemoveAll(w.dir)))
		}
	}()
	w.m = Manifest{Format: format, Store: id.ID, Provider: src.Provider, Node: src.Node}
	if err := w.run(ctx); err != nil {
		return res, temporary(op, err)
	}
	final := filepath.Join(to, name(w.m.Instant))
	if err := os.Rename(w.dir, final); err != nil { // fails where one of that name is
		return res, temporary(op, err)
	}
	if err := syncDir(to); err != nil {
		return res, temporary(op, errors.Join(err, os.RemoveAll(final)))
	}
	res = Result{Point: Point{Dir: final, Manifest: w.m}, Copied: w.copied, Linked: w.linked}
	res.Removed, err = prune(to, opts.Keep, final)
	return res, temporary(op, err)
}

// lockFolder keeps a folder of copies for one process at a time.
func lockFolder(dir string) (*os.File, error) {
	const op = "backup.lock"
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, temporary(op, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fault.Say(op, fault.Conflict, fmt.Sprintf("%s: un'altra copia è in corso / another copy is being made", dir))
	}
	return f, nil
}

// sweep removes what a copy left that was broken off.
func sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), partial) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// previous returns the newest copy in a folder, nil for none. All must be of one
// store: a store that was put back is another. One that cannot be read does not
// keep new ones from being made.
func previous(dir, id string, log *slog.Logger) (*Point, error) {
	points, unreadable, err := Points(dir)
	for _, b := range unreadable {
		log.Warn("a copy cannot be read", "copy", b.File, "error", b.What)
	}
	if err != nil || len(points) == 0 {
		return nil, err
	}
	last := points[len(points)-1]
	if last.Store != id {
		return nil, fault.Say("backup.Create", fault.Conflict, fmt.Sprintf(
			"%s contiene copie di un altro archivio: indicare un'altra cartella / holds copies of another store: name another folder", dir))
	}
	return &last, nil
}

// prune removes the oldest copies beyond keep, but for the one just made: it is
// not the last by name where the clock was set back. What cannot be read is
// neither counted nor removed.
func prune(dir string, keep int, made string) (removed []string, err error) {
	points, _, err := Points(dir)
	if err != nil || keep <= 0 {
		return nil, err
	}
	points = slices.DeleteFunc(points, func(p Point) bool { return p.Dir == made })
	for len(points) > keep-1 {
		// Under this name half of it would pass for a copy.
		gone := filepath.Join(dir, partial+filepath.Base(points[0].Dir))
		if err := errors.Join(os.Rename(points[0].Dir, gone), os.RemoveAll(gone)); err != nil {
			return removed, err
		}
		removed, points = append(removed, points[0].Dir), points[1:]
	}
	return removed, syncDir(dir)
}

// work is one copy that is being made in dir.
type work struct {
	Source
	Options
	dir    string
	pace   *pace
	before *Point // nil: nothing to share files with
	m      Manifest
	sums   *sumsWriter
	old    *sumsReader // of the copy before
	made   map[string]bool

	oldDays map[string]string // sums of the sealed days in the copy before, by path
	ahead   map[string]day    // taken already, by name

	ledger         []sum // its lines, until it is their turn
	copied, linked int64
}

// run fills the copy. The database decides what else belongs to it, and its
// files stay while copies of it are made.
func (w *work) run(ctx context.Context) error {
	database, err := w.database(ctx)
	if err != nil {
		return err
	}
	err = w.files(ctx)
	if err = errors.Join(err, database.Close()); err != nil {
		return err
	}
	for dir := range w.made {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	return errors.Join(w.m.write(w.dir), syncDir(w.dir))
}

// database copies the database, and with it the sealed days that it knows.
func (w *work) database(ctx context.Context) (c *sqlite.DatabaseCopy, err error) {
	for range maxTrials {
		if c, err = w.tryDatabase(ctx); err == nil || ctx.Err() != nil {
			return c, err
		}
		w.Logger.Warn("the copy of the database was broken off", "error", err)
		if err := os.RemoveAll(w.path(storeDir)); err != nil {
			return nil, err
		}
	}
	return nil, err
}

func (w *work) tryDatabase(ctx context.Context) (*sqlite.DatabaseCopy, error) {
	w.made, w.m.Bytes, w.copied, w.linked = make(map[string]bool), 0, 0, 0
	for _, dir := range []string{ledgerDir, blobsDir} { // there also where they are empty
		if err := w.makeDir(w.path(storeDir, dir)); err != nil {
			return nil, err
		}
	}
	if err := w.daysAhead(ctx); err != nil {
		return nil, err
	}
	path := w.path(storeDir, databaseName)
	c, err := w.Store.CopyDatabase(ctx, path)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	err = w.pages(ctx, c, f)
	if err == nil {
		err = w.Still(func() error {
			w.m.Instant = w.Clock.Now().UTC().Truncate(time.Millisecond)
			return w.finish(ctx, c)
		})
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// finish ends the copy of the database and takes the sealed days along.
func (w *work) finish(ctx context.Context, c *sqlite.DatabaseCopy) error {
	if err := c.Finish(ctx); err != nil {
		return err
	}
	copied, err := w.open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(w.head(ctx, copied), w.days(ctx, copied), copied.Close())
}

// syncEvery is how many bytes of the database are written between two syncs:
// gigabytes at the end would keep the disk from the mail for seconds.
const syncEvery = 16 << 20

// pages copies the database but for the last piece.
func (w *work) pages(ctx context.Context, c *sqlite.DatabaseCopy, f *os.File) error {
	unsynced := 0
	for {
		n, ready, err := c.Step(ctx)
		if err != nil {
			return err
		}
		if unsynced += n; unsynced >= syncEvery || ready {
			unsynced = 0
			if err := f.Sync(); err != nil {
				return err
			}
		}
		if ready {
			return nil
		}
		if err := w.pace.spend(ctx, n); err != nil {
			return err
		}
	}
}

func (w *work) path(elem ...string) string { return filepath.Join(append([]string{w.dir}, elem...)...) }

// open opens the database that was copied.
func (w *work) open(ctx context.Context) (*sqlite.Store, error) {
	return sqlite.OpenCopy(ctx, w.path(storeDir), sqlite.Options{Clock: w.Clock, Logger: w.Logger, Readers: 1})
}

// head reads what the copy holds.
func (w *work) head(ctx context.Context, copied *sqlite.Store) (err error) {
	if w.m.Contents, err = copied.Contents(ctx); err != nil {
		return err
	}
	log, err := copied.LogState(ctx)
	if err != nil {
		return err
	}
	w.m.Log = Head{Seq: log.Last, Hash: fmt.Sprintf("%x", log.Head)}
	return copied.Records(ctx, log.Last, func(r storage.Record) error {
		w.m.Log.At = r.At
		return nil
	})
}
