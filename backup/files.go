// SPDX-License-Identifier: EUPL-1.2

package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// makeDir makes a directory of the copy and what is missing above it.
func (w *work) makeDir(dir string) error {
	if w.made[dir] {
		return nil
	}
	if dir != w.dir {
		if err := w.makeDir(filepath.Dir(dir)); err != nil {
			return err
		}
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	w.made[dir] = true
	return nil
}

// files copies everything beside the database, and writes SHA256SUMS, in the
// order of the paths.
func (w *work) files(ctx context.Context) (err error) {
	if w.sums, err = newSumsWriter(w.path(sumsName)); err != nil {
		return err
	}
	if w.before != nil {
		if w.old, err = openSums(w.before.Dir); err != nil {
			return err
		}
		defer w.old.close()
	}
	for _, e := range w.Extras {
		if err := w.take(ctx, path.Join(nodeDir, e.Name), e.Content); err != nil {
			return err
		}
	}
	for _, part := range []func(context.Context) error{w.blobs, w.lists, w.tellDays, w.tellDatabase} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	w.m.Files = w.sums.files
	w.m.Sums, err = w.sums.finish()
	return err
}

// blobs takes the files of blobs that the copied database names. None of them
// ever changes: one of the same name and size in the copy before is the same.
func (w *work) blobs(ctx context.Context) error {
	copied, err := w.open(ctx)
	if err != nil {
		return err
	}
	err = copied.BlobFiles(ctx, func(file string, size int64) error {
		to := path.Join(storeDir, filepath.ToSlash(file))
		if w.old != nil {
			hex, ok, err := w.old.seek(to)
			if err != nil {
				return err
			}
			if ok && w.link(to, size) {
				return w.note(sum{to, hex}, size)
			}
		}
		return w.copyFile(ctx, filepath.Join(w.Dir, file), to)
	})
	return errors.Join(err, copied.Close())
}

// link gives a file of the copy before a second name in this one; where that
// cannot be, it is copied.
func (w *work) link(file string, size int64) bool {
	old := filepath.Join(w.before.Dir, file)
	info, err := os.Lstat(old)
	if err != nil || info.Size() != size || !info.Mode().IsRegular() {
		return false
	}
	to := w.path(file)
	if w.makeDir(filepath.Dir(to)) != nil || os.Link(old, to) != nil {
		return false
	}
	w.linked++
	return true
}

// copyFile copies a file of the store.
func (w *work) copyFile(ctx context.Context, from, to string) error {
	s, size, err := w.copyOut(ctx, from, to)
	if err != nil {
		return err
	}
	return w.note(s, size)
}

func (w *work) copyOut(ctx context.Context, from, to string) (sum, int64, error) {
	f, err := os.Open(from)
	if err != nil {
		return sum{}, 0, err
	}
	defer f.Close()
	return w.write(ctx, to, f)
}

// take copies what a reader has.
func (w *work) take(ctx context.Context, to string, r io.Reader) error {
	s, size, err := w.write(ctx, to, r)
	if err != nil {
		return err
	}
	return w.note(s, size)
}

// write makes a file of the copy, on stable storage when it returns.
func (w *work) write(ctx context.Context, to string, r io.Reader) (sum, int64, error) {
	dest := w.path(to)
	if err := w.makeDir(filepath.Dir(dest)); err != nil {
		return sum{}, 0, err
	}
	if err := w.pace.spend(ctx, fileCost); err != nil {
		return sum{}, 0, err
	}
	h := sha256.New()
	slow := &paced{ctx: ctx, r: io.TeeReader(r, h), pace: w.pace}
	if err := writeFile(dest, slow); err != nil {
		return sum{}, 0, err
	}
	w.copied++
	return sum{to, hex.EncodeToString(h.Sum(nil))}, slow.n, nil
}

// note writes the line of a file that is in the copy.
func (w *work) note(s sum, size int64) error {
	w.m.Bytes += size
	return w.sums.add(s)
}

// lists takes the revocation lists, which are replaced by renaming.
func (w *work) lists(ctx context.Context) error {
	entries, err := os.ReadDir(filepath.Join(w.Dir, crlDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		err := w.copyFile(ctx, filepath.Join(w.Dir, crlDir, e.Name()), path.Join(storeDir, crlDir, e.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // gone meanwhile: fetched again
			return err
		}
	}
	return err
}

// tellDatabase reads the database once more, for its sum.
func (w *work) tellDatabase(ctx context.Context) error {
	root, err := os.OpenRoot(w.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	s, size, err := hashFile(ctx, root, path.Join(storeDir, databaseName), w.pace)
	if err != nil {
		return err
	}
	w.copied++
	return w.note(s, size)
}

// hashFile returns the sum of a file of the copy at root.
func hashFile(ctx context.Context, root *os.Root, file string, p *pace) (sum, int64, error) {
	f, err := openFile(root, file)
	if err != nil {
		return sum{}, 0, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, &paced{ctx: ctx, r: f, pace: p})
	return sum{file, hex.EncodeToString(h.Sum(nil))}, n, err
}

// paced reads at a pace.
type paced struct {
	ctx  context.Context
	r    io.Reader
	pace *pace
	n    int64
}

func (p *paced) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.n += int64(n)
	if serr := p.pace.spend(p.ctx, n); serr != nil {
		return n, serr
	}
	return n, err
}
