// SPDX-License-Identifier: EUPL-1.2

package sasl

import (
	"bytes"
	"strings"

	gosasl "github.com/emersion/go-sasl"
)

// refusal is what a client with a wrong token is told before the exchange ends,
// in either mechanism (RFC 7628 §3.2.2): the client answers it with next to
// nothing, and only then learns the protocol's own error.
const refusal = `{"status":"invalid_token","schemes":"bearer"}`

// xoauth2 is XOAUTH2: "user=" name, then "auth=Bearer " token, each ended by
// 0x01, and one more 0x01 at the end. A refusal comes as a challenge first.
type xoauth2 struct {
	check  func(login, token string) error
	failed error
	over   bool
}

// Next implements sasl.Server.
func (s *xoauth2) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case s.failed != nil:
		err, s.failed, s.over = s.failed, nil, true
		return nil, true, err
	case s.over:
		return nil, true, malformed("a response that nobody asked for")
	case response == nil:
		return []byte{}, false, nil
	}
	name, token, ok := parseXOAuth2(response)
	if !ok {
		s.over = true
		return nil, true, malformed("not in the form of XOAUTH2")
	}
	if s.failed = s.check(name, token); s.failed != nil {
		return []byte(refusal), false, nil
	}
	s.over = true
	return nil, true, nil
}

func parseXOAuth2(response []byte) (name, token string, ok bool) {
	rest, ok := bytes.CutSuffix(response, []byte("\x01\x01"))
	if !ok {
		return "", "", false
	}
	fields := bytes.Split(rest, []byte{1})
	if len(fields) != 2 {
		return "", "", false
	}
	n, ok := bytes.CutPrefix(fields[0], []byte("user="))
	if !ok {
		return "", "", false
	}
	token, ok = bearer(string(fields[1]))
	return string(n), token, ok
}

func bearer(field string) (token string, ok bool) {
	const prefix = "auth=Bearer "
	if len(field) < len(prefix) || !strings.EqualFold(field[:len(prefix)], prefix) {
		return "", false
	}
	return field[len(prefix):], true
}

// oauthBearer is go-sasl's OAUTHBEARER with three defects mended: it panics when
// the client answers a refusal with nothing, it takes any answer to a
// refusal for well-formed, and it hides the check's error behind one of its own.
type oauthBearer struct {
	server gosasl.Server
	failed error // by the check
	told   bool  // the refusal has been sent
}

func newBearer(check func(login, token string) error) *oauthBearer {
	s := new(oauthBearer)
	s.server = gosasl.NewOAuthBearerServer(func(o gosasl.OAuthBearerOptions) *gosasl.OAuthBearerError {
		if s.failed = check(o.Username, o.Token); s.failed != nil {
			return &gosasl.OAuthBearerError{Status: "invalid_token", Schemes: "bearer"}
		}
		return nil
	})
	return s
}

// Next implements sasl.Server.
func (s *oauthBearer) Next(response []byte) (challenge []byte, done bool, err error) {
	if s.told {
		if s.failed != nil {
			return nil, true, s.failed
		}
		return nil, true, malformed("not in the form of OAUTHBEARER")
	}
	challenge, done, err = s.server.Next(response)
	if err != nil {
		return nil, true, malformed("not in the form of OAUTHBEARER")
	}
	s.told = !done && response != nil
	return challenge, done, nil
}
