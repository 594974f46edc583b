// SPDX-License-Identifier: EUPL-1.2

// Package pki is a small certification authority for the demo and for tests: a
// CA, signing certificates in the profile of RFC 6109 §5.5 (and, for negative
// tests, outside of it), TLS certificates and revocation lists. It makes no
// provider an accredited one.
package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"sync"
	"time"

	"pecd/fault"
)

// The validities of what a CA issues.
const (
	caYears     = 10
	signerYears = 3
	tlsDays     = 397
	crlDays     = 30
)

// CA is a certification authority. It is safe for concurrent use.
type CA struct {
	cert *x509.Certificate
	key  crypto.Signer
	at   time.Time

	mu   sync.Mutex
	next int64 // serial number of the next certificate
	crl  int64 // number of the next revocation list
}

// NewCA makes a self-signed CA with an RSA-2048 key, valid for ten years from
// at. What it issues is valid from at as well, unless told otherwise. Serial
// numbers count up from 1, the CA's own.
func NewCA(name string, at time.Time) (*CA, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fault.New("pki.NewCA", fault.Internal, err)
	}
	return newCA(name, key, at, 1)
}

// newCA makes a CA with a given key and serial number.
func newCA(name string, key crypto.Signer, at time.Time, serial int64) (*CA, error) {
	const op = "pki.NewCA"
	at = at.UTC().Truncate(time.Second)
	id, err := keyID(key.Public())
	if err != nil {
		return nil, fault.New(op, fault.Internal, err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(serial),
		Subject:               pkix.Name{Country: []string{"IT"}, Organization: []string{name}, CommonName: name},
		NotBefore:             at,
		NotAfter:              at.AddDate(caYears, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		SubjectKeyId:          id,
		AuthorityKeyId:        id,
	}
	cert, err := create(template, template, key.Public(), key)
	if err != nil {
		return nil, fault.New(op, fault.Internal, err)
	}
	return &CA{cert: cert, key: key, at: at, next: serial + 1, crl: serial}, nil
}

// Open returns a CA made before, from its certificate and key. Certificates are
// numbered from next on and valid from at.
func Open(cert *x509.Certificate, key crypto.Signer, next int64, at time.Time) *CA {
	return &CA{cert: cert, key: key, at: at.UTC().Truncate(time.Second), next: next, crl: next}
}

// Certificate returns the CA's certificate.
func (ca *CA) Certificate() *x509.Certificate { return ca.cert }

// Key returns the CA's key.
func (ca *CA) Key() crypto.Signer { return ca.key }

// Renew returns the same CA, name and key, under a new certificate valid from
// at: production CAs are certified several times. Numbering goes on from where
// ca stands, so only the renewed CA may issue afterwards.
func (ca *CA) Renew(at time.Time) (*CA, error) {
	return newCA(ca.cert.Subject.CommonName, ca.key, at, ca.serial().Int64())
}

// CRL returns a revocation list (DER) that revokes the serial numbers, made at
// the CA's time and to be replaced after thirty days.
func (ca *CA) CRL(revoked ...*big.Int) ([]byte, error) {
	return ca.CRLAt(ca.at, ca.at.AddDate(0, 0, crlDays), revoked...)
}

// CRLAt is CRL with times of its own. The certificates are revoked as of thisUpdate.
func (ca *CA) CRLAt(thisUpdate, nextUpdate time.Time, revoked ...*big.Int) ([]byte, error) {
	ca.mu.Lock()
	number := ca.crl
	ca.crl++
	ca.mu.Unlock()
	list := &x509.RevocationList{
		Number:     big.NewInt(number),
		ThisUpdate: thisUpdate.UTC().Truncate(time.Second),
		NextUpdate: nextUpdate.UTC().Truncate(time.Second),
	}
	for _, serial := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: serial, RevocationTime: list.ThisUpdate})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, ca.cert, ca.key)
	if err != nil {
		return nil, fault.New("pki.CRL", fault.Internal, err)
	}
	return der, nil
}

// serial hands out the next serial number.
func (ca *CA) serial() *big.Int {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	n := ca.next
	ca.next++
	return big.NewInt(n)
}

// create signs a certificate and reads it back.
func create(template, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// keyID returns the key identifier of RFC 5280 §4.2.1.2: SHA-1 of the public key.
func keyID(pub crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, err
	}
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &info); err != nil {
		return nil, err
	}
	sum := sha1.Sum(info.Key.Bytes)
	return sum[:], nil
}
