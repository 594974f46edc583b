// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"pecd/fault"
	"pecd/signer"
	"pecd/signer/keysource"
	"pecd/signer/pkcs11"
)

const (
	// tokenRetry is how often a token out of use is tried again.
	tokenRetry = 10 * time.Second
	// maxSessions bounds the sessions of a token: each has a thread while it signs.
	maxSessions = 64
)

// check checks the table's keys.
func (s *SigningConfig) check() error {
	switch {
	case s.Key == "" && len(s.Tokens) == 0:
		return errors.New("signing.key is missing (see pecd config reference), or [[signing.tokens]]")
	case s.Key != "" && len(s.Tokens) > 0:
		return errors.New("signing.key and [[signing.tokens]]: the key is in a file or on tokens")
	case !oneOf(s.Engine, "auto", "libcrypto", "go"):
		return fmt.Errorf("signing.engine: %q is none of auto, libcrypto, go", s.Engine)
	case s.TokenTimeout <= 0:
		return errors.New("signing.token_timeout must be positive")
	}
	for _, t := range s.Tokens {
		if err := t.check(); err != nil {
			return fmt.Errorf("signing.tokens, token %q: %w", t.Token, err)
		}
	}
	return nil
}

func (t *TokenConfig) check() error {
	switch _, err := hex.DecodeString(t.KeyID); {
	case t.Module == "" || t.Token == "":
		return errors.New("module and token are needed")
	case t.KeyLabel == "" && t.KeyID == "":
		return errors.New("key_label or key_id is needed")
	case err != nil:
		return fmt.Errorf("key_id: %w", err)
	case (t.PINFile == "") == (t.PINEnv == ""):
		return errors.New("pin_file or pin_env is needed, not both")
	case t.Sessions < 0 || t.Sessions > maxSessions:
		return fmt.Errorf("sessions: 1 to %d", maxSessions)
	}
	return nil
}

// errKeyRefused is a PIN or passphrase that does not open the signing key. Another
// try with the same one is no use, and brings a token nearer to its lock.
var errKeyRefused = errors.New("the signing key was refused: not to be tried again before it is mended")

// openSigner reads the certificate, opens the key and returns what signs with
// them. The error is errKeyRefused where trying again does harm.
func (n *node) openSigner() (*signer.Signer, error) {
	certs, err := signer.LoadCertificates(n.cfg.path(n.cfg.Signing.Certificate))
	if err != nil {
		return nil, err
	}
	key, err := n.openKey(certs[0].PublicKey)
	if fault.Is(err, fault.Denied) {
		return nil, fmt.Errorf("%w: %w", errKeyRefused, err)
	}
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
func (n *node) openKey(pub crypto.PublicKey) (crypto.Signer, error) {
	s := n.cfg.Signing
	if len(s.Tokens) > 0 {
		tokens, err := n.cfg.tokens()
		if err != nil {
			return nil, err
		}
		return keysource.Tokens(pkcs11.Config{
			Tokens: tokens, Public: pub, Timeout: s.TokenTimeout, Retry: tokenRetry, Clock: n.clock, Alarms: n.alarms, Logger: n.log,
		})
	}
	pass, err := n.cfg.secret("signing.passphrase_file", s.PassphraseFile)
	if err != nil {
		return nil, err
	}
	key, err := signer.LoadKey(n.cfg.path(s.Key), pass)
	if err != nil {
		return nil, err
	}
	return keysource.Software(key, keysource.Engine(s.Engine), keysource.Environment{Clock: n.clock, Logger: n.log})
}

// tokens are the configured tokens with their PINs.
func (c *Config) tokens() ([]pkcs11.TokenConfig, error) {
	var all []pkcs11.TokenConfig
	for _, t := range c.Signing.Tokens {
		pin, err := c.secret("signing.tokens, pin_file", t.PINFile)
		if err != nil {
			return nil, err
		}
		if t.PINEnv != "" {
			pin = []byte(os.Getenv(t.PINEnv))
		}
		id, err := hex.DecodeString(t.KeyID)
		if err != nil {
			return nil, err
		}
		module := t.Module
		if strings.Contains(module, "/") { // a soname is the system's to find
			module = c.path(module)
		}
		all = append(all, pkcs11.TokenConfig{
			Module: module, Label: t.Token, Serial: t.Serial, KeyLabel: t.KeyLabel, KeyID: id, PIN: pin, Sessions: t.Sessions,
		})
	}
	return all, nil
}

// secret reads a passphrase or PIN, nil where no file is named.
func (c *Config) secret(key, file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	b, err := os.ReadFile(c.path(file))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return []byte(strings.TrimRight(string(b), "\r\n")), nil
}
