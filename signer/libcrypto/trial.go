// SPDX-License-Identifier: EUPL-1.2

package libcrypto

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"math/big"

	"pecd/fault"
)

// trialDigest is what is signed to try a key.
func trialDigest() []byte {
	sum := sha256.Sum256([]byte("pecd"))
	return sum[:]
}

// try signs once and has Go verify it.
func (k *Key) try() error {
	sig, err := k.Sign(nil, trialDigest(), crypto.SHA256)
	if err == nil && !k.verifies(trialDigest(), sig) {
		err = errWrong
	}
	return err
}

// verifies checks a signature with Go's implementation.
func (k *Key) verifies(digest, sig []byte) bool {
	switch pub := k.pub.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(pub, crypto.SHA256, digest, sig) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(pub, digest, sig)
	}
	return false
}

// letsFaultsOut says whether libcrypto gives out a wrong signature where one half
// of the CRT computation is wrong, which is brought about by a damaged exponent.
func (l *Library) letsFaultsOut(key *rsa.PrivateKey) (bool, error) {
	der, err := damagedKey(key)
	if err != nil {
		return false, fault.New("libcrypto.damagedKey", fault.Internal, err)
	}
	defer clear(der)
	k, err := l.open(der, key.Public(), uintptr(key.Size()), 1)
	if err != nil {
		return false, nil // it looks into keys and refuses this one: nothing gets out
	}
	defer k.Close()
	sig, err := k.Sign(nil, trialDigest(), crypto.SHA256)
	return err == nil && !k.verifies(trialDigest(), sig), nil
}

// damagedKey returns the RSAPrivateKey (RFC 8017 appendix A.1.2) with a wrong
// first CRT exponent. Go's encoder would compute the right one again.
func damagedKey(key *rsa.PrivateKey) ([]byte, error) {
	wrong := new(big.Int).Add(key.Precomputed.Dp, big.NewInt(2))
	return asn1.Marshal(struct {
		Version                     int
		N                           *big.Int
		E                           int
		D, P, Q, ExponentP          *big.Int
		ExponentQ, CRTInverseOfPByQ *big.Int
	}{0, key.N, key.E, key.D, key.Primes[0], key.Primes[1], wrong, key.Precomputed.Dq, key.Precomputed.Qinv})
}
