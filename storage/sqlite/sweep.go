// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"os"
	"path/filepath"
)

// sweep removes what a crash left behind: unfinished spools, and files that no
// row names. It runs before the first step is taken.
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
	orphans := 0
	err = s.eachFile(ctx, func(path string, known bool) error {
		if known {
			return nil
		}
		orphans++
		return ioFailed("sqlite.Open", os.Remove(path))
	})
	if orphans+len(spools) > 0 {
		s.opts.Logger.Info("removed files left by an interrupted run", "spools", len(spools), "blobs", orphans)
	}
	return err
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
