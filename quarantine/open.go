// SPDX-License-Identifier: EUPL-1.2

package quarantine

import (
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"pecd/fault"
)

// maxHeader bounds what is read before the first octet of the message. A header
// for one recipient has 200 octets; what lies on a disk may have been replaced.
const maxHeader = 64 << 10

var errHeaderSize = errors.New("header too large")

// Decrypt returns a reader of the message in src. Every chunk is authenticated
// before its first octet is returned, but the end of the message only when it
// is reached: what was read before an error is genuine and not the whole.
//
// Errors, here and of the reader: Denied for a file that was encrypted to
// another key; Invalid for one that was truncated, altered, or is none of ours;
// those of src (Temporary without a kind).
func (id Identity) Decrypt(src io.Reader) (io.Reader, error) {
	const op = "quarantine.Decrypt"
	if len(id.keys) == 0 {
		return nil, fault.New(op, fault.Internal, errIdentityEmpty)
	}
	in := &source{r: src, left: maxHeader, bounded: true}
	r, err := age.Decrypt(in, append([]age.Identity(nil), id.keys...)...)
	if err != nil {
		return nil, in.explain(op, err)
	}
	in.bounded = false
	return &opener{in: in, r: r}, nil
}

// opener gives the errors of a decrypting reader the form they cross rooms in.
type opener struct {
	in *source
	r  io.Reader
}

// Read implements io.Reader.
func (o *opener) Read(p []byte) (int, error) {
	n, err := o.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		return n, o.in.explain("quarantine.Read", err)
	}
	return n, err
}

// source is the encrypted file. It remembers how reading it ended, which tells
// a file that is cut short from one that was altered.
type source struct {
	r       io.Reader
	left    int // octets that the header may still have
	bounded bool
	ended   bool
	err     error // of r, other than its end
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	if s.bounded {
		if s.left == 0 {
			return 0, errHeaderSize
		}
		p = p[:min(len(p), s.left)]
	}
	n, err := s.r.Read(p)
	if s.bounded {
		s.left -= n
	}
	switch {
	case errors.Is(err, io.EOF):
		s.ended = true
	case err != nil:
		s.err = err
	}
	return n, err
}

// explain says why a file cannot be read. A last chunk that does not hold may
// be cut or altered: nobody can tell.
func (s *source) explain(op string, err error) error {
	cause := fmt.Errorf("decrypting: %w", err)
	var other *age.NoIdentityMatchError
	switch {
	case s.err != nil && fault.KindOf(s.err) != fault.Internal:
		return fault.Wrap(op, fmt.Errorf("decrypting: %w", s.err))
	case s.err != nil:
		return fault.New(op, fault.Temporary, cause)
	case errors.As(err, &other):
		return &fault.Error{Op: op, Kind: fault.Denied, Err: cause,
			Text: "la chiave segreta non è quella di questo messaggio, o la sua intestazione è alterata / " +
				"the secret key is not this message's, or its header was altered"}
	case s.bounded:
		return &fault.Error{Op: op, Kind: fault.Invalid, Err: cause,
			Text: "non è un messaggio in quarantena, o la sua intestazione è troncata o alterata / " +
				"this is no quarantined message, or its header is truncated or was altered"}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &fault.Error{Op: op, Kind: fault.Invalid, Err: cause,
			Text: "il messaggio in quarantena è troncato / the quarantined message is truncated"}
	case s.ended:
		return &fault.Error{Op: op, Kind: fault.Invalid, Err: cause,
			Text: "il messaggio in quarantena è troncato o alterato alla fine / the quarantined message is truncated, or altered at its end"}
	}
	return &fault.Error{Op: op, Kind: fault.Invalid, Err: cause,
		Text: "il messaggio in quarantena è alterato / the quarantined message was altered"}
}
