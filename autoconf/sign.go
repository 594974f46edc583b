// SPDX-License-Identifier: EUPL-1.2

package autoconf

import (
	"crypto/tls"
	"crypto/x509"

	"go.mozilla.org/pkcs7"

	"pecd/fault"
)

// SignWith returns content inside a CMS SignedData (DER), signed with a TLS
// certificate's key: the form in which a device shows a configuration profile as
// verified when it believes that certificate. The PEC signing key is for
// envelopes and receipts alone (RFC 6109 §5.5). Errors are Unsupported: a kind
// of key that the library does not sign with.
func SignWith(cert *tls.Certificate, content []byte) ([]byte, error) {
	const op = "autoconf.SignWith"
	chain := make([]*x509.Certificate, len(cert.Certificate))
	for i, der := range cert.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fault.New(op, fault.Unsupported, err)
		}
		chain[i] = c
	}
	if len(chain) == 0 {
		return nil, fault.New(op, fault.Unsupported, nil)
	}
	sd, err := pkcs7.NewSignedData(content)
	if err != nil {
		return nil, fault.New(op, fault.Unsupported, err)
	}
	sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := sd.AddSigner(chain[0], cert.PrivateKey, pkcs7.SignerInfoConfig{}); err != nil {
		return nil, fault.New(op, fault.Unsupported, err)
	}
	for _, up := range chain[1:] {
		sd.AddCertificate(up)
	}
	der, err := sd.Finish()
	if err != nil {
		return nil, fault.New(op, fault.Unsupported, err)
	}
	return der, nil
}
