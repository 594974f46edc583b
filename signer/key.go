// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/youmark/pkcs8"

	"pecd/fault"
)

// LoadKey reads the private key of a PEM file: PKCS#8 in the clear or encrypted
// (PBES2), PKCS#1 or SEC 1. passphrase is looked at only when the key is
// encrypted. The first key in the file counts; other blocks are skipped.
//
// Errors name the file: NotFound; Denied when it cannot be opened, or the
// passphrase is missing or wrong; Invalid otherwise.
func LoadKey(pemFile string, passphrase []byte) (crypto.Signer, error) {
	const op = "signer.LoadKey"
	raw, err := readFile(pemFile, maxPEMBytes)
	if err != nil {
		return nil, fileError(op, pemFile, err)
	}
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		var key any
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			if key, err = decryptKey(block.Bytes, passphrase); err != nil {
				return nil, &fault.Error{Op: op, Kind: fault.Denied, Err: fmt.Errorf("%s: %w", pemFile, err),
					Text: "la chiave " + pemFile + " è cifrata: frase segreta mancante o errata / the key is encrypted: passphrase missing or wrong"}
			}
		case "RSA PRIVATE KEY", "EC PRIVATE KEY":
			key, err = parseOldKey(block)
		default:
			continue
		}
		if err != nil {
			return nil, &fault.Error{Op: op, Kind: fault.Invalid, Err: fmt.Errorf("%s: %w", pemFile, err),
				Text: "la chiave " + pemFile + " non è leggibile / the key is unreadable"}
		}
		s, ok := key.(crypto.Signer)
		if !ok {
			return nil, fault.New(op, fault.Invalid, fmt.Errorf("%s: %T does not sign", pemFile, key))
		}
		return s, nil
	}
	return nil, &fault.Error{Op: op, Kind: fault.Invalid, Err: fmt.Errorf("%s: no private key in the file", pemFile),
		Text: "il file " + pemFile + " non contiene una chiave privata PEM / holds no private key in PEM"}
}

// decryptKey opens an encrypted PKCS#8 key. The library lets crypto/cipher
// panic on a damaged initialisation vector or a cut ciphertext; a damaged file
// must not look like a defect of ours.
func decryptKey(der, passphrase []byte) (key any, err error) {
	if len(passphrase) == 0 {
		return nil, errors.New("no passphrase given")
	}
	defer func() {
		if r := recover(); r != nil {
			key, err = nil, fmt.Errorf("damaged encryption parameters: %v", r)
		}
	}()
	key, _, err = pkcs8.ParsePrivateKey(der, passphrase)
	return key, err
}

// parseOldKey reads the formats older than PKCS#8. Their own encryption hashes
// the passphrase once with MD5 and is refused.
func parseOldKey(block *pem.Block) (any, error) {
	if block.Headers["DEK-Info"] != "" {
		return nil, errors.New("PEM encryption of RFC 1421 is too weak; convert with: openssl pkcs8 -topk8 -v2 aes-256-cbc")
	}
	if block.Type == "EC PRIVATE KEY" {
		return x509.ParseECPrivateKey(block.Bytes)
	}
	return x509.ParsePKCS1PrivateKey(block.Bytes)
}
