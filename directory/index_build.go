// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// Attribute types of RFC 6109 §4.5 as the LDIF reader hands them over.
const (
	attrDomains     = "manageddomains"
	attrHash        = "providercertificatehash"
	attrCertificate = "providercertificate"
	attrName        = "providername"
	attrUnit        = "providerunit"
	attrReceipt     = "mailreceipt"
	attrURL         = "ldiflocationurl"
	attrDescription = "description"
	rootOrg         = "postacert"
)

// Bounds of an index. Italy has some twenty providers; the largest manage a few
// tens of thousands of domains.
const (
	maxRecords      = 10000
	maxIndexDomains = 2000000
	maxIndexCerts   = 1000 // of one record
	maxWarnings     = 200
)

// indexBuilder makes an Index of the entries of an LDIF file.
type indexBuilder struct {
	x        *Index
	byDN     map[string]int // key of a record's dn to records
	provider []string       // of records: key of the provider's name
	dnUnit   []string       // of records: the unit's name in the dn
	dnName   []string
	lines    []int // of records
	rootLine int   // 0: no root entry yet
	quiet    int   // warnings beyond maxWarnings

	entry  entryKind
	line   int // of the present entry
	rec    int // the present record
	hashes []hashLine
	ders   []derLine
}

type entryKind uint8

const (
	foreignEntry entryKind = iota // of no concern
	rootEntry
	providerEntry
)

type hashLine struct {
	sum  hash
	line int
}

type derLine struct {
	der  []byte
	line int
}

func newIndexBuilder() *indexBuilder {
	return &indexBuilder{
		x:    &Index{domains: make(map[string]int), certs: make(map[hash][]cert)},
		byDN: make(map[string]int),
	}
}

func (b *indexBuilder) warnf(line int, format string, args ...any) {
	if len(b.x.warnings) >= maxWarnings {
		b.quiet++
		return
	}
	b.x.warnings = append(b.x.warnings, lineError(line, format, args...).Error())
}

// about names the present record in errors and warnings.
func (b *indexBuilder) about() string { return b.label(b.rec) }

func (b *indexBuilder) label(i int) string {
	if b.dnUnit[i] != "" {
		return fmt.Sprintf("provider %.200q unit %.200q", b.dnName[i], b.dnUnit[i])
	}
	return fmt.Sprintf("provider %.200q", b.dnName[i])
}

// nameKey folds a name for comparison, as caseIgnoreMatch does.
func nameKey(s string) string {
	return strings.Join(strings.Fields(strings.ToLower(norm.NFKC.String(s))), " ")
}

// begin implements ldifVisitor: the dn decides what an entry is.
func (b *indexBuilder) begin(line int, dn string) error {
	b.line, b.entry = line, foreignEntry
	names, err := parseDN(dn)
	if err != nil {
		return lineError(line, "%w", err)
	}
	last := names[len(names)-1]
	if last.attr != "o" || nameKey(last.value) != rootOrg {
		b.warnf(line, "entry %.200q is not below o=postacert, ignored", dn)
		return nil
	}
	var name, unit string
	switch {
	case len(names) == 1:
		if b.rootLine != 0 {
			return lineError(line, "entry o=postacert is also on line %d", b.rootLine)
		}
		b.rootLine, b.entry = line, rootEntry
		return nil
	case len(names) == 2 && names[0].attr == attrName:
		name = names[0].value
	case len(names) == 3 && (names[0].attr == attrUnit || names[0].attr == attrUnit+"s") && names[1].attr == attrName:
		// "providerUnits" is how RFC 6109 §4.5.7 spells it in the dn
		unit, name = names[0].value, names[1].value
		if nameKey(unit) == "" {
			return lineError(line, "empty providerUnit in the dn")
		}
	default:
		b.warnf(line, "entry %.200q is no provider, ignored", dn)
		return nil
	}
	if nameKey(name) == "" {
		return lineError(line, "empty providerName in the dn")
	}
	key := nameKey(name) + "\x00" + nameKey(unit)
	if other, ok := b.byDN[key]; ok {
		return lineError(line, "entry %.200q is also on line %d", dn, b.lines[other])
	}
	if len(b.x.records) == maxRecords {
		return lineError(line, "more than %d providers", maxRecords)
	}
	b.entry, b.rec = providerEntry, len(b.x.records)
	b.byDN[key] = b.rec
	b.x.records = append(b.x.records, Provider{Unit: unit})
	b.provider = append(b.provider, nameKey(name))
	b.dnName, b.dnUnit = append(b.dnName, name), append(b.dnUnit, unit)
	b.lines = append(b.lines, line)
	b.hashes, b.ders = b.hashes[:0], nil
	return nil
}

// attr implements ldifVisitor.
func (b *indexBuilder) attr(line int, name string, value []byte) error {
	switch b.entry {
	case rootEntry:
		switch name {
		case attrURL:
			b.x.root.LDIFLocationURL = strings.TrimSpace(string(value))
		case attrDescription:
			b.x.root.Description = string(value)
		}
		return nil
	case foreignEntry:
		return nil
	}
	p := &b.x.records[b.rec]
	switch name {
	case attrDomains:
		return b.domain(line, string(bytes.TrimSpace(value)))
	case attrHash:
		var h hashLine
		text := bytes.TrimSpace(value)
		if n, err := hex.Decode(h.sum[:], text[:min(len(text), 2*len(h.sum))]); err != nil || n != len(h.sum) || len(text) != 2*len(h.sum) {
			return lineError(line, "%s: providerCertificateHash is not a SHA-1 in hexadecimal", b.about())
		}
		h.line = line
		if b.hashes = append(b.hashes, h); len(b.hashes) > maxIndexCerts {
			return lineError(line, "%s: more than %d hashes", b.about(), maxIndexCerts)
		}
	case attrCertificate:
		if b.ders = append(b.ders, derLine{bytes.Clone(value), line}); len(b.ders) > maxIndexCerts {
			return lineError(line, "%s: more than %d certificates", b.about(), maxIndexCerts)
		}
	case attrName:
		return b.single(line, "providerName", &p.Name, value)
	case attrReceipt:
		if err := b.single(line, "mailReceipt", &p.MailReceipt, value); err != nil {
			return err
		}
		at := strings.LastIndexByte(p.MailReceipt, '@')
		if at < 0 || len(p.MailReceipt) > maxAddress || !isDotAtom(p.MailReceipt[:at]) || !isDotAtom(p.MailReceipt[at+1:]) {
			return lineError(line, "%s: mailReceipt %.80q is not an address of dot-atoms", b.about(), p.MailReceipt)
		}
	case attrUnit:
		var unit string
		if err := b.single(line, "providerUnit", &unit, value); err != nil {
			return err
		}
		if nameKey(unit) != nameKey(p.Unit) {
			return lineError(line, "%s: providerUnit %.80q is not that of the dn", b.about(), unit)
		}
	case attrURL:
		if p.Unit != "" {
			b.warnf(line, "%s: a secondary environment has no LDIFLocationURL of its own, ignored", b.about())
			return nil
		}
		if p.LDIFLocationURL = strings.TrimSpace(string(value)); !strings.HasPrefix(strings.ToLower(p.LDIFLocationURL), "https://") {
			b.warnf(line, "%s: LDIFLocationURL %.200q is not https", b.about(), p.LDIFLocationURL)
		}
	case attrDescription:
		if p.Description == "" {
			p.Description = string(value)
		}
	}
	return nil
}

// single sets an attribute that has one value, RFC 6109 §4.5.3, §4.5.4, §4.5.7.
func (b *indexBuilder) single(line int, name string, to *string, value []byte) error {
	v := strings.TrimSpace(string(value))
	if v == "" {
		return lineError(line, "%s: empty %s", b.about(), name)
	}
	if *to != "" {
		return lineError(line, "%s: more than one %s", b.about(), name)
	}
	*to = strings.ToValidUTF8(v, "\uFFFD")
	return nil
}

func (b *indexBuilder) domain(line int, value string) error {
	d, ok := indexDomain(value)
	if !ok {
		b.warnf(line, "%s: managedDomains %.80q is not a domain, ignored", b.about(), value)
		return nil
	}
	if other, taken := b.x.domains[d]; taken {
		if b.provider[other] != b.provider[b.rec] {
			return lineError(line, "domain %s is claimed by %s and by %s", d, b.label(other), b.about())
		}
		b.warnf(line, "domain %s is listed again by %s", d, b.about())
		return nil
	}
	if len(b.x.domains) == maxIndexDomains {
		return lineError(line, "more than %d domains", maxIndexDomains)
	}
	b.x.domains[d] = b.rec
	p := &b.x.records[b.rec]
	p.Domains = append(p.Domains, d)
	return nil
}

// end implements ldifVisitor: hashes and certificates must match one to one.
func (b *indexBuilder) end() error {
	if b.entry != providerEntry {
		return nil
	}
	p := &b.x.records[b.rec]
	if p.MailReceipt == "" {
		return lineError(b.line, "%s: no mailReceipt", b.about())
	}
	if len(p.Domains) == 0 {
		b.warnf(b.line, "%s: no managedDomains", b.about())
	}
	if len(b.ders) == 0 {
		return lineError(b.line, "%s: no providerCertificate", b.about())
	}
	published := make(map[hash]bool, len(b.hashes))
	for _, h := range b.hashes {
		published[h.sum] = true
	}
	present := make(map[hash]bool, len(b.ders))
	for _, k := range b.ders {
		sum := sumOf(k.der)
		if !published[sum] {
			return lineError(k.line, "%s: certificate with SHA-1 %X has no providerCertificateHash", b.about(), sum)
		}
		if present[sum] {
			b.warnf(k.line, "%s: certificate %X is listed twice", b.about(), sum)
			continue
		}
		present[sum] = true
		for _, other := range b.x.certs[sum] {
			if b.provider[other.record] != b.provider[b.rec] && bytes.Equal(other.der, k.der) {
				return lineError(k.line, "certificate %X is claimed by %s and by %s", sum, b.label(other.record), b.about())
			}
		}
		if _, err := x509.ParseCertificate(k.der); err != nil {
			b.warnf(k.line, "%s: certificate %X cannot be parsed (%v), kept as octets", b.about(), sum, err)
		}
		p.Certificates = append(p.Certificates, k.der)
		b.x.certs[sum] = append(b.x.certs[sum], cert{k.der, b.rec})
	}
	for _, h := range b.hashes {
		if !present[h.sum] {
			return lineError(h.line, "%s: providerCertificateHash %X has no certificate", b.about(), h.sum)
		}
	}
	return nil
}

// finish resolves what secondary environments inherit.
func (b *indexBuilder) finish() (*Index, error) {
	if len(b.x.records) == 0 {
		return nil, errors.New("no provider in the index")
	}
	for i := range b.x.records {
		p := &b.x.records[i]
		if p.Unit != "" {
			continue
		}
		switch {
		case p.Name == "":
			b.warnf(b.lines[i], "%s: no providerName, taken from the dn", b.label(i))
			p.Name = b.dnName[i]
		case nameKey(p.Name) != b.provider[i]:
			b.warnf(b.lines[i], "%s: providerName %.200q is not that of the dn", b.label(i), p.Name)
		}
	}
	for i := range b.x.records {
		p := &b.x.records[i]
		if p.Unit == "" {
			continue
		}
		main, ok := b.byDN[b.provider[i]+"\x00"]
		if !ok {
			return nil, lineError(b.lines[i], "%s: the provider has no main environment", b.label(i))
		}
		if p.Name != "" && nameKey(p.Name) != b.provider[i] {
			b.warnf(b.lines[i], "%s: providerName %.200q is not that of the dn", b.label(i), p.Name)
		}
		p.Name = b.x.records[main].Name
		p.LDIFLocationURL = b.x.records[main].LDIFLocationURL
	}
	switch {
	case b.rootLine == 0:
		b.warnf(1, "no entry o=postacert")
	case b.x.root.LDIFLocationURL == "":
		b.warnf(b.rootLine, "entry o=postacert has no LDIFLocationURL")
	}
	if b.quiet > 0 {
		b.x.warnings = append(b.x.warnings, fmt.Sprintf("%d more", b.quiet))
	}
	b.x.owners, b.x.ownNames = b.provider, b.dnName
	return b.x, nil
}
