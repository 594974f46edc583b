// SPDX-License-Identifier: EUPL-1.2

package sasl

import (
	"strings"

	gosasl "github.com/emersion/go-sasl"
)

// plain is go-sasl's PLAIN, whose complaints about the input get their kind.
type plain struct {
	server gosasl.Server
	asked  bool // the check was called
}

// newPlain lets nobody act for somebody else (RFC 4616 §2): it is for the check
// to refuse an empty name, so that it costs what a wrong password costs.
func newPlain(check func(login, password string) error) *plain {
	s := new(plain)
	s.server = gosasl.NewPlainServer(func(identity, name, password string) error {
		s.asked = true
		if identity != "" && !strings.EqualFold(identity, name) {
			name = ""
		}
		return check(name, password)
	})
	return s
}

// Next implements sasl.Server.
func (s *plain) Next(response []byte) (challenge []byte, done bool, err error) {
	s.asked = false
	challenge, done, err = s.server.Next(response)
	if err != nil && !s.asked {
		return nil, true, malformed("not in the form of PLAIN")
	}
	return challenge, done, err
}
