// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"pecd/fault"
)

// Fetched lists are files of the folder, one for each address, CA and scope: an
// address that turns to another CA must not lose the list of the one before.
const (
	listSuffix = ".crl"
	tempSuffix = ".tmp"
	// maxHeldLists bounds the lists kept.
	maxHeldLists = 1024
)

// heldList is a fetched list.
type heldList struct {
	list  *x509.RevocationList
	saved bool // it is in the folder
}

// listFile returns the name of the file for a list of ca from an address.
func listFile(url string, ca *x509.Certificate, of scope) string {
	from, by := sha256.Sum256([]byte(url)), sha256.Sum256([]byte(issuerKey(ca)+of.key()))
	return fmt.Sprintf("%x-%x%s", from[:16], by[:8], listSuffix)
}

// readFolder reads the lists kept, by file name, and removes what an
// interrupted write left. A file that cannot be used is no reason not to start:
// it is logged, and fetched again. Signatures are checked when a list is used.
func (l *RevocationLists) readFolder() (map[string]*heldList, error) {
	const op = "signer.readFolder"
	held := make(map[string]*heldList)
	if l.cfg.Dir == "" {
		return held, nil
	}
	if err := os.MkdirAll(l.cfg.Dir, 0o700); err != nil {
		return nil, fileError(op, l.cfg.Dir, err)
	}
	entries, err := os.ReadDir(l.cfg.Dir)
	if err != nil {
		return nil, fileError(op, l.cfg.Dir, err)
	}
	for _, e := range entries {
		path := filepath.Join(l.cfg.Dir, e.Name())
		switch {
		case strings.HasSuffix(e.Name(), tempSuffix):
			if err := os.Remove(path); err != nil {
				return nil, fileError(op, path, err)
			}
		case strings.HasSuffix(e.Name(), listSuffix) && len(held) < maxHeldLists:
			list, err := readList(path)
			if err != nil {
				l.cfg.Logger.Warn("kept revocation list not readable", "file", path, "error", err)
				continue
			}
			held[e.Name()] = &heldList{list: list, saved: true}
		}
	}
	return held, nil
}

// readList reads a file with one list in DER.
func readList(path string) (*x509.RevocationList, error) {
	raw, err := readFile(path, maxListBytes)
	if err != nil {
		return nil, err
	}
	return parseCRL(raw)
}

// writeFolder keeps a list, so that either the old or the new one is there
// after a crash.
func (l *RevocationLists) writeFolder(name string, der []byte) error {
	if l.cfg.Dir == "" {
		return nil
	}
	if err := replaceFile(l.cfg.Dir, name, der); err != nil {
		return fault.New("signer.writeFolder", fault.Temporary, err)
	}
	return nil
}

// replaceFile writes a file of dir whole or not at all.
func replaceFile(dir, name string, data []byte) error {
	f, err := os.CreateTemp(dir, name+".*"+tempSuffix)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
