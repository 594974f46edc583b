// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// defaultMaxLoss is the part of the providers, or of the domains, that may be
	// gone from one index to the next.
	defaultMaxLoss = 0.2
	// toldSingly bounds how many of the same findings a refusal tells one by one.
	toldSingly = 5
	// signedAhead is how far in the future an index may be signed: clocks differ.
	signedAhead = time.Hour
)

// guard judges a new index by the one in use (RFC 6109 §7: whoever inserts a
// certificate or a domain owns the system). A valid signature alone would let
// the publisher's key redirect every domain.
type guard struct {
	maxLoss   float64    // fraction of the providers, or of the domains, that may go at once
	own       string     // our providerName, "" where we are not listed
	published []Provider // what we publish of ourselves, nil where that is not known
}

// finding is one reason to refuse an index, in Italian and English.
type finding struct{ it, en string }

// findings collects reasons.
type findings []finding

func (f *findings) add(it, en string, args ...any) {
	*f = append(*f, finding{fmt.Sprintf(it, args...), fmt.Sprintf(en, args...)})
}

// some adds the first findings of one sort, and how many more of it there are.
func (f *findings) some(first findings, total int) {
	*f = append(*f, first[:min(len(first), toldSingly)]...)
	if n := total - toldSingly; n > 0 {
		f.add("e altri %d casi", "and %d more", n)
	}
}

func (f *findings) moves(all []moved, it, en string) {
	var first findings
	for _, m := range all[:min(len(all), toldSingly)] {
		first.add(it, en, m.what, m.from, m.to)
	}
	f.some(first, len(all))
}

// refusal is the error of an index that is signed validly but not believed.
type refusal struct{ findings findings }

// Error tells the reasons in English.
func (r *refusal) Error() string {
	return r.join(func(f finding) string { return f.en })
}

// text tells the reasons in Italian, then in English.
func (r *refusal) text() string {
	return r.join(func(f finding) string { return f.it }) + " / " + r.Error()
}

func (r *refusal) join(of func(finding) string) string {
	all := make([]string, len(r.findings))
	for i, f := range r.findings {
		all[i] = of(f)
	}
	return strings.Join(all, "; ")
}

// judge returns nil for an index that may replace the one in use, which is nil
// where there is none yet.
func (g guard) judge(old, new *Index, c comparison) findings {
	var f findings
	g.losses(&f, old, c)
	f.moves(c.domains, "il dominio %s passa da %.80q a %.80q", "domain %s moves from %.80q to %.80q")
	f.moves(c.certs, "il certificato %s passa da %.80q a %.80q", "certificate %s moves from %.80q to %.80q")
	g.ownRecord(&f, old, new)
	return f
}

// losses refuses what lost too much at once. What came instead does not count.
func (g guard) losses(f *findings, old *Index, c comparison) {
	if old == nil {
		return
	}
	if had := len(old.providerNames()); g.tooMany(c.ProvidersRemoved, had) {
		names := fmt.Sprintf("%.80q", c.gone[:min(len(c.gone), toldSingly)])
		f.add("mancano %d gestori su %d, tra cui %s", "%d of %d providers are gone, %s among them", c.ProvidersRemoved, had, names)
	}
	if had := len(old.domains); g.tooMany(c.DomainsRemoved, had) {
		f.add("mancano %d domini su %d", "%d of %d domains are gone", c.DomainsRemoved, had)
	}
}

func (g guard) tooMany(lost, had int) bool { return float64(lost) > g.maxLoss*float64(had) }

// ownRecord refuses an index in which we are missing, or in which our record is
// not as it was and not as we publish it either.
func (g guard) ownRecord(f *findings, old, new *Index) {
	if g.own == "" {
		return
	}
	is := new.recordsOf(g.own)
	if len(is) == 0 {
		f.add("manca il nostro record %.80q", "our own record %.80q is missing", g.own)
		return
	}
	if old == nil {
		return
	}
	was := old.recordsOf(g.own)
	if len(was) == 0 && g.published == nil {
		return // we are being listed, and nothing tells how
	}
	for _, all := range []findings{
		g.ownCertificates(certificatesOf(was), certificatesOf(is)),
		g.ownDomains(domainsOf(was), domainsOf(is)),
		g.ownEnvironments(was, is),
	} {
		f.some(all, len(all))
	}
}

// ownCertificates: nobody but us knows which key of ours comes next, so that an
// unknown certificate in our record is somebody who would sign in our name.
func (g guard) ownCertificates(was, is [][]byte) (f findings) {
	ours := certificatesOf(g.published)
	for _, der := range was {
		if !containsDER(is, der) && (g.published == nil || containsDER(ours, der)) {
			f.add("il nostro record ha perso il certificato %s", "our own record lost certificate %s", fingerprint(der))
		}
	}
	for _, der := range is {
		if !containsDER(was, der) && !containsDER(ours, der) {
			f.add("il nostro record ha un certificato ignoto, %s", "our own record has an unknown certificate, %s", fingerprint(der))
		}
	}
	return f
}

// ownDomains: a domain more is a domain that is being certified.
func (g guard) ownDomains(was, is map[string]bool) (f findings) {
	ours := domainsOf(g.published)
	for _, d := range slices.Sorted(maps.Keys(was)) {
		if !is[d] && (g.published == nil || ours[d]) {
			f.add("il nostro record ha perso il dominio %s", "our own record lost domain %s", d)
		}
	}
	return f
}

// ownEnvironments: where take-charge receipts for us go is ours to say.
func (g guard) ownEnvironments(was, is []Provider) (f findings) {
	for _, p := range was {
		ours, publish := environment(g.published, p.Unit)
		now, ok := environment(is, p.Unit)
		switch {
		case !ok && (g.published == nil || publish):
			f.add("manca il nostro ambiente secondario %.80q", "our own secondary environment %.80q is missing", p.Unit)
		case ok && now.MailReceipt != p.MailReceipt && !(publish && now.MailReceipt == ours.MailReceipt):
			f.add("il nostro mailReceipt è %s, era %s", "our own mailReceipt is %s, it was %s", now.MailReceipt, p.MailReceipt)
		}
	}
	for _, p := range is {
		_, known := environment(was, p.Unit)
		if _, publish := environment(g.published, p.Unit); !known && !publish {
			f.add("ambiente secondario ignoto nel nostro record, %.80q", "unknown secondary environment in our own record, %.80q", p.Unit)
		}
	}
	return f
}

// rollback refuses an index older than the newest one that was ever taken over:
// an old one, still validly signed, may hold a certificate that was withdrawn.
// newest is zero where that is not known.
func (f *findings) rollback(signed, newest, now time.Time) {
	const form = "2006-01-02 15:04:05 MST"
	switch {
	case signed.IsZero() && !newest.IsZero():
		f.add("firmato senza data, mentre quello in uso è del %s", "signed without a time, while the one in use is of %s", newest.UTC().Format(form))
	case signed.Before(newest):
		f.add("firmato il %s, prima di quello in uso, del %s", "signed at %s, before the one in use, of %s", signed.UTC().Format(form), newest.UTC().Format(form))
	case signed.After(now.Add(signedAhead)):
		f.add("firmato nel futuro, il %s", "signed in the future, at %s", signed.UTC().Format(form))
	}
}

func environment(records []Provider, unit string) (Provider, bool) {
	i := slices.IndexFunc(records, func(p Provider) bool { return nameKey(p.Unit) == nameKey(unit) })
	if i < 0 {
		return Provider{}, false
	}
	return records[i], true
}

func certificatesOf(records []Provider) [][]byte {
	var all [][]byte
	for _, p := range records {
		for _, der := range p.Certificates {
			if !containsDER(all, der) {
				all = append(all, der)
			}
		}
	}
	return all
}

func containsDER(all [][]byte, der []byte) bool {
	return slices.ContainsFunc(all, func(o []byte) bool { return bytes.Equal(o, der) })
}

func domainsOf(records []Provider) map[string]bool {
	all := make(map[string]bool)
	for _, p := range records {
		for _, d := range p.Domains {
			all[d] = true
		}
	}
	return all
}
