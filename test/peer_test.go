// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The scripted provider: in alfa's index, with keys of its own.
const (
	peerDomain  = "gamma.example"
	peerName    = "Gestore Gamma S.p.A."
	peerService = "posta-certificata@gamma.example"
	peerReceipt = "ricevute@gamma.example"
	unitDomain  = "unita.gamma.example"
	unitReceipt = "ricevute@unita.gamma.example"
)

// peerProvider is another provider as the test scripts it: it signs what it
// likes, and what alfa sends to its domains arrives at its sink.
type peerProvider struct {
	dir     string
	demo    *demo // alfa alone runs, on the demo's folder
	sink    *sink
	ca      *issuer
	signers map[string]signingKey
	boxes   int // of alfa that are in use
}

// signingKey is a certificate and its key, in files for openssl.
type signingKey struct {
	cert, key string
	der       []byte
}

// issuer is a small certification authority.
type issuer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func newIssuer(t testing.TB, name string) *issuer {
	t.Helper()
	key := newKey(t)
	now := time.Now()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name, Country: []string{"IT"}},
		NotBefore: now.AddDate(-2, 0, 0), NotAfter: now.AddDate(2, 0, 0), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{cert: parsed(t, der), key: key, next: 100}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func parsed(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// issue certifies a new key; edit may change the template.
func (ca *issuer) issue(t testing.TB, edit func(*x509.Certificate)) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	ca.next++
	now := time.Now()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(ca.next), Subject: pkix.Name{Country: []string{"IT"}, Organization: []string{peerName}, CommonName: "Posta Certificata"},
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}, EmailAddresses: []string{peerService},
	}
	if edit != nil {
		edit(tmpl)
	}
	key := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca.cert, key.Public(), ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return parsed(t, der), key
}

// crl lists what is revoked.
func (ca *issuer) crl(t testing.TB, thisUpdate, nextUpdate time.Time, revoked ...*big.Int) []byte {
	t.Helper()
	tmpl := &x509.RevocationList{Number: big.NewInt(thisUpdate.Unix()), ThisUpdate: thisUpdate, NextUpdate: nextUpdate}
	for _, n := range revoked {
		tmpl.RevokedCertificateEntries = append(tmpl.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: n, RevocationTime: thisUpdate.Add(-time.Minute)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, tmpl, ca.cert, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

func (p *peerProvider) keep(t testing.TB, name string, c *x509.Certificate, key *ecdsa.PrivateKey) {
	t.Helper()
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	k := signingKey{cert: filepath.Join(p.dir, name+".pem"), key: filepath.Join(p.dir, name+".key"), der: c.Raw}
	for file, block := range map[string]*pem.Block{k.cert: {Type: "CERTIFICATE", Bytes: c.Raw}, k.key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.signers[name] = k
}

// newPeer makes a demo's folder, puts the scripted provider into alfa's index,
// trust and routes, and starts alfa alone. edit may change alfa's configuration.
func newPeer(t testing.TB, edit func(p *peerProvider, config string) string) *peerProvider {
	t.Helper()
	need(t, "openssl")
	d := newDemo(t, "--quiet")
	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	p := &peerProvider{dir: t.TempDir(), demo: d, ca: newIssuer(t, "CA dei gestori"), signers: make(map[string]signingKey)}
	other := newIssuer(t, "CA ignota")
	now := time.Now()
	for name, edit := range map[string]func(*x509.Certificate){
		"current": nil, "renewed": nil, "revoked": nil, "unlisted": nil,
		"expired": func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Hour) },
		"other":   func(c *x509.Certificate) { c.EmailAddresses = []string{"altro@gamma.example"} },
		"unit":    func(c *x509.Certificate) { c.EmailAddresses = []string{"posta-certificata@" + unitDomain} },
	} {
		c, key := p.ca.issue(t, edit)
		p.keep(t, name, c, key)
	}
	c, key := other.issue(t, nil)
	p.keep(t, "unchained", c, key)
	server, serverKey := p.ca.issue(t, func(c *x509.Certificate) {
		c.DNSNames, c.EmailAddresses, c.ExtKeyUsage = []string{"localhost"}, nil, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	p.sink = newTLSSink(t, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{server.Raw}, PrivateKey: serverKey}}})

	p.add(t, "ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.ca.cert.Raw}))
	p.add(t, "alfa/ca.crl", p.ca.crl(t, now.Add(-time.Minute), now.AddDate(0, 0, 7), p.serial(t, "revoked")))
	p.add(t, "alfa/index.ldif", p.record())
	config := filepath.Join(d.dir, "alfa.toml")
	text := string(p.read(t, "alfa.toml"))
	_, port, _ := strings.Cut(p.sink.addr, ":")
	for _, domain := range []string{peerDomain, unitDomain, "mail.example"} {
		text = strings.Replace(text, "[relay.routes]\n", fmt.Sprintf("[relay.routes]\n%q = \"localhost:%s\"\n", domain, port), 1)
	}
	if edit != nil {
		text = edit(p, text)
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.demo.proc = startServe(t, d, "alfa.toml")
	return p
}

func (p *peerProvider) serial(t testing.TB, name string) *big.Int {
	return parsed(t, p.signers[name].der).SerialNumber
}

func (p *peerProvider) read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(p.demo.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// add appends to a file of the demo's folder.
func (p *peerProvider) add(t testing.TB, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.demo.dir, name), append(p.read(t, name), content...), 0o600); err != nil {
		t.Fatal(err)
	}
}

// record is the provider's LDIF: main environment and one secondary (RFC 6109 §4.5).
func (p *peerProvider) record() []byte {
	var b bytes.Buffer
	entry := func(dn, unit, receipt, domain string, certs ...string) {
		fmt.Fprintf(&b, "\ndn: %s\nobjectClass: top\nobjectClass: provider\nproviderName: %s\n", dn, peerName)
		if unit != "" {
			fmt.Fprintf(&b, "providerUnit: %s\n", unit)
		}
		for _, name := range certs {
			der := p.signers[name].der
			fmt.Fprintf(&b, "providerCertificateHash: %x\nproviderCertificate;binary:: %s\n", sha1.Sum(der), base64.StdEncoding.EncodeToString(der))
		}
		fmt.Fprintf(&b, "mailReceipt: %s\nmanagedDomains: %s\n", receipt, domain)
	}
	dn := "providerName=" + peerName + ",o=postacert"
	entry(dn, "", peerReceipt, peerDomain, "current", "renewed", "revoked", "expired", "other", "unchained")
	entry("providerUnit=Secondaria,"+dn, "Secondaria", unitReceipt, unitDomain, "unit")
	return b.Bytes()
}
