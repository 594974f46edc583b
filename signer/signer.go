// SPDX-License-Identifier: EUPL-1.2

// Package signer makes and verifies the S/MIME signatures of PEC messages:
// detached CMS SignedData over the exact octets of a MIME entity (RFC 6109
// §2.1, §5; RFC 5652; RFC 8551).
//
// Signing works on a digest and a crypto.Signer, so that the content is hashed
// once as a stream and the key may live in a hardware module. Verifying follows
// the steps of the incoming point (RFC 6109 §2.2.2) and accepts what production
// sends: BER with indefinite lengths, SHA-1 digests, certificates older than
// their issuer's. Nothing that comes from outside reaches a recursive parser:
// the CMS reader is the package's own, bounded in size, depth and count.
//
// Besides: revocation lists from files and over HTTP (RevocationLists), time
// stamps (RFC 3161, TimeStamper), and opaque signatures over files of any
// length (SignOpaque, VerifyOpaque), as the sealed log and the provider's LDIF
// are published.
package signer

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"runtime"

	"pecd/clock"
	"pecd/fault"
)

// Identity is who signs: the signing certificate, the certificates of the CAs
// above it (its issuer first) and the private key.
type Identity struct {
	Certificate *x509.Certificate
	Chain       []*x509.Certificate
	Key         crypto.Signer
}

// Signer signs for one provider. It is safe for concurrent use.
type Signer struct {
	id       Identity
	address  string
	template template
	slots    *pool
}

// New returns a Signer for the provider providerName with the service address
// serviceAddress. It refuses an identity that other providers would refuse:
// a certificate that breaks the profile of RFC 6109 §5.5 or is not valid now
// (see CheckProfile), a key that is not the certificate's or is too weak, a
// chain that does not lead upwards. The key is tried once.
func New(id Identity, providerName, serviceAddress string, clk clock.Clock) (*Signer, error) {
	const op = "signer.New"
	if id.Certificate == nil || id.Key == nil {
		return nil, fault.Say(op, fault.Invalid, "manca il certificato o la chiave di firma / signing certificate or key missing")
	}
	if err := CheckProfile(id.Certificate, providerName, serviceAddress, clk.Now()); err != nil {
		return nil, fault.Wrap(op, err)
	}
	alg, err := signingAlgorithm(id.Certificate.PublicKey)
	if err != nil {
		return nil, &fault.Error{Op: op, Kind: fault.Invalid, Err: err,
			Text: "chiave di firma non ammessa: " + err.Error()}
	}
	if pub, ok := id.Key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !pub.Equal(id.Certificate.PublicKey) {
		return nil, fault.Say(op, fault.Invalid, "la chiave privata non è quella del certificato di firma / the private key is not the certificate's")
	}
	if err := checkIssuers(id); err != nil {
		return nil, &fault.Error{Op: op, Kind: fault.Invalid, Err: err,
			Text: "i certificati delle CA non formano una catena / the CA certificates are no chain: " + err.Error()}
	}
	s := &Signer{id: id, address: serviceAddress, slots: newPool(parallel(id.Key))}
	if s.template, err = newTemplate(id, alg); err != nil {
		return nil, fault.New(op, fault.Internal, err)
	}
	if err := s.try(); err != nil {
		return nil, &fault.Error{Op: op, Kind: fault.Invalid, Err: err,
			Text: "la chiave di firma non funziona / the signing key does not work: " + err.Error()}
	}
	return s, nil
}

// parallel is how many signatures a key makes at once: what it says itself, as a
// token with so many sessions does, and one on each core otherwise.
func parallel(key crypto.Signer) int {
	if k, ok := key.(interface{ Parallel() int }); ok {
		return k.Parallel()
	}
	return runtime.GOMAXPROCS(0)
}

// Threads is how many threads of the operating system signatures hold at once
// outside of Go's scheduler, as a key in libcrypto or on a token does; 0 for a
// key of Go's.
func (s *Signer) Threads() int {
	if _, ok := s.id.Key.(interface{ Parallel() int }); ok {
		return parallel(s.id.Key)
	}
	return 0
}

// Close releases the key where it holds something outside of Go, after the
// signatures under way. Later ones fail.
func (s *Signer) Close() error {
	if c, ok := s.id.Key.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// MicAlg returns the micalg parameter of multipart/signed (RFC 8551 §3.5.3.2).
func (s *Signer) MicAlg() string { return "sha-256" }

// Address returns the service address, the From of everything that is signed.
func (s *Signer) Address() string { return s.address }

// Certificate returns the signing certificate.
func (s *Signer) Certificate() *x509.Certificate { return s.id.Certificate }

// algorithm is an AlgorithmIdentifier of ours.
type algorithm struct {
	oid  asn1.ObjectIdentifier
	null bool // parameters are NULL rather than absent
}

// signingAlgorithm returns the CMS signature algorithm for a public key. For
// RSA that is rsaEncryption with NULL parameters (RFC 3370 §3.2, RFC 5754 §3.2),
// which every mail client of the last twenty years reads.
func signingAlgorithm(pub crypto.PublicKey) (algorithm, error) {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < 2048 || n > maxRSABits {
			return algorithm{}, fmt.Errorf("RSA %d bit", n)
		}
		return algorithm{oid: oidRSA, null: true}, nil
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return algorithm{}, fmt.Errorf("ECDSA %s", k.Params().Name)
		}
		return algorithm{oid: oidECDSASHA256}, nil
	}
	return algorithm{}, fmt.Errorf("%T", pub)
}

// checkIssuers checks that each certificate is signed by the one above it.
func checkIssuers(id Identity) error {
	c := id.Certificate
	for _, up := range id.Chain {
		if !bytes.Equal(c.RawIssuer, up.RawSubject) {
			return fmt.Errorf("%q was not issued by %q", c.Subject, up.Subject)
		}
		if err := c.CheckSignatureFrom(up); err != nil {
			return err
		}
		c = up
	}
	return nil
}

// try signs and verifies once, so that a wrong key or an absent module shows
// at start and not with the first message.
func (s *Signer) try() error {
	sum := sha256.Sum256([]byte("pecd"))
	sig, err := s.id.Key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return err
	}
	if !checkSignature(s.id.Certificate.PublicKey, crypto.SHA256, sum[:], sig) {
		return errors.New("the certificate does not verify what the key signs")
	}
	return nil
}
