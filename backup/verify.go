// SPDX-License-Identifier: EUPL-1.2

package backup

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"pecd/clock"
)

// Problem is a file of a copy that is not what it was.
type Problem struct {
	File string // below the copy
	What string
}

func (p Problem) String() string { return p.File + ": " + p.What }

const (
	whatMissing = "manca / is missing"
	whatNoFile  = "non è un file leggibile della copia / is no readable file of the copy"
	whatAltered = "alterato: SHA-256 diverso / altered: another SHA-256"
	whatStray   = "non è della copia / does not belong to the copy"
)

// Verify reads every file of a copy back and calls report for each that was
// altered, is missing, or does not belong to it. What is in the store of the
// copy is for others to verify.
func (p Point) Verify(ctx context.Context, clk clock.Clock, report func(Problem) error) error {
	const op = "backup.Verify"
	root, err := os.OpenRoot(p.Dir)
	if err != nil {
		return temporary(op, err)
	}
	defer root.Close()
	pace := newPace(clk, 0)
	files := int64(2) // the manifest, and the sums themselves
	err = p.each(report, func(s sum) error {
		files++
		got, _, err := hashFile(ctx, root, s.path, pace)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			files--
			return report(Problem{s.path, whatMissing})
		case errors.Is(err, errNoFile):
			return report(Problem{s.path, whatNoFile})
		case err != nil:
			return err
		case got.hex != s.hex:
			return report(Problem{s.path, whatAltered})
		}
		return nil
	})
	if err != nil {
		return temporary(op, err)
	}
	return temporary(op, p.strays(files, report))
}

// each calls fn for every line of SHA256SUMS, and reports where that file is not
// the one that the manifest knows.
func (p Point) each(report func(Problem) error, fn func(sum) error) error {
	r, err := openSums(p.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return report(Problem{sumsName, whatMissing})
	}
	if errors.Is(err, errNoFile) {
		return report(Problem{sumsName, whatNoFile})
	}
	if err != nil {
		return err
	}
	defer r.close()
	lines := int64(0)
	for {
		s, err := r.next()
		if err == io.EOF {
			break
		}
		if errors.Is(err, errSumLine) || errors.Is(err, bufio.ErrTooLong) {
			return report(Problem{sumsName, err.Error()})
		}
		if err != nil {
			return err
		}
		lines++
		if err := fn(s); err != nil {
			return err
		}
	}
	if hex.EncodeToString(r.hash.Sum(nil)) != p.Sums || lines != p.Files {
		return report(Problem{sumsName, whatAltered})
	}
	return nil
}

// strays looks for files that nobody has put there, where there are more than
// expected.
func (p Point) strays(expected int64, report func(Problem) error) error {
	there := int64(0)
	count := func(string, fs.DirEntry) error { there++; return nil }
	if err := p.walk(count); err != nil || there == expected {
		return err
	}
	known := map[string]bool{manifestName: true, sumsName: true}
	if err := p.each(func(Problem) error { return nil }, func(s sum) error { known[s.path] = true; return nil }); err != nil {
		return err
	}
	return p.walk(func(file string, _ fs.DirEntry) error {
		if known[file] {
			return nil
		}
		return report(Problem{file, whatStray})
	})
}

// walk calls fn for whatever is in the copy but directories.
func (p Point) walk(fn func(file string, e fs.DirEntry) error) error {
	return fs.WalkDir(os.DirFS(p.Dir), ".", func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		return fn(file, e)
	})
}

// StoreDir is the store's directory in the copy (sqlite.OpenCopy).
func (p Point) StoreDir() string { return filepath.Join(p.Dir, storeDir) }

// String names the copy and what is in it.
func (p Point) String() string {
	return fmt.Sprintf("%s: %d caselle / mailboxes, %d messaggi / messages, log fino a / up to %d:%s",
		filepath.Base(p.Dir), p.Mailboxes, p.Messages, p.Log.Seq, p.Log.Hash)
}
