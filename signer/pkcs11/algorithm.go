// SPDX-License-Identifier: EUPL-1.2

package pkcs11

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"math/big"

	"pecd/fault"
)

// algorithm is how a kind of key signs a SHA-256 digest on a token.
type algorithm struct {
	mechanism uintptr
	size      int // octets that the token returns
	input     func(digest []byte) []byte
	output    func(raw []byte) ([]byte, error)
	verifies  func(digest, sig []byte) bool
}

// digestInfo is what stands before a SHA-256 digest in a PKCS#1 v1.5 signature
// (RFC 8017 §9.2, note 1); CKM_RSA_PKCS leaves it to the caller.
const digestInfo = "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"

// algorithmOf returns the algorithm of a public key, Unsupported for what no
// provider signs with.
func algorithmOf(pub crypto.PublicKey) (algorithm, error) {
	switch k := pub.(type) {
	case *rsa.PublicKey:
		return algorithm{
			mechanism: mechanismRSA, size: k.Size(),
			input:    func(digest []byte) []byte { return append([]byte(digestInfo), digest...) },
			output:   func(raw []byte) ([]byte, error) { return raw, nil },
			verifies: func(digest, sig []byte) bool { return rsa.VerifyPKCS1v15(k, crypto.SHA256, digest, sig) == nil },
		}, nil
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return algorithm{
				mechanism: mechanismECDSA, size: 2 * sha256.Size,
				input:    func(digest []byte) []byte { return append([]byte(nil), digest...) },
				output:   ecdsaSignature,
				verifies: func(digest, sig []byte) bool { return ecdsa.VerifyASN1(k, digest, sig) },
			}, nil
		}
	}
	return algorithm{}, fault.New("pkcs11.algorithmOf", fault.Unsupported, fmt.Errorf("%T", pub))
}

// ecdsaSignature turns r and s, one after the other as CKM_ECDSA returns them,
// into ECDSA-Sig-Value (RFC 5480 appendix A).
func ecdsaSignature(raw []byte) ([]byte, error) {
	half := len(raw) / 2
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:half]), new(big.Int).SetBytes(raw[half:])})
}
