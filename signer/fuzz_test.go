// SPDX-License-Identifier: EUPL-1.2

package signer_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.mozilla.org/pkcs7"

	"pecd/signer"
	"pecd/signer/pki"
)

var update = flag.Bool("update", false, "make the seeds of FuzzVerify anew")

// The seeds of FuzzVerify are committed, because the processes that fuzz share
// no key: certificates.pem holds the signer's certificate and the CA's, the
// corpus what that signer signed.
const (
	seedCerts  = "testdata/certificates.pem"
	seedCorpus = "testdata/fuzz/FuzzVerify"
)

// seeds returns what to commit: signatures by name and whether they hold.
func seeds(t *testing.T, id signer.Identity) map[string][]byte {
	none := func([][]byte) [][]byte { return nil }
	reverse := func(a [][]byte) [][]byte { return [][]byte{a[2], a[1], a[0]} }
	return map[string][]byte{
		"ok-signed":     sign(t, newSigner(t, id), entity),
		"ok-indefinite": forgery{id: id, chunk: 7, opaque: true}.build(t),
		"ok-keyid":      forgery{id: id, keyID: true}.build(t),
		"ok-noattr":     forgery{id: id, attributes: none}.build(t),
		"ok-sha1":       forgery{id: id, hash: crypto.SHA1, digestOID: pkcs7.OIDDigestAlgorithmSHA1}.build(t),
		"ok-unordered":  forgery{id: id, attributes: reverse}.build(t),
		"bad-empty":     forgery{id: id, noSigner: true}.build(t),
		"bad-content":   forgery{id: id, content: []byte("altro")}.build(t),
		"bad-pem":       []byte("-----BEGIN PKCS7-----\nMAA=\n-----END PKCS7-----\n"),
		"bad-mime":      []byte("Content-Type: application/pkcs7-mime\r\n\r\nMAA="),
	}
}

// TestFuzzSeeds checks the committed seeds, or with -update makes new ones.
func TestFuzzSeeds(t *testing.T) {
	if *update {
		id := identity(t, testCA(t))
		must(t, os.MkdirAll(seedCorpus, 0o755))
		must(t, os.WriteFile(seedCerts, pki.EncodeCertificates(id.Certificate, id.Chain[0]), 0o644))
		for name, p7s := range seeds(t, id) {
			must(t, os.WriteFile(filepath.Join(seedCorpus, name), fmt.Appendf(nil, "go test fuzz v1\n[]byte(%q)\n", p7s), 0o644))
		}
	}
	v, _, _ := seedVerifiers(t)
	files, err := filepath.Glob(filepath.Join(seedCorpus, "*"))
	must(t, err)
	good := 0
	for _, f := range files {
		_, literal, _ := strings.Cut(string(read(t, ".", f)), "[]byte(")
		p7s, err := strconv.Unquote(strings.TrimSuffix(strings.TrimSpace(literal), ")"))
		must(t, err)
		ok := strings.HasPrefix(filepath.Base(f), "ok-")
		if got := verify(v, []byte(p7s)); got.OK() != ok {
			t.Errorf("%s: %q, %s", f, got.Failed, got.ReasonEN)
		}
		if ok {
			good++
		}
	}
	if good < 6 {
		t.Errorf("%d seeds that verify", good)
	}
}

// seedVerifiers returns a verifier that knows the seeds' signer, one without an
// index, and the signer's certificate.
func seedVerifiers(t testing.TB) (indexed, open *signer.Verifier, leaf *x509.Certificate) {
	t.Helper()
	certs, err := signer.LoadCertificates(seedCerts)
	must(t, err)
	cfg := signer.PECConfig(certs[1])
	open = signer.NewVerifier(cfg)
	cfg.Origins = indexOf(certs[0])
	return signer.NewVerifier(cfg), open, certs[0]
}

// FuzzVerify feeds the CMS reader whatever looks like a signature. Nothing may
// panic, every refusal says why, and what is accepted was signed by the one
// certificate in the index. Run it with -fuzzminimizetime 1x: the coverage of
// the arithmetic behind a signature varies from run to run, and minimising
// inputs over it would take all the time.
func FuzzVerify(f *testing.F) {
	indexed, open, leaf := seedVerifiers(f)
	f.Fuzz(func(t *testing.T, p7s []byte) {
		got := verify(indexed, p7s)
		if got.OK() != (got.Reason == "" && got.ReasonEN == "") {
			t.Errorf("step %q, reason %q", got.Failed, got.Reason)
		}
		if got.OK() && (!got.OriginChecked || !got.Certificate.Equal(leaf)) {
			t.Errorf("accepted %+v", got)
		}
		o, err := open.OpenSigned(p7s, 1<<20, dayOne)
		if err == nil && (o.By == nil || !bytes.Equal(o.Content, entity)) {
			t.Errorf("opened %q", o.Content)
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
