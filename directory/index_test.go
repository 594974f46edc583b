// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pecd/fault"
	"pecd/signer"
)

var _ signer.Origins = (*Index)(nil)

// testCertificate returns the DER of a self-signed certificate.
func testCertificate(t testing.TB, address string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: address}, EmailAddresses: []string{address},
		NotBefore: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2029, 1, 1, 0, 0, 0, 0, time.UTC),
	}, &x509.Certificate{}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func mustParse(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestIndexWriteAndRead(t *testing.T) {
	alfa, alfa2, unit, beta := testCertificate(t, "a"), testCertificate(t, "a2"), testCertificate(t, "u"), testCertificate(t, "b")
	unparsable := []byte("\x30\x03\x02\x01\x01")
	name := `Alfa "Posta", S.p.A. – Società + Figli ` + strings.Repeat("molto lunga ", 12) + "fine"
	in := []Provider{
		{Name: name, MailReceipt: "ricevute@pec.alfa.example", LDIFLocationURL: "https://alfa.example/alfa.ldif.p7m", Description: " leading space",
			Certificates: [][]byte{alfa, alfa2}, Domains: []string{"PEC.alfa.example", "comune.example", "città.example"}},
		{Name: name, Unit: "Ambiente, 2", MailReceipt: "ricevute@pec2.alfa.example", Certificates: [][]byte{alfa2, unit}, Domains: []string{"pec2.alfa.example"}},
		{Name: "Beta", MailReceipt: "presa@beta.example", Certificates: [][]byte{beta, unparsable}, Domains: []string{"beta.example"}},
	}
	var file bytes.Buffer
	if err := WriteLDIF(&file, RootEntry{LDIFLocationURL: "https://igpec.example/igpec.ldif.p7m", Description: "radice"}, in); err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(file.String(), "\n") {
		if len(line) > ldifColumns {
			t.Errorf("line %d has %d columns", i+1, len(line))
		}
	}
	x, err := ReadLDIF(&file)
	if err != nil {
		t.Fatal(err)
	}
	if x.Len() != 3 || x.Domains() != 5 || x.Root() != (RootEntry{"https://igpec.example/igpec.ldif.p7m", "radice"}) {
		t.Errorf("%d records, %d domains, root %+v", x.Len(), x.Domains(), x.Root())
	}
	if w := x.Warnings(); len(w) != 1 || !strings.Contains(w[0], "cannot be parsed") {
		t.Errorf("warnings %q", w)
	}
	for domain, receipt := range map[string]string{
		"pec.alfa.example": "ricevute@pec.alfa.example", "Pec.ALFA.example": "ricevute@pec.alfa.example", "pec.alfa.example.": "ricevute@pec.alfa.example",
		"xn--citt-3na.example": "ricevute@pec.alfa.example", "CITTÀ.example": "ricevute@pec.alfa.example",
		"pec2.alfa.example": "ricevute@pec2.alfa.example", "beta.example": "presa@beta.example",
		"alfa.example": "", "x.beta.example": "", "": "", "\xff": "", "beta.example\x00": "",
	} {
		p, ok := x.ProviderOfDomain(domain)
		if ok != (receipt != "") || p.MailReceipt != receipt {
			t.Errorf("%q: %v, %q", domain, ok, p.MailReceipt)
		}
	}
	if p, _ := x.ProviderOfDomain("pec2.alfa.example"); p.Name != name || p.Unit != "Ambiente, 2" || p.LDIFLocationURL != in[0].LDIFLocationURL {
		t.Errorf("unit %+v", p)
	}
	if p, _ := x.ProviderOfDomain("comune.example"); p.Description != " leading space" {
		t.Errorf("description %q", p.Description)
	}

	for i, c := range []struct {
		der                 []byte
		unit, yes, yes2, no string
	}{
		{alfa, "", "PEC.alfa.example", "comune.example", "pec2.alfa.example"},
		{alfa2, "", "pec.alfa.example", "pec2.alfa.example", "beta.example"}, // shared by both environments
		{unit, "Ambiente, 2", "pec2.alfa.example", "pec2.alfa.example", "pec.alfa.example"},
	} {
		o, ok := x.ProviderByCertificate(mustParse(t, c.der))
		if !ok || o.Provider != name || o.Unit != c.unit || !o.Domains(c.yes) || !o.Domains(c.yes2) || o.Domains(c.no) {
			t.Errorf("%d: %v %+v", i, ok, o)
		}
	}
	// A certificate that cannot be parsed is still matched by its octets.
	if o, ok := x.ProviderByCertificate(&x509.Certificate{Raw: unparsable}); !ok || o.Provider != "Beta" {
		t.Errorf("%v %+v", ok, o)
	}
	for _, c := range []*x509.Certificate{nil, {}, mustParse(t, testCertificate(t, "a"))} {
		if o, ok := x.ProviderByCertificate(c); ok {
			t.Errorf("found %+v", o)
		}
	}
}

func TestIndexMatchesOctetsNotOnlyHash(t *testing.T) {
	der := testCertificate(t, "a")
	x := &Index{records: []Provider{{Name: "Alfa"}}, certs: map[hash][]cert{sha1.Sum(der): {{[]byte("same hash, other octets"), 0}}}}
	if _, ok := x.ProviderByCertificate(mustParse(t, der)); ok {
		t.Error("matched by hash alone")
	}
}

// record returns the LDIF of one provider; each of the edits replaces a string.
func record(der []byte, name, domain string, edits ...string) string {
	s := fmt.Sprintf("\ndn: providerName=%s,o=postacert\nobjectclass: top\nobjectclass: provider\nproviderName: %s\n"+
		"providerCertificateHash: %X\nproviderCertificate;binary:: %s\nmailReceipt: ricevute@%s\nmanagedDomains: %s\n",
		name, name, sha1.Sum(der), base64.StdEncoding.EncodeToString(der), domain, domain)
	return strings.NewReplacer(edits...).Replace(s)
}

const rootLDIF = "dn: o=postacert\nobjectclass: top\nLDIFLocationURL: https://igpec.example/igpec.ldif.p7m\n"

func TestReadLDIFRefusesTheIndex(t *testing.T) {
	a, b := testCertificate(t, "a"), testCertificate(t, "b")
	alfa, beta := record(a, "Alfa", "alfa.example"), record(b, "Beta", "beta.example")
	hashLine := fmt.Sprintf("providerCertificateHash: %X\n", sha1.Sum(a))
	certLine := "providerCertificate;binary:: " + base64.StdEncoding.EncodeToString(a) + "\n"
	if _, err := ReadLDIF(strings.NewReader(rootLDIF + alfa + beta)); err != nil {
		t.Fatal(err)
	}
	unit := strings.NewReplacer("dn: ", "dn: providerUnit=Due,").Replace(record(b, "Alfa", "due.example"))
	for name, c := range map[string]struct{ in, want string }{
		"empty":                        {"", "no provider"},
		"root only":                    {rootLDIF, "no provider"},
		"two roots":                    {rootLDIF + "\n" + rootLDIF + alfa, `line 5: entry o=postacert is also on line 1`},
		"hash without certificate":     {rootLDIF + record(a, "Alfa", "alfa.example", certLine, certLine+"providerCertificateHash: "+strings.Repeat("0F", 20)+"\n"), `line 11: provider "Alfa": providerCertificateHash 0F0F`},
		"certificate without hash":     {rootLDIF + record(a, "Alfa", "alfa.example", certLine, certLine+"providerCertificate;binary:: AAAA\n"), `line 11: provider "Alfa": certificate with SHA-1`},
		"other hash":                   {rootLDIF + record(a, "Alfa", "alfa.example", hashLine, "providerCertificateHash: "+strings.Repeat("00", 20)+"\n"), `line 10: provider "Alfa": certificate with SHA-1`},
		"altered certificate":          {rootLDIF + record(a, "Alfa", "alfa.example", "binary:: MII", "binary:: MIJ"), `line 10: provider "Alfa": certificate`},
		"no certificate, no hash":      {rootLDIF + record(a, "Alfa", "alfa.example", certLine, "", hashLine, ""), `line 5: provider "Alfa": no providerCertificate`},
		"short hash":                   {rootLDIF + record(a, "Alfa", "alfa.example", hashLine, "providerCertificateHash: 00\n"), "line 9: provider \"Alfa\": providerCertificateHash is not"},
		"long hash":                    {rootLDIF + record(a, "Alfa", "alfa.example", hashLine, strings.TrimSpace(hashLine)+"00\n"), "line 9"},
		"no hexadecimal":               {rootLDIF + record(a, "Alfa", "alfa.example", hashLine, "providerCertificateHash: "+strings.Repeat("xy", 20)+"\n"), "line 9"},
		"mailReceipt quoted":           {rootLDIF + record(a, "Alfa", "alfa.example", "mailReceipt: ricevute@", `mailReceipt: "r c"@`), `line 11: provider "Alfa": mailReceipt`},
		"mailReceipt in brackets":      {rootLDIF + record(a, "Alfa", "alfa.example", "mailReceipt: ricevute@alfa.example", "mailReceipt: <ricevute@alfa.example>"), `line 11`},
		"mailReceipt without domain":   {rootLDIF + record(a, "Alfa", "alfa.example", "mailReceipt: ricevute@alfa.example", "mailReceipt: ricevute"), `line 11`},
		"mailReceipt twice":            {rootLDIF + record(a, "Alfa", "alfa.example", "managedDomains:", "mailReceipt: x@alfa.example\nmanagedDomains:"), `line 12: provider "Alfa": more than one mailReceipt`},
		"mailReceipt empty":            {rootLDIF + record(a, "Alfa", "alfa.example", "mailReceipt: ricevute@alfa.example", "mailReceipt:"), `line 11: provider "Alfa": empty`},
		"no mailReceipt":               {rootLDIF + record(a, "Alfa", "alfa.example", "mailReceipt: ricevute@alfa.example\n", ""), `line 5: provider "Alfa": no mailReceipt`},
		"providerName twice":           {rootLDIF + record(a, "Alfa", "alfa.example", "mailReceipt", "providerName: x\nmailReceipt"), `more than one providerName`},
		"domain of two":                {rootLDIF + alfa + record(b, "Beta", "beta.example", "managedDomains: beta.example", "managedDomains: ALFA.example"), `line 21: domain alfa.example is claimed by provider "Alfa" and by provider "Beta"`},
		"certificate of two":           {rootLDIF + alfa + record(a, "Beta", "beta.example"), `is claimed by provider "Alfa" and by provider "Beta"`},
		"provider twice":               {rootLDIF + alfa + record(b, "ALFA", "beta.example"), `is also on line 5`},
		"unit without main":            {rootLDIF + unit, `line 5: provider "Alfa" unit "Due": the provider has no main environment`},
		"unit of another name":         {rootLDIF + alfa + strings.Replace(unit, "mailReceipt", "providerUnit: Tre\nmailReceipt", 1), `is not that of the dn`},
		"malformed dn":                 {rootLDIF + alfa + "\ndn: nothing\nx: 1\n", `line 14: malformed dn`},
		"empty name":                   {rootLDIF + record(a, "", "alfa.example"), `line 5: empty providerName`},
		"domain of a unit and another": {rootLDIF + alfa + unit + record(b, "Beta", "due.example"), `claimed by provider "Alfa" unit "Due" and by provider "Beta"`},
	} {
		x, err := ReadLDIF(strings.NewReader(c.in))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want %q", name, x, err, c.want)
		} else if !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: kind %v", name, fault.KindOf(err))
		}
	}
}

func TestReadLDIFWarns(t *testing.T) {
	a, b := testCertificate(t, "a"), testCertificate(t, "b")
	alfa := record(a, "Alfa", "alfa.example")
	unit := strings.NewReplacer("dn: ", "dn: providerUnits=Due,", "providerName: Alfa\n", "").Replace(record(b, "Alfa", "due.example"))
	for name, c := range map[string]struct{ in, want string }{
		"no root":           {alfa, "no entry o=postacert"},
		"root without URL":  {"dn: o=postacert\nx: y\n" + alfa, "has no LDIFLocationURL"},
		"foreign entry":     {rootLDIF + alfa + "\ndn: cn=x,dc=example\nx: y\n", "not below o=postacert"},
		"other entry":       {rootLDIF + alfa + "\ndn: cn=x,o=postacert\nx: y\n", "is no provider"},
		"http":              {rootLDIF + record(a, "Alfa", "alfa.example", "mailReceipt", "LDIFLocationURL: http://x\nmailReceipt"), "not https"},
		"no domains":        {rootLDIF + record(a, "Alfa", "alfa.example", "managedDomains: alfa.example\n", ""), "no managedDomains"},
		"bad domain":        {rootLDIF + record(a, "Alfa", "alfa.example", "managedDomains", "managedDomains: a b\nmanagedDomains"), "is not a domain"},
		"domain again":      {rootLDIF + record(a, "Alfa", "alfa.example", "managedDomains", "managedDomains: Alfa.Example\nmanagedDomains"), "listed again"},
		"unit with URL":     {rootLDIF + alfa + strings.Replace(unit, "mailReceipt", "LDIFLocationURL: https://x\nmailReceipt", 1), "no LDIFLocationURL of its own"},
		"name unlike dn":    {rootLDIF + record(a, "Alfa", "alfa.example", "providerName: Alfa", "providerName: Omega"), "not that of the dn"},
		"no name":           {rootLDIF + record(a, "Alfa", "alfa.example", "providerName: Alfa\n", ""), "no providerName"},
		"lower-case hash":   {rootLDIF + strings.Replace(alfa, fmt.Sprintf("%X", sha1.Sum(a)), fmt.Sprintf("%x", sha1.Sum(a)), 1), ""},
		"unknown attribute": {rootLDIF + record(a, "Alfa", "alfa.example", "mailReceipt", "telephoneNumber: 1\nmailReceipt"), ""},
		"unit inherits":     {rootLDIF + unit + alfa, ""},
	} {
		x, err := ReadLDIF(strings.NewReader(c.in))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		w := x.Warnings()
		if c.want == "" && len(w) > 0 || c.want != "" && (len(w) != 1 || !strings.Contains(w[0], c.want)) {
			t.Errorf("%s: warnings %q", name, w)
		}
		if o, ok := x.ProviderByCertificate(mustParse(t, a)); !ok || o.MailReceipt != "ricevute@alfa.example" {
			t.Errorf("%s: %v %+v", name, ok, o)
		}
		if p, ok := x.ProviderOfDomain("due.example"); ok && (p.Name != "Alfa" || p.Unit != "Due") {
			t.Errorf("%s: %+v", name, p)
		}
	}
	many := rootLDIF + alfa + strings.Repeat("managedDomains: a b\n", 500)
	x, err := ReadLDIF(strings.NewReader(many))
	if w := x.Warnings(); err != nil || len(w) != maxWarnings+1 || w[maxWarnings] != "300 more" {
		t.Errorf("%d warnings, %v", len(w), err)
	}
}

// TestRFC6109Example reads records laid out as in §4.5.10: hash and certificate
// begin on the line after their names, an entry follows without a blank line.
func TestRFC6109Example(t *testing.T) {
	der := testCertificate(t, "a")
	s := rootLDIF + strings.NewReplacer("Hash: ", "Hash:\n ", "binary:: ", "binary::\n ").Replace(strings.TrimPrefix(record(der, "Alfa", "alfa.example"), "\n"))
	x, err := ReadLDIF(strings.NewReader(s))
	if err != nil || x.Len() != 1 || len(x.Warnings()) != 0 {
		t.Fatalf("%v, %v", x, err)
	}
}

func TestSampleIndex(t *testing.T) {
	f, err := os.Open(filepath.Join("..", "..", "shared", "samples", "index", "igpec_sample.ldif"))
	if err != nil {
		t.Skip("the sample index is not here:", err)
	}
	defer f.Close()
	x, err := ReadLDIF(f)
	if err != nil {
		t.Fatal(err)
	}
	if x.Len() != 4 || x.Domains() < 3000 || x.Root().LDIFLocationURL == "" {
		t.Errorf("%d records, %d domains, root %+v", x.Len(), x.Domains(), x.Root())
	}
	for _, w := range x.Warnings() {
		t.Log(w)
	}
	for _, p := range x.Providers() {
		if p.Name == "" || p.MailReceipt == "" || len(p.Certificates) == 0 || len(p.Domains) == 0 {
			t.Errorf("record %q %q: %d certificates, %d domains", p.Name, p.Unit, len(p.Certificates), len(p.Domains))
		}
		for _, der := range p.Certificates {
			o, ok := x.ProviderByCertificate(&x509.Certificate{Raw: der})
			if !ok || o.Provider != p.Name || !o.Domains(p.Domains[0]) {
				t.Errorf("%q: %v %+v", p.Name, ok, o)
			}
		}
	}
}

// bigIndex writes an index of n providers with m domains each.
func bigIndex(t testing.TB, n, m int) []byte {
	t.Helper()
	providers := make([]Provider, n)
	for i := range providers {
		p := Provider{Name: fmt.Sprintf("Gestore %d S.p.A.", i), MailReceipt: fmt.Sprintf("ricevute@gestore%d.example", i), Certificates: [][]byte{testCertificate(t, "x")}}
		for j := range m {
			p.Domains = append(p.Domains, fmt.Sprintf("pec.comune%d.g%d.example", j, i))
		}
		providers[i] = p
	}
	var file bytes.Buffer
	if err := WriteLDIF(&file, RootEntry{LDIFLocationURL: "https://igpec.example/igpec.ldif.p7m"}, providers); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func BenchmarkReadLDIF(b *testing.B) {
	for _, c := range [][2]int{{1, 3000}, {200, 5000}} {
		file := bigIndex(b, c[0], c[1])
		b.Run(fmt.Sprintf("%dx%d", c[0], c[1]), func(b *testing.B) {
			b.SetBytes(int64(len(file)))
			b.ReportAllocs()
			for b.Loop() {
				x, err := ReadLDIF(bytes.NewReader(file))
				if err != nil || x.Domains() != c[0]*c[1] {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLookup(b *testing.B) {
	x, err := ReadLDIF(bytes.NewReader(bigIndex(b, 20, 5000)))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := x.ProviderOfDomain("PEC.comune4999.g19.example"); !ok {
			b.Fatal("not found")
		}
	}
}
