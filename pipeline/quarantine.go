// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"errors"
	"io"

	"pecd/fault"
	"pecd/storage"
)

// Vault encrypts what goes into the quarantine, to a key that this node does
// not hold (ADR 0005 #5). Implementations are safe for concurrent use.
type Vault interface {
	// Encrypt returns a writer of clear octets whose ciphertext goes to dst. The
	// ciphertext is whole once Close has returned nil.
	Encrypt(dst io.Writer) (io.WriteCloser, error)
}

// The points at which an infected message is found, for the quarantine.
const (
	pointAccess   = "access"
	pointIncoming = "incoming"
)

// encrypt returns the ciphertext of a message in a spool, which the caller closes.
func (c *Core) encrypt(message io.Reader) (storage.Spool, error) {
	const op = "pipeline.encrypt"
	if c.Vault == nil { // the law wants it kept: it must neither pass nor be lost
		return nil, fault.New(op, fault.Internal, errors.New("an infected message and no quarantine configured"))
	}
	spool := c.Store.NewSpool()
	w, err := c.Vault.Encrypt(spool)
	if err == nil {
		_, err = io.Copy(w, message)
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		spool.Close()
		return nil, fault.New(op, fault.Temporary, err)
	}
	return spool, nil
}

// quarantine adds to step the row that keeps an infected message apart for
// thirty months (RFC 6109 §2.2.4). The row refers to the body of an earlier one
// where there is one already (kept not 0); otherwise it stores the ciphertext,
// in the body returned.
func quarantine(step *storage.Step, ciphertext storage.Spool, kept storage.BodyID, item storage.Quarantined) *storage.NewBody {
	if kept != 0 {
		step.Add(&storage.PutQuarantined{Item: item, Body: storage.BodyRef{ID: kept}})
		return nil
	}
	body := &storage.NewBody{Blob: &storage.NewBlob{Spool: ciphertext, Len: ciphertext.Size()}}
	step.Add(body, &storage.PutQuarantined{Item: item, Body: storage.BodyRef{New: body}})
	return body
}
