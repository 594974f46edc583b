// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"crypto/x509"
	"io"
	"slices"
	"strings"
	"time"
)

// VerifierConfig is what a Verifier trusts and admits.
type VerifierConfig struct {
	// Roots are the trust anchors, usually the AgID CA certificates themselves;
	// an anchor may be an intermediate of another CA. Give every certificate of
	// a CA key that was certified several times.
	Roots []*x509.Certificate
	// Intermediates may be used on the way to an anchor.
	Intermediates []*x509.Certificate
	// Origins is the index of providers. Nil: the origin is not checked.
	Origins Origins
	// CRLs are the revocation lists. Nil: none.
	CRLs CRLSource
	// AllowSHA1Digests admits signatures over SHA-1 digests, as providers still
	// send them.
	AllowSHA1Digests bool
	// AllowSHA1 admits certificates that their CA signed with SHA-1, as before 2016.
	AllowSHA1 bool
	// Revocation says what the lack of a current revocation list means. The
	// zero value: nothing.
	Revocation RevocationPolicy
}

// PECConfig returns the configuration that PEC traffic needs, with the anchors
// given: SHA-1 admitted, revocation lists used where there are any.
func PECConfig(roots ...*x509.Certificate) VerifierConfig {
	return VerifierConfig{Roots: roots, AllowSHA1Digests: true, AllowSHA1: true}
}

// Verifier checks the signatures of received messages. It does not change once
// made and is safe for concurrent use.
type Verifier struct {
	cfg VerifierConfig
}

// NewVerifier returns a Verifier. Without Roots every signature fails at StepChain.
func NewVerifier(cfg VerifierConfig) *Verifier {
	cfg.Roots = slices.Clone(cfg.Roots)
	cfg.Intermediates = slices.Clone(cfg.Intermediates)
	return &Verifier{cfg: cfg}
}

// trust returns what a path may lead through.
func (v *Verifier) trust(purpose x509.ExtKeyUsage) trust {
	return trust{roots: v.cfg.Roots, intermediates: v.cfg.Intermediates, allowSHA1: v.cfg.AllowSHA1, purpose: purpose}
}

// Verify checks the detached signature p7s (the decoded contents of smime.p7s,
// DER or BER) over content: the exact octets of the signed entity, from the
// first octet of its header. content is read at most once, up to its end, with
// the hash that the signature names; it is not read when an earlier step fails.
// at is the time of reception, from the address in the From field.
//
// The steps are those of RFC 6109 §2.2.2 and stop at the first that fails. One
// signer is expected; of several, the first whose certificate is in the index
// counts, or the first that has a certificate. A nil content is an empty one.
func (v *Verifier) Verify(p7s []byte, content io.Reader, at time.Time, from string) Verdict {
	var verdict Verdict
	if len(p7s) == 0 {
		return verdict.fail(StepExistence, because("il messaggio non è firmato", "the message is not signed"))
	}
	sd, err := readSignedData(p7s, berLimits{bytes: maxSignatureBytes, depth: maxDepth, elements: maxElements})
	if err != nil {
		return verdict.fail(StepForm, because("la firma non è leggibile", "the signature is unreadable: "+err.Error()))
	}
	if len(sd.signers) == 0 {
		return verdict.fail(StepExistence, because("la struttura di firma non contiene firme", "the signature structure has no signature inside"))
	}
	si := v.pick(sd, &verdict)
	if verdict.Certificate == nil {
		return verdict.fail(StepForm, because("il certificato del firmatario manca o non è leggibile", "the signer's certificate is missing or unreadable"))
	}
	verdict.SigningTime = si.signingTime()
	if v.cfg.Origins != nil && !verdict.OriginChecked {
		return verdict.fail(StepOrigin, because("il certificato di firma non è di un gestore presente nell'indice",
			"the signing certificate belongs to no provider in the index"))
	}
	if verdict = v.value(verdict, sd, si, content); !verdict.OK() {
		return verdict
	}
	if step, why := v.certificate(verdict.Certificate, sd.certificates, at, x509.ExtKeyUsageEmailProtection); step != StepOK {
		return verdict.fail(step, why)
	}
	if !slices.ContainsFunc(verdict.Certificate.EmailAddresses, func(a string) bool { return strings.EqualFold(a, from) }) {
		return verdict.fail(StepAddress, because("il certificato di firma non è per l'indirizzo del mittente (From)",
			"the signing certificate is not for the From address"))
	}
	return verdict
}

// pick chooses the signer and fills in its certificate and origin.
func (v *Verifier) pick(sd *signedData, verdict *Verdict) *signerInfo {
	var first *signerInfo
	for i := range sd.signers {
		si := &sd.signers[i]
		c := si.certificate(sd.certificates)
		if c == nil {
			continue
		}
		if first == nil {
			first, verdict.Certificate = si, c
		}
		if v.cfg.Origins == nil {
			break
		}
		if origin, ok := v.cfg.Origins.ProviderByCertificate(c); ok {
			verdict.Certificate, verdict.Origin, verdict.OriginChecked = c, origin, true
			return si
		}
	}
	return first
}

// value reads the content and checks digest, attributes and signature value.
func (v *Verifier) value(verdict Verdict, sd *signedData, si *signerInfo, content io.Reader) Verdict {
	h, why := si.hash(v.cfg.AllowSHA1Digests)
	if why != (reason{}) {
		return verdict.fail(StepValue, why)
	}
	verdict.Digest = h
	pub := verdict.Certificate.PublicKey
	if why := si.checkAlgorithm(pub, h); why != (reason{}) {
		return verdict.fail(StepValue, why)
	}
	if !sd.contentType.Equal(oidData) {
		return verdict.fail(StepValue, because("la firma non è su un contenuto di posta", "the signature is not over mail content"))
	}
	f := h.New()
	if content != nil {
		if _, err := io.Copy(f, content); err != nil {
			verdict.Err = err
			return verdict.fail(StepRead, because("il contenuto non è leggibile al momento", "the content cannot be read at the moment"))
		}
	}
	verdict.ContentDigest = f.Sum(nil)
	if why := si.checkValue(pub, sd.contentType, h, verdict.ContentDigest); why != (reason{}) {
		return verdict.fail(StepValue, why)
	}
	return verdict
}

// certificate checks chain, validity at the time and revocation of a signer's
// certificate. extra are the certificates that came along.
func (v *Verifier) certificate(leaf *x509.Certificate, extra []*x509.Certificate, at time.Time, purpose x509.ExtKeyUsage) (Step, reason) {
	r := v.trust(purpose).findPath(leaf, extra, at)
	if r.step != StepOK {
		return r.step, r.why
	}
	return v.revocation(r.path, at)
}
