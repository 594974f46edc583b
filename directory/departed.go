// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"cmp"
	"encoding/hex"
	"maps"
	"slices"
	"time"
)

const (
	// rememberDeparted is how long what left the index is still its last
	// provider's.
	rememberDeparted = 90 * 24 * time.Hour
	// maxDeparted and maxDepartedBytes bound what is remembered, in entries and in
	// octets of their names.
	maxDeparted      = 50000
	maxDepartedBytes = 4 << 20
)

// departed is who last had what is no longer in the index. Without it a domain
// or a certificate could change its provider in two steps, each of which is
// harmless: it goes away, and comes as a new one. Values do not change once
// made.
type departed struct {
	Domains      map[string]departure `json:"domains,omitempty"`
	Certificates map[string]departure `json:"certificates,omitempty"` // by fingerprint
}

type departure struct {
	From string    `json:"from"` // the provider's name in the dn of its records
	At   time.Time `json:"at"`   // when it was missed
}

// size returns the number of entries and of octets.
func (d departed) size() (entries, octets int) {
	for _, all := range []map[string]departure{d.Domains, d.Certificates} {
		entries += len(all)
		for what, e := range all {
			octets += len(what) + len(e.From)
		}
	}
	return entries, octets
}

// fits says whether that much can be remembered.
func (d departed) fits() bool {
	entries, octets := d.size()
	return entries <= maxDeparted && octets <= maxDepartedBytes
}

// after returns what is to be remembered once a new index is in use: not what
// is in it again, nor what left long ago, but what leaves now.
func (d departed) after(new *Index, c comparison, now time.Time) departed {
	next := departed{make(map[string]departure), make(map[string]departure)}
	for domain, e := range d.Domains {
		if _, back := new.domains[domain]; !back && e.recent(now) {
			next.Domains[domain] = e.since(now)
		}
	}
	for sum, e := range d.Certificates {
		if len(new.withFingerprint(sum)) == 0 && e.recent(now) {
			next.Certificates[sum] = e.since(now)
		}
	}
	for _, m := range c.lostDomains {
		next.Domains[m.what] = departure{m.from, now}
	}
	for _, m := range c.lostCerts {
		next.Certificates[m.what] = departure{m.from, now}
	}
	return next
}

func (e departure) recent(now time.Time) bool { return now.Sub(e.At) < rememberDeparted }

// since mends an instant that a clock which was ahead has left.
func (e departure) since(now time.Time) departure {
	if e.At.After(now) {
		e.At = now
	}
	return e
}

// with returns what either remembers; d counts where both do.
func (d departed) with(other departed) departed {
	sum := departed{maps.Clone(other.Domains), maps.Clone(other.Certificates)}
	if sum.Domains == nil {
		sum.Domains = make(map[string]departure)
	}
	if sum.Certificates == nil {
		sum.Certificates = make(map[string]departure)
	}
	maps.Copy(sum.Domains, d.Domains)
	maps.Copy(sum.Certificates, d.Certificates)
	return sum
}

// newest returns as much as fits, without what left first, and how many entries
// are left out.
func (d departed) newest() (departed, int) {
	type entry struct {
		to   map[string]departure
		what string
		departure
	}
	kept := departed{make(map[string]departure), make(map[string]departure)}
	var all []entry
	for what, e := range d.Domains {
		all = append(all, entry{kept.Domains, what, e})
	}
	for what, e := range d.Certificates {
		all = append(all, entry{kept.Certificates, what, e})
	}
	slices.SortFunc(all, func(a, b entry) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.what, b.what)) })
	octets := 0
	for i, e := range all {
		if octets += len(e.what) + len(e.From); i == maxDeparted || octets > maxDepartedBytes {
			return kept, len(all) - i
		}
		e.to[e.what] = e.departure
	}
	return kept, 0
}

// returned lists what comes back in a new index under another provider. old,
// the index in use, may be nil.
func (d departed) returned(old, new *Index, now time.Time) (domains, certs []moved) {
	if old == nil {
		old = &Index{}
	}
	for domain, e := range d.Domains {
		is, back := new.domains[domain]
		if _, there := old.domains[domain]; back && !there && e.recent(now) && new.owners[is] != nameKey(e.From) {
			domains = append(domains, moved{domain, e.From, new.ownNames[is]})
		}
	}
	for sum, e := range d.Certificates {
		for _, k := range new.withFingerprint(sum) {
			if _, there := old.recordWith(k.der); !there && e.recent(now) && new.owners[k.record] != nameKey(e.From) {
				certs = append(certs, moved{sum, e.From, new.ownNames[k.record]})
				break
			}
		}
	}
	sortMoved(domains)
	sortMoved(certs)
	return domains, certs
}

// departures refuses an index that gives to one provider what another one had
// until not long ago, or that loses more than can be remembered.
func (f *findings) departures(d departed, old *Index, c *candidate, now time.Time) {
	domains, certs := d.returned(old, c.index, now)
	f.moves(domains, "il dominio %s, che era di %.80q, torna con %.80q", "domain %s, which was %.80q's, comes back with %.80q")
	f.moves(certs, "il certificato %s, che era di %.80q, torna con %.80q", "certificate %s, which was %.80q's, comes back with %.80q")
	if entries, _ := c.departed.size(); len(c.diff.lostDomains)+len(c.diff.lostCerts) > 0 && !c.departed.fits() {
		f.add("in %d giorni mancano %d domini e certificati, più di quanti se ne ricordano", "in %d days %d domains and certificates are gone, more than are remembered",
			int(rememberDeparted.Hours()/24), entries)
	}
}

// withFingerprint returns the certificates with a SHA-1 in hexadecimal.
func (x *Index) withFingerprint(sum string) []cert {
	var h hash
	if n, err := hex.Decode(h[:], []byte(sum[:min(len(sum), 2*len(h))])); err != nil || n != len(h) {
		return nil
	}
	return x.certs[h]
}
