// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"errors"
	"os"
	"sync"
)

// What of a store can fail to be written.
const (
	partLog   = iota // the database: its log
	partFiles        // files of messages, and spools
	parts
)

// health tells whoever asked when a part of the store fails to be written, and
// when all of it can be written again.
type health struct {
	tell func(error) // nil: nobody asked

	mu      sync.Mutex
	failing [parts]error
}

// note takes the outcome of a write. One after another in the same state says nothing.
func (h *health) note(part int, err error) {
	if h.tell == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if (h.failing[part] == nil) == (err == nil) {
		return
	}
	h.failing[part] = err
	h.tell(errors.Join(h.failing[:]...))
}

// TryFiles writes, syncs and removes a small file, as a large message would be.
// Options.Health hears the outcome: after files could not be written nobody
// else may try for hours. The error is that of the device.
func (s *Store) TryFiles() error {
	path := s.files.spoolPath(newName())
	err := writeSynced(path)
	err = errors.Join(err, removeFile(path))
	s.files.health.note(partFiles, err)
	return ioFailed("sqlite.TryFiles", err)
}

// tryBytes is more than a file system keeps beside the metadata of a file.
const tryBytes = 64 << 10

func writeSynced(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, tryBytes))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
