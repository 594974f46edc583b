// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"crypto/x509"
	"io"
	"strings"
	"time"

	"pecd/signer"
)

// Proof is how signatures and time stamps are judged, against the authorities'
// certificates that the caller trusts.
type Proof struct {
	// Open verifies the opaque CMS SignedData of size octets in p7m, and that its
	// certificate was good at the instant at. It returns a reader of the content
	// and the names in the certificate (CN and O), or says why the signature does
	// not hold; fault.Temporary means that p7m could not be read.
	Open func(p7m io.ReaderAt, size int64, at time.Time) (content io.Reader, by []string, err error)
	// Stamp verifies a TimeStampResp over a SHA-256 and returns its instant.
	Stamp func(response []byte, digest [32]byte) (time.Time, error)
}

// ProofBy judges signatures by v and time stamps by the certificates of their
// authorities.
func ProofBy(v *signer.Verifier, authorities []*x509.Certificate) Proof {
	return Proof{
		Open: func(p7m io.ReaderAt, size int64, at time.Time) (io.Reader, []string, error) {
			content, by, err := v.VerifyOpaque(p7m, size, at)
			if err != nil {
				return nil, nil, err
			}
			return content, append([]string{by.Subject.CommonName}, by.Subject.Organization...), nil
		},
		Stamp: func(response []byte, digest [32]byte) (time.Time, error) {
			return signer.VerifyStamp(response, digest, authorities)
		},
	}
}

// names reports whether one of the names in a certificate has the provider's,
// as RFC 6109 §5.5 wants it of signing certificates; case and spacing aside.
func names(by []string, provider string) bool {
	for _, n := range by {
		if provider != "" && strings.Contains(plain(n), plain(provider)) {
			return true
		}
	}
	return false
}

// plain is a name without what does not tell one from another.
func plain(name string) string { return strings.ToLower(strings.Join(strings.Fields(name), " ")) }
