// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"bytes"
	"crypto/sha1" // RFC 6109 §4.5.1 identifies certificates by SHA-1; the octets are compared too
	"crypto/x509"
	"fmt"
	"io"
	"slices"
	"strings"

	"pecd/fault"
	"pecd/signer"
)

// Provider is one record of the index of PEC providers (RFC 6109 §4.5): the
// main environment of a provider, or one of its secondary ones. Records handed
// out by an Index share its memory and must not be changed.
type Provider struct {
	Name            string   // providerName
	Unit            string   // providerUnit, "" for the main environment
	MailReceipt     string   // address of the service mailbox
	LDIFLocationURL string   // inherited from the main environment
	Description     string   // first value, "" for none
	Certificates    [][]byte // DER, as published
	Domains         []string // managedDomains, lower case, A-labels
}

// RootEntry is the entry "o=postacert".
type RootEntry struct {
	LDIFLocationURL string // where the whole index is published
	Description     string
}

// Index is the index of PEC providers. It does not change once read.
type Index struct {
	root     RootEntry
	records  []Provider
	domains  map[string]int  // to records
	certs    map[hash][]cert // by SHA-1 of the DER encoding
	warnings []string

	// Whose a record is, is told by its dn alone: providerName is free text
	// that another provider's record may hold as well.
	owners   []string // of records: nameKey of the providerName in the dn
	ownNames []string // of records: the same as written
}

type hash [sha1.Size]byte

func sumOf(der []byte) hash { return sha1.Sum(der) }

// fingerprint is how a certificate is named in texts, as in the index.
func fingerprint(der []byte) string { return fmt.Sprintf("%X", sumOf(der)) }

type cert struct {
	der    []byte
	record int
}

// ReadLDIF reads the index from LDIF (RFC 2849, RFC 6109 §4.5). A record whose
// hashes and certificates do not match, whose mailReceipt is no dot-atom
// address, whose provider has no main environment, or which claims the domain
// or the certificate of another provider makes the whole file invalid: the
// error, of kind Invalid, names the entry and the line. Lesser oddities are
// listed by Warnings. At most 256 MiB are read.
func ReadLDIF(r io.Reader) (*Index, error) {
	const op = "directory.ReadLDIF"
	b := newIndexBuilder()
	if err := readLDIF(r, defaultLDIFLimits(), b); err != nil {
		return nil, fault.New(op, fault.Invalid, err)
	}
	x, err := b.finish()
	if err != nil {
		return nil, fault.New(op, fault.Invalid, err)
	}
	return x, nil
}

// ProviderOfDomain returns the record that manages a domain, whatever its case.
func (x *Index) ProviderOfDomain(domain string) (Provider, bool) {
	i, ok := x.recordOf(domain)
	if !ok {
		return Provider{}, false
	}
	return x.records[i], true
}

func (x *Index) recordOf(domain string) (int, bool) {
	domain = strings.TrimSuffix(domain, ".")
	if i, ok := x.domains[domain]; ok {
		return i, true
	}
	if plainLower(domain) || len(domain) > 4*maxDomain {
		return 0, false
	}
	d, ok := indexDomain(domain)
	if !ok {
		return 0, false
	}
	i, ok := x.domains[d]
	return i, ok
}

// ProviderByCertificate implements signer.Origins: it finds the record by the
// SHA-1 of the certificate and compares the octets. Where environments of one
// provider share a certificate, the answer is the main one and its Domains
// covers all that have the certificate.
func (x *Index) ProviderByCertificate(c *x509.Certificate) (signer.Origin, bool) {
	if c == nil || len(c.Raw) == 0 {
		return signer.Origin{}, false
	}
	var with []int
	for _, k := range x.certs[sumOf(c.Raw)] {
		if bytes.Equal(k.der, c.Raw) {
			with = append(with, k.record)
		}
	}
	if len(with) == 0 {
		return signer.Origin{}, false
	}
	p := x.records[with[0]]
	for _, i := range with {
		if x.records[i].Unit == "" {
			p = x.records[i]
		}
	}
	return signer.Origin{
		Provider: p.Name, Unit: p.Unit, MailReceipt: p.MailReceipt,
		Domains: func(domain string) bool {
			i, ok := x.recordOf(domain)
			return ok && slices.Contains(with, i)
		},
	}, true
}

// Root returns the entry "o=postacert", empty where the file has none.
func (x *Index) Root() RootEntry { return x.root }

// Providers returns every record in the order of the file.
func (x *Index) Providers() []Provider { return slices.Clone(x.records) }

// Len is the number of records, secondary environments included.
func (x *Index) Len() int { return len(x.records) }

// Domains is the number of domains in the index.
func (x *Index) Domains() int { return len(x.domains) }

// Warnings lists what was odd in the file without making it invalid, such as
// certificates that cannot be parsed (they are matched by their octets).
func (x *Index) Warnings() []string { return slices.Clone(x.warnings) }

// indexDomain brings a value of managedDomains into its canonical form. RFC
// 6109 §4.5.5 wants a dot-atom; an internationalised name is converted.
func indexDomain(v string) (string, bool) {
	if !plainLower(v) {
		v = strings.ToLower(v)
	}
	if isDotAtom(v) {
		return v, len(v) <= maxDomain
	}
	d, why := canonicalDomain(v)
	return d, why == ""
}
