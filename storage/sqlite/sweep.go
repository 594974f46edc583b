// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// sweep clears up what a crash left behind, before the first step is taken.
// Unfinished spools were never acknowledged: they are removed. A file that no
// row names may be all there is of a message, where the database is an older
// copy than the files: it is set aside in lost/, and never deleted here.
func (s *Store) sweep(ctx context.Context) error {
	spools, err := os.ReadDir(s.files.spoolPath(""))
	if err != nil {
		return ioFailed("sqlite.Open", err)
	}
	for _, e := range spools {
		if err := os.Remove(s.files.spoolPath(e.Name())); err != nil {
			return ioFailed("sqlite.Open", err)
		}
	}
	if len(spools) > 0 {
		s.opts.Logger.Info("removed unfinished spools of an interrupted run", "count", len(spools))
	}
	lost := 0
	err = s.eachFile(ctx, func(path string, known bool) error {
		if known {
			return nil
		}
		lost++
		return ioFailed("sqlite.Open", s.files.setAside(path))
	})
	if lost > 0 {
		dir := s.files.lostDir()
		s.opts.Logger.Warn("moved message files that no row names to lost/", "count", lost, "dir", dir)
		err = errors.Join(err, ioFailed("sqlite.Open", syncDir(dir)))
	}
	return err
}

// setAside moves a file from blobs to lost/, beside whatever is there.
func (a *fileArea) setAside(path string) error {
	if err := MakeDirs(a.lostDir()); err != nil {
		return err
	}
	to := filepath.Join(a.lostDir(), filepath.Base(path))
	if _, err := os.Lstat(to); err == nil {
		to += "." + newName() // a rename would replace it
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(path, to)
}

// eachFile calls fn for every file below blobs and says whether a row names it.
func (s *Store) eachFile(ctx context.Context, fn func(path string, known bool) error) error {
	top := filepath.Join(s.files.dir, "blobs")
	dirs, err := os.ReadDir(top)
	if err != nil {
		return ioFailed("sqlite.Files", err)
	}
	for _, d := range dirs {
		if !d.IsDir() {
			continue
		}
		entries, err := os.ReadDir(filepath.Join(top, d.Name()))
		if err != nil {
			return ioFailed("sqlite.Files", err)
		}
		// One directory at a time: memory stays small with millions of files.
		names, err := all(ctx, s.read, scanString,
			"SELECT name FROM files WHERE name >= ? AND name < ?", d.Name(), d.Name()+"g")
		if err != nil {
			return err
		}
		known := make(map[string]bool, len(names))
		for _, n := range names {
			known[n] = true
		}
		for _, e := range entries {
			if err := fn(filepath.Join(top, d.Name(), e.Name()), known[e.Name()]); err != nil {
				return err
			}
		}
	}
	return nil
}

func scanString(row scanner) (v string, err error) {
	err = row.Scan(&v)
	return v, err
}
