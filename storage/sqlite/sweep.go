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
	return prefixes(func(prefix string) error {
		dir := filepath.Join(s.files.dir, "blobs", prefix)
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) == 0 {
			return ioFailed("sqlite.Files", err)
		}
		names, err := all(ctx, s.read, scanString, "SELECT name FROM files WHERE name >= ? AND name < ?", prefix, prefix+"g")
		if err != nil {
			return err
		}
		known := make(map[string]bool, len(names))
		for _, n := range names {
			known[n] = true
		}
		for _, e := range entries {
			if err := fn(filepath.Join(dir, e.Name()), known[e.Name()]); err != nil {
				return err
			}
		}
		return nil
	})
}

func scanString(row scanner) (v string, err error) {
	err = row.Scan(&v)
	return v, err
}
