// SPDX-License-Identifier: EUPL-1.2

package signer_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pecd/signer"
)

// samplesDir is where real messages lie, outside of the project.
const samplesDir = "../../shared/samples"

// sampleParts splits a multipart/signed message into the exact octets of its
// first part and the decoded signature.
func sampleParts(t *testing.T, name string) (signed, p7s []byte, from string) {
	t.Helper()
	raw := read(t, filepath.Join(samplesDir, "pec"), name)
	raw = bytes.ReplaceAll(bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
	header, body, ok := bytes.Cut(raw, []byte("\r\n\r\n"))
	if !ok {
		t.Fatal("no header")
	}
	flat := strings.ReplaceAll(strings.ReplaceAll(string(header), "\r\n\t", " "), "\r\n ", " ")
	var boundary string
	for line := range strings.SplitSeq(flat, "\r\n") {
		switch lower := strings.ToLower(line); {
		case strings.HasPrefix(lower, "content-type: multipart/signed"):
			_, rest, _ := strings.Cut(line, "boundary=")
			boundary, _, _ = strings.Cut(strings.TrimPrefix(rest, `"`), `"`)
			boundary, _, _ = strings.Cut(boundary, ";")
		case strings.HasPrefix(lower, "from:"):
			from = strings.Trim(line[max(strings.LastIndexByte(line, '<'), len("from:")):], " <>")
		}
	}
	parts := bytes.Split(append([]byte("\r\n"), body...), []byte("\r\n--"+boundary))
	if len(parts) < 3 {
		t.Fatalf("%d parts with boundary %q", len(parts), boundary)
	}
	signed = bytes.TrimPrefix(parts[1], []byte("\r\n"))
	_, encoded, _ := bytes.Cut(parts[2], []byte("\r\n\r\n"))
	p7s, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(string(bytes.TrimSpace(encoded)), "\r\n", ""))
	must(t, err)
	return signed, p7s, from
}

// sampleCerts reads the CA certificates, which are the anchors, and the
// providers' certificates.
func sampleCerts(t *testing.T) (cas, leaves []*x509.Certificate) {
	t.Helper()
	if _, err := os.Stat(samplesDir); err != nil {
		t.Skip("no samples at ", samplesDir)
	}
	files, err := filepath.Glob(filepath.Join(samplesDir, "certs", "*.pem"))
	must(t, err)
	for _, f := range files {
		certs, err := signer.LoadCertificates(f)
		must(t, err)
		for _, c := range certs {
			if c.IsCA {
				cas = append(cas, c)
			} else {
				leaves = append(leaves, c)
			}
		}
	}
	return cas, leaves
}

func TestRFC6109_2_2_2_RealMessages(t *testing.T) {
	cas, leaves := sampleCerts(t)
	date := func(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 12, 0, 0, 0, time.UTC) }
	for name, c := range map[string]struct {
		at   time.Time
		want signer.Step
		hash crypto.Hash
		why  string
	}{
		"aruba2015-accettazione.eml":               {date(2015, 10, 1), signer.StepOK, crypto.SHA1, ""},
		"infocert2015-consegna-ber.eml":            {date(2015, 10, 1), signer.StepOK, crypto.SHA1, ""},
		"aruba2021-accettazione.eml":               {date(2021, 12, 14), signer.StepOK, crypto.SHA1, ""},
		"aruba2021-consegna-cc.eml":                {date(2021, 12, 14), signer.StepOK, crypto.SHA1, ""},
		"aruba2021-errore-consegna.eml":            {date(2021, 12, 14), signer.StepOK, crypto.SHA1, ""},
		"aruba2026-errore-consegna-anonymised.eml": {date(2026, 9, 19), signer.StepValue, crypto.SHA256, "contenuto è stato modificato"},
	} {
		t.Run(name, func(t *testing.T) {
			signed, p7s, from := sampleParts(t, name)
			cfg := signer.PECConfig(cas...)
			cfg.Origins = indexOf(leaves...)
			v := signer.NewVerifier(cfg).Verify(p7s, bytes.NewReader(signed), c.at, from)
			t.Logf("%q: %s, %v, digest %v, signed %v", v.Failed, v.Reason, v.Certificate.Subject, v.Digest, v.SigningTime)
			wantStep(t, v, c.want)
			if v.Digest != c.hash || !strings.Contains(v.Reason, c.why) {
				t.Errorf("digest %v, reason %q", v.Digest, v.Reason)
			}
			if c.want != signer.StepOK {
				return
			}
			cfg.AllowSHA1Digests = false
			wantStep(t, signer.NewVerifier(cfg).Verify(p7s, bytes.NewReader(signed), c.at, from), signer.StepValue)
		})
	}
}

// The certificates of production lead to the CA certificates, whichever of
// those with the same key is at hand.
func TestRealCertificatesHaveAPath(t *testing.T) {
	cas, leaves := sampleCerts(t)
	for _, leaf := range leaves {
		for _, at := range []time.Time{leaf.NotBefore, leaf.NotAfter} {
			if step, why := signer.CheckCertificate(signer.PECConfig(cas...), leaf, at); step != signer.StepOK {
				t.Errorf("%s at %v: %s, %s", leaf.Subject, at, step, why)
			}
		}
		if step, _ := signer.CheckCertificate(signer.PECConfig(cas...), leaf, leaf.NotAfter.Add(time.Second)); step != signer.StepTime {
			t.Errorf("%s after its end: %s", leaf.Subject, step)
		}
	}
}

func TestRealIndex(t *testing.T) {
	if _, err := os.Stat(samplesDir); err != nil {
		t.Skip("no samples at ", samplesDir)
	}
	root, err := signer.LoadCertificates(filepath.Join(samplesDir, "index", "testca.pem"))
	must(t, err)
	v := signer.NewVerifier(signer.PECConfig(root...))
	p7m := read(t, filepath.Join(samplesDir, "index"), "igpec_sample.ldif.p7m")
	o, err := v.OpenSigned(p7m, 1<<20, root[0].NotBefore.AddDate(0, 1, 0))
	must(t, err)
	if !bytes.Equal(o.Content, read(t, filepath.Join(samplesDir, "index"), "igpec_sample.ldif")) || !o.By.Equal(root[0]) {
		t.Error("the content is not the index")
	}
}
