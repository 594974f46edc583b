// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"context"
	"errors"
	"time"

	gosasl "github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"pecd/clock"
	"pecd/directory"
	"pecd/fault"
	"pecd/guesses"
	"pecd/ledger"
	"pecd/sasl"
	"pecd/storage"
	"pecd/trail"
)

// maxLogins is how many failed logins one connection may have.
const maxLogins = 3

// Directory tells who may submit: package directory's Directory. An error of
// kind Temporary or Internal is no verdict on who asks.
type Directory interface {
	Authenticate(ctx context.Context, login, password string, by storage.Protocol) (directory.Principal, error)
	AuthenticateToken(ctx context.Context, login, token string, by storage.Protocol) (directory.Principal, error)
	// TakesTokens reports whether there is anybody to verify tokens.
	TakesTokens() bool
	// MaySubmit checks at MAIL FROM and at DATA that who logged in still may, and may send
	// as the mailbox with this address.
	MaySubmit(ctx context.Context, p directory.Principal, address string) error
}

// logins guards a Directory against guessing.
type logins struct {
	dir      Directory
	clk      clock.Clock
	delay    time.Duration
	guesses  *guesses.Guard
	stopping context.Context
}

// mechanism returns the SASL mechanism name, nil for one that is not offered.
// Who logged in is passed to accept.
func (l *logins) mechanism(name string, c *conn, accept func(directory.Principal)) gosasl.Server {
	by := func(ask func(context.Context, string, string, storage.Protocol) (directory.Principal, error)) func(string, string) error {
		return func(login, secret string) error {
			p, err := l.check(c, login, func() (directory.Principal, error) {
				return ask(directory.From(c.ctx, c.raw.RemoteAddr()), login, secret, storage.BySubmission)
			})
			if err == nil {
				accept(p)
			}
			return err
		}
	}
	checks := sasl.Checks{Password: by(l.dir.Authenticate)}
	if l.dir.TakesTokens() {
		checks.Token = by(l.dir.AuthenticateToken)
	}
	if m := checks.New(name); m != nil {
		return saslErrors{m}
	}
	return nil
}

func (l *logins) check(c *conn, login string, ask func() (directory.Principal, error)) (directory.Principal, error) {
	try := guesses.Try{Protocol: "smtp", From: c.key, Login: directory.LoginKey(login)}
	if !l.guesses.Allowed(c.ctx, try) {
		c.srv.cfg.Logger.Warn("smtp: too many failed logins", "remote", c.remote())
		return directory.Principal{}, authTooMany().err()
	}
	p, err := ask()
	if err == nil {
		err = c.srv.cfg.Trail.Access(c.ctx, trail.Who{Login: p.Login, Program: p.Program, ID: p.ProgramID, Channel: ledger.SMTP, Remote: c.remoteIP()}, "")
	}
	if err == nil {
		l.guesses.Passed(c.ctx, try, p.Login)
		return p, nil
	}
	switch fault.KindOf(err) {
	case fault.Denied, fault.Invalid, fault.NotFound, fault.Disabled:
	default:
		c.srv.cfg.Logger.Error("smtp: login", "remote", c.remote(), "err", err)
		return directory.Principal{}, authUnavailable().err()
	}
	// The login is not logged: people type their password into that field.
	c.srv.cfg.Logger.Info("smtp: login refused", "remote", c.remote())
	r := directory.RefusalOf(err)
	if directory.Guessed(err) {
		l.guesses.Failed(c.ctx, try, r != nil && r.Login != "")
	}
	if r != nil {
		c.srv.cfg.Trail.Denied(trail.Who{Login: r.Login, Program: r.Program, ID: r.ID, Channel: ledger.SMTP, Remote: c.remoteIP()}, r.Reason)
	}
	l.wait(c)
	if c.failed++; c.failed >= maxLogins {
		return directory.Principal{}, authTooMany().err()
	}
	return directory.Principal{}, authFailed().err()
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
type saslErrors struct{ gosasl.Server }

// Next implements sasl.Server.
func (s saslErrors) Next(response []byte) (challenge []byte, done bool, err error) {
	challenge, done, err = s.Server.Next(response)
	var known *gosmtp.SMTPError
	if err != nil && !errors.As(err, &known) {
		err = authMalformed().err()
	}
	return challenge, done, err
}
