// SPDX-License-Identifier: EUPL-1.2

package signer_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"io"
	"slices"
	"testing"
	"time"

	"go.mozilla.org/pkcs7"

	"pecd/signer"
)

// The reference: each signature built anew by the library, through reflection.
// What the templates give must be the same octets.

// referenceAttributes returns the DER SET OF Attribute that gets signed.
func referenceAttributes(t testing.TB, sum []byte, at time.Time) []byte {
	t.Helper()
	type attribute struct {
		Type   asn1.ObjectIdentifier
		Values []asn1.RawValue `asn1:"set"`
	}
	var encoded [][]byte
	for _, v := range []attribute{
		{pkcs7.OIDAttributeContentType, []asn1.RawValue{{FullBytes: der(t, pkcs7.OIDData)}}},
		{pkcs7.OIDAttributeSigningTime, []asn1.RawValue{{FullBytes: der(t, at.UTC().Truncate(time.Second))}}},
		{pkcs7.OIDAttributeMessageDigest, []asn1.RawValue{{FullBytes: der(t, sum)}}},
	} {
		encoded = append(encoded, der(t, v))
	}
	slices.SortFunc(encoded, bytes.Compare)
	return der(t, asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: bytes.Join(encoded, nil)})
}

// reference returns the whole CMS around a value.
func reference(t testing.TB, id signer.Identity, attrs, value []byte) []byte {
	t.Helper()
	sd, err := pkcs7.NewSignedData(nil)
	must(t, err)
	sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	isRSA := id.Certificate.PublicKeyAlgorithm.String() == "RSA"
	sd.SetEncryptionAlgorithm(pkcs7.OIDDigestAlgorithmECDSASHA256)
	if isRSA {
		sd.SetEncryptionAlgorithm(pkcs7.OIDEncryptionAlgorithmRSA)
	}
	must(t, sd.SignWithoutAttr(id.Certificate, madeBefore{id.Certificate.PublicKey, value}, pkcs7.SignerInfoConfig{}))
	for _, ca := range id.Chain {
		sd.AddCertificate(ca)
	}
	sd.Detach()
	info := &sd.GetSignedData().SignerInfos[0]
	if isRSA {
		info.DigestEncryptionAlgorithm.Parameters = asn1.NullRawValue
	}
	_, err = asn1.UnmarshalWithParams(attrs, &info.AuthenticatedAttributes, "set")
	must(t, err)
	out, err := sd.Finish()
	must(t, err)
	return out
}

// madeBefore is a key that returns a signature made before.
type madeBefore struct {
	pub   crypto.PublicKey
	value []byte
}

func (k madeBefore) Public() crypto.PublicKey { return k.pub }
func (k madeBefore) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return k.value, nil
}

func TestTemplateGivesTheOctetsOfTheLibrary(t *testing.T) {
	all := kinds(t)
	bare := all["rsa2048"]
	bare.Chain = nil
	all["no chain"] = bare
	for name, id := range all {
		s := newSigner(t, id)
		for _, at := range []time.Time{
			dayOne, dayOne.Add(999 * time.Millisecond), dayOne.In(time.FixedZone("CET", 3600)),
			time.Date(1949, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(1950, 1, 1, 0, 0, 0, 0, time.UTC),
			time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC),
			time.Date(2050, 1, 1, 0, 30, 0, 0, time.FixedZone("CET", 3600)), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
			time.Date(987, 6, 5, 4, 3, 2, 0, time.UTC),
		} {
			for _, size := range []int{0, 1, 70, 71, 72, 127, 128, 255, 256, 384, 512, 70000} {
				value := make([]byte, size)
				_, err := rand.Read(value)
				must(t, err)
				sum := sha256.Sum256(value)
				cms, signed := signer.Assemble(s, sum, at, value)
				attrs := referenceAttributes(t, sum[:], at)
				if !bytes.Equal(signed, attrs) {
					t.Fatalf("%s, %v: attributes\n%x, want\n%x", name, at, signed, attrs)
				}
				if want := reference(t, id, attrs, value); !bytes.Equal(cms, want) {
					t.Fatalf("%s, %v, value of %d octets:\n%x, want\n%x", name, at, size, cms, want)
				}
			}
		}
	}
}

// The identity that a signature is for does not change with what the caller
// does to a signature returned before.
func TestTemplateIsNotSharedWithSignatures(t *testing.T) {
	s := newSigner(t, identity(t, testCA(t)))
	first := sign(t, s, entity)
	want := bytes.Clone(first)
	clear(first)
	if !bytes.Equal(sign(t, s, entity), want) {
		t.Error("a signature handed out is part of the template")
	}
}

func BenchmarkAround(b *testing.B) {
	id := identity(b, testCA(b))
	sum := sha256.Sum256(entity)
	b.Run("template", func(b *testing.B) {
		real := newSigner(b, id)
		value := make([]byte, 256)
		for b.Loop() {
			signer.Assemble(real, sum, dayOne, value)
		}
	})
	b.Run("library", func(b *testing.B) {
		value := make([]byte, 256)
		for b.Loop() {
			reference(b, id, referenceAttributes(b, sum[:], dayOne), value)
		}
	})
}
