// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"pecd/fault"
)

// CRLSource finds revocation lists. Implementations are safe for concurrent use.
type CRLSource interface {
	// RevocationList returns the newest list of a CA, whose signature by the
	// CA's key the source has checked. Whether it is still current is the
	// caller's business.
	RevocationList(issuer *x509.Certificate) (*x509.RevocationList, bool)
}

// revocation checks one certificate against its issuer's list. A list past its
// NextUpdate still tells who was revoked; only that a certificate is not on it
// means nothing any more.
func (v *Verifier) revocation(c, issuer *x509.Certificate, at time.Time) (Step, reason) {
	unknown := because("la lista di revoca della CA manca o non è aggiornata", "the CA's revocation list is missing or out of date")
	if v.cfg.CRLs == nil {
		if v.cfg.RequireCRL {
			return StepUnknownRevocation, unknown
		}
		return StepOK, reason{}
	}
	list, ok := v.cfg.CRLs.RevocationList(issuer)
	if ok {
		for i := range list.RevokedCertificateEntries {
			e := &list.RevokedCertificateEntries[i]
			if e.SerialNumber.Cmp(c.SerialNumber) == 0 && !e.RevocationTime.After(at) {
				return StepRevoked, because("il certificato era revocato", "the certificate was revoked")
			}
		}
	}
	stale := !ok || (!list.NextUpdate.IsZero() && at.After(list.NextUpdate))
	if stale && v.cfg.RequireCRL {
		return StepUnknownRevocation, unknown
	}
	return StepOK, reason{}
}

// maxCRLBytes bounds one CRL file.
const maxCRLBytes = 64 << 20

// CRLs are revocation lists read from files. They are safe for concurrent use,
// also with Reload.
type CRLs struct {
	paths []string
	mu    sync.Mutex
	lists []*x509.RevocationList // newest first
	// checked remembers whose key signed which list: checking a signature hashes
	// the whole list, and the same few CAs come back with every message.
	checked map[string]*x509.RevocationList
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
	slices.SortStableFunc(lists, func(a, b *x509.RevocationList) int { return b.ThisUpdate.Compare(a.ThisUpdate) })
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lists, c.checked = lists, make(map[string]*x509.RevocationList)
	return nil
}

// RevocationList implements CRLSource: the newest list with the CA's name that
// the CA's key signed.
func (c *CRLs) RevocationList(issuer *x509.Certificate) (*x509.RevocationList, bool) {
	if issuer.KeyUsage != 0 && issuer.KeyUsage&x509.KeyUsageCRLSign == 0 {
		return nil, false
	}
	key := string(issuer.RawSubject) + string(issuer.RawSubjectPublicKeyInfo)
	c.mu.Lock()
	defer c.mu.Unlock()
	if list, ok := c.checked[key]; ok {
		return list, list != nil
	}
	var found *x509.RevocationList
	for _, list := range c.lists {
		if sameName(list.RawIssuer, issuer.RawSubject) && signedList(list, issuer) {
			found = list
			break
		}
	}
	// Issuers are CAs on a verified path, so the map stays small.
	c.checked[key] = found
	return found, found != nil
}

// signedList says whether the CA's key signed the list.
func signedList(list *x509.RevocationList, issuer *x509.Certificate) bool {
	switch list.SignatureAlgorithm {
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1:
		return checkSignature(issuer.PublicKey, crypto.SHA1, digest(crypto.SHA1, list.RawTBSRevocationList), list.Signature)
	}
	return issuer.CheckSignature(list.SignatureAlgorithm, list.RawTBSRevocationList, list.Signature) == nil
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
	raw, err := readFile(path, maxCRLBytes)
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

// parseCRL reads one list. Lists that say less than everything the CA revoked
// (deltas, other issuers' entries, some reasons only) are refused, because
// reading them as a whole list would let a revoked certificate pass.
func parseCRL(der []byte) (*x509.RevocationList, error) {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, err
	}
	for _, e := range list.Extensions {
		switch {
		case e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 28}): // issuingDistributionPoint
			var point struct {
				Point        asn1.RawValue  `asn1:"optional,tag:0"`
				OnlyUsers    bool           `asn1:"optional,tag:1"`
				OnlyCAs      bool           `asn1:"optional,tag:2"`
				SomeReasons  asn1.BitString `asn1:"optional,tag:3"`
				Indirect     bool           `asn1:"optional,tag:4"`
				OnlyAttrCert bool           `asn1:"optional,tag:5"`
			}
			if _, err := asn1.Unmarshal(e.Value, &point); err != nil {
				return nil, err
			}
			if point.OnlyCAs || point.SomeReasons.BitLength > 0 || point.Indirect || point.OnlyAttrCert {
				return nil, errors.New("a revocation list of limited scope")
			}
		case e.Critical:
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
