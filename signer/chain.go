// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"slices"
	"strings"
	"time"
)

// Bounds of the search for a path: PEC chains have two or three certificates.
const (
	maxPathLength       = 6
	maxPathSignatures   = 48 // certificate signatures checked for one message
	maxIssuersOfOneCert = 16
	maxAddresses        = 64 // rfc822Names of a signing certificate, checked against every constraint
)

// trust is what a path may lead to and through.
//
// crypto/x509 is not asked for the path because production does not fit it: the
// same CA key was certified four times with different periods and name
// constraints, signing certificates are older than the CA certificate at hand,
// the anchors are intermediates of public CAs, and older certificates carry
// SHA-1 signatures.
type trust struct {
	roots         []*x509.Certificate
	intermediates []*x509.Certificate
	allowSHA1     bool
	purpose       x509.ExtKeyUsage // that leaf and CAs must admit; ExtKeyUsageAny: none
}

// pathResult is the best path found and what is wrong with it.
type pathResult struct {
	path []*x509.Certificate // leaf first, anchor last
	step Step                // StepOK, StepChain or StepTime
	why  reason
}

// pathSearch is one search. It is used once.
type pathSearch struct {
	trust
	extra   []*x509.Certificate // out of the message: not trusted, may lie
	leaf    *x509.Certificate
	at      time.Time
	left    int // signature checks left
	best    pathResult
	closest int // how far the best refusal got, to report the most telling one
}

// How telling a refusal is.
const (
	refusedNoIssuer = iota + 1
	refusedSignature
	refusedUse
	refusedConstraint
)

// findPath looks for a path from leaf to an anchor, at the time at.
func (t trust) findPath(leaf *x509.Certificate, extra []*x509.Certificate, at time.Time) pathResult {
	if why := t.leafUse(leaf); why != (reason{}) {
		return pathResult{step: StepChain, why: why}
	}
	s := &pathSearch{trust: t, extra: extra, leaf: leaf, at: at, left: maxPathSignatures}
	s.best.step = StepChain
	s.refuse(refusedNoIssuer, because("nessuna catena di certificati fino a un'autorità riconosciuta",
		"no chain of certificates to a trusted authority"))
	path := []*x509.Certificate{leaf}
	if slices.ContainsFunc(t.roots, leaf.Equal) {
		s.complete(path)
	} else {
		s.climb(path)
	}
	return s.best
}

// leafUse says why a certificate may not sign messages.
func (t trust) leafUse(c *x509.Certificate) reason {
	if len(c.UnhandledCriticalExtensions) > 0 {
		return because("il certificato ha un'estensione critica sconosciuta", "the certificate has an unknown critical extension")
	}
	if len(c.EmailAddresses) > maxAddresses {
		return because("il certificato ha troppi indirizzi", "the certificate has too many addresses")
	}
	if c.KeyUsage != 0 && c.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0 {
		return because("il certificato non è per la firma (keyUsage)", "the certificate is not for signatures (keyUsage)")
	}
	if !admits(c, t.purpose) {
		return because("il certificato non è per quest'uso (extendedKeyUsage)", "the certificate is not for this use (extendedKeyUsage)")
	}
	return reason{}
}

// admits says whether the extended key usages, if any, include a purpose.
func admits(c *x509.Certificate, purpose x509.ExtKeyUsage) bool {
	if purpose == x509.ExtKeyUsageAny || len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 {
		return true
	}
	return slices.Contains(c.ExtKeyUsage, purpose) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// climb extends path by every possible issuer, best ones first, until a path
// without fault is found. Its depth is bounded by maxPathLength.
func (s *pathSearch) climb(path []*x509.Certificate) {
	last := path[len(path)-1]
	tried := 0
	for from, list := range [][]*x509.Certificate{s.roots, s.intermediates, s.extra} {
		for _, up := range list {
			if s.best.step == StepOK || tried == maxIssuersOfOneCert || s.left == 0 {
				return
			}
			if !sameName(last.RawIssuer, up.RawSubject) || slices.ContainsFunc(path, up.Equal) {
				continue
			}
			tried++
			if rank, why := s.issued(path, up, from == 0); rank != 0 {
				s.refuse(rank, why)
				continue
			}
			next := append(slices.Clip(path), up)
			if from == 0 {
				s.complete(next)
			} else if len(next) < maxPathLength {
				s.climb(next)
			}
		}
	}
}

// issued says why up cannot be the issuer of the last certificate of path. Only
// an anchor may be of a version older than basicConstraints.
func (s *pathSearch) issued(path []*x509.Certificate, up *x509.Certificate, anchor bool) (rank int, why reason) {
	last := path[len(path)-1]
	s.left--
	if why := checkIssued(last, up, s.allowSHA1); why != (reason{}) {
		return refusedSignature, why
	}
	if (up.Version >= 3 || !anchor) && (!up.BasicConstraintsValid || !up.IsCA) {
		return refusedUse, because("il certificato dell'emittente non è di una CA", "the issuer's certificate is not a CA certificate")
	}
	if up.KeyUsage != 0 && up.KeyUsage&x509.KeyUsageCertSign == 0 {
		return refusedUse, because("la CA non può emettere certificati (keyUsage)", "the CA may not sign certificates (keyUsage)")
	}
	if len(up.UnhandledCriticalExtensions) > 0 {
		return refusedUse, because("il certificato della CA ha un'estensione critica sconosciuta", "the CA certificate has an unknown critical extension")
	}
	if !admits(up, s.purpose) {
		return refusedUse, because("la CA non è per quest'uso (extendedKeyUsage)", "the CA is not for this use (extendedKeyUsage)")
	}
	below := len(path) - 1 // CA certificates under up
	if up.BasicConstraintsValid && (up.MaxPathLen > 0 || up.MaxPathLenZero) && below > up.MaxPathLen {
		return refusedConstraint, because("catena di certificati troppo lunga per la CA", "chain longer than the CA admits")
	}
	for _, address := range s.leaf.EmailAddresses {
		if !admitsAddress(up, address) {
			return refusedConstraint, because("la CA non è autorizzata per l'indirizzo del certificato (nameConstraints)",
				"the CA is not allowed to certify the address (nameConstraints)")
		}
	}
	return 0, reason{}
}

// refuse keeps the most telling refusal.
func (s *pathSearch) refuse(rank int, why reason) {
	if s.best.step == StepChain && rank > s.closest {
		s.closest, s.best.why = rank, why
	}
}

// complete judges the periods of a path that reached an anchor.
//
// A CA certificate must not have expired; that it began after the message, or
// after the certificate it issued, is no fault: a CA certified anew with the
// same key was valid before under a certificate that is not at hand.
func (s *pathSearch) complete(path []*x509.Certificate) {
	r := pathResult{path: path}
	switch leaf := path[0]; {
	case s.at.Before(leaf.NotBefore):
		r.step, r.why = StepTime, because("il certificato di firma non era ancora valido", "the signing certificate was not yet valid")
	case s.at.After(leaf.NotAfter):
		r.step, r.why = StepTime, because("il certificato di firma era scaduto", "the signing certificate had expired")
	}
	for _, ca := range path[1:] {
		if r.step == StepOK && s.at.After(ca.NotAfter) {
			r.step, r.why = StepTime, because("il certificato della CA era scaduto", "the CA certificate had expired")
		}
	}
	if r.step == StepOK || s.best.step != StepTime {
		s.best = r
	}
}

// checkIssued says why up did not sign c; the zero reason when it did.
func checkIssued(c, up *x509.Certificate, allowSHA1 bool) reason {
	wrong := because("la firma della CA sul certificato non è valida", "the CA's signature on the certificate is not valid")
	if key, ok := up.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxRSABits {
		return because("chiave RSA della CA troppo lunga", "the CA's RSA key is too long")
	}
	switch c.SignatureAlgorithm {
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1:
		if !allowSHA1 {
			return because("certificato firmato con SHA-1, non ammesso", "certificate signed with SHA-1, which is not admitted")
		}
		if !checkSignature(up.PublicKey, crypto.SHA1, digest(crypto.SHA1, c.RawTBSCertificate), c.Signature) {
			return wrong
		}
		return reason{}
	}
	if up.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) != nil {
		return wrong
	}
	return reason{}
}

// admitsAddress applies the rfc822Name constraints of a CA (RFC 5280 §4.2.1.10)
// as far as crypto/x509 reads them; directoryName constraints, which it does
// not, are left out. A constraint is a mailbox, a host, or ".domain" for every
// host below a domain.
func admitsAddress(ca *x509.Certificate, address string) bool {
	matches := func(constraint string) bool {
		at := strings.LastIndexByte(address, '@')
		if at < 0 {
			return false
		}
		host := address[at+1:]
		switch {
		case strings.Contains(constraint, "@"):
			return strings.EqualFold(constraint, address)
		case strings.HasPrefix(constraint, "."):
			return len(host) > len(constraint) && strings.EqualFold(host[len(host)-len(constraint):], constraint)
		}
		return strings.EqualFold(constraint, host)
	}
	if slices.ContainsFunc(ca.ExcludedEmailAddresses, matches) {
		return false
	}
	return len(ca.PermittedEmailAddresses) == 0 || slices.ContainsFunc(ca.PermittedEmailAddresses, matches)
}
