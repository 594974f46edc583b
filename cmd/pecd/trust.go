// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"crypto/x509"
	"path/filepath"
	"slices"

	"pecd/signer"
)

const (
	maxIndex = 256 << 20
	// crlFolder keeps fetched revocation lists, in the store's folder.
	crlFolder = "crl"
)

// openTrust reads authorities, revocation lists and the provider index.
func (n *node) openTrust(ctx context.Context) (*signer.Verifier, error) {
	authorities, open, err := n.openAuthorities()
	if err != nil {
		return nil, err
	}
	n.own = signer.NewVerifier(signer.PECConfig(authorities...))
	if err := n.openIndex(ctx, open); err != nil {
		return nil, err
	}
	return signer.NewVerifier(signer.VerifierConfig{
		Roots: authorities, Origins: n.index, CRLs: n.crls, AllowSHA1Digests: true, AllowSHA1: true, Revocation: n.cfg.Trust.policy(),
	}), nil
}

// openAuthorities reads authorities and revocation lists. open verifies a signed
// index.
func (n *node) openAuthorities() (authorities []*x509.Certificate, open openIndexFunc, err error) {
	if authorities, err = signer.LoadCertificates(n.cfg.path(n.cfg.Trust.Authorities)); err != nil {
		return nil, nil, err
	}
	ofIndex := authorities
	if f := n.cfg.Index.Authorities; f != "" {
		if ofIndex, err = signer.LoadCertificates(n.cfg.path(f)); err != nil {
			return nil, nil, err
		}
	}
	if n.crls, err = n.openRevocation(slices.Concat(authorities, ofIndex), n.cfg.Trust.policy()); err != nil {
		return nil, nil, err
	}
	return authorities, n.indexOpener(ofIndex), nil
}

// policy is what the configuration wants of revocation lists.
func (t TrustConfig) policy() signer.RevocationPolicy {
	modes := map[string]signer.RevocationMode{"strict": signer.RevocationStrict, "grace": signer.RevocationGrace, "off": signer.RevocationOff}
	return signer.RevocationPolicy{Mode: modes[t.Revocation], Grace: t.CRLGrace, MaxAge: t.CRLMaxAge}
}

func (n *node) openRevocation(authorities []*x509.Certificate, policy signer.RevocationPolicy) (*signer.RevocationLists, error) {
	t := n.cfg.Trust
	cfg := signer.RevocationConfig{
		Files: n.cfg.paths(t.CRLs), URLs: t.CRLURLs, Policy: policy, Interval: t.CRLRefresh,
		Dir: filepath.Join(n.cfg.path(n.cfg.Store.Dir), crlFolder), Alarms: n.alarms, Clock: n.clock, Logger: n.log,
		// Without leave to fetch from them, certificates still tell whose lists must be there.
		Watched:      func() []*x509.Certificate { return slices.Concat(n.indexed(), n.indexSigners(), authorities) },
		IgnorePoints: !t.CRLFetch,
	}
	return signer.OpenRevocationLists(cfg)
}

// indexed are the certificates in the provider index.
func (n *node) indexed() []*x509.Certificate {
	var all []*x509.Certificate
	if n.index == nil {
		return nil // it is being read
	}
	for _, p := range n.index.Current().Providers() {
		for _, der := range p.Certificates {
			if c, err := x509.ParseCertificate(der); err == nil {
				all = append(all, c)
			}
		}
	}
	return all
}

// indexSigners are who signed the index in use and the last one seen.
func (n *node) indexSigners() (all []*x509.Certificate) {
	if n.index != nil {
		all = append(all, n.index.SignedBy())
	}
	if n.fetcher != nil {
		all = append(all, n.fetcher.Signer())
	}
	return slices.DeleteFunc(all, func(c *x509.Certificate) bool { return c == nil })
}
