// SPDX-License-Identifier: EUPL-1.2

package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"pecd/clock"
	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
	"pecd/storage/sqlite"
)

// Restoring says how a store is put back.
type Restoring struct {
	Actor  string // who does it, for the log
	Clock  clock.Clock
	Logger *slog.Logger
	// Damaged goes on where files are damaged or missing: what is left is
	// better than nothing. Each is reported all the same.
	Damaged bool
}

// ErrDamaged ends a restore from a copy that is not whole.
var ErrDamaged = errors.New("copia danneggiata: niente è stato ripristinato / damaged copy: nothing was put back")

// Restore puts the store of a copy into a directory, which is created or must be
// empty (fault.Conflict), and makes it a store of its own (sqlite.BeginAnew). It
// reports damage to the copy as Verify does, and problems of the store in it as
// storage.Store.Check. The store is complete when it returns without error. No
// node can begin a store in the directory meanwhile (sqlite.Lock).
func (p Point) Restore(ctx context.Context, to string, r Restoring, report func(Problem) error) error {
	const op = "backup.Restore"
	if err := sqlite.MakeDirs(to); err != nil {
		return temporary(op, err)
	}
	if err := emptyDir(to); err != nil { // before it is touched
		return temporary(op, err)
	}
	lock, err := sqlite.Lock(to)
	if err != nil {
		return err
	}
	defer lock.Close()
	staging := filepath.Join(to, sqlite.Restoring)
	if err := begin(staging, to); err != nil {
		return temporary(op, err)
	}
	err = p.fill(ctx, staging, r, report)
	if err == nil {
		err = p.beginAnew(ctx, staging, r, report)
	}
	if err != nil {
		return temporary(op, errors.Join(err, os.RemoveAll(staging)))
	}
	return temporary(op, publish(staging, to))
}

// emptyDir makes sure that a directory has nothing in it.
func emptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		// The first is of a file system of its own, the second what is left of a
		// store that was never begun.
		if e.Name() != "lost+found" && e.Name() != sqlite.LockName {
			return fault.Say("backup.Restore", fault.Conflict, fmt.Sprintf("%s non è vuota: niente è stato toccato / is not empty: nothing was touched", dir))
		}
	}
	return nil
}

// begin makes the directory where the store is made ready. A node that starts
// from here on refuses, also where this process has ended.
func begin(staging, to string) error {
	if err := emptyDir(to); err != nil { // a node may have come before the lock
		return err
	}
	if err := os.Chmod(to, 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(staging, 0o700); err != nil {
		return err
	}
	return syncDir(to)
}

// fill copies the store's files, each held against its sum on the way.
func (p Point) fill(ctx context.Context, staging string, r Restoring, report func(Problem) error) error {
	damaged := false
	tell := func(b Problem) error {
		damaged = true
		return report(b)
	}
	root, err := os.OpenRoot(p.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	made := make(map[string]bool)
	pace := newPace(r.Clock, 0)
	err = p.each(tell, func(s sum) error {
		file, ok := strings.CutPrefix(s.path, storeDir+"/")
		if !ok {
			return nil
		}
		dest := filepath.Join(staging, file)
		if dir := filepath.Dir(dest); !made[dir] {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return err
			}
			for ; dir != filepath.Dir(staging); dir = filepath.Dir(dir) {
				made[dir] = true // the name of each is in the one above
			}
		}
		got, err := copyBack(ctx, root, s.path, dest, pace)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return tell(Problem{s.path, whatMissing})
		case errors.Is(err, errNoFile):
			return tell(Problem{s.path, whatNoFile})
		case err != nil:
			return err
		case got != s.hex:
			return tell(Problem{s.path, whatAltered})
		}
		return nil
	})
	if err != nil {
		return err
	}
	if damaged && !r.Damaged {
		return fault.New("backup.Restore", fault.Invalid, ErrDamaged)
	}
	// Without its database nothing is left: the store would begin anew, empty.
	if info, err := os.Lstat(filepath.Join(staging, databaseName)); err != nil || info.Size() == 0 {
		return fault.New("backup.Restore", fault.Invalid, ErrDamaged)
	}
	for dir := range made {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// copyBack copies one file of the copy at root and returns its sum.
func copyBack(ctx context.Context, root *os.Root, file, dest string, pace *pace) (string, error) {
	f, err := openFile(root, file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	err = writeFile(dest, &paced{ctx: ctx, r: io.TeeReader(f, h), pace: pace})
	return hex.EncodeToString(h.Sum(nil)), err
}

// beginAnew opens the store where it was made ready, which brings it to the
// newest schema, and makes it one of its own.
func (p Point) beginAnew(ctx context.Context, staging string, r Restoring, report func(Problem) error) error {
	s, err := sqlite.Open(ctx, staging, sqlite.Options{Clock: r.Clock, Logger: r.Logger})
	if err != nil {
		return err
	}
	err = s.Check(ctx, func(b storage.Problem) error { return report(Problem{b.Where, b.What}) })
	if err == nil {
		e := ledger.Event{
			At: r.Clock.Now(), Kind: ledger.StoreRestored, Actor: r.Actor, Detail: fmt.Sprintf(
				"archivio ripristinato da una copia del / store put back from a copy of %s; ultima registrazione della copia / last record of the copy %d:%s",
				p.Instant.UTC().Format(instantForm), p.Log.Seq, p.Log.Hash),
		}
		err = s.BeginAnew(ctx, p.Instant, &storage.AppendRecord{Record: storage.Record{At: e.At, Event: string(e.Kind), Data: e.Encode()}})
	}
	return errors.Join(err, s.Close())
}

// publish moves a store that is ready to its place, the database last: half of a
// store has none, and a node refuses to start on it.
func publish(staging, to string) error {
	entries, err := os.ReadDir(staging)
	if err != nil {
		return err
	}
	for _, e := range entries {
		from := filepath.Join(staging, e.Name())
		switch e.Name() {
		case databaseName:
			continue
		case sqlite.LockName: // to has its own, which is held
			err = os.Remove(from)
		default:
			err = os.Rename(from, filepath.Join(to, e.Name()))
		}
		if err != nil {
			return err
		}
	}
	if err := syncDir(to); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(staging, databaseName), filepath.Join(to, databaseName)); err != nil {
		return err
	}
	return errors.Join(os.Remove(staging), syncDir(to))
}
