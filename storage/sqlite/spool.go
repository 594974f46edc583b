// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"errors"
	"io"
	"os"
	"sync"

	"pecd/fault"
	"pecd/storage"
)

// spool implements storage.Spool. The first bytes are held in buf; once that is
// full it is written to a file and serves as write buffer from then on.
type spool struct {
	files *fileArea
	limit int

	mu   sync.Mutex
	buf  []byte
	file *os.File // nil while everything is in buf
	size int64
	err  error // of a write: the contents are no longer whole

	// The life of the file. Its name is that of a blob once it is published,
	// and empty again where that failed.
	name      string
	published bool
	claimed   bool // a commit is under way that may refer to the file
	taken     bool // a committed row refers to it, or may do so
	closed    bool
}

// NewSpool implements storage.Store.
func (s *Store) NewSpool() storage.Spool {
	return &spool{files: s.files, limit: s.opts.SpoolMemory}
}

// Write implements io.Writer. A full disk is fault.Temporary; the spool is of
// no use afterwards.
func (p *spool) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.published {
		return 0, fault.New("sqlite.Spool", fault.Internal, os.ErrClosed)
	}
	if p.err != nil {
		return 0, p.err
	}
	n := len(b)
	for len(p.buf)+len(b) > p.limit {
		room := p.limit - len(p.buf)
		p.buf = append(p.buf, b[:room]...)
		b = b[room:]
		if p.err = p.flush(); p.err != nil {
			return 0, p.err
		}
	}
	p.buf = append(p.buf, b...)
	p.size += int64(n)
	return n, nil
}

// flush writes buf to the file, creating it.
func (p *spool) flush() error {
	err := p.bringOver()
	if err != nil { // that it could be written is told when it is synced
		p.files.health.note(partFiles, err)
	}
	return ioFailed("sqlite.Spool", err)
}

func (p *spool) bringOver() error {
	if p.file == nil {
		p.name = newName()
		f, err := os.OpenFile(p.files.spoolPath(p.name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		p.file = f
	}
	if _, err := p.file.Write(p.buf); err != nil {
		return err
	}
	p.buf = p.buf[:0]
	return nil
}

// whole makes sure that a spool with a file has everything in it.
func (p *spool) whole() error {
	if p.closed {
		return fault.New("sqlite.Spool", fault.Internal, os.ErrClosed)
	}
	if p.err == nil && p.file != nil && len(p.buf) > 0 {
		p.err = p.flush()
		p.buf = nil
	}
	return p.err
}

// ReadAt implements io.ReaderAt.
func (p *spool) ReadAt(b []byte, off int64) (int, error) {
	p.mu.Lock()
	if err := p.whole(); err != nil {
		p.mu.Unlock()
		return 0, err
	}
	file, buf := p.file, p.buf
	p.mu.Unlock()
	if off < 0 {
		return 0, fault.New("sqlite.Spool", fault.Invalid, errors.New("negative offset"))
	}
	if file != nil {
		n, err := file.ReadAt(b, off)
		if err != nil && err != io.EOF {
			return n, ioFailed("sqlite.Spool", err)
		}
		return n, err
	}
	if off >= int64(len(buf)) {
		return 0, io.EOF
	}
	n := copy(b, buf[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// Size implements storage.Spool.
func (p *spool) Size() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.size
}

// Close implements storage.Spool.
func (p *spool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed, p.buf = true, nil
	if p.file == nil {
		return nil
	}
	err := p.file.Close()
	if !p.claimed {
		err = errors.Join(err, p.discard())
	}
	return ioFailed("sqlite.Spool", err)
}

// discard removes the file unless it is, or may be, referred to.
func (p *spool) discard() error {
	switch {
	case p.taken, p.name == "":
		return nil
	case p.published:
		return p.files.remove(p.name)
	}
	return os.Remove(p.files.spoolPath(p.name))
}

// claim publishes the spool's file for a commit. ok is false where there is
// none to give: the bytes are in memory, or the file belongs to a blob already.
func (p *spool) claim() (name string, ok bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.whole(); err != nil {
		return "", false, err
	}
	if p.file == nil || p.taken || p.claimed {
		return "", false, nil
	}
	if !p.published {
		if err := p.files.publish(p.file, p.name); err != nil {
			p.err, p.name = ioFailed("sqlite.Spool", err), ""
			return "", false, p.err
		}
		p.published = true
	}
	p.claimed = true
	return p.name, true, nil
}

// unclaim ends a claim. A file that was not taken stays the spool's, so that
// the step may be tried again.
func (p *spool) unclaim(taken bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.claimed = false
	p.taken = p.taken || taken
	if p.closed {
		return p.discard()
	}
	return nil
}
