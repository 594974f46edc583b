// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"
)

// Extensions that tell which lists are for which certificates.
var (
	oidDistributionPoints = asn1.ObjectIdentifier{2, 5, 29, 31}
	oidIssuingPoint       = asn1.ObjectIdentifier{2, 5, 29, 28}
)

const (
	// maxPointNames bounds the names of distribution points that are compared.
	maxPointNames = 64
	// tagDirectoryName is a Name as a GeneralName (RFC 5280 §4.2.1.6).
	tagDirectoryName = 0xa4
)

var errListScope = errors.New("a revocation list of limited scope")

// scope is which certificates of its CA a list speaks of (RFC 5280 §5.2.5). The
// zero value: of all. A CA may cut its list in parts by distribution point.
type scope struct {
	points    []string // names of the distribution point, sorted; none: every one
	onlyUsers bool     // not of CA certificates
	onlyCAs   bool     // of CA certificates alone
}

// scopeOf reads the scope of a list. Lists that say less than everything about
// the certificates they speak of (other issuers' entries, some reasons only)
// are an error, because reading them as whole would let a revoked certificate
// pass.
func scopeOf(list *x509.RevocationList) (s scope, err error) {
	for _, e := range list.Extensions {
		if !e.Id.Equal(oidIssuingPoint) {
			continue
		}
		var point struct {
			Point        asn1.RawValue  `asn1:"optional,tag:0"`
			OnlyUsers    bool           `asn1:"optional,tag:1"`
			OnlyCAs      bool           `asn1:"optional,tag:2"`
			SomeReasons  asn1.BitString `asn1:"optional,tag:3"`
			Indirect     bool           `asn1:"optional,tag:4"`
			OnlyAttrCert bool           `asn1:"optional,tag:5"`
		}
		if _, err := asn1.Unmarshal(e.Value, &point); err != nil {
			return s, err
		}
		if point.OnlyUsers && point.OnlyCAs || point.SomeReasons.BitLength > 0 || point.Indirect || point.OnlyAttrCert {
			return s, errListScope
		}
		s = scope{onlyUsers: point.OnlyUsers, onlyCAs: point.OnlyCAs}
		if len(point.Point.FullBytes) > 0 {
			if s.points, err = pointNames(point.Point.Bytes); err != nil {
				return s, err
			}
			slices.Sort(s.points)
		}
	}
	return s, nil
}

// pointNames reads a DistributionPointName: one of its names at least. A name
// relative to the CA's is not read: no CA of PEC has one.
func pointNames(der []byte) (names []string, err error) {
	r := derReader(der)
	full, err := r.expect(tagCtx0)
	if err != nil {
		return nil, errListScope
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	for r = derReader(full.body); len(r) > 0; {
		e, err := r.next()
		if err != nil {
			return nil, err
		}
		if names = append(names, pointName(e.tag, e.body)); len(names) > maxPointNames {
			return nil, errListScope
		}
	}
	if len(names) == 0 {
		return nil, errListScope
	}
	return names, nil
}

// pointName is a GeneralName for comparison, octet by octet.
func pointName(tag byte, body []byte) string { return string(tag) + string(body) }

// key tells scopes apart; "" is that of a list of everything.
func (s scope) key() string {
	var b strings.Builder
	switch {
	case s.onlyUsers:
		b.WriteByte('u')
	case s.onlyCAs:
		b.WriteByte('c')
	}
	for _, p := range s.points {
		b.WriteByte(0)
		b.WriteString(p)
	}
	return b.String()
}

// covers says whether a list of the scope tells whether c is revoked (RFC 5280
// §6.3.3 (b)(2)): c is of the kind, and one of its distribution points has a
// name of the list's. Beside those that c names there is one with the name of
// its issuer.
func (s scope) covers(c *x509.Certificate) bool {
	if isCA := c.BasicConstraintsValid && c.IsCA; isCA && s.onlyUsers || !isCA && s.onlyCAs {
		return false
	}
	if len(s.points) == 0 {
		return true
	}
	known := func(name string) bool { return slices.Contains(s.points, name) }
	return known(pointName(tagDirectoryName, c.RawIssuer)) || slices.ContainsFunc(distributionPoints(c), known)
}

// distributionPoints returns the names of the distribution points of a
// certificate whose lists its own issuer signs (RFC 5280 §4.2.1.13).
func distributionPoints(c *x509.Certificate) (names []string) {
	for _, e := range c.Extensions {
		if !e.Id.Equal(oidDistributionPoints) {
			continue
		}
		var points []struct {
			Point   asn1.RawValue  `asn1:"optional,tag:0"`
			Reasons asn1.BitString `asn1:"optional,tag:1"`
			Issuer  asn1.RawValue  `asn1:"optional,tag:2"`
		}
		if rest, err := asn1.Unmarshal(e.Value, &points); err != nil || len(rest) > 0 {
			return nil
		}
		for _, p := range points {
			if len(p.Issuer.FullBytes) > 0 || len(p.Point.FullBytes) == 0 {
				continue
			}
			if more, err := pointNames(p.Point.Bytes); err == nil && len(names)+len(more) <= maxPointNames {
				names = append(names, more...)
			}
		}
	}
	return names
}

// scopedList is a list with what it speaks of.
type scopedList struct {
	*x509.RevocationList
	scope scope
}
