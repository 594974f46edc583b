// SPDX-License-Identifier: EUPL-1.2

package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	mathbits "math/bits"
	"net"
	"time"

	"pecd/fault"
	"pecd/signer"
)

// The extensions of the signing certificate (RFC 5280 §4.2.1).
var (
	extSubjectKey       = asn1.ObjectIdentifier{2, 5, 29, 14}
	extKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	extSubjectAltName   = asn1.ObjectIdentifier{2, 5, 29, 17}
	extBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	extAuthorityKey     = asn1.ObjectIdentifier{2, 5, 29, 35}
	extExtKeyUsage      = asn1.ObjectIdentifier{2, 5, 29, 37}
)

// request is a signing certificate to be issued. Every extension is written by
// hand, so that each rule of the profile can be broken.
type request struct {
	subject    pkix.Name
	from, to   time.Time
	key        crypto.Signer
	rsaBits    int
	usages     []x509.ExtKeyUsage
	extensions []pkix.Extension
	crlPoints  []string
}

// Option changes what IssueSigner and IssueTSA issue.
type Option func(*request)

// WithKey issues for a key at hand instead of a new one.
func WithKey(key crypto.Signer) Option { return func(r *request) { r.key = key } }

// WithRSA makes an RSA key of that many bits (2048 without the option).
func WithRSA(bits int) Option { return func(r *request) { r.rsaBits = bits } }

// WithECDSA makes a P-256 key.
func WithECDSA() Option { return func(r *request) { r.rsaBits = 0 } }

// WithValidity sets the validity (three years from the CA's time without it).
func WithValidity(from, to time.Time) Option {
	return func(r *request) { r.from, r.to = from.UTC(), to.UTC() }
}

// WithSubject replaces the subject.
func WithSubject(name pkix.Name) Option { return func(r *request) { r.subject = name } }

// WithCRLPoints names the addresses of the CA's revocation list.
func WithCRLPoints(urls ...string) Option { return func(r *request) { r.crlPoints = urls } }

// WithExtKeyUsage replaces the extended key usages; none: leaves the extension out.
func WithExtKeyUsage(usages ...x509.ExtKeyUsage) Option {
	return func(r *request) { r.usages = usages }
}

// WithoutExtension leaves an extension out.
func WithoutExtension(id asn1.ObjectIdentifier) Option {
	return func(r *request) {
		var kept []pkix.Extension
		for _, e := range r.extensions {
			if !e.Id.Equal(id) {
				kept = append(kept, e)
			}
		}
		r.extensions = kept
	}
}

// WithExtension adds an extension or replaces the one with that identifier.
func WithExtension(id asn1.ObjectIdentifier, critical bool, der []byte) Option {
	return func(r *request) {
		WithoutExtension(id)(r)
		r.extensions = append(r.extensions, pkix.Extension{Id: id, Critical: critical, Value: der})
	}
}

// WithCritical changes whether an extension is critical.
func WithCritical(id asn1.ObjectIdentifier, critical bool) Option {
	return func(r *request) {
		for i := range r.extensions {
			if r.extensions[i].Id.Equal(id) {
				r.extensions[i].Critical = critical
			}
		}
	}
}

// WithBasicConstraints adds the extension that the profile forbids (CA:FALSE).
func WithBasicConstraints() Option {
	return WithExtension(extBasicConstraints, true, []byte{0x30, 0x00})
}

// WithKeyUsage replaces the keyUsage bits; bit 0 is the first octet's highest
// (digitalSignature), as in RFC 5280 §4.2.1.3.
func WithKeyUsage(bits byte) Option {
	return WithExtension(extKeyUsage, true, []byte{0x03, 0x02, byte(mathbits.TrailingZeros8(bits | 0x80)), bits})
}

// IssueSigner issues a signing certificate for a provider and its service
// address: C=IT, O=<provider>, CN=Posta Certificata, an RSA-2048 key, e-mail
// protection, and exactly the extensions of RFC 6109 §5.5. Options change that.
// The identity's chain is the CA's certificate.
func (ca *CA) IssueSigner(providerName, serviceAddress string, opts ...Option) (signer.Identity, error) {
	const op = "pki.IssueSigner"
	r := &request{
		subject: pkix.Name{Country: []string{"IT"}, Organization: []string{providerName}, CommonName: "Posta Certificata"},
		usages:  []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	}
	san, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 1, Bytes: []byte(serviceAddress)}})
	if err != nil {
		return signer.Identity{}, fault.New(op, fault.Invalid, err)
	}
	return ca.identity(op, r, pkix.Extension{Id: extSubjectAltName, Value: san}, opts)
}

// IssueTSA issues a certificate for the time-stamping authority called name: an
// RSA-2048 key, digitalSignature, and time stamping as the only extended usage,
// critical (RFC 3161 §2.3). Options change that. The identity's chain is the
// CA's certificate.
func (ca *CA) IssueTSA(name string, opts ...Option) (signer.Identity, error) {
	const op = "pki.IssueTSA"
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		return signer.Identity{}, fault.New(op, fault.Internal, err)
	}
	r := &request{subject: pkix.Name{Country: []string{"IT"}, Organization: []string{name}, CommonName: name}}
	return ca.identity(op, r, pkix.Extension{Id: extExtKeyUsage, Critical: true, Value: usage}, opts)
}

// identity issues what r and the options say, with the extensions that every
// signing certificate has and one more.
func (ca *CA) identity(op string, r *request, more pkix.Extension, opts []Option) (signer.Identity, error) {
	aki, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 0, Bytes: ca.cert.SubjectKeyId}})
	if err != nil {
		return signer.Identity{}, fault.New(op, fault.Internal, err)
	}
	r.from, r.to, r.rsaBits = ca.at, ca.at.AddDate(signerYears, 0, 0), 2048
	r.extensions = []pkix.Extension{
		{Id: extSubjectKey}, // the value follows from the key
		{Id: extAuthorityKey, Value: aki},
		{Id: extKeyUsage, Critical: true, Value: []byte{0x03, 0x02, 0x07, 0x80}},
		more,
	}
	for _, o := range opts {
		o(r)
	}
	id, err := ca.issue(r)
	if err != nil {
		return signer.Identity{}, fault.New(op, fault.Internal, err)
	}
	return id, nil
}

// issue makes the key, where there is none, and signs the certificate.
func (ca *CA) issue(r *request) (id signer.Identity, err error) {
	if r.key == nil {
		if r.rsaBits == 0 {
			r.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		} else {
			r.key, err = rsa.GenerateKey(rand.Reader, r.rsaBits)
		}
		if err != nil {
			return id, err
		}
	}
	ski, err := keyID(r.key.Public())
	if err != nil {
		return id, err
	}
	for i, e := range r.extensions {
		if e.Id.Equal(extSubjectKey) && e.Value == nil {
			if r.extensions[i].Value, err = asn1.Marshal(ski); err != nil {
				return id, err
			}
		}
	}
	template := &x509.Certificate{
		SerialNumber:          ca.serial(),
		Subject:               r.subject,
		NotBefore:             r.from.Truncate(time.Second),
		NotAfter:              r.to.Truncate(time.Second),
		ExtKeyUsage:           r.usages,
		CRLDistributionPoints: r.crlPoints,
		ExtraExtensions:       r.extensions,
	}
	parent := *ca.cert
	parent.SubjectKeyId = nil // or the library adds the authorityKeyIdentifier by itself
	cert, err := create(template, &parent, r.key.Public(), ca.key)
	if err != nil {
		return id, err
	}
	return signer.Identity{Certificate: cert, Chain: []*x509.Certificate{ca.cert}, Key: r.key}, nil
}

// IssueTLS issues a server certificate for host names and IP addresses, with a
// P-256 key, valid for 397 days. The chain inside ends with the CA.
func (ca *CA) IssueTLS(hosts []string) (tls.Certificate, error) {
	const op = "pki.IssueTLS"
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fault.New(op, fault.Internal, err)
	}
	template := &x509.Certificate{
		SerialNumber:          ca.serial(),
		NotBefore:             ca.at,
		NotAfter:              ca.at.AddDate(0, 0, tlsDays),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	for _, h := range hosts {
		if template.Subject.CommonName == "" {
			template.Subject.CommonName = h
		}
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	if len(hosts) == 0 {
		return tls.Certificate{}, fault.Say(op, fault.Invalid, "nessun nome indicato / no host given")
	}
	leaf, err := create(template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return tls.Certificate{}, fault.New(op, fault.Internal, err)
	}
	return tls.Certificate{Certificate: [][]byte{leaf.Raw, ca.cert.Raw}, PrivateKey: key, Leaf: leaf}, nil
}
