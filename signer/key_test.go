// SPDX-License-Identifier: EUPL-1.2

package signer_test

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pecd/fault"
	"pecd/signer"
	"pecd/signer/pki"
)

func TestLoadKey(t *testing.T) {
	rsaPrivate := rsaKey(t, "leaf", 2048)
	ecPrivate, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	ecDER, err := x509.MarshalECPrivateKey(ecPrivate)
	must(t, err)
	exchange, err := ecdh.X25519().GenerateKey(rand.Reader)
	must(t, err)
	exchangeDER, err := x509.MarshalPKCS8PrivateKey(exchange)
	must(t, err)
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	plain, err := pki.EncodeKey(rsaPrivate, nil)
	must(t, err)
	locked, err := pki.EncodeKey(rsaPrivate, []byte("segreta"))
	must(t, err)
	pkcs1 := x509.MarshalPKCS1PrivateKey(rsaPrivate)
	old := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: pkcs1, Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "DES-EDE3-CBC,0011223344556677"}})
	dir := t.TempDir()
	write(t, dir, "clear.pem", plain)
	for _, c := range []string{"aes-256-cbc", "aes-128-cbc"} {
		mustOpenSSL(t, dir, "pkcs8", "-topk8", "-v2", c, "-in", "clear.pem", "-passout", "pass:segreta", "-out", c+".pem")
	}
	mustOpenSSL(t, dir, "pkcs8", "-topk8", "-scrypt", "-in", "clear.pem", "-passout", "pass:segreta", "-out", "scrypt.pem")
	lockedBlock, _ := pem.Decode(locked)
	var info struct {
		Algorithm asn1.RawValue
		Data      []byte
	}
	_, err = asn1.Unmarshal(lockedBlock.Bytes, &info)
	must(t, err)
	info.Data = info.Data[:len(info.Data)-1] // a ciphertext one octet short
	ca := pki.EncodeCertificates(testCA(t).Certificate())
	for name, c := range map[string]struct {
		data       []byte
		passphrase string
		kind       fault.Kind
		ok         bool
	}{
		"PKCS#8":                    {data: plain, ok: true},
		"passphrase not needed":     {data: plain, passphrase: "segreta", ok: true},
		"PKCS#1":                    {data: block("RSA PRIVATE KEY", pkcs1), ok: true},
		"SEC 1":                     {data: block("EC PRIVATE KEY", ecDER), ok: true},
		"after a certificate":       {data: append(ca, plain...), ok: true},
		"encrypted":                 {data: locked, passphrase: "segreta", ok: true},
		"openssl aes-256-cbc":       {data: read(t, dir, "aes-256-cbc.pem"), passphrase: "segreta", ok: true},
		"openssl aes-128-cbc":       {data: read(t, dir, "aes-128-cbc.pem"), passphrase: "segreta", ok: true},
		"openssl scrypt":            {data: read(t, dir, "scrypt.pem"), passphrase: "segreta", ok: true},
		"wrong passphrase":          {data: locked, passphrase: "altra", kind: fault.Denied},
		"no passphrase":             {data: locked, kind: fault.Denied},
		"RFC 1421 encryption":       {data: old, passphrase: "segreta", kind: fault.Invalid},
		"certificate only":          {data: ca, kind: fault.Invalid},
		"empty":                     {data: nil, kind: fault.Invalid},
		"broken":                    {data: block("PRIVATE KEY", []byte{1, 2, 3}), kind: fault.Invalid},
		"broken EC":                 {data: block("EC PRIVATE KEY", []byte{1, 2, 3}), kind: fault.Invalid},
		"encrypted and broken":      {data: block("ENCRYPTED PRIVATE KEY", []byte{1, 2, 3}), passphrase: "x", kind: fault.Denied},
		"encrypted and cut":         {data: block("ENCRYPTED PRIVATE KEY", der(t, info)), passphrase: "segreta", kind: fault.Denied},
		"key agreement, no signing": {data: block("PRIVATE KEY", exchangeDER), kind: fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			file := write(t, t.TempDir(), "chiave.pem", c.data)
			key, err := signer.LoadKey(file, []byte(c.passphrase))
			if !c.ok {
				if key != nil || !fault.Is(err, c.kind) || !strings.Contains(err.Error(), file) {
					t.Fatalf("%v", err)
				}
				return
			}
			must(t, err)
			switch k := key.(type) {
			case *rsa.PrivateKey:
				if !k.Equal(rsaPrivate) {
					t.Error("another key")
				}
			case *ecdsa.PrivateKey:
				if !k.Equal(ecPrivate) {
					t.Error("another key")
				}
			}
		})
	}
	if _, err := signer.LoadKey(filepath.Join(dir, "manca"), nil); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
	large := filepath.Join(dir, "grande")
	must(t, os.WriteFile(large, nil, 0o600))
	must(t, os.Truncate(large, 100<<20))
	if _, err := signer.LoadKey(large, nil); !fault.Is(err, fault.TooLarge) {
		t.Error(err)
	}
}
