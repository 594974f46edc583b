// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"crypto"
	"errors"
	"os"
	"runtime"

	"pecd/signer"
	"pecd/signer/keysource"
)

// openSigner reads certificate and key and returns what signs with them.
func (n *node) openSigner() (*signer.Signer, error) {
	certs, err := signer.LoadCertificates(n.cfg.path(n.cfg.Signing.Certificate))
	if err != nil {
		return nil, err
	}
	key, err := n.openKey()
	if err != nil {
		return nil, err
	}
	p := n.provider()
	id := signer.Identity{Certificate: certs[0], Chain: certs[1:], Key: key}
	s, err := signer.New(id, p.Name, p.ServiceAddress, n.clock)
	if err != nil {
		return nil, errors.Join(err, keysource.Close(key))
	}
	return s, nil
}

// makeRoom lets Go's code run beside signatures that are made outside of it. Each
// holds one of the scheduler's places, which the scheduler takes back only after
// a while: with as many places as cores, nothing else moves while they sign. The
// operating system shares the cores out.
func makeRoom(nodes ...*node) {
	cores, threads := runtime.GOMAXPROCS(0), 0
	for _, n := range nodes {
		threads = max(threads, n.signer.Threads())
	}
	if os.Getenv("GOMAXPROCS") == "" && threads > 0 {
		runtime.GOMAXPROCS(cores + min(threads, cores))
	}
}

// openKey opens the signing key where the configuration says it is.
func (n *node) openKey() (crypto.Signer, error) {
	pass, err := n.cfg.passphrase()
	if err != nil {
		return nil, err
	}
	key, err := signer.LoadKey(n.cfg.path(n.cfg.Signing.Key), pass)
	if err != nil {
		return nil, err
	}
	return keysource.Software(key, keysource.Engine(n.cfg.Signing.Engine), keysource.Environment{Clock: n.clock, Logger: n.log})
}
