// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"crypto/x509"
	"time"
)

// CRLSource finds revocation lists. Implementations are safe for concurrent use.
type CRLSource interface {
	// RevocationList returns the newest list of a CA that speaks of the
	// certificate c, which the CA issued: a CA may keep a list for each part of
	// its certificates (RFC 5280 §5.2.5). The source has checked the list's
	// signature by the CA's key. Whether it is still current is the caller's
	// business.
	RevocationList(issuer, c *x509.Certificate) (*x509.RevocationList, bool)
}

// RevocationMode says what the lack of a current revocation list means. A
// certificate that is on a list, however old, is revoked in every mode.
type RevocationMode uint8

// The modes. Past their bounds, and without any list, the revocation of a
// certificate is unknown (StepUnknownRevocation): neither valid nor false.
const (
	RevocationOff    RevocationMode = iota // lists are used; that there is none is no failure
	RevocationGrace                        // the last list counts for a time of grace after its end
	RevocationStrict                       // a list counts until its end
)

// defaultGrace is how long the last list counts after its end, unless told otherwise.
const defaultGrace = 24 * time.Hour

// RevocationPolicy is what a verification wants of revocation lists (RFC 6109
// §2.2.2). The zero value uses those that are there and demands none.
type RevocationPolicy struct {
	Mode RevocationMode
	// Grace is the time of grace of RevocationGrace. Zero: 24 hours.
	Grace time.Duration
	// MaxAge ends a list that long after its thisUpdate, even when its
	// nextUpdate is later. Zero: no such limit.
	MaxAge time.Duration
}

// end returns when a list is out of date; the zero time when it never is.
func (p RevocationPolicy) end(list *x509.RevocationList) time.Time {
	end := list.NextUpdate
	if p.MaxAge > 0 {
		if oldest := list.ThisUpdate.Add(p.MaxAge); end.IsZero() || oldest.Before(end) {
			end = oldest
		}
	}
	return end
}

// current says whether a list is within its time.
func (p RevocationPolicy) current(list *x509.RevocationList, at time.Time) bool {
	end := p.end(list)
	return end.IsZero() || !at.After(end)
}

// admits says whether a certificate that is not on the list may pass, where the
// policy demands a list.
func (p RevocationPolicy) admits(list *x509.RevocationList, at time.Time) bool {
	if p.Mode == RevocationGrace {
		grace := p.Grace
		if grace == 0 {
			grace = defaultGrace
		}
		at = at.Add(-grace)
	}
	return p.current(list, at)
}

// revocation checks every certificate of a path, the leaf first and the anchor
// last, against the list of the one above it. That one of them was revoked
// tells more than that nothing is known of another.
func (v *Verifier) revocation(path []*x509.Certificate, at time.Time) (Step, reason) {
	unknown := false
	for i := range len(path) - 1 {
		var list *x509.RevocationList
		ok := false
		if v.cfg.CRLs != nil {
			list, ok = v.cfg.CRLs.RevocationList(path[i+1], path[i])
		}
		if ok && revoked(list, path[i], at) {
			return StepRevoked, because("il certificato era revocato", "the certificate was revoked")
		}
		unknown = unknown || !ok || !v.cfg.Revocation.admits(list, at)
	}
	if unknown && v.cfg.Revocation.Mode != RevocationOff {
		return StepUnknownRevocation, because("la lista di revoca della CA manca o non è aggiornata",
			"the CA's revocation list is missing or out of date")
	}
	return StepOK, reason{}
}

// revoked says whether a list names a certificate, as of the time. A list past
// its end still tells who was revoked; only that a certificate is not on it
// means nothing any more.
func revoked(list *x509.RevocationList, c *x509.Certificate, at time.Time) bool {
	for i := range list.RevokedCertificateEntries {
		e := &list.RevokedCertificateEntries[i]
		if e.SerialNumber.Cmp(c.SerialNumber) == 0 && !e.RevocationTime.After(at) {
			return true
		}
	}
	return false
}
