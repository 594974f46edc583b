// SPDX-License-Identifier: EUPL-1.2

package libcrypto

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"unsafe"

	"pecd/fault"
	"pecd/signer/dynlib"
)

var (
	errClosed    = errors.New("the key is closed")
	errAlgorithm = errors.New("SHA-256 with PKCS#1 v1.5 or ECDSA only")
	errPrimes    = errors.New("an RSA key of two primes with its CRT values only")
	errWrong     = errors.New("the signature does not verify")
)

// Key is a private key inside libcrypto. It implements crypto.Signer and is safe
// for concurrent use: as many signatures as it has contexts are made at once,
// the others wait.
type Key struct {
	lib  *Library
	pub  crypto.PublicKey
	pkey uintptr
	size uintptr // octets of the longest signature
	// checked says that each signature is verified here, because libcrypto does
	// not do so itself.
	checked bool

	made   int          // contexts in all
	free   chan uintptr // those that are ready to sign
	closed chan struct{}
	once   sync.Once
}

// NewKey hands a private key of Go's (*rsa.PrivateKey, or *ecdsa.PrivateKey on
// P-256) to libcrypto, for at most parallel signatures at once. It signs once
// and verifies that with Go. Close frees the key.
//
// A wrong result of one half of an RSA-CRT signature tells the private key to
// whoever sees it. OpenSSL verifies what the halves give before it lets it out;
// since that is no promise of its manual it is tried with a damaged key, and
// where it does not hold each signature is verified here. Of ECDSA signatures
// nothing verifies the result in libcrypto: each is verified here.
//
// Errors are Unsupported for other keys, and Internal where libcrypto does not
// take the key or signs wrongly.
func (l *Library) NewKey(key crypto.Signer, parallel int) (*Key, error) {
	const op = "libcrypto.NewKey"
	if rsaKey, ok := key.(*rsa.PrivateKey); ok {
		k, err := l.newRSA(rsaKey, parallel)
		return k, fault.Wrap(op, err)
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok || ec.Curve != elliptic.P256() {
		return nil, fault.New(op, fault.Unsupported, fmt.Errorf("%T", key))
	}
	der, err := x509.MarshalPKCS8PrivateKey(ec)
	if err != nil {
		return nil, fault.New(op, fault.Internal, err)
	}
	k, err := l.tried(der, ec.Public(), 72, parallel)
	if err != nil {
		return nil, fault.Wrap(op, err)
	}
	k.checked = true
	return k, nil
}

// newRSA is NewKey for RSA.
func (l *Library) newRSA(key *rsa.PrivateKey, parallel int) (*Key, error) {
	if len(key.Primes) != 2 || key.Precomputed.Dp == nil {
		return nil, fault.New("libcrypto.newRSA", fault.Unsupported, errPrimes)
	}
	k, err := l.tried(x509.MarshalPKCS1PrivateKey(key), key.Public(), uintptr(key.Size()), parallel)
	if err != nil {
		return nil, err
	}
	if k.checked, err = l.letsFaultsOut(key); err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

// tried opens a key and tries it. The encoding is wiped.
func (l *Library) tried(der []byte, pub crypto.PublicKey, size uintptr, parallel int) (*Key, error) {
	defer clear(der)
	k, err := l.open(der, pub, size, max(parallel, 1))
	if err != nil {
		return nil, err
	}
	if err := k.try(); err != nil {
		k.Close()
		return nil, fault.New("libcrypto.try", fault.Internal, err)
	}
	return k, nil
}

// open makes the key and its contexts from the DER encoding.
func (l *Library) open(der []byte, pub crypto.PublicKey, size uintptr, parallel int) (*Key, error) {
	runtime.LockOSThread() // the error queue is the thread's
	defer runtime.UnlockOSThread()
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&der[0])
	at := uintptr(unsafe.Pointer(&der[0])) // moved on by the call, past the end of der: no pointer of Go's
	pkey := dynlib.Call(l.f.d2iAutoPrivateKey, 0, uintptr(unsafe.Pointer(&at)), uintptr(len(der)))
	if pkey == 0 {
		return nil, fault.New("libcrypto.open", fault.Internal, l.takeErrors("d2i_AutoPrivateKey"))
	}
	k := &Key{lib: l, pub: pub, pkey: pkey, size: size, free: make(chan uintptr, parallel), closed: make(chan struct{})}
	for range parallel {
		ctx, err := k.newContext()
		if err != nil {
			k.Close()
			return nil, fault.New("libcrypto.open", fault.Internal, err)
		}
		k.free <- ctx
		k.made++
	}
	return k, nil
}

// newContext returns an EVP_PKEY_CTX with which EVP_PKEY_sign may be called any
// number of times, by one thread at a time.
func (k *Key) newContext() (uintptr, error) {
	f := &k.lib.f
	ctx := dynlib.Call(f.ctxNew, k.pkey, 0)
	if ctx == 0 {
		return 0, k.lib.takeErrors("EVP_PKEY_CTX_new")
	}
	ok := succeeded(dynlib.Call(f.signInit, ctx))
	if _, isRSA := k.pub.(*rsa.PublicKey); ok && isRSA {
		ok = succeeded(dynlib.Call(f.setPadding, ctx, rsaPKCS1Padding))
	}
	if !ok || !succeeded(dynlib.Call(f.setMD, ctx, dynlib.Call(f.sha256))) {
		err := k.lib.takeErrors("EVP_PKEY_sign_init")
		dynlib.Call(f.ctxFree, ctx)
		return 0, err
	}
	return ctx, nil
}

// succeeded reads the int that the EVP functions return, of which only the lower
// half of the register counts: 1 is success, 0 and less are not.
func succeeded(r uintptr) bool { return int32(r) == 1 }

// Public implements crypto.Signer.
func (k *Key) Public() crypto.PublicKey { return k.pub }

// Parallel returns how many signatures are made at once.
func (k *Key) Parallel() int { return k.made }

// Sign implements crypto.Signer for a SHA-256 digest: PKCS#1 v1.5 with RSA, DER
// with ECDSA. The reader is not used, libcrypto has its own randomness.
// Errors are Invalid for another digest or algorithm, Temporary otherwise.
func (k *Key) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	const op = "libcrypto.Sign"
	if _, pss := opts.(*rsa.PSSOptions); pss || opts.HashFunc() != crypto.SHA256 || len(digest) != sha256.Size {
		return nil, fault.New(op, fault.Invalid, errAlgorithm)
	}
	ctx, err := k.take()
	if err != nil {
		return nil, fault.New(op, fault.Temporary, err)
	}
	sig, err := k.signWith(ctx, digest)
	k.free <- ctx
	if err == nil && k.checked && !k.verifies(digest, sig) {
		err = errWrong
	}
	if err != nil {
		return nil, fault.New(op, fault.Temporary, err)
	}
	return sig, nil
}

// take waits for a context.
func (k *Key) take() (uintptr, error) {
	select {
	case <-k.closed: // also when a context is free
		return 0, errClosed
	default:
	}
	select {
	case <-k.closed:
		return 0, errClosed
	case ctx := <-k.free:
		return ctx, nil
	}
}

// signWith makes a signature with a context of the caller's.
func (k *Key) signWith(ctx uintptr, digest []byte) ([]byte, error) {
	runtime.LockOSThread() // the error queue is the thread's
	defer runtime.UnlockOSThread()
	sig, n := make([]byte, k.size), k.size
	r := dynlib.Call(k.lib.f.sign, ctx, uintptr(unsafe.Pointer(&sig[0])), uintptr(unsafe.Pointer(&n)),
		uintptr(unsafe.Pointer(&digest[0])), uintptr(len(digest)))
	if !succeeded(r) || n > k.size {
		return nil, k.lib.takeErrors("EVP_PKEY_sign")
	}
	return sig[:n], nil
}

// Close waits for the signatures under way and frees the key and its contexts.
// Later signatures fail. Closing twice is allowed.
func (k *Key) Close() error {
	k.once.Do(func() {
		close(k.closed)
		for range k.made {
			dynlib.Call(k.lib.f.ctxFree, <-k.free)
		}
		dynlib.Call(k.lib.f.pkeyFree, k.pkey)
	})
	return nil
}
