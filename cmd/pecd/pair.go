// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"errors"
	"os"
)

// pairMark parts the two files in the output of an operation that makes two. It
// occurs in neither: both are text.
const pairMark = 0

// pair writes what comes before the first pairMark into one new file and what
// follows it into another. Its files are for the owner alone.
type pair struct {
	files [2]*os.File
	now   int
}

// newPair creates both files; neither may be there.
func newPair(first, second string) (*pair, error) {
	p := new(pair)
	for i, name := range []string{first, second} {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, errors.Join(err, p.close(), p.remove())
		}
		p.files[i] = f
	}
	return p, nil
}

// Write implements io.Writer.
func (p *pair) Write(b []byte) (int, error) {
	n := len(b)
	if p.now == 0 {
		if at := bytes.IndexByte(b, pairMark); at >= 0 {
			if _, err := p.files[0].Write(b[:at]); err != nil {
				return 0, err
			}
			p.now, b = 1, b[at+1:]
		}
	}
	if _, err := p.files[p.now].Write(b); err != nil {
		return 0, err
	}
	return n, nil
}

// close syncs and closes the files: an extract is evidence.
func (p *pair) close() error {
	var errs []error
	for _, f := range p.files {
		if f != nil {
			errs = append(errs, f.Sync(), f.Close())
		}
	}
	return errors.Join(errs...)
}

// remove deletes what was created.
func (p *pair) remove() error {
	var errs []error
	for _, f := range p.files {
		if f != nil {
			errs = append(errs, os.Remove(f.Name()))
		}
	}
	return errors.Join(errs...)
}
