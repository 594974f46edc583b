// SPDX-License-Identifier: EUPL-1.2

package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pecd/fault"
	"pecd/storage/sqlite"
)

// format is the version of the layout.
const format = 1

// maxManifest bounds what is read of a manifest, in bytes.
const maxManifest = 1 << 20

// Manifest says what a copy is a copy of.
type Manifest struct {
	Format int `json:"format"`
	// Instant: everything that was acknowledged before it is in the copy. What
	// was acknowledged in the moment after may be in it, too.
	Instant  time.Time `json:"instant"`
	Store    string    `json:"store"`    // identity of the store
	Provider string    `json:"provider"` // domain of the provider
	Node     string    `json:"node"`
	Log      Head      `json:"log"`
	sqlite.Contents
	Files int64  `json:"files"` // in SHA256SUMS
	Bytes int64  `json:"bytes"` // of these files
	Sums  string `json:"sums"`  // SHA-256 of SHA256SUMS
}

// Head is where the PEC log ends in the copy.
type Head struct {
	Seq  int64     `json:"seq"`
	Hash string    `json:"hash"` // hexadecimal
	At   time.Time `json:"at"`   // of the last record
}

// Points lists the copies in a folder, oldest first, and apart from them those
// whose manifest cannot be read, under the name of their folder. A folder that is
// not there has none.
func Points(dir string) (points []Point, unreadable []Problem, err error) {
	const op = "backup.Points"
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, temporary(op, err)
	}
	for _, e := range entries { // the names sort by time
		if _, err := time.Parse(instantForm, e.Name()); err != nil || !e.IsDir() {
			continue
		}
		p, err := open(filepath.Join(dir, e.Name()))
		if err != nil {
			unreadable = append(unreadable, Problem{e.Name(), err.Error()})
			continue
		}
		points = append(points, p)
	}
	return points, unreadable, nil
}

// Find returns the copy in dir that is meant: dir itself where it is one, else
// the newest in it, or with at the newest whose instant is not after it. It
// fails with fault.NotFound where there is none. With it come those that cannot
// be read (Points): one of them may have been meant.
func Find(dir string, at time.Time) (Point, []Problem, error) {
	const op = "backup.Find"
	if _, err := os.Lstat(filepath.Join(dir, manifestName)); err == nil {
		p, err := open(dir)
		return p, nil, err
	}
	points, unreadable, err := Points(dir)
	if err != nil {
		return Point{}, nil, err
	}
	for _, p := range slices.Backward(points) {
		if at.IsZero() || !p.Instant.After(at) {
			return p, unreadable, nil
		}
	}
	return Point{}, unreadable, fault.Say(op, fault.NotFound, fmt.Sprintf("nessuna copia adatta in %s / no such copy in %s", dir, dir))
}

// open reads the manifest of a copy.
func open(dir string) (Point, error) {
	const op = "backup.open"
	p := Point{Dir: dir}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return p, temporary(op, err)
	}
	defer root.Close()
	f, err := openFile(root, manifestName)
	if err != nil {
		return p, temporary(op, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxManifest))
	if err != nil {
		return p, temporary(op, err)
	}
	if err := json.Unmarshal(b, &p.Manifest); err != nil {
		return p, fault.New(op, fault.Invalid, fmt.Errorf("%s: %w", f.Name(), err))
	}
	if p.Format != format {
		return p, fault.New(op, fault.Unsupported, fmt.Errorf("%s: format %d, this program knows %d", f.Name(), p.Format, format))
	}
	return p, nil
}

// write puts the manifest into the copy at dir.
func (m Manifest) write(dir string) error {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, manifestName), strings.NewReader(string(b)+"\n"))
}
