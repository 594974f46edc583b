// SPDX-License-Identifier: EUPL-1.2

package pki

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"

	"github.com/youmark/pkcs8"

	"pecd/fault"
)

// EncodeCertificates returns certificates as PEM, in the order given.
func EncodeCertificates(certs ...*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range certs {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return b.Bytes()
}

// EncodeKey returns a key that lives in memory as PKCS#8 in PEM, encrypted
// (PBES2, AES-256) when there is a passphrase. Keep the result in a file that
// nobody else reads.
func EncodeKey(key crypto.PrivateKey, passphrase []byte) ([]byte, error) {
	der, err := pkcs8.MarshalPrivateKey(key, passphrase, nil)
	if err != nil {
		return nil, fault.New("pki.EncodeKey", fault.Invalid, err)
	}
	kind := "PRIVATE KEY"
	if len(passphrase) > 0 {
		kind = "ENCRYPTED PRIVATE KEY"
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), nil
}

// EncodeCRL returns a revocation list as PEM.
func EncodeCRL(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}
