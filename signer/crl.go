// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"pecd/fault"
)

// maxListBytes bounds a revocation list, or a file of several.
const maxListBytes = 64 << 20

// CRLs are revocation lists read from files. They are safe for concurrent use,
// also with Reload.
type CRLs struct {
	paths []string
	listSet
}

// LoadCRLs reads revocation lists, DER or PEM, several to a PEM file. A path is
// a file or a directory, whose files ending in .crl, .der or .pem are read.
// Errors are NotFound, Invalid or TooLarge and name the file.
func LoadCRLs(paths ...string) (*CRLs, error) {
	c := &CRLs{paths: slices.Clone(paths)}
	if err := c.Reload(); err != nil {
		return nil, err
	}
	return c, nil
}

// Reload reads the files again. On an error the lists in use stay in use.
func (c *CRLs) Reload() error {
	const op = "signer.LoadCRLs"
	var lists []*x509.RevocationList
	for _, p := range c.paths {
		files, err := crlFiles(p)
		if err != nil {
			return fileError(op, p, err)
		}
		for _, f := range files {
			found, err := readCRLFile(f)
			if err != nil {
				return fileError(op, f, err)
			}
			lists = append(lists, found...)
		}
	}
	c.replace(lists)
	return nil
}

// crlFiles returns the files a path stands for.
func crlFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	var files []string
	entries, err := os.ReadDir(path)
	for _, e := range entries {
		switch filepath.Ext(e.Name()) {
		case ".crl", ".der", ".pem":
			if !e.IsDir() {
				files = append(files, filepath.Join(path, e.Name()))
			}
		}
	}
	return files, err
}

// readCRLFile reads the lists of one file.
func readCRLFile(path string) ([]*x509.RevocationList, error) {
	raw, err := readFile(path, maxListBytes)
	if err != nil {
		return nil, err
	}
	if !bytes.Contains(raw, []byte("-----BEGIN ")) {
		list, err := parseCRL(raw)
		if err != nil {
			return nil, err
		}
		return []*x509.RevocationList{list}, nil
	}
	var lists []*x509.RevocationList
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "X509 CRL" {
			continue
		}
		list, err := parseCRL(block.Bytes)
		if err != nil {
			return nil, err
		}
		lists = append(lists, list)
	}
	return lists, nil
}

// parseCRL reads one list. What it may speak of is up to scopeOf. Deltas say
// less than everything and are refused with other critical extensions.
func parseCRL(der []byte) (*x509.RevocationList, error) {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, err
	}
	if _, err := scopeOf(list); err != nil {
		return nil, err
	}
	for _, e := range list.Extensions {
		if e.Critical && !e.Id.Equal(oidIssuingPoint) {
			return nil, fmt.Errorf("a revocation list with critical extension %s", e.Id)
		}
	}
	return list, nil
}

// fileError classes an error about a file of the configuration.
func fileError(op, path string, err error) error {
	kind, why := fault.Invalid, "non è leggibile / is unreadable"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		kind, why = fault.NotFound, "non esiste / does not exist"
	case errors.Is(err, fs.ErrPermission):
		kind, why = fault.Denied, "non è accessibile / is not accessible"
	case errors.Is(err, errFileSize):
		kind, why = fault.TooLarge, "è troppo grande / is too large"
	}
	return &fault.Error{Op: op, Kind: kind, Err: fmt.Errorf("%s: %w", path, err), Text: "il file / the file " + path + " " + why}
}
