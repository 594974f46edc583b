// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"pecd/alarm"
)

// Bounds of what is followed. There are some twenty providers, and a handful of CAs.
const (
	maxListURLs   = 256
	maxURLLength  = 1024
	maxWatchedCAs = 64
)

// watchedCerts are the certificates whose revocation matters, and the CAs among
// them. Certificates that have expired are left out: no list saves them.
type watchedCerts struct {
	issued      []*x509.Certificate                       // with an issuer among the authorities, other than themselves
	authorities []*x509.Certificate                       // one certificate for each name and key
	inUse       []*x509.Certificate                       // the authorities above what was issued
	below       map[*x509.Certificate][]*x509.Certificate // what each of them issued, as far as names tell
}

// watch sorts certificates. CAs whose certificate has expired stay authorities
// of nothing.
func watch(certs []*x509.Certificate, now time.Time) (w watchedCerts) {
	known := make(map[string]bool)
	certs = slices.DeleteFunc(slices.Clone(certs), func(c *x509.Certificate) bool { return now.After(c.NotAfter) })
	for _, c := range certs {
		isCA := c.IsCA || c.Version < 3
		if isCA && mayRevoke(c) && !known[issuerKey(c)] && len(w.authorities) < maxWatchedCAs {
			known[issuerKey(c)] = true
			w.authorities = append(w.authorities, c)
		}
	}
	above := make(map[string][]*x509.Certificate) // authorities by the issuer's name
	w.below = make(map[*x509.Certificate][]*x509.Certificate)
	for _, c := range certs {
		if bytes.Equal(c.RawIssuer, c.RawSubject) {
			continue
		}
		cas, ok := above[string(c.RawIssuer)]
		if !ok {
			for _, ca := range w.authorities {
				if sameName(c.RawIssuer, ca.RawSubject) {
					cas = append(cas, ca)
				}
			}
			above[string(c.RawIssuer)] = cas
		}
		found := false
		for _, ca := range cas {
			// A CA that changed its key under the same name has two; the old
			// one's lists end with it.
			if len(c.AuthorityKeyId) > 0 && len(ca.SubjectKeyId) > 0 && !bytes.Equal(c.AuthorityKeyId, ca.SubjectKeyId) {
				continue
			}
			found, w.below[ca] = true, append(w.below[ca], c)
		}
		if found {
			w.issued = append(w.issued, c)
		}
	}
	w.inUse = slices.DeleteFunc(slices.Clone(w.authorities), func(ca *x509.Certificate) bool { return len(w.below[ca]) == 0 })
	return w
}

// urls returns the addresses to fetch from: those given, then the distribution
// points of the certificates watched (RFC 5280 §4.2.1.13). A certificate whose
// issuer is not known has none: its list would be refused.
func (w watchedCerts) urls(given []string) []string {
	out := slices.Clone(given)
	seen := make(map[string]bool)
	for _, u := range given {
		seen[u] = true
	}
	for _, c := range w.issued {
		for _, u := range c.CRLDistributionPoints {
			if !seen[u] && isListURL(u) && len(out) < maxListURLs {
				seen[u] = true
				out = append(out, u)
			}
		}
	}
	return out
}

// isListURL says whether an address can be fetched from. Certificates name LDAP
// servers as well. A password in it would end up in logs.
func isListURL(address string) bool {
	if len(address) > maxURLLength {
		return false
	}
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
}

// follow makes the sources those of the addresses.
func (l *RevocationLists) follow(urls []string) {
	wanted := make(map[string]*listSource, len(urls))
	for _, u := range urls {
		s := l.sources[u]
		if s == nil {
			s = &listSource{url: u}
		}
		wanted[u] = s
	}
	l.sources = wanted
}

// judge raises or clears the alarm. A list in its time of grace is past its
// time: the operator is to know before mail waits.
func (l *RevocationLists) judge(w watchedCerts) {
	now := l.cfg.Clock.Now()
	var it, en []string
	for _, ca := range w.inUse {
		missing, ended := l.lacking(ca, w.below[ca], now)
		switch {
		case missing && l.cfg.Policy.Mode != RevocationOff:
			it = append(it, fmt.Sprintf("manca quella di %q", ca.Subject))
			en = append(en, fmt.Sprintf("that of %q is missing", ca.Subject))
		case !ended.IsZero():
			end := ended.UTC().Format(time.RFC3339)
			it = append(it, fmt.Sprintf("quella di %q è scaduta il %s", ca.Subject, end))
			en = append(en, fmt.Sprintf("that of %q ended on %s", ca.Subject, end))
		}
	}
	if len(it) == 0 {
		l.cfg.Alarms.Clear(alarm.RevocationStale)
		return
	}
	l.cfg.Alarms.Raise(alarm.RevocationStale, "liste di revoca: "+strings.Join(it, "; ")+" / revocation lists: "+strings.Join(en, "; "))
}

// lacking says whether one of the certificates that a CA issued has no list, and
// when the first of their lists ended, zero where all are within their time.
func (l *RevocationLists) lacking(ca *x509.Certificate, issued []*x509.Certificate, now time.Time) (missing bool, ended time.Time) {
	for _, c := range issued {
		list, ok := l.newest(ca, c)
		if !ok {
			missing = true
			continue
		}
		if end := l.cfg.Policy.end(list); !l.cfg.Policy.current(list, now) && (ended.IsZero() || end.Before(ended)) {
			ended = end
		}
	}
	return missing, ended
}

// sortedKeys returns the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
