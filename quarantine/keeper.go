// SPDX-License-Identifier: EUPL-1.2

// Package quarantine encrypts infected messages for the 30 months they are kept
// (RFC 6109 §2.2.4), as age files (age-encryption.org/v1) to an X25519 recipient.
// The node holds the public key only: whoever takes the node reads neither the
// viruses nor the mail around them. What was encrypted is read with the identity
// file, which is kept elsewhere; losing it loses the quarantine, not the mail.
package quarantine

import (
	"fmt"
	"io"

	"filippo.io/age"

	"pecd/fault"
)

// Keeper encrypts messages to one recipient. It is safe for concurrent use.
type Keeper struct {
	recipient *age.X25519Recipient
}

// NewKeeper returns a keeper for recipient, the public key "age1…" that
// NewIdentity returned. Anything else is Invalid.
func NewKeeper(recipient string) (*Keeper, error) {
	r, err := age.ParseX25519Recipient(recipient)
	if err != nil {
		// The value is left out: it may be the secret key, put in by mistake.
		return nil, fault.Say("quarantine.NewKeeper", fault.Invalid,
			"la chiave pubblica della quarantena non è valida (age1…) / the quarantine's public key is not valid (age1…)")
	}
	return &Keeper{recipient: r}, nil
}

// Recipient returns the public key.
func (k *Keeper) Recipient() string { return k.recipient.String() }

// Encrypt returns a writer that encrypts what is written to it and writes it to
// dst, in chunks of 64 KiB. Close writes the last chunk and leaves dst open;
// what was not closed is truncated and says so when it is read.
//
// Errors are those of dst; one without a kind is Temporary.
func (k *Keeper) Encrypt(dst io.Writer) (io.WriteCloser, error) {
	w, err := age.Encrypt(dst, k.recipient)
	if err != nil {
		return nil, writeError("quarantine.Encrypt", err)
	}
	return &sealer{w: w}, nil
}

// sealer gives the errors of the destination the form they cross rooms in.
type sealer struct{ w io.WriteCloser }

// Write implements io.Writer.
func (s *sealer) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	if err != nil {
		return n, writeError("quarantine.Write", err)
	}
	return n, nil
}

// Close implements io.Closer.
func (s *sealer) Close() error {
	if err := s.w.Close(); err != nil {
		return writeError("quarantine.Close", err)
	}
	return nil
}

func writeError(op string, err error) error {
	err = fmt.Errorf("encrypting: %w", err)
	if fault.KindOf(err) != fault.Internal {
		return fault.Wrap(op, err)
	}
	return fault.New(op, fault.Temporary, err)
}
