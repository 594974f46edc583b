// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"bytes"
	"cmp"
	"slices"
)

// Changes counts how an index differs from the one before it.
type Changes struct {
	ProvidersAdded, ProvidersRemoved       int
	DomainsAdded, DomainsRemoved           int
	CertificatesAdded, CertificatesRemoved int
}

// comparison is how a new index differs from the one in use. Providers are told
// apart by the dn of their records; which of a provider's environments has a
// domain or a certificate is that provider's own business. The lists are sorted.
type comparison struct {
	Changes
	gone    []string // names of the providers that are no longer there
	domains []moved  // domains of another provider now
	certs   []moved  // certificates of another provider now, by their SHA-1 in hexadecimal

	lostDomains, lostCerts []moved // what no provider has now
}

// moved is something that belonged to one provider and now does to another, or
// to none.
type moved struct{ what, from, to string }

// compare compares two indexes. The old one may be nil: everything is added.
func compare(old, new *Index) comparison {
	if old == nil {
		old = &Index{}
	}
	var c comparison
	c.providers(old, new)
	c.managed(old, new)
	c.certificates(old, new)
	return c
}

func (c *comparison) providers(old, new *Index) {
	before, after := old.providerNames(), new.providerNames()
	for key, name := range before {
		if _, ok := after[key]; !ok {
			c.gone = append(c.gone, name)
		}
	}
	slices.Sort(c.gone)
	c.ProvidersRemoved = len(c.gone)
	c.ProvidersAdded = len(after) - (len(before) - len(c.gone))
}

func (c *comparison) managed(old, new *Index) {
	for d, was := range old.domains {
		is, ok := new.domains[d]
		switch {
		case !ok:
			c.DomainsRemoved++
			c.lostDomains = append(c.lostDomains, moved{what: d, from: old.ownNames[was]})
		case old.owners[was] != new.owners[is]:
			c.domains = append(c.domains, moved{d, old.ownNames[was], new.ownNames[is]})
		}
	}
	c.DomainsAdded = len(new.domains) - (len(old.domains) - c.DomainsRemoved)
	sortMoved(c.domains)
}

func (c *comparison) certificates(old, new *Index) {
	before := old.distinctCerts()
	for _, k := range before {
		is, ok := new.recordWith(k.der)
		switch {
		case !ok:
			c.CertificatesRemoved++
			c.lostCerts = append(c.lostCerts, moved{what: fingerprint(k.der), from: old.ownNames[k.record]})
		case old.owners[k.record] != new.owners[is]:
			c.certs = append(c.certs, moved{fingerprint(k.der), old.ownNames[k.record], new.ownNames[is]})
		}
	}
	c.CertificatesAdded = len(new.distinctCerts()) - (len(before) - c.CertificatesRemoved)
	sortMoved(c.certs)
}

func sortMoved(m []moved) {
	slices.SortFunc(m, func(a, b moved) int { return cmp.Compare(a.what, b.what) })
}

// providerNames returns the names of the providers by the key of their dn.
func (x *Index) providerNames() map[string]string {
	names := make(map[string]string)
	for i, key := range x.owners {
		if x.records[i].Unit == "" {
			names[key] = x.ownNames[i]
		}
	}
	return names
}

// distinctCerts returns every certificate once, with one of the records that
// have it: they are all of one provider, which ReadLDIF sees to.
func (x *Index) distinctCerts() []cert {
	var out []cert
	for _, same := range x.certs {
		for i, k := range same {
			if !slices.ContainsFunc(same[:i], func(o cert) bool { return bytes.Equal(o.der, k.der) }) {
				out = append(out, k)
			}
		}
	}
	return out
}

// recordWith returns a record that has a certificate.
func (x *Index) recordWith(der []byte) (int, bool) {
	for _, k := range x.certs[sumOf(der)] {
		if bytes.Equal(k.der, der) {
			return k.record, true
		}
	}
	return 0, false
}

// recordsOf returns the records of a provider, by the name in their dn.
func (x *Index) recordsOf(name string) []Provider {
	var out []Provider
	wanted := nameKey(name)
	for i, key := range x.owners {
		if key == wanted {
			out = append(out, x.records[i])
		}
	}
	return out
}
