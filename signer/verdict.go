// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"crypto"
	"crypto/x509"
	"time"
)

// Origins finds the provider that owns a certificate: the index of PEC
// providers (RFC 6109 §4.5). Implementations are safe for concurrent use and
// may swap their contents between calls.
type Origins interface {
	// ProviderByCertificate looks c up by its SHA-1 hash and compares the
	// encoded certificate octet by octet (RFC 6109 §2.2.2).
	ProviderByCertificate(c *x509.Certificate) (Origin, bool)
}

// Origin is the provider, or its secondary operating environment, that owns a
// signing certificate.
type Origin struct {
	Provider    string // providerName
	Unit        string // providerUnit, "" for the main environment
	MailReceipt string // address that take-charge receipts go to
	// Domains says whether a domain is among the record's managedDomains,
	// whatever its case. Nil where the record is not known.
	Domains func(domain string) bool
}

// Step names a step of the verification of a signature, in the order of the
// incoming point (RFC 6109 §2.2.2).
type Step string

// The steps in their order.
const (
	StepOK                Step = ""                   // nothing failed
	StepExistence         Step = "existence"          // no signature there
	StepForm              Step = "form"               // a CMS structure that cannot be read
	StepOrigin            Step = "origin"             // the certificate is of no provider in the index
	StepValue             Step = "value"              // content, attributes or signature do not fit together
	StepChain             Step = "chain"              // no path to a trust anchor
	StepTime              Step = "time"               // a certificate was not valid at the time
	StepRevoked           Step = "revoked"            // a certificate is on its issuer's revocation list
	StepUnknownRevocation Step = "unknown revocation" // no current revocation list, and policy wants one
	StepAddress           Step = "address"            // the certificate is not for the From address
	// StepRead is no verdict on the signature: the content could not be read.
	// Verdict.Err has the cause; try again.
	StepRead Step = "read"
)

// Verdict is the outcome of a verification: the first step that failed, and
// what is known of the signer up to there.
type Verdict struct {
	Failed   Step
	Reason   string // Italian, one sentence without a full stop; "" when OK
	ReasonEN string // the same in English
	// Err is set with StepRead only: reading the content failed.
	Err error
	// Certificate is the signer's as found in the signature; nil before StepOrigin.
	Certificate *x509.Certificate
	// OriginChecked says that the certificate was looked up in an index; false
	// where the Verifier has none, and an OK verdict then says nothing on the origin.
	OriginChecked bool
	Origin        Origin
	// SigningTime is what the signer claims; zero when it claims nothing.
	SigningTime time.Time
	// Digest is the hash the content was signed with; 0 when not known.
	Digest crypto.Hash
	// ContentDigest is the digest of the content read; nil before StepValue. With
	// the certificate it names what was signed, whatever else the signature's
	// encoding carries.
	ContentDigest []byte
}

// OK reports whether every step passed.
func (v Verdict) OK() bool { return v.Failed == StepOK }

// fail marks the step that failed and says why.
func (v Verdict) fail(s Step, why reason) Verdict {
	v.Failed, v.Reason, v.ReasonEN = s, why.it, why.en
	return v
}

// reason is why a step failed, in both languages. The zero value is no reason.
type reason struct{ it, en string }

// because returns a reason from its Italian and English text.
func because(it, en string) reason { return reason{it, en} }

// Error implements error in English, for logs.
func (r reason) Error() string { return r.en }

// text is what a user reads: Italian first.
func (r reason) text() string { return r.it + " / " + r.en }
