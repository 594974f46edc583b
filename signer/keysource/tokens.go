// SPDX-License-Identifier: EUPL-1.2

package keysource

import (
	"crypto"
	"errors"

	"pecd/fault"
	"pecd/signer/pkcs11"
)

// Tokens opens a key on tokens, and logs what one session makes a second. The
// key is an io.Closer. Errors are those of pkcs11.Open.
func Tokens(cfg pkcs11.Config) (crypto.Signer, error) {
	const op = "keysource.Tokens"
	key, err := pkcs11.Open(cfg)
	if err != nil {
		return nil, fault.Wrap(op, err)
	}
	rate, err := signaturesASecond(key, cfg.Clock)
	if err != nil {
		return nil, fault.Wrap(op, errors.Join(err, key.Close()))
	}
	cfg.Logger.Info("signing key", "engine", "pkcs11", "session", rate, "sessions", key.Parallel(), "tokens", len(cfg.Tokens))
	return key, nil
}
