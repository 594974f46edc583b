// SPDX-License-Identifier: EUPL-1.2

// Package sasl holds the server side of the login mechanisms that SMTP, IMAP
// and POP3 share: PLAIN (RFC 4616), LOGIN (draft-murchison-sasl-login, for
// Outlook), OAUTHBEARER (RFC 7628) and XOAUTH2 (its forerunner, which Outlook
// and phones still speak). Who may log in is decided by two callbacks; a
// mechanism only takes apart what the client says, within bounds.
package sasl

import (
	"strings"

	gosasl "github.com/emersion/go-sasl"

	"pecd/fault"
)

// The names of the mechanisms.
const (
	Plain       = gosasl.Plain
	Login       = gosasl.Login
	XOAuth2     = "XOAUTH2"
	OAuthBearer = gosasl.OAuthBearer
)

// Bounds of what a client may send, in octets.
const (
	maxName     = 1024 // a login or an authorisation identity
	maxPassword = 4096
	maxResponse = 16 << 10 // one response; tokens are some thousand octets long
)

// Checks decide who may log in. An error they return is what the server's Next
// returns, unchanged.
type Checks struct {
	// Password checks a login and its password.
	Password func(login, password string) error
	// Token checks a bearer token; login is what the client claims to be, ""
	// where it leaves that to the token. nil: no mechanism with tokens.
	Token func(login, token string) error
}

// Mechanisms lists what New makes with c, in the order in which it is offered.
func (c Checks) Mechanisms() []string { return Names(c.Token != nil) }

// Names lists the mechanisms, with those for tokens or without.
func Names(tokens bool) []string {
	if tokens {
		return []string{Plain, Login, XOAuth2, OAuthBearer}
	}
	return []string{Plain, Login}
}

// New returns the server side of a mechanism, nil for one that is not offered.
// Names are compared without case. Its Next takes nil where the client sent no
// initial response. Errors of its own, about what the client sent, are of kind
// fault.Invalid; what a callback said is returned as it is.
func (c Checks) New(mechanism string) gosasl.Server {
	switch strings.ToUpper(mechanism) {
	case Plain:
		return bounded{newPlain(c.password)}
	case Login:
		return bounded{&login{check: c.password}}
	case XOAuth2:
		if c.Token != nil {
			return bounded{&xoauth2{check: c.token}}
		}
	case OAuthBearer:
		if c.Token != nil {
			return bounded{newBearer(c.token)}
		}
	}
	return nil
}

func (c Checks) password(name, password string) error {
	if len(name) > maxName || len(password) > maxPassword {
		name, password = "", ""
	}
	return c.Password(name, password)
}

func (c Checks) token(name, token string) error {
	if len(name) > maxName || token == "" {
		return malformed("no token, or an endless name")
	}
	return c.Token(name, token)
}

// bounded refuses responses that are too long.
type bounded struct{ server gosasl.Server }

// Next implements sasl.Server.
func (b bounded) Next(response []byte) (challenge []byte, done bool, err error) {
	if len(response) > maxResponse {
		return nil, true, malformed("response too long")
	}
	return b.server.Next(response)
}

func malformed(why string) error {
	return fault.New("sasl.Next", fault.Invalid, errorText(why))
}

// errorText is a cause that is a constant of this package.
type errorText string

func (e errorText) Error() string { return string(e) }
