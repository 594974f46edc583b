// SPDX-License-Identifier: EUPL-1.2

// Package sqlite is the embedded back end of package storage: one SQLite
// database in WAL mode with synchronous=FULL, and a file for every large blob.
//
// All changes go through one writer goroutine that takes the steps that are
// waiting and commits them together; one that fails is undone alone (writer.go).
// What can be done beforehand is done in the caller's goroutine: checking,
// hashing, compressing, and bringing files to stable storage (commit.go).
// Reads use connections of their own and never wait for the writer.
//
// docs/durability.md says what is synced when.
package sqlite

import (
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"

	"pecd/clock"
	"pecd/fault"
	"pecd/storage"
)

// Options adjusts a store. The zero value is good for production.
type Options struct {
	// Clock dates what the store dates itself (SavedDate, UIDVALIDITY); nil: the machine's.
	Clock clock.Clock
	// Logger hears what happens apart from calls; nil: nobody.
	Logger *slog.Logger
	// Health hears when the store fails to be written, with the errors of the
	// engine or of the file system, and nil when it can be written again. It is
	// called from any goroutine, and must neither wait nor use the store. nil: nobody.
	Health func(error)
	// InlineLimit is the size in bytes up to which a blob is kept in the
	// database; 0: 64 KiB, negative: every blob in a file.
	InlineLimit int64
	// SpoolMemory is how many bytes a spool keeps in memory; 0: 128 KiB.
	SpoolMemory int
	// Readers is the number of connections for reading, and of as many more for
	// those whom somebody waits for (storage.Interactive); 0: 4.
	Readers int
	// CacheBytes bounds the page cache of the writing connection; each reading
	// one has a quarter of it. 0: 8 MiB.
	CacheBytes int
}

func (o Options) withDefaults() Options {
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.InlineLimit == 0 {
		o.InlineLimit = 64 << 10
	}
	if o.SpoolMemory <= 0 {
		o.SpoolMemory = 128 << 10
	}
	if o.Readers <= 0 {
		o.Readers = 4
	}
	if o.CacheBytes <= 0 {
		o.CacheBytes = 8 << 20
	}
	return o
}

// Store is a storage.Store on one directory.
type Store struct {
	opts    Options
	files   *fileArea
	lock    *os.File
	read    *reader
	writer  *writer
	jobs    *jobIndex
	watch   *watchers
	packers chan *flate.Writer // idle compressors, at most one a core: each is large

	mu     sync.RWMutex // held for reading while a step is handed to the writer
	closed bool
}

var _ storage.Store = (*Store)(nil)

// Open opens the store in dir, creating it where there is none, and takes it
// for this process alone: a directory in use fails with fault.Conflict, and so
// does one whose database is missing beside files of messages. Spools that a
// crash left are removed; files of messages that no row names go to lost/.
func Open(ctx context.Context, dir string, opts Options) (*Store, error) {
	const op = "sqlite.Open"
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, ioFailed(op, err)
	}
	s := &Store{
		opts:    opts.withDefaults(),
		files:   newFileArea(dir, opts.Health),
		watch:   newWatchers(),
		packers: make(chan *flate.Writer, runtime.GOMAXPROCS(0)),
	}
	s.jobs = newJobIndex(s.watch)
	if err := MakeDirs(dir); err != nil {
		return nil, ioFailed(op, err)
	}
	if info, err := os.Stat(dir); err != nil {
		return nil, ioFailed(op, err)
	} else if m := info.Mode().Perm(); m&0o077 != 0 {
		s.opts.Logger.Warn("the store's directory is open to others than its owner: chmod 700", "dir", dir, "mode", m.String())
	}
	if s.lock, err = Lock(dir); err != nil {
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(failed(op, err), s.release())
	}
	return s, nil
}

func (s *Store) start(ctx context.Context) error {
	path := filepath.Join(s.files.dir, "pecd.db")
	// Before anything is made: it would be in the way of the store that is put back.
	if err := s.files.refuseRestoring(path); err != nil {
		return err
	}
	if err := s.files.create(); err != nil {
		return ioFailed("sqlite.Open", err)
	}
	if err := s.files.prepareDatabase(path); err != nil {
		return err
	}
	w, err := newWriter(s, path)
	if err != nil {
		return err
	}
	s.writer = w
	if s.read, err = newReader(source(path, readPragmas(s.opts.CacheBytes/4)...), s.opts.Readers); err != nil {
		return err
	}
	if s.read.people, err = newReader(source(path, readPragmas(s.opts.CacheBytes/4)...), s.opts.Readers); err != nil {
		return err
	}
	// The database file itself is new: its name must survive, too.
	if err := syncDir(s.files.dir); err != nil {
		return err
	}
	if err := s.loadJobs(ctx); err != nil {
		return err
	}
	if err := s.sweep(ctx); err != nil {
		return err
	}
	w.start()
	return nil
}

// LockName is the file, in the directory of a store, that Lock locks. It stays.
const LockName = "lock"

// Lock takes the directory of a store for the caller until the file is closed: a
// directory in use fails with fault.Conflict. The kernel frees the lock when the
// process ends, however it ends.
func Lock(dir string) (*os.File, error) {
	const op = "sqlite.Open"
	f, err := os.OpenFile(filepath.Join(dir, LockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, ioFailed(op, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		owner, _ := io.ReadAll(io.LimitReader(f, 32))
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fault.New(op, fault.Conflict,
				fmt.Errorf("store %s is in use by another process (pid %s): stop it first, or use another directory", dir, owner))
		}
		return nil, ioFailed(op, err)
	}
	// The pid is for the message above only.
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt(fmt.Appendf(nil, "%d", os.Getpid()), 0)
	}
	return f, nil
}

// Close implements storage.Store. Steps handed in before are committed.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	return failed("sqlite.Close", s.release())
}

// release stops and closes whatever is there, in reverse order of start.
func (s *Store) release() error {
	var errs []error
	if s.read != nil {
		errs = append(errs, s.read.close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}
