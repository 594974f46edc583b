// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"crypto/x509"
	"path/filepath"

	"pecd/seal"
	"pecd/signer"
)

// sealFolder keeps the sealed days, in the store's folder.
const sealFolder = "ledger"

// sealDir is where this node's sealed days are.
func (n *node) sealDir() string { return filepath.Join(n.cfg.path(n.cfg.Store.Dir), sealFolder) }

// proof judges this node's own sealed days.
func (n *node) proof() (seal.Proof, error) {
	stamps, err := n.stampAuthorities()
	return seal.ProofBy(n.own, stamps), err
}

func (n *node) stampAuthorities() ([]*x509.Certificate, error) {
	if n.cfg.Ledger.TSAAuthorities == "" {
		return nil, nil
	}
	return signer.LoadCertificates(n.cfg.path(n.cfg.Ledger.TSAAuthorities))
}

// openDaybook makes what closes the log's days (ADR 0006).
func (n *node) openDaybook() (err error) {
	cfg := seal.Config{
		Store: n.store, Dir: n.sealDir(), Provider: n.cfg.Provider.Name, Zone: n.core.Builder.Location, Clock: n.clock, Signer: n.signer, Stamper: n.stamper,
		Alarms: n.alarms, Logger: n.log, Months: n.cfg.Ledger.Months,
	}
	n.daybook, err = seal.New(cfg)
	return err
}

// openStamper makes the client of the time-stamping authority.
func (n *node) openStamper() error {
	if n.cfg.Ledger.TSA == "" {
		return nil
	}
	authorities, err := n.stampAuthorities()
	if err != nil {
		return err
	}
	n.stamper = &signer.TimeStamper{URL: n.cfg.Ledger.TSA, Authorities: authorities, Clock: n.clock}
	return nil
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
