// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"pecd/fault"
	"pecd/storage"
)

// OpenCopy opens a copy of a store's directory that nobody else writes to, for
// reading alone: no file in it is changed or created, and every Commit fails. It
// fails with fault.Unsupported where the copy has the schema of another version
// of the program: it is brought up to date where it is put back.
func OpenCopy(ctx context.Context, dir string, opts Options) (*Store, error) {
	const op = "sqlite.OpenCopy"
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, ioFailed(op, err)
	}
	s := &Store{opts: opts.withDefaults(), files: newFileArea(dir, nil), watch: newWatchers()}
	s.jobs = newJobIndex(s.watch)
	path := filepath.Join(dir, "pecd.db")
	if size, err := fileSize(path); err != nil || size == 0 {
		return nil, fault.New(op, fault.NotFound, errors.Join(err, fmt.Errorf("no database in %s", dir)))
	}
	// Immutable: the engine makes no lock, no log and no index of one.
	if s.read, err = newReader(source(path, readPragmas(s.opts.CacheBytes/4)...)+"&immutable=1", s.opts.Readers); err != nil {
		return nil, failed(op, err)
	}
	if err := s.knownSchema(ctx); err != nil {
		return nil, errors.Join(failed(op, err), s.release())
	}
	if err := s.loadJobs(ctx); err != nil {
		return nil, errors.Join(failed(op, err), s.release())
	}
	return s, nil
}

func (s *Store) knownSchema(ctx context.Context) error {
	var version int
	if err := s.read.row(ctx, "PRAGMA user_version", nil, &version); err != nil {
		return err
	}
	known, err := fs.Glob(schema, "schema/*.sql")
	if err == nil && version != len(known) {
		err = fault.Say("sqlite.OpenCopy", fault.Unsupported, fmt.Sprintf(
			"copia con schema %d, questo programma ha %d: la controlla il programma che l'ha fatta, o pecd verify dopo il ripristino / "+
				"copy of schema %d, this program has %d: checked by the program that made it, or by pecd verify once it is put back", version, len(known), version, len(known)))
	}
	return err
}

// Identity says which store this is.
type Identity struct {
	ID string // 32 hexadecimal digits
	// Copied is the instant of the copy that the store was put back from, and
	// Since when that was done; zero for a store that never was.
	Copied, Since time.Time
}

// Identity returns which store this is.
func (s *Store) Identity(ctx context.Context) (Identity, error) {
	var id Identity
	var copied, since int64
	err := s.read.row(ctx, "SELECT id, copied, since FROM identity ORDER BY number DESC LIMIT 1", nil, &id.ID, &copied, &since)
	id.Copied, id.Since = instant(copied), instant(since)
	return id, failed("sqlite.Identity", err)
}

// Contents is what a store holds, in numbers.
type Contents struct {
	Schema    int            `json:"schema"` // version
	Mailboxes int            `json:"mailboxes"`
	Messages  int            `json:"messages"`
	Jobs      map[string]int `json:"jobs"` // by kind
}

// Contents counts what the store holds.
func (s *Store) Contents(ctx context.Context) (Contents, error) {
	c := Contents{Jobs: make(map[string]int)}
	err := s.read.row(ctx, "SELECT (SELECT user_version FROM pragma_user_version), count(*), coalesce(sum(messages), 0) FROM mailboxes", nil,
		&c.Schema, &c.Mailboxes, &c.Messages)
	if err != nil {
		return c, failed("sqlite.Contents", err)
	}
	return c, s.Jobs(ctx, "", func(j storage.Job) error {
		c.Jobs[j.Kind]++
		return nil
	})
}

// BlobFiles calls fn for every file of blobs that a row names, by name: its path
// below the store's directory, and its size in bytes.
func (s *Store) BlobFiles(ctx context.Context, fn func(path string, size int64) error) error {
	type file struct {
		name string
		size int64
	}
	for after := ""; ; {
		files, err := all(ctx, s.read, func(row scanner) (f file, err error) {
			err = row.Scan(&f.name, &f.size)
			return f, err
		}, "SELECT name, size FROM files WHERE name > ? ORDER BY name LIMIT ?", after, chunk)
		if err != nil {
			return failed("sqlite.BlobFiles", err)
		}
		for _, f := range files {
			after = f.name
			if err := fn(filepath.Join("blobs", f.name[:2], f.name), f.size); err != nil {
				return err
			}
		}
		if len(files) < chunk {
			return nil
		}
	}
}
