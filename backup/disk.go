// SPDX-License-Identifier: EUPL-1.2

package backup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// errNoFile is a name in a copy that is not that of a regular file in it.
var errNoFile = errors.New("no regular file of the copy")

// openFile opens a file of a copy for reading. The copy may have been through
// other hands: a link is not followed, and a pipe is not waited for. It fails
// with fs.ErrNotExist, and with errNoFile where something else is there.
func openFile(root *os.Root, name string) (*os.File, error) {
	at, err := root.Lstat(name)
	if err != nil {
		return nil, noFile(name, err)
	}
	if !at.Mode().IsRegular() {
		return nil, noFile(name, fmt.Errorf("%s", at.Mode()))
	}
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, noFile(name, err)
	}
	if is, err := f.Stat(); err != nil || !os.SameFile(at, is) { // exchanged meanwhile
		f.Close()
		return nil, noFile(name, errors.Join(err, errors.New("replaced")))
	}
	return f, nil
}

func noFile(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("%s: %w: %w", name, errNoFile, err)
}

// writeFile makes a new file, on stable storage when it returns.
func writeFile(path string, r io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncDir brings the names in a directory to stable storage.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
