// SPDX-License-Identifier: EUPL-1.2

package signer_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"pecd/signer"
	"pecd/signer/pki"
)

const (
	pointA = "http://crl.example/a.crl"
	pointB = "http://crl.example/b.crl"
)

// nameOf is a URI as a GeneralName.
func nameOf(uri string) []byte { return tlv(0x86, []byte(uri)) }

// issuingPoint is the extension of a list that speaks of a distribution point
// with the names, and more.
func issuingPoint(more []byte, names ...[]byte) pkix.Extension {
	var point []byte
	if len(names) > 0 {
		point = tlv(0xa0, tlv(0xa0, names...))
	}
	return pkix.Extension{Id: []int{2, 5, 29, 28}, Critical: true, Value: tlv(0x30, point, more)}
}

// scopedCRL makes a list with the scope, or of everything where it has no value.
func scopedCRL(t testing.TB, ca *x509.Certificate, key *pki.CA, number int64, from time.Time, scope pkix.Extension, revoked ...*big.Int) []byte {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: from, NextUpdate: from.AddDate(0, 1, 0)}
	if scope.Value != nil {
		list.ExtraExtensions = []pkix.Extension{scope}
	}
	for _, serial := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: serial, RevocationTime: from})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, ca, key.Key())
	must(t, err)
	return der
}

// TestRFC5280_6_3_3_Scope: which certificates a list of one distribution point
// speaks of.
func TestRFC5280_6_3_3_Scope(t *testing.T) {
	ca := testCA(t)
	own := tlv(0xa4, ca.Certificate().RawSubject)
	onlyUsers, onlyCAs := []byte{0x81, 1, 0xff}, []byte{0x82, 1, 0xff}
	uri, dir := []string{pointA}, pkix.Extension{}
	byOther := tlv(0x30, tlv(0x30, tlv(0xa0, tlv(0xa0, nameOf(pointA))), tlv(0xa2, own)))
	for name, c := range map[string]struct {
		scope  pkix.Extension
		points []string // of the certificate
		raw    []byte   // the same, encoded
		want   signer.Step
	}{
		"whole":                              {dir, uri, nil, signer.StepRevoked},
		"whole, no point in the certificate": {dir, nil, nil, signer.StepRevoked},
		"empty extension":                    {issuingPoint(nil), uri, nil, signer.StepRevoked},
		"its point":                          {issuingPoint(nil, nameOf(pointA)), uri, nil, signer.StepRevoked},
		"one of its points' names":           {issuingPoint(nil, nameOf(pointB), nameOf(pointA)), []string{"ldap://x/", pointA}, nil, signer.StepRevoked},
		"another point":                      {issuingPoint(nil, nameOf(pointB)), uri, nil, signer.StepUnknownRevocation},
		"a point, none in the certificate":   {issuingPoint(nil, nameOf(pointA)), nil, nil, signer.StepUnknownRevocation},
		"the CA's name":                      {issuingPoint(nil, own), nil, nil, signer.StepRevoked},
		"the CA's name beside points":        {issuingPoint(nil, own), uri, nil, signer.StepRevoked},
		"a point of another issuer's lists":  {issuingPoint(nil, nameOf(pointA)), nil, byOther, signer.StepUnknownRevocation},
		"of users":                           {issuingPoint(onlyUsers), uri, nil, signer.StepRevoked},
		"of users, its point":                {issuingPoint(onlyUsers, nameOf(pointA)), uri, nil, signer.StepRevoked},
		"of CAs":                             {issuingPoint(onlyCAs), uri, nil, signer.StepUnknownRevocation},
	} {
		t.Run(name, func(t *testing.T) {
			opts := []pki.Option{pki.WithCRLPoints(c.points...)}
			if c.raw != nil {
				opts = append(opts, pki.WithExtension([]int{2, 5, 29, 31}, false, c.raw))
			}
			leaf := identity(t, ca, opts...).Certificate
			cfg := signer.PECConfig(ca.Certificate())
			cfg.CRLs = crlSource(t, scopedCRL(t, ca.Certificate(), ca, 1, epoch, c.scope, leaf.SerialNumber))
			cfg.Revocation.Mode = signer.RevocationStrict
			if step, why := signer.CheckCertificate(cfg, leaf, dayOne); step != c.want {
				t.Errorf("%q: %s", step, why)
			}
		})
	}
}

// TestListOfUsersSaysNothingOfCAs: whether an intermediate is revoked is told by
// a list of everything or of CAs.
func TestListOfUsersSaysNothingOfCAs(t *testing.T) {
	rootKey, midKey := rsaKey(t, "root", 2048), rsaKey(t, "mid", 2048)
	root := issue(t, caTemplate("Radice", 1, nil), caTemplate("Radice", 1, nil), rootKey.Public(), rootKey)
	mid := issue(t, caTemplate("Intermedia", 2, nil), root, midKey.Public(), rootKey)
	leaf := issue(t, leafTemplate(nil), mid, rsaKey(t, "leaf", 2048).Public(), midKey)
	list := func(scope pkix.Extension, revoked ...*big.Int) []byte {
		return scopedCRL(t, root, pki.Open(root, rootKey, 10, epoch), 1, epoch, scope, revoked...)
	}
	below := scopedCRL(t, mid, pki.Open(mid, midKey, 10, epoch), 1, epoch, pkix.Extension{})
	users, cas := issuingPoint([]byte{0x81, 1, 0xff}), issuingPoint([]byte{0x82, 1, 0xff})
	for name, c := range map[string]struct {
		lists [][]byte
		want  signer.Step
	}{
		"of users":              {[][]byte{list(users)}, signer.StepUnknownRevocation},
		"of CAs":                {[][]byte{list(cas)}, signer.StepOK},
		"both":                  {[][]byte{list(users), list(cas)}, signer.StepOK},
		"revoked":               {[][]byte{list(users), list(cas, mid.SerialNumber)}, signer.StepRevoked},
		"of CAs, at some point": {[][]byte{list(issuingPoint([]byte{0x82, 1, 0xff}, nameOf(pointA)))}, signer.StepUnknownRevocation},
	} {
		cfg := signer.PECConfig(root)
		cfg.CRLs, cfg.Revocation.Mode = crlSource(t, append(c.lists, below)...), signer.RevocationStrict
		if step, why := signer.CheckCertificate(cfg, leaf, dayOne, mid); step != c.want {
			t.Errorf("%s: %q: %s", name, step, why)
		}
	}
}

// TestPartsDoNotReplaceEachOther: the lists of two distribution points, out of
// files and fetched, also when both come from one address, in any order of their
// dates, and after a restart. An older list of the same part is refused.
func TestPartsDoNotReplaceEachOther(t *testing.T) {
	ca := testCA(t)
	s := newListServer(t, nil)
	leafB := identity(t, ca, pki.WithCRLPoints(s.URL+"/b")).Certificate
	var w *revWorld
	list := func(point string, number int64, from time.Time, revoked ...*big.Int) []byte {
		return scopedCRL(t, ca.Certificate(), ca, number, from, issuingPoint(nil, nameOf(s.URL+point)), revoked...)
	}
	w = newRevWorld(t, []string{s.URL + "/a"}, nil)
	w.cfg.Watched = func() []*x509.Certificate { return []*x509.Certificate{ca.Certificate(), w.leaf, leafB} }
	w.open()
	a, b := list("/a", 1, epoch, w.leaf.SerialNumber), list("/b", 2, epoch.Add(time.Hour))
	both := func(wantA, wantB signer.Step) {
		t.Helper()
		for range 2 {
			cfg := signer.PECConfig(ca.Certificate())
			cfg.CRLs, cfg.Revocation = w.lists, w.cfg.Policy
			stepA, _ := signer.CheckCertificate(cfg, w.leaf, dayOne)
			stepB, _ := signer.CheckCertificate(cfg, leafB, dayOne)
			if stepA != wantA || stepB != wantB {
				t.Errorf("%q and %q, want %q and %q", stepA, stepB, wantA, wantB)
			}
			w.open()
		}
	}
	// Where one part is missing the alarm says so.
	s.serve(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/b" {
			rw.Write(b)
			return
		}
		rw.WriteHeader(http.StatusNotFound)
	})
	if err := w.lists.Refresh(context.Background()); err == nil || len(w.alarms.Raised()) != 1 {
		t.Errorf("%v, alarms %v", err, w.alarms.Raised())
	}
	both(signer.StepUnknownRevocation, signer.StepOK)
	s.serve(func(rw http.ResponseWriter, r *http.Request) {
		rw.Write(map[string][]byte{"/a": a, "/b": b}[r.URL.Path])
	})
	must(t, w.lists.Refresh(context.Background()))
	if len(w.alarms.Raised()) != 0 {
		t.Errorf("alarms %v", w.alarms.Raised())
	}
	both(signer.StepRevoked, signer.StepOK)
	s.serve(body(list("/b", 3, epoch.Add(2*time.Hour), leafB.SerialNumber))) // of b's part, from a's address too
	must(t, w.lists.Refresh(context.Background()))
	both(signer.StepRevoked, signer.StepRevoked)
	s.serve(body(b))
	if err := w.lists.Refresh(context.Background()); err == nil {
		t.Error("an older list of the same part was taken")
	}
	w.cfg.Files = []string{write(t, t.TempDir(), "b.crl", b)}
	both(signer.StepRevoked, signer.StepRevoked)
}

// TestListsKeptAreBounded: a CA that gives every list a point of its own does
// not fill the folder.
func TestListsKeptAreBounded(t *testing.T) {
	s := newListServer(t, nil)
	w := newRevWorld(t, []string{s.URL + "/a"}, nil)
	list := w.crl(epoch, 2*day)
	for i := range 1024 {
		write(t, w.cfg.Dir, fmt.Sprintf("%d.crl", i), list)
	}
	w.open()
	s.serve(body(w.crl(epoch, 3*day)))
	if err := w.lists.Refresh(context.Background()); err == nil || !strings.Contains(err.Error(), "too many lists") {
		t.Errorf("%v", err)
	}
}
