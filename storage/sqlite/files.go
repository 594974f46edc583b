// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// fileArea lays out the files of a store: blobs/<2 hex>/<name> hold committed
// bytes, spool/<name> bytes on their way in, lost/<name> files found in blobs
// that no row names. All lie in one file system: files are moved by renaming.
type fileArea struct {
	dir    string
	health health

	mu   sync.Mutex
	made map[string]bool // directories below blobs that are on stable storage
	// While holds is positive published files that are to go stay, under held.
	holds int
	held  []string
}

func newFileArea(dir string, tell func(error)) *fileArea {
	return &fileArea{dir: dir, health: health{tell: tell}, made: make(map[string]bool)}
}

func (a *fileArea) spoolPath(name string) string { return filepath.Join(a.dir, "spool", name) }
func (a *fileArea) lostDir() string              { return filepath.Join(a.dir, "lost") }
func (a *fileArea) blobDir(name string) string   { return filepath.Join(a.dir, "blobs", name[:2]) }
func (a *fileArea) blobPath(name string) string  { return filepath.Join(a.blobDir(name), name) }

// create makes the directories of a new store and brings their names to stable storage.
func (a *fileArea) create() error {
	for _, dir := range []string{a.dir, filepath.Join(a.dir, "blobs"), filepath.Join(a.dir, "spool")} {
		if err := MakeDirs(dir); err != nil {
			return err
		}
	}
	return nil
}

// MakeDirs creates dir and what is missing above it, from the top, each name
// on stable storage before the next.
func MakeDirs(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	above := filepath.Dir(dir)
	if above != dir {
		if err := MakeDirs(above); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(above)
}

// makeDir creates the directory of a blob's file, once.
func (a *fileArea) makeDir(dir string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.made[dir] {
		return nil
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// Also where it was there: whoever made it may not have come to this.
	if err := syncDir(filepath.Dir(dir)); err != nil {
		return err
	}
	a.made[dir] = true
	return nil
}

// newName returns a name that no file has.
func newName() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// publish brings a finished file to stable storage under its name in blobs.
// When that fails no name of it is left: no row refers to the file, and what a
// failed sync has dropped is not brought back by another.
func (a *fileArea) publish(f *os.File, name string) error {
	err := a.bringOut(f, name)
	a.health.note(partFiles, err)
	if err != nil {
		// How far it got is not known. What cannot be removed either is found
		// at the next start.
		os.Remove(a.spoolPath(name))
		os.Remove(a.blobPath(name))
	}
	return err
}

// bringOut syncs the bytes first, the name second, and the name's directory last.
func (a *fileArea) bringOut(f *os.File, name string) error {
	if err := f.Sync(); err != nil {
		return err
	}
	if err := a.makeDir(a.blobDir(name)); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), a.blobPath(name)); err != nil {
		return err
	}
	return syncDir(a.blobDir(name))
}

// write stores the n bytes of r from off on as a published file of their own.
func (a *fileArea) write(r io.ReaderAt, off, n int64) (name string, err error) {
	name = newName()
	f, err := os.OpenFile(a.spoolPath(name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(f, io.NewSectionReader(r, off, n))
	if err == nil {
		err = a.publish(f, name)
	} else {
		os.Remove(a.spoolPath(name))
	}
	// Everything was synced: closing has nothing left that could fail.
	f.Close()
	if err != nil {
		return "", err
	}
	return name, nil
}

// hold keeps published files from being deleted until release: a copy of the
// database that is being made may name them.
func (a *fileArea) hold() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.holds++
}

// release ends a hold and deletes what was to be deleted meanwhile.
func (a *fileArea) release() error {
	a.mu.Lock()
	a.holds--
	var names []string
	if a.holds == 0 {
		names, a.held = a.held, nil
	}
	a.mu.Unlock()
	var errs []error
	for _, name := range names {
		errs = append(errs, a.remove(name))
	}
	return errors.Join(errs...)
}

// remove deletes a published file, at the end of a hold where there is one. A
// file that is gone already is no error.
func (a *fileArea) remove(name string) error {
	a.mu.Lock()
	if a.holds > 0 {
		a.held = append(a.held, name)
		a.mu.Unlock()
		return nil
	}
	a.mu.Unlock()
	return removeFile(a.blobPath(name))
}

// removeFile removes a file. One that is gone already is no error.
func removeFile(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// syncDir brings the names in a directory to stable storage.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
