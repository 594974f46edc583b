// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"strings"
	"time"

	"pecd/fault"
)

// ProfileRule names a rule of the profile of PEC signing certificates (RFC 6109 §5.5).
type ProfileRule string

// The rules.
const (
	RuleProviderName     ProfileRule = "subject"                // CN or O holds the provider's name
	RuleAddress          ProfileRule = "subjectAltName"         // holds the service address, not critical
	RuleKeyUsage         ProfileRule = "keyUsage"               // there, critical, with digitalSignature
	RuleAuthorityKey     ProfileRule = "authorityKeyIdentifier" // there, not critical
	RuleSubjectKey       ProfileRule = "subjectKeyIdentifier"   // there, not critical
	RuleBasicConstraints ProfileRule = "basicConstraints"       // not there
	RuleNoOtherCritical  ProfileRule = "critical extension"     // nothing else critical
	// RuleEmailPurpose is not in RFC 6109: mail clients refuse a certificate
	// whose extended key usages leave e-mail protection out.
	RuleEmailPurpose ProfileRule = "extKeyUsage"
	RuleValidity     ProfileRule = "validity" // valid at the time asked about
)

// BrokenRule is one rule that a certificate breaks.
type BrokenRule struct {
	Rule      ProfileRule
	Text      string // Italian
	TextEN    string
	Extension string // the extension's object identifier, where it matters
}

// ProfileError lists every rule that a certificate breaks, in the order of the rules.
type ProfileError []BrokenRule

// Error implements error: the rules and what is wrong, in English.
func (e ProfileError) Error() string {
	parts := make([]string, len(e))
	for i, b := range e {
		parts[i] = string(b.Rule) + ": " + b.TextEN
	}
	return "certificate profile (RFC 6109 §5.5): " + strings.Join(parts, "; ")
}

// Has reports whether the rule is among the broken ones.
func (e ProfileError) Has(r ProfileRule) bool {
	return slices.ContainsFunc(e, func(b BrokenRule) bool { return b.Rule == r })
}

// The extensions the profile speaks of (RFC 5280 §4.2.1).
var (
	extSubjectKey       = asn1.ObjectIdentifier{2, 5, 29, 14}
	extKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	extSubjectAltName   = asn1.ObjectIdentifier{2, 5, 29, 17}
	extBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	extAuthorityKey     = asn1.ObjectIdentifier{2, 5, 29, 35}
	extExtKeyUsage      = asn1.ObjectIdentifier{2, 5, 29, 37}
)

// CheckProfile checks a signing certificate against RFC 6109 §5.5 for the
// provider with that name and service address, and its validity at the time.
// The error is Invalid, its text names every broken rule in Italian and
// English, and its cause is a ProfileError.
func CheckProfile(c *x509.Certificate, providerName, serviceAddress string, at time.Time) error {
	var broken ProfileError
	add := func(rule ProfileRule, why reason) {
		if why != (reason{}) {
			broken = append(broken, BrokenRule{Rule: rule, Text: why.it, TextEN: why.en})
		}
	}
	add(RuleProviderName, checkName(c, providerName))
	add(RuleAddress, checkAddress(c, serviceAddress))
	add(RuleKeyUsage, checkKeyUsage(c))
	add(RuleAuthorityKey, checkIdentifier(c, extAuthorityKey))
	add(RuleSubjectKey, checkIdentifier(c, extSubjectKey))
	if _, ok := criticality(c, extBasicConstraints); ok {
		add(RuleBasicConstraints, because("presente, ma non ammesso", "present, but not allowed"))
	}
	for _, e := range c.Extensions {
		profiled := slices.ContainsFunc([]asn1.ObjectIdentifier{extSubjectKey, extKeyUsage, extSubjectAltName, extBasicConstraints, extAuthorityKey}, e.Id.Equal)
		if e.Critical && !profiled {
			broken = append(broken, BrokenRule{Rule: RuleNoOtherCritical, Extension: e.Id.String(),
				Text: "estensione " + e.Id.String() + " critica", TextEN: "extension " + e.Id.String() + " is critical"})
		}
	}
	if !admits(c, x509.ExtKeyUsageEmailProtection) {
		add(RuleEmailPurpose, because("manca emailProtection", "emailProtection is missing"))
	}
	if at.Before(c.NotBefore) {
		add(RuleValidity, because("non ancora valido alla data", "not yet valid"))
	}
	if at.After(c.NotAfter) {
		add(RuleValidity, because("scaduto alla data", "expired"))
	}
	if len(broken) == 0 {
		return nil
	}
	return &fault.Error{Op: "signer.CheckProfile", Kind: fault.Invalid, Err: broken, Text: broken.text()}
}

// text is what the operator reads, Italian first.
func (e ProfileError) text() string {
	var it, en []string
	for _, b := range e {
		it = append(it, string(b.Rule)+": "+b.Text)
		en = append(en, string(b.Rule)+": "+b.TextEN)
	}
	return "il certificato di firma non rispetta il profilo PEC (" + strings.Join(it, "; ") +
		") / the signing certificate breaks the PEC profile (" + strings.Join(en, "; ") + ")"
}

// checkName wants the provider's name in CN or O, ignoring case and spacing.
func checkName(c *x509.Certificate, name string) reason {
	want := plain(name)
	if want == "" {
		return because("nome del gestore non indicato", "no provider name given")
	}
	for _, v := range append([]string{c.Subject.CommonName}, c.Subject.Organization...) {
		if strings.Contains(plain(v), want) {
			return reason{}
		}
	}
	return because("il nome del gestore \""+name+"\" non è in CN né in O", "the provider's name \""+name+"\" is neither in CN nor in O")
}

// plain is s in lower case with single spaces.
func plain(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

// checkAddress wants the service address among the rfc822Names.
func checkAddress(c *x509.Certificate, address string) reason {
	critical, ok := criticality(c, extSubjectAltName)
	switch {
	case !ok:
		return because("manca", "missing")
	case critical:
		return because("non deve essere critico", "must not be critical")
	case !slices.ContainsFunc(c.EmailAddresses, func(a string) bool { return strings.EqualFold(a, address) }):
		return because("non contiene l'indirizzo di servizio "+address, "does not hold the service address "+address)
	}
	return reason{}
}

// checkKeyUsage wants a critical keyUsage with digitalSignature.
func checkKeyUsage(c *x509.Certificate) reason {
	critical, ok := criticality(c, extKeyUsage)
	switch {
	case !ok:
		return because("manca", "missing")
	case !critical:
		return because("deve essere critico", "must be critical")
	case c.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return because("manca digitalSignature", "digitalSignature is missing")
	}
	return reason{}
}

// checkIdentifier wants a key identifier, not critical.
func checkIdentifier(c *x509.Certificate, ext asn1.ObjectIdentifier) reason {
	critical, ok := criticality(c, ext)
	switch {
	case !ok:
		return because("manca", "missing")
	case critical:
		return because("non deve essere critico", "must not be critical")
	}
	return reason{}
}

// criticality looks an extension up.
func criticality(c *x509.Certificate, ext asn1.ObjectIdentifier) (critical, ok bool) {
	for _, e := range c.Extensions {
		if e.Id.Equal(ext) {
			return e.Critical, true
		}
	}
	return false, false
}
