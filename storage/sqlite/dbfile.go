// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"pecd/fault"
)

// Restoring is the directory, below that of a store, where a store is made ready
// that is put back from a copy.
const Restoring = "restoring"

// prepareDatabase makes sure that the database file is there, that it is not a
// new one in the place of one that was lost, and that only its owner reads it.
// The engine gives its other files the mode of the database file.
func (a *fileArea) prepareDatabase(path string) error {
	const op = "sqlite.Open"
	size, err := fileSize(path)
	if err != nil {
		return ioFailed(op, err)
	}
	if size == 0 {
		if err := a.refuseFiles(); err != nil {
			return err
		}
		// The engine deletes a log it finds beside an empty database.
		if err := refuseLog(path); err != nil {
			return err
		}
	}
	if err := refuseBrokenLog(path + "-wal"); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return ioFailed(op, err)
	}
	if err := f.Close(); err != nil {
		return ioFailed(op, err)
	}
	for _, suffix := range []string{"", "-journal", "-wal", "-shm"} {
		if err := private(path + suffix); err != nil {
			return ioFailed(op, err)
		}
	}
	return nil
}

// refuseRestoring fails with fault.Conflict where a store is being put back, or
// that was broken off: its database is not in its place, path, yet.
func (a *fileArea) refuseRestoring(path string) error {
	const op = "sqlite.Open"
	if size, err := fileSize(path); err != nil || size > 0 {
		return ioFailed(op, err)
	}
	_, err := os.Lstat(filepath.Join(a.dir, Restoring))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return ioFailed(op, err)
	}
	return fault.Say(op, fault.Conflict, fmt.Sprintf("%s: ripristino non concluso: svuotare la cartella e ripetere pecd restore / "+
		"unfinished restore: empty the directory and do pecd restore again", a.dir))
}

// refuseFiles fails with fault.Conflict where there are files of messages: a
// database without a schema has taken the place of theirs, and to begin with it
// would make orphans of them all.
func (a *fileArea) refuseFiles() error {
	const op = "sqlite.Open"
	n, err := a.count()
	if err != nil {
		return ioFailed(op, err)
	}
	if n == 0 {
		return nil
	}
	return fault.Say(op, fault.Conflict, fmt.Sprintf(
		"%s: database assente accanto a %d file di messaggi: ripristinarlo, oppure svuotare blobs/ di propria mano / "+
			"database missing beside %d message files: restore it, or empty blobs/ yourself", a.dir, n, n))
}

// refuseLog fails with fault.Conflict where the log of a lost database is left:
// it holds what was acknowledged last.
func refuseLog(path string) error {
	const op = "sqlite.Open"
	n, err := fileSize(path + "-wal")
	if err != nil {
		return ioFailed(op, err)
	}
	if n == 0 {
		return nil
	}
	return fault.Say(op, fault.Conflict, path+": database assente accanto al suo registro pecd.db-wal: ripristinarlo, oppure togliere il registro di propria mano / "+
		"database missing beside its log pecd.db-wal: restore it, or remove the log yourself")
}

// renewChunk is how much of the log is in memory while it is written anew.
const renewChunk = 1 << 20

// renewLog writes the log of an interrupted run anew, over itself, and syncs it.
// After a sync that failed the kernel holds what it could not write for clean:
// the engine would find there a commit that is not on the disk, append to it,
// and sync what it appends alone. What follows a gap is lost in a crash, however
// well it is synced. Octets that are on the disk already are written over by the
// same ones.
func renewLog(path string) error {
	const op = "sqlite.Open"
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return ioFailed(op, err)
	}
	buf := make([]byte, renewChunk)
	for off := int64(0); err == nil; {
		var n int
		n, err = f.ReadAt(buf, off)
		if n > 0 {
			if _, werr := f.WriteAt(buf[:n], off); werr != nil {
				err = werr
			}
		}
		off += int64(n)
	}
	if errors.Is(err, io.EOF) {
		err = f.Sync()
	}
	return ioFailed(op, errors.Join(err, f.Close()))
}

// count returns how many files are below blobs.
func (a *fileArea) count() (n int, err error) {
	err = filepath.WalkDir(filepath.Join(a.dir, "blobs"), func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			n++
		}
		return err
	})
	return n, err
}

// fileSize returns the size of a file, 0 where there is none.
func fileSize(path string) (int64, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// private takes a file away from everybody but its owner. None is no error.
func private(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || info.Mode().Perm() == 0o600 {
		return err
	}
	return os.Chmod(path, 0o600)
}
