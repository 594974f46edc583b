// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"crypto"
	"crypto/x509"
	"slices"
	"sync"
)

// listSet is revocation lists by the key that signed them. It is safe for
// concurrent use.
type listSet struct {
	mu    sync.Mutex
	lists []*x509.RevocationList // newest first
	// checked remembers whose key signed which lists, newest first, one of each
	// scope: checking a signature hashes the whole list, and the same few CAs
	// come back with every message.
	checked map[string][]scopedList
}

// replace exchanges the lists.
func (s *listSet) replace(lists []*x509.RevocationList) {
	slices.SortStableFunc(lists, func(a, b *x509.RevocationList) int { return compareLists(b, a) })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists, s.checked = lists, make(map[string][]scopedList)
}

// RevocationList implements CRLSource: the newest list with the CA's name that
// the CA's key signed and that speaks of c.
func (s *listSet) RevocationList(issuer, c *x509.Certificate) (*x509.RevocationList, bool) {
	for _, list := range s.listsOf(issuer) {
		if list.scope.covers(c) {
			return list.RevocationList, true
		}
	}
	return nil, false
}

// listsOf returns a CA's lists, the newest of each scope, newest first. They
// must not be changed.
func (s *listSet) listsOf(issuer *x509.Certificate) []scopedList {
	if !mayRevoke(issuer) {
		return nil
	}
	key := issuerKey(issuer)
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.checked[key]
	if ok {
		return found
	}
	have := make(map[string]bool)
	for _, list := range s.lists {
		if !sameName(list.RawIssuer, issuer.RawSubject) {
			continue
		}
		// Lists that were parsed have a scope that can be read.
		scope, err := scopeOf(list)
		if err == nil && !have[scope.key()] && signedList(list, issuer) {
			have[scope.key()] = true
			found = append(found, scopedList{list, scope})
		}
	}
	// Issuers are CAs on a verified path, so the map stays small.
	s.checked[key] = found
	return found
}

// issuerKey names a CA by its name and key: certificates of the same key are
// the same CA.
func issuerKey(c *x509.Certificate) string {
	return string(c.RawSubject) + string(c.RawSubjectPublicKeyInfo)
}

// mayRevoke says whether a CA's certificate admits signatures on revocation lists.
func mayRevoke(c *x509.Certificate) bool {
	return c.KeyUsage == 0 || c.KeyUsage&x509.KeyUsageCRLSign != 0
}

// compareLists orders two lists of one CA by their age: thisUpdate, then number.
func compareLists(a, b *x509.RevocationList) int {
	if c := a.ThisUpdate.Compare(b.ThisUpdate); c != 0 || a.Number == nil || b.Number == nil {
		return c
	}
	return a.Number.Cmp(b.Number)
}

// signedList says whether the CA's key signed the list.
func signedList(list *x509.RevocationList, issuer *x509.Certificate) bool {
	switch list.SignatureAlgorithm {
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1:
		return checkSignature(issuer.PublicKey, crypto.SHA1, digest(crypto.SHA1, list.RawTBSRevocationList), list.Signature)
	}
	return issuer.CheckSignature(list.SignatureAlgorithm, list.RawTBSRevocationList, list.Signature) == nil
}
