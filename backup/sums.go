// SPDX-License-Identifier: EUPL-1.2

package backup

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// sum is one line of SHA256SUMS.
type sum struct {
	path string // below the copy, with slashes
	hex  string // SHA-256
}

// maxSumLine bounds a line: a sum, two spaces, and a path of ours.
const maxSumLine = 1024

var errSumLine = errors.New("SHA256SUMS: no line of sha256sum")

// parseSum reads a line. A path that leads out of the copy is refused: the file
// may have been through other hands.
func parseSum(line string) (sum, error) {
	digits, path, ok := strings.Cut(line, "  ")
	if b, err := hex.DecodeString(digits); !ok || err != nil || len(b) != sha256.Size || !filepath.IsLocal(path) || path != filepath.Clean(path) {
		return sum{}, fmt.Errorf("%w: %.80q", errSumLine, line)
	}
	return sum{path: path, hex: digits}, nil
}

// sumsWriter writes SHA256SUMS, sorted by path.
type sumsWriter struct {
	file  *os.File
	buf   *bufio.Writer
	hash  hash.Hash
	last  string
	files int64
}

func newSumsWriter(path string) (*sumsWriter, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	w := &sumsWriter{file: f, hash: sha256.New()}
	w.buf = bufio.NewWriterSize(io.MultiWriter(f, w.hash), 64<<10)
	return w, nil
}

// add writes a line. Paths come in order: the next copy reads them alongside
// its own.
func (w *sumsWriter) add(s sum) error {
	if s.path <= w.last {
		return fmt.Errorf("SHA256SUMS: %q after %q", s.path, w.last)
	}
	w.last = s.path
	w.files++
	_, err := fmt.Fprintf(w.buf, "%s  %s\n", s.hex, s.path)
	return err
}

// finish brings the file to stable storage and returns its own sum.
func (w *sumsWriter) finish() (string, error) {
	err := errors.Join(w.buf.Flush(), w.file.Sync(), w.file.Close())
	return hex.EncodeToString(w.hash.Sum(nil)), err
}

// sumsReader reads SHA256SUMS line by line.
type sumsReader struct {
	file *os.File
	scan *bufio.Scanner
	hash hash.Hash
	cur  sum
	held bool // cur was read, but not asked for yet
}

// openSums opens the sums of the copy at dir (openFile).
func openSums(dir string) (*sumsReader, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := openFile(root, sumsName)
	if err != nil {
		return nil, err
	}
	r := &sumsReader{file: f, hash: sha256.New()}
	r.scan = bufio.NewScanner(io.TeeReader(f, r.hash))
	r.scan.Buffer(make([]byte, maxSumLine), maxSumLine)
	return r, nil
}

// next returns the next line, io.EOF after the last.
func (r *sumsReader) next() (sum, error) {
	if r.held {
		r.held = false
		return r.cur, nil
	}
	if !r.scan.Scan() {
		if err := r.scan.Err(); err != nil {
			return sum{}, err
		}
		return sum{}, io.EOF
	}
	return parseSum(r.scan.Text())
}

// seek moves on to the line of a path, whose sum it returns. Paths are asked for
// in order.
func (r *sumsReader) seek(path string) (hex string, ok bool, err error) {
	for {
		s, err := r.next()
		if err == io.EOF {
			return "", false, nil
		}
		if err != nil {
			return "", false, err
		}
		if s.path < path {
			continue
		}
		if s.path > path {
			r.cur, r.held = s, true
			return "", false, nil
		}
		return s.hex, true, nil
	}
}

func (r *sumsReader) close() error { return r.file.Close() }
