// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"os"
)

// maxPEMBytes bounds a file of certificates or keys.
const maxPEMBytes = 16 << 20

var (
	errFileSize      = errors.New("file too large")
	errNoCertificate = errors.New("no certificate in the file")
)

// LoadCertificates reads every certificate of a PEM file, in its order; other
// blocks are skipped. A file that holds one certificate in DER is read as well.
// Errors are NotFound, Denied, TooLarge or Invalid (also when there is no
// certificate inside) and name the file.
func LoadCertificates(pemFile string) ([]*x509.Certificate, error) {
	const op = "signer.LoadCertificates"
	raw, err := readFile(pemFile, maxPEMBytes)
	if err != nil {
		return nil, fileError(op, pemFile, err)
	}
	if len(raw) > 0 && raw[0] == tagSequence {
		c, err := x509.ParseCertificate(raw)
		if err != nil {
			return nil, fileError(op, pemFile, err)
		}
		return []*x509.Certificate{c}, nil
	}
	var certs []*x509.Certificate
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" && block.Type != "X509 CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fileError(op, pemFile, err)
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, fileError(op, pemFile, errNoCertificate)
	}
	return certs, nil
}

// readFile reads a file of at most limit octets.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = errFileSize
	}
	return raw, err
}
