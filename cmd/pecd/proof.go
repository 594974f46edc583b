// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"pecd/clock"
	"pecd/ledger/seal"
	"pecd/signer"
)

// newProof judges sealed days by the authorities of the providers' signing
// certificates and those of the time stamps. With an address, the certificate
// must be for it: any other provider's is as well certified.
func newProof(authorities, stampAuthorities []*x509.Certificate, address string, clk clock.Clock) seal.Proof {
	verifier := signer.NewVerifier(signer.PECConfig(authorities...))
	return seal.Proof{
		Open: func(_ context.Context, w io.Writer, p7m io.ReaderAt, size int64, at time.Time) error {
			if at.IsZero() { // no stamp yet: the day was closed lately
				at = clk.Now()
			}
			content, by, err := verifier.VerifyOpaque(p7m, size, at)
			if err != nil {
				return err
			}
			if address != "" && !slices.ContainsFunc(by.EmailAddresses, func(a string) bool { return strings.EqualFold(a, address) }) {
				return fmt.Errorf("firmato da / signed by %q", by.Subject)
			}
			_, err = io.Copy(w, content)
			return err
		},
		Stamp: func(response []byte, digest [32]byte) (time.Time, error) {
			if len(stampAuthorities) == 0 {
				return time.Time{}, errors.New("ledger.tsa_authorities: nessuna autorità di marcatura / no time-stamping authority")
			}
			return signer.VerifyStamp(response, digest, stampAuthorities)
		},
	}
}

// proof judges this node's own sealed days.
func (n *node) proof() (seal.Proof, error) {
	authorities, err := signer.LoadCertificates(n.cfg.path(n.cfg.Trust.Authorities))
	if err != nil {
		return seal.Proof{}, err
	}
	stamps, err := n.stampAuthorities()
	if err != nil {
		return seal.Proof{}, err
	}
	return newProof(authorities, stamps, n.core.Builder.Provider.ServiceAddress, n.clock), nil
}

func (n *node) stampAuthorities() ([]*x509.Certificate, error) {
	if n.cfg.Ledger.TSAAuthorities == "" {
		return nil, nil
	}
	return signer.LoadCertificates(n.cfg.path(n.cfg.Ledger.TSAAuthorities))
}

// loadAll reads certificates from several files.
func loadAll(files []string) (all []*x509.Certificate, err error) {
	for _, f := range files {
		certs, err := signer.LoadCertificates(f)
		if err != nil {
			return nil, err
		}
		all = append(all, certs...)
	}
	return all, nil
}
