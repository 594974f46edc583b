// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"context"
	"errors"
	"time"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"pecd/clock"
	"pecd/directory"
	"pecd/fault"
)

// maxLogins is how many failed logins one connection may have.
const maxLogins = 3

// Authenticator checks a login and a password. It returns the login as the
// directory knows it; an error of kind Temporary or Internal is no verdict on
// the password.
type Authenticator interface {
	Authenticate(ctx context.Context, login, password string) (string, error)
}

// logins guards an Authenticator against guessing.
type logins struct {
	auth     Authenticator
	clk      clock.Clock
	delay    time.Duration
	guesses  *directory.Guesses
	stopping context.Context
}

// mechanism returns the SASL mechanism name, nil for one that is not offered.
// The login that succeeded is passed to accept.
func (l *logins) mechanism(name string, c *conn, accept func(login string)) sasl.Server {
	check := func(login, password string) error {
		login, err := l.check(c, login, password)
		if err == nil {
			accept(login)
		}
		return err
	}
	switch name {
	case sasl.Plain:
		return saslErrors{sasl.NewPlainServer(func(identity, login, password string) error {
			if identity != "" && identity != login {
				// Nobody acts for somebody else; not worth asking.
				login = ""
			}
			return check(login, password)
		})}
	case sasl.Login:
		return saslErrors{&loginServer{check: check}}
	}
	return nil
}

func (l *logins) check(c *conn, login, password string) (string, error) {
	if !l.guesses.Allowed(c.raw.RemoteAddr()) {
		c.srv.cfg.Logger.Warn("smtp: too many failed logins", "remote", c.remote())
		return "", authTooMany().err()
	}
	err := error(fault.New("smtp.Auth", fault.Denied, nil))
	if login != "" && password != "" {
		login, err = l.auth.Authenticate(c.ctx, login, password)
	}
	if err == nil {
		return login, nil
	}
	switch fault.KindOf(err) {
	case fault.Denied, fault.Invalid, fault.NotFound, fault.Disabled:
	default:
		c.srv.cfg.Logger.Error("smtp: login", "remote", c.remote(), "err", err)
		return "", authUnavailable().err()
	}
	// The login is not logged: people type their password into that field.
	c.srv.cfg.Logger.Info("smtp: login refused", "remote", c.remote())
	l.guesses.Failed(c.raw.RemoteAddr())
	l.wait(c)
	if c.failed++; c.failed >= maxLogins {
		return "", authTooMany().err()
	}
	return "", authFailed().err()
}

func (l *logins) wait(c *conn) {
	fire, release := l.clk.After(l.delay)
	defer release()
	select {
	case <-fire:
	case <-c.ctx.Done():
	case <-l.stopping.Done():
	}
}

// saslErrors gives a mechanism's complaints about its input their code: go-smtp
// takes an error it does not know for a temporary one.
type saslErrors struct{ sasl.Server }

// Next implements sasl.Server.
func (s saslErrors) Next(response []byte) (challenge []byte, done bool, err error) {
	challenge, done, err = s.Server.Next(response)
	var known *gosmtp.SMTPError
	if err != nil && !errors.As(err, &known) {
		err = authMalformed().err()
	}
	return challenge, done, err
}

// loginServer is the LOGIN mechanism (draft-murchison-sasl-login), which
// go-sasl does not have and Outlook needs.
type loginServer struct {
	check func(login, password string) error
	asked int // 1 the login, 2 the password
	login string
}

// Next implements sasl.Server. A first response carries the login.
func (s *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case s.asked == 0 && response == nil:
		s.asked = 1
		return []byte("Username:"), false, nil
	case s.asked < 2:
		s.asked, s.login = 2, string(response)
		return []byte("Password:"), false, nil
	case s.asked == 2:
		s.asked = 3
		return nil, true, s.check(s.login, string(response))
	}
	return nil, false, sasl.ErrUnexpectedClientResponse
}
