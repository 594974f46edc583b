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

// Points lists the copies in a folder, oldest first. A folder that is not there
// has none.
func Points(dir string) ([]Point, error) {
	const op = "backup.Points"
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, temporary(op, err)
	}
	var points []Point
	for _, e := range entries { // the names sort by time
		if _, err := time.Parse(instantForm, e.Name()); err != nil || !e.IsDir() {
			continue
		}
		p, err := open(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		points = append(points, p)
	}
	return points, nil
}

// Find returns the copy in dir that is meant: dir itself where it is one, else
// the newest in it, or with at the newest whose instant is not after it. It
// fails with fault.NotFound where there is none.
func Find(dir string, at time.Time) (Point, error) {
	const op = "backup.Find"
	if _, err := os.Lstat(filepath.Join(dir, manifestName)); err == nil {
		return open(dir)
	}
	points, err := Points(dir)
	if err != nil {
		return Point{}, err
	}
	for _, p := range slices.Backward(points) {
		if at.IsZero() || !p.Instant.After(at) {
			return p, nil
		}
	}
	return Point{}, fault.Say(op, fault.NotFound, fmt.Sprintf("nessuna copia adatta in %s / no such copy in %s", dir, dir))
}

// open reads the manifest of a copy.
func open(dir string) (Point, error) {
	const op = "backup.open"
	p := Point{Dir: dir}
	f, err := os.Open(filepath.Join(dir, manifestName))
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
