// SPDX-License-Identifier: EUPL-1.2

package signer_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pecd/fault"
	"pecd/signer"
	"pecd/signer/pki"
)

const day = 24 * time.Hour

// TestRFC6109_2_2_2_FetchedLists: what one fetch makes of an answer, under the
// policy with a day of grace, at day one.
func TestRFC6109_2_2_2_FetchedLists(t *testing.T) {
	ca := testCA(t)
	namesake, err := pki.NewCA("CA di prova", epoch)
	must(t, err)
	special := func(change func(*x509.RevocationList)) []byte {
		list := &x509.RevocationList{Number: big.NewInt(1000), ThisUpdate: epoch, NextUpdate: epoch.AddDate(0, 1, 0)}
		change(list)
		der, err := x509.CreateRevocationList(rand.Reader, list, ca.Certificate(), ca.Key())
		must(t, err)
		return der
	}
	other := *ca.Certificate()
	other.RawSubject, other.Subject = nil, pkix.Name{CommonName: "Altra CA"}
	named, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: epoch, NextUpdate: dayOne}, &other, ca.Key())
	must(t, err)
	good := crlOf(t, ca, epoch, 30*day)
	flipped := bytes.Clone(good)
	flipped[len(flipped)-5] ^= 1
	date := bytes.Clone(good) // what the signature covers
	date[bytes.Index(date, []byte("260601"))+1] = '9'
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   signer.Step
		alarm  bool
		reason string // of the refusal; "" when the list is taken
	}{
		"fresh":              {body(good), signer.StepOK, false, ""},
		"PEM":                {body(pki.EncodeCRL(good)), signer.StepOK, false, ""},
		"stale within grace": {body(crlOf(t, ca, epoch, time.Hour)), signer.StepOK, true, ""},
		"stale beyond grace": {body(crlOf(t, ca, epoch.Add(-day), 23*time.Hour)), signer.StepUnknownRevocation, true, ""},
		"three redirects":    {redirects(3, good), signer.StepOK, false, ""},
		"four redirects":     {redirects(4, good), signer.StepUnknownRevocation, true, "redirects"},
		"redirect loop":      {redirects(-1, nil), signer.StepUnknownRevocation, true, "redirects"},
		"redirect to a file": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		}, signer.StepUnknownRevocation, true, "unsupported protocol"},
		"not found":            {status(404), signer.StepUnknownRevocation, true, "status 404"},
		"304 out of the blue":  {status(304), signer.StepUnknownRevocation, true, "status 304"},
		"nothing":              {body(nil), signer.StepUnknownRevocation, true, "no revocation list"},
		"garbage":              {body([]byte("<html>non disponibile</html>")), signer.StepUnknownRevocation, true, "no revocation list"},
		"broken PEM":           {body([]byte("-----BEGIN X509 CRL-----\n")), signer.StepUnknownRevocation, true, "PEM"},
		"a certificate":        {body(ca.Certificate().Raw), signer.StepUnknownRevocation, true, "version"},
		"data behind it":       {body(append(bytes.Clone(good), 0)), signer.StepUnknownRevocation, true, "after an element"},
		"wrong signer":         {body(crlOf(t, namesake, epoch, 30*day)), signer.StepUnknownRevocation, true, "known authority"},
		"another's name":       {body(named), signer.StepUnknownRevocation, true, "known authority"},
		"signature changed":    {body(flipped), signer.StepUnknownRevocation, true, "known authority"},
		"content changed":      {body(date), signer.StepUnknownRevocation, true, "known authority"},
		"RSA-PSS":              {body(special(func(l *x509.RevocationList) { l.SignatureAlgorithm = x509.SHA256WithRSAPSS })), signer.StepUnknownRevocation, true, "unsupported"},
		"no nextUpdate":        {body(noNextUpdate(t, ca)), signer.StepUnknownRevocation, true, "nextUpdate"},
		"begins tomorrow":      {body(crlOf(t, ca, dayOne.Add(day), day)), signer.StepUnknownRevocation, true, "future"},
		"begins a moment late": {body(crlOf(t, ca, dayOne.Add(time.Minute), day)), signer.StepOK, false, ""},
		"delta": {body(special(func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}}
		})), signer.StepUnknownRevocation, true, "critical extension"},
		"of CAs only": {body(special(func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 3, 0x82, 1, 0xff}}}
		})), signer.StepUnknownRevocation, true, ""},
		"of some reasons": {body(special(func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 4, 0x83, 2, 6, 0x40}}}
		})), signer.StepUnknownRevocation, true, "limited scope"},
		"huge": {hugeBody, signer.StepUnknownRevocation, true, "too long"},
		"huge, as it says": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99999999")
			w.Write(good)
		}, signer.StepUnknownRevocation, true, "too long"},
		"slow":  {slowBody(good), signer.StepUnknownRevocation, true, "deadline exceeded"},
		"never": {silence, signer.StepUnknownRevocation, true, "deadline exceeded"},
		"cut": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(good)))
			w.Write(good[:99])
		}, signer.StepUnknownRevocation, true, "EOF"},
		"packed by another": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write([]byte{0x1f, 0x8b, 8})
		}, signer.StepUnknownRevocation, true, "no revocation list"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newListServer(t, c.answer)
			w := newRevWorld(t, []string{s.URL + "/crl"}, func(cfg *signer.RevocationConfig) {
				if c.reason == "deadline exceeded" {
					cfg.Timeout = 200 * time.Millisecond
				}
			})
			err := w.lists.Refresh(context.Background())
			if c.reason == "" && err != nil || c.reason != "" && (!fault.Is(err, fault.Temporary) || !strings.Contains(err.Error(), c.reason)) {
				t.Errorf("refresh: %v", err)
			}
			if c.reason != "" && (strings.Count(w.logged.String(), "not fetched") != 1 || !strings.Contains(w.logged.String(), c.reason)) {
				t.Errorf("logged:\n%s", w.logged)
			}
			w.want(c.want, c.alarm)
			files, err := os.ReadDir(w.cfg.Dir)
			must(t, err)
			if (len(files) == 1) != (c.reason == "") {
				t.Errorf("%d files kept", len(files))
			}
			// What was not fetched is said once, not every time.
			if c.reason != "" {
				w.lists.Refresh(context.Background())
				if n := strings.Count(w.logged.String(), "not fetched"); n != 1 {
					t.Errorf("logged %d times", n)
				}
			}
		})
	}
}

// noNextUpdate makes a list that x509 would not make.
func noNextUpdate(t testing.TB, ca *pki.CA) []byte {
	sha256RSA := tlv(0x30, []byte{6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11}, []byte{5, 0})
	tbs := tlv(0x30, []byte{2, 1, 1}, sha256RSA, ca.Certificate().RawSubject, tlv(0x17, []byte(epoch.Format("060102150405Z"))))
	value := signWith(t, ca.Key(), tbs)
	return tlv(0x30, tbs, sha256RSA, tlv(0x03, []byte{0}, value))
}

// TestRevokedInANewerList, and the older list offered again afterwards, from
// the same place, from another and out of a file, also after a restart.
func TestRevokedInANewerList(t *testing.T) {
	s := newListServer(t, nil)
	w := newRevWorld(t, []string{s.URL + "/a"}, nil)
	clean, revoking := w.crl(epoch, 30*day), w.crl(epoch.Add(time.Hour), 30*day, w.leaf.SerialNumber)
	s.serve(body(clean))
	must(t, w.lists.Refresh(context.Background()))
	w.want(signer.StepOK, false)
	s.serve(body(revoking))
	must(t, w.lists.Refresh(context.Background()))
	w.want(signer.StepRevoked, false)

	s.serve(body(clean))
	w.cfg.URLs = []string{s.URL + "/b"}
	w.cfg.Files = []string{write(t, t.TempDir(), "vecchia.crl", clean)}
	for range 2 { // the second time after a restart
		if err := w.lists.Refresh(context.Background()); err == nil || !strings.Contains(err.Error(), "older than") {
			t.Errorf("rollback: %v", err)
		}
		w.want(signer.StepRevoked, false)
		w.open()
	}
	if got := s.requests(); !slices.Contains(got, "/b") {
		t.Errorf("asked for %v", got)
	}
	// The same date with a lower number is older as well.
	same := w.crl(epoch.Add(2*time.Hour), 30*day)
	s.serve(body(w.crl(epoch.Add(2*time.Hour), 30*day, w.leaf.SerialNumber)))
	must(t, w.lists.Refresh(context.Background()))
	s.serve(body(same))
	if err := w.lists.Refresh(context.Background()); err == nil {
		t.Error("a lower number was taken")
	}
	w.want(signer.StepRevoked, false)
}

// TestRestartWithoutNetwork: the last lists are used; what is damaged in the
// folder is not.
func TestRestartWithoutNetwork(t *testing.T) {
	s := newListServer(t, nil)
	w := newRevWorld(t, []string{s.URL + "/crl"}, func(cfg *signer.RevocationConfig) { cfg.Dir = filepath.Join(cfg.Dir, "crl") })
	s.serve(body(w.crl(epoch, 2*day)))
	must(t, w.lists.Refresh(context.Background()))
	s.Close()
	write(t, w.cfg.Dir, "x.crl.123.tmp", []byte("half"))
	w.open()
	w.want(signer.StepOK, false)
	if err := w.lists.Refresh(context.Background()); !fault.Is(err, fault.Temporary) {
		t.Error(err)
	}
	w.want(signer.StepOK, false)
	files, err := filepath.Glob(filepath.Join(w.cfg.Dir, "*"))
	must(t, err)
	if len(files) != 1 {
		t.Fatalf("kept: %v", files)
	}
	w.clock.Advance(2 * day)
	w.open()
	w.lists.Refresh(context.Background())
	w.want(signer.StepOK, true) // in its time of grace
	w.clock.Advance(time.Second)
	w.want(signer.StepUnknownRevocation, true)

	kept := read(t, w.cfg.Dir, filepath.Base(files[0]))
	for name, damaged := range map[string][]byte{"cut": kept[:100], "empty": nil, "changed": append(kept[:len(kept)-1:len(kept)-1], kept[len(kept)-1]^1)} {
		must(t, os.WriteFile(files[0], damaged, 0o600))
		w.open()
		if _, ok := w.lists.RevocationList(w.ca.Certificate(), w.leaf); ok {
			t.Errorf("%s: a damaged list is used", name)
		}
	}
}

// TestKeptAgain: a list that could not be written is used, and written later.
func TestKeptAgain(t *testing.T) {
	s := newListServer(t, nil)
	w := newRevWorld(t, []string{s.URL + "/crl"}, func(cfg *signer.RevocationConfig) { cfg.Dir = filepath.Join(cfg.Dir, "crl") })
	s.serve(body(w.crl(epoch, 2*day)))
	must(t, os.Remove(w.cfg.Dir))
	if err := w.lists.Refresh(context.Background()); !fault.Is(err, fault.Temporary) {
		t.Error(err)
	}
	w.want(signer.StepOK, false)
	must(t, os.Mkdir(w.cfg.Dir, 0o700))
	must(t, w.lists.Refresh(context.Background()))
	s.Close()
	w.open()
	w.want(signer.StepOK, false)
}

// TestDistributionPoints: http and https addresses of certificates whose issuer
// is known are followed, no others.
func TestDistributionPoints(t *testing.T) {
	stranger, err := pki.NewCA("Altra CA", epoch)
	must(t, err)
	s := newListServer(t, nil)
	w := newRevWorld(t, []string{"ldap://localhost/cn=ca", "file:///etc/passwd", "http://u:p@" + s.Listener.Addr().String() + "/password", s.URL + "/points", "https://127.0.0.1:1/tls"}, nil)
	other := identity(t, stranger, pki.WithCRLPoints(s.URL+"/stranger")).Certificate
	expired := identity(t, w.ca, pki.WithCRLPoints(s.URL+"/expired"), pki.WithValidity(epoch, epoch.Add(time.Hour))).Certificate
	w.cfg.URLs = []string{s.URL + "/configured"}
	w.cfg.Watched = func() []*x509.Certificate {
		return []*x509.Certificate{w.leaf, other, expired, w.ca.Certificate(), w.ca.Certificate()}
	}
	w.open()
	s.serve(body(w.crl(epoch, 2*day)))
	if err := w.lists.Refresh(context.Background()); err == nil || !strings.Contains(err.Error(), "https://127.0.0.1:1/tls") {
		t.Errorf("%v", err)
	}
	got := s.requests()
	slices.Sort(got)
	if !slices.Equal(got, []string{"/configured", "/points"}) {
		t.Errorf("asked for %v", got)
	}
	w.want(signer.StepOK, false)
	for _, u := range []string{"", "ca.crl", "ftp://localhost/ca.crl", "http://", "http://u:p@localhost/", "http://localhost/" + strings.Repeat("x", 2000)} {
		w.cfg.URLs = []string{u}
		if _, err := signer.OpenRevocationLists(w.cfg); !fault.Is(err, fault.Invalid) {
			t.Errorf("%.40q: %v", u, err)
		}
	}
}

// TestIgnoredPoints: without leave to follow the certificates' addresses nothing
// is fetched, and what is missing is an alarm all the same.
func TestIgnoredPoints(t *testing.T) {
	s := newListServer(t, nil)
	w := newRevWorld(t, []string{s.URL + "/points"}, nil)
	w.cfg.IgnorePoints, w.cfg.Policy.Mode = true, signer.RevocationStrict
	w.open()
	s.serve(body(w.crl(epoch, 2*day)))
	must(t, w.lists.Refresh(context.Background()))
	if got := s.requests(); len(got) != 0 {
		t.Errorf("asked for %v", got)
	}
	w.want(signer.StepUnknownRevocation, true)
}

// TestAddressThatTurnsToAnotherCA: the old CA's list stays.
func TestAddressThatTurnsToAnotherCA(t *testing.T) {
	next, err := pki.NewCA("CA nuova", epoch)
	must(t, err)
	s := newListServer(t, nil)
	w := newRevWorld(t, []string{s.URL + "/crl"}, nil)
	w.cfg.Watched = func() []*x509.Certificate {
		return []*x509.Certificate{w.leaf, w.ca.Certificate(), next.Certificate()}
	}
	w.open()
	for _, list := range [][]byte{w.crl(epoch, 2*day, w.leaf.SerialNumber), crlOf(t, next, epoch, 2*day)} {
		s.serve(body(list))
		must(t, w.lists.Refresh(context.Background()))
	}
	for range 2 {
		w.want(signer.StepRevoked, false)
		if _, ok := w.lists.RevocationList(next.Certificate(), w.leaf); !ok {
			t.Error("the new CA has no list")
		}
		w.open()
	}
}

// TestListOfNoCA: a certificate that is watched, but no CA's, vouches for no list.
func TestListOfNoCA(t *testing.T) {
	s := newListServer(t, nil)
	w := newRevWorld(t, []string{s.URL + "/crl"}, nil)
	id := identity(t, w.ca, pki.WithoutExtension([]int{2, 5, 29, 15}))
	w.cfg.Watched = func() []*x509.Certificate {
		return []*x509.Certificate{w.ca.Certificate(), w.leaf, id.Certificate}
	}
	w.open()
	issuer := *id.Certificate
	issuer.KeyUsage = x509.KeyUsageCRLSign
	list, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: epoch, NextUpdate: dayOne.Add(day)}, &issuer, id.Key)
	must(t, err)
	s.serve(body(list))
	if err := w.lists.Refresh(context.Background()); err == nil || !strings.Contains(err.Error(), "known authority") {
		t.Error(err)
	}
}

// TestCAWithANewKey: the lists of its old key end with it, and are not missed.
func TestCAWithANewKey(t *testing.T) {
	namesake, err := pki.NewCA("CA di prova", epoch)
	must(t, err)
	s := newListServer(t, nil)
	w := newRevWorld(t, []string{s.URL + "/crl"}, nil)
	s.serve(body(w.crl(epoch, 2*day)))
	w.cfg.Watched = func() []*x509.Certificate {
		return []*x509.Certificate{namesake.Certificate(), w.ca.Certificate(), w.leaf}
	}
	w.open()
	must(t, w.lists.Refresh(context.Background()))
	w.want(signer.StepOK, false)
}

// TestPolicyOffRaisesNoAlarm for a list that nobody gave.
func TestPolicyOffRaisesNoAlarm(t *testing.T) {
	w := newRevWorld(t, nil, func(cfg *signer.RevocationConfig) { cfg.Policy = signer.RevocationPolicy{} })
	must(t, w.lists.Refresh(context.Background()))
	w.want(signer.StepOK, false)
}
