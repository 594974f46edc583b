// SPDX-License-Identifier: EUPL-1.2

// Package libcrypto signs with OpenSSL's libcrypto.so.3, loaded while the program
// runs. It makes two to three times the RSA signatures a second of Go's
// crypto/rsa on the same core.
//
// OpenSSL's blinding stays on, as it is by default. What it makes of a key whose
// CRT computation goes wrong is found out once for each key: see NewKey.
package libcrypto

import (
	"bytes"
	"errors"
	"strings"
	"unsafe"

	"pecd/fault"
	"pecd/signer/dynlib"
)

// soname is the library of OpenSSL 3, whose interface does not change within
// the number.
const soname = "libcrypto.so.3"

// Library is the loaded libcrypto.
type Library struct {
	f       functions
	version string
}

// functions are the addresses of what is called (OpenSSL 3.0 manual, section 3).
type functions struct {
	initCrypto, version, copyString                    uintptr
	errGet, errString, errClear                        uintptr
	d2iAutoPrivateKey, pkeyFree                        uintptr
	ctxNew, ctxFree, signInit, setPadding, setMD, sign uintptr
	sha256                                             uintptr
}

// Arguments of the functions, from the library's public headers.
const (
	initNoAtexit    = 0x00080000 // OPENSSL_INIT_NO_ATEXIT
	rsaPKCS1Padding = 1          // RSA_PKCS1_PADDING
)

// Load loads libcrypto and initialises it. Errors are Unsupported where the
// program, the system or the library cannot, NotFound where it is not installed.
func Load() (*Library, error) {
	const op = "libcrypto.Load"
	lib, err := dynlib.Load(soname)
	if err != nil {
		return nil, fault.Wrap(op, err)
	}
	l := &Library{}
	if err := lib.Resolve(map[string]*uintptr{
		"OPENSSL_init_crypto":           &l.f.initCrypto,
		"OpenSSL_version":               &l.f.version,
		"OPENSSL_strlcpy":               &l.f.copyString,
		"ERR_get_error":                 &l.f.errGet,
		"ERR_error_string_n":            &l.f.errString,
		"ERR_clear_error":               &l.f.errClear,
		"d2i_AutoPrivateKey":            &l.f.d2iAutoPrivateKey,
		"EVP_PKEY_free":                 &l.f.pkeyFree,
		"EVP_PKEY_CTX_new":              &l.f.ctxNew,
		"EVP_PKEY_CTX_free":             &l.f.ctxFree,
		"EVP_PKEY_sign_init":            &l.f.signInit,
		"EVP_PKEY_CTX_set_rsa_padding":  &l.f.setPadding,
		"EVP_PKEY_CTX_set_signature_md": &l.f.setMD,
		"EVP_PKEY_sign":                 &l.f.sign,
		"EVP_sha256":                    &l.f.sha256,
	}); err != nil {
		return nil, fault.Wrap(op, err)
	}
	// Go ends a process without exit(3); a clean-up at exit could only run while
	// other threads still sign.
	if !succeeded(dynlib.Call(l.f.initCrypto, initNoAtexit, 0)) {
		return nil, fault.New(op, fault.Unsupported, errors.New("OPENSSL_init_crypto failed"))
	}
	text := make([]byte, 128)
	dynlib.Call(l.f.copyString, uintptr(unsafe.Pointer(&text[0])), dynlib.Call(l.f.version, 0), uintptr(len(text)))
	l.version = cString(text)
	return l, nil
}

// Version returns what the library calls itself: "OpenSSL 3.0.22 25 Aug 2026 …".
func (l *Library) Version() string { return l.version }

// cString is the text before the zero octet in buf.
func cString(buf []byte) string {
	text, _, _ := bytes.Cut(buf, []byte{0})
	return string(text)
}

// maxErrors bounds what is read of the error queue, which OpenSSL bounds to 16.
const maxErrors = 16

// takeErrors empties the error queue of this thread, to which the goroutine must
// be locked since the call that failed, and returns what was in it. OpenSSL's
// texts name functions and reasons, never key material.
func (l *Library) takeErrors(what string) error {
	texts := []string{what}
	for range maxErrors {
		code := dynlib.Call(l.f.errGet)
		if code == 0 {
			break
		}
		buf := make([]byte, 256)
		dynlib.Call(l.f.errString, code, uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
		texts = append(texts, cString(buf))
	}
	dynlib.Call(l.f.errClear)
	return errors.New(strings.Join(texts, ": "))
}
