// SPDX-License-Identifier: EUPL-1.2

package signer_test

import (
	"bytes"
	"crypto"
	"testing"

	"go.mozilla.org/pkcs7"

	"pecd/signer"
)

// FuzzVerify feeds the CMS reader whatever looks like a signature. Nothing may
// panic, every refusal says why, and what is accepted was signed by the one
// certificate in the index.
func FuzzVerify(f *testing.F) {
	ca := testCA(f)
	id := identity(f, ca)
	v := verifierFor(ca, id.Certificate)
	open := signer.NewVerifier(signer.PECConfig(ca.Certificate()))
	f.Add(sign(f, newSigner(f, id), entity))
	f.Add(forgery{id: id, chunk: 7, opaque: true}.build(f))
	f.Add(forgery{id: id, keyID: true}.build(f))
	f.Add(forgery{id: id, hash: crypto.SHA1, digestOID: pkcs7.OIDDigestAlgorithmSHA1, attributes: func([][]byte) [][]byte { return nil }}.build(f))
	f.Add(forgery{id: id, noSigner: true}.build(f))
	f.Add([]byte("-----BEGIN PKCS7-----\nMAA=\n-----END PKCS7-----\n"))
	f.Add([]byte("Content-Type: application/pkcs7-mime\r\n\r\nMAA="))
	f.Add([]byte{0x30, 0x80, 0x24, 0x80, 4, 1, 7, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, p7s []byte) {
		got := verify(v, p7s)
		if got.OK() != (got.Reason == "" && got.ReasonEN == "") {
			t.Errorf("step %q, reason %q", got.Failed, got.Reason)
		}
		if got.OK() && (!got.OriginChecked || !got.Certificate.Equal(id.Certificate)) {
			t.Errorf("accepted %+v", got)
		}
		content, by, err := open.OpenSigned(p7s, 1<<20, dayOne)
		if err == nil && (by == nil || !bytes.Equal(content, entity)) {
			t.Errorf("opened %q", content)
		}
	})
}

// FuzzTranscodeBER checks that the transcoder is idempotent and leaves DER alone.
func FuzzTranscodeBER(f *testing.F) {
	for _, s := range []string{"3003020105", "30800201050000", "24802480040101000004020203" + "0000", "bf8701800201050000", "30840000000702840000000105", "0000"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := signer.TranscodeBER(in)
		if err != nil {
			return
		}
		if len(out) == 0 || len(out) > 2*len(in) {
			t.Errorf("%d octets out of %d", len(out), len(in))
		}
		again, err := signer.TranscodeLargeBER(out)
		if err != nil || !bytes.Equal(again, out) || &again[0] != &out[0] {
			t.Errorf("%x became %x (%v)", out, again, err)
		}
	})
}
