// SPDX-License-Identifier: EUPL-1.2

package oracle

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"go.mozilla.org/pkcs7"

	"pecd/directory"
	"pecd/signer"
	"pecd/signer/pki"
)

// providers are the three of every world. Gamma has two domains: one message
// reaches it in two envelopes.
var providers = []struct {
	name    string
	domains []string
	opts    []pki.Option
}{
	{"Alfa PEC", []string{"alfa.example"}, nil}, // RSA
	{"Beta PEC", []string{"beta.example"}, []pki.Option{pki.WithECDSA()}},
	{"Gamma PEC", []string{"gamma.example", "gamma-due.example"}, []pki.Option{pki.WithECDSA()}},
}

const (
	outside  = "mail.example" // ordinary servers
	outside2 = "posta.example"
)

// begin is the first instant of every world.
var begin = time.Date(2026, 6, 3, 8, 15, 5, 0, time.UTC)

// authority is what all worlds share: certificates and the index of providers.
type authority struct {
	ca         *pki.CA
	identities []signer.Identity
	index      *directory.Index
	roots      *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{roots: x509.NewCertPool()}
	var err error
	if a.ca, err = pki.NewCA("oracle CA", begin.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	a.roots.AddCert(a.ca.Certificate())
	var entries []directory.Provider
	for _, p := range providers {
		id, err := a.ca.IssueSigner(p.name, serviceAddress(p.domains), p.opts...)
		if err != nil {
			t.Fatal(err)
		}
		a.identities = append(a.identities, id)
		entries = append(entries, directory.Provider{
			Name: p.name, MailReceipt: serviceMailbox(p.domains), Certificates: [][]byte{id.Certificate.Raw}, Domains: p.domains,
		})
	}
	var ldif bytes.Buffer
	if err := directory.WriteLDIF(&ldif, directory.RootEntry{Description: "oracle"}, entries); err != nil {
		t.Fatal(err)
	}
	if a.index, err = directory.ReadLDIF(&ldif); err != nil {
		t.Fatal(err)
	}
	return a
}

func serviceAddress(domains []string) string { return "posta-certificata@" + domains[0] }
func serviceMailbox(domains []string) string { return "ricevute@" + domains[0] }

// Certified implements pipeline.Providers.
func (a *authority) Certified(domain string) bool {
	_, ok := a.index.ProviderOfDomain(domain)
	return ok
}

// judge verifies the signature of a message with a library the program does not
// use for it, and says which provider's it is (index into providers).
func (a *authority) judge(m *pecMail, raw []byte, at time.Time) (int, error) {
	p7, err := pkcs7.Parse(m.p7s)
	if err != nil {
		return 0, err
	}
	p7.Content = raw[m.start:m.end]
	if err := p7.VerifyWithChainAtTime(a.roots, at); err != nil {
		return 0, err
	}
	signed := p7.GetOnlySigner()
	for i, id := range a.identities {
		if signed != nil && signed.Equal(id.Certificate) {
			if m.from != serviceAddress(providers[i].domains) {
				return 0, fmt.Errorf("%s signs as %s", providers[i].name, m.from)
			}
			return i, nil
		}
	}
	return 0, fmt.Errorf("signed by nobody of the index")
}

// digest names octets in the oracle's books.
type digest = [sha256.Size]byte
