// SPDX-License-Identifier: EUPL-1.2

package signer_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"pecd/clock"
	"pecd/fault"
	"pecd/signer"
	"pecd/signer/pki"
	"pecd/signer/tsatest"
)

// stampCA is a CA of today: openssl ts takes its time from the machine.
var stampCA = sync.OnceValues(func() (*pki.CA, error) { return pki.NewCA("CA delle marche", time.Now().Add(-time.Hour)) })

// tsa issues a certificate for time stamps.
func tsa(t testing.TB, opts ...pki.Option) (*pki.CA, signer.Identity) {
	t.Helper()
	ca, err := stampCA()
	must(t, err)
	id, err := ca.IssueTSA("TSA di prova", append([]pki.Option{pki.WithKey(rsaKey(t, "tsa", 2048))}, opts...)...)
	must(t, err)
	return ca, id
}

// TestRFC3161_RealAuthority: what openssl stamps we accept, and openssl accepts
// what we hand back.
func TestRFC3161_RealAuthority(t *testing.T) {
	ca, id := tsa(t)
	data := []byte("un giorno di registro")
	sum := sha256.Sum256(data)
	for name, c := range map[string]struct {
		essHash string
		policy  asn1.ObjectIdentifier
	}{
		"signingCertificateV2":         {"sha256", nil},
		"signingCertificateV2, SHA512": {"sha512", nil},
		"signingCertificate":           {"sha1", nil},
		"policy":                       {"sha256", asn1.ObjectIdentifier{1, 2, 3, 4, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			tsa := tsatest.Start(t, ca, id, c.essHash)
			dir := tsa.Dir
			stamper := &signer.TimeStamper{URL: tsa.URL, Authorities: []*x509.Certificate{ca.Certificate()}, Policy: c.policy, Clock: clock.System{}}
			response, at, err := stamper.Stamp(context.Background(), sum)
			must(t, err)
			if d := time.Since(at); d < -5*time.Second || d > time.Minute {
				t.Errorf("stamped %v ago", d)
			}
			write(t, dir, "x.tsr", response)
			write(t, dir, "x", data)
			mustOpenSSL(t, dir, "ts", "-verify", "-data", "x", "-in", "x.tsr", "-CAfile", "ca.pem")
			mustOpenSSL(t, dir, "ts", "-verify", "-digest", hex.EncodeToString(sum[:]), "-in", "x.tsr", "-CAfile", "ca.pem")
			mustOpenSSL(t, dir, "ts", "-verify", "-queryfile", "query.tsq", "-in", "x.tsr", "-CAfile", "ca.pem")
			again, err := signer.VerifyStamp(response, sum, []*x509.Certificate{ca.Certificate()})
			if err != nil || !again.Equal(at) {
				t.Errorf("read again: %v, %v", again, err)
			}
			if text := mustOpenSSL(t, dir, "ts", "-query", "-in", "query.tsq", "-text"); !bytes.Contains(text, []byte("Certificate required: yes")) || !bytes.Contains(text, []byte("sha256")) {
				t.Errorf("the request:\n%s", text)
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		url := tsatest.Start(t, ca, id, "sha256").URL
		stamper := &signer.TimeStamper{URL: url, Authorities: []*x509.Certificate{ca.Certificate()}, Policy: asn1.ObjectIdentifier{1, 2, 9}, Clock: clock.System{}}
		_, _, err := stamper.Stamp(context.Background(), sum)
		if !fault.Is(err, fault.Temporary) || !strings.Contains(err.Error(), "status 2") || !strings.Contains(err.Error(), "policy") {
			t.Error(err)
		}
	})
	t.Run("clock", func(t *testing.T) {
		url := tsatest.Start(t, ca, id, "sha256").URL
		for d, ok := range map[time.Duration]bool{-6 * time.Minute: false, -4 * time.Minute: true, 4 * time.Minute: true, 6 * time.Minute: false} {
			stamper := &signer.TimeStamper{URL: url, Authorities: []*x509.Certificate{ca.Certificate()}, Clock: clock.NewManual(time.Now().Add(d))}
			if _, _, err := stamper.Stamp(context.Background(), sum); (err == nil) != ok || err != nil && !fault.Is(err, fault.Denied) {
				t.Errorf("clock off by %v: %v", d, err)
			}
		}
	})
}

// TestStampTransport: answers that are no stamps, and none.
func TestStampTransport(t *testing.T) {
	ca, _ := tsa(t)
	reply := func(kind string, b []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return
			}
			w.Header().Set("Content-Type", kind)
			w.Write(b)
		}
	}
	const good = "application/timestamp-reply"
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		kind   fault.Kind
		reason string
	}{
		"HTML":            {reply("text/html; charset=utf-8", []byte("<html>")), fault.Temporary, "text/html"},
		"HTML, disguised": {reply(good, []byte("<html><body>manutenzione</body></html>")), fault.Invalid, ""},
		"no type": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			w.Write([]byte{0x30, 0})
		}, fault.Temporary, "type"},
		"nothing": {reply(good, nil), fault.Invalid, ""},
		"empty":   {reply(good, []byte{0x30, 0}), fault.Invalid, ""},
		"nested":  {reply(good, bytes.Repeat([]byte{0x30, 0x80}, 50<<10)), fault.Invalid, "deep"},
		"huge":    {reply(good, make([]byte, 1<<20)), fault.Temporary, "too long"},
		"huge, streamed": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", good)
			hugeBody(w, r)
		}, fault.Temporary, "too long"},
		"never":      {silence, fault.Temporary, "deadline exceeded"},
		"down":       {status(503), fault.Temporary, "status 503"},
		"no login":   {status(401), fault.Temporary, "status 401"},
		"redirected": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusTemporaryRedirect) }, fault.Temporary, "redirects"},
		"refused":    {reply(good, tlv(0x30, tlv(0x30, []byte{2, 1, 2}, tlv(0x30, tlv(0x0c, []byte("non\r\nora")))))), fault.Temporary, `status 2 of the time-stamping authority: "non\r\nora"`},
		"waiting":    {reply(good, tlv(0x30, tlv(0x30, []byte{2, 1, 3}))), fault.Temporary, "status 3"},
		"bare grant": {reply(good, tlv(0x30, tlv(0x30, []byte{2, 1, 0}))), fault.Invalid, "missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newListServer(t, c.answer)
			stamper := &signer.TimeStamper{URL: strings.Replace(s.URL, "http://", "http://anna:segreto@", 1), Authorities: []*x509.Certificate{ca.Certificate()}, Clock: clock.System{}}
			if name == "never" {
				stamper.Timeout = 100 * time.Millisecond
			}
			response, _, err := stamper.Stamp(context.Background(), sha256.Sum256(nil))
			if !fault.Is(err, c.kind) || response != nil || !strings.Contains(err.Error(), c.reason) || !strings.Contains(fault.TextOf(err), " / ") {
				t.Errorf("%v, %q", err, fault.TextOf(err))
			}
			if strings.Contains(err.Error(), "segreto") {
				t.Errorf("the password is told: %v", err)
			}
		})
	}
	for _, url := range []string{"", "http://127.0.0.1:1/", "ldap://localhost/", "http://a b/"} {
		stamper := &signer.TimeStamper{URL: url, Clock: clock.System{}}
		if _, _, err := stamper.Stamp(context.Background(), sha256.Sum256(nil)); !fault.Is(err, fault.Temporary) {
			t.Errorf("%q: %v", url, err)
		}
	}
}
