// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"strings"
	"time"

	"pecd/fault"
	"pecd/storage"
)

// TokenVerifier tells whose a bearer token is (OAUTHBEARER, XOAUTH2). An error of
// kind fault.Denied refuses the token; one of another kind is no verdict.
type TokenVerifier interface {
	VerifyToken(ctx context.Context, token string) (login string, err error)
}

// SetTokens lets users log in with what v verifies. It is called before the
// first login.
func (d *Directory) SetTokens(v TokenVerifier) { d.tokens = v }

// TakesTokens reports whether users may log in with tokens.
func (d *Directory) TakesTokens() bool { return d.tokens != nil }

// The reasons of a refusal, for the log.
const (
	wrongPassword = "password errata / wrong password"
	wrongProgram  = "password per applicazione sconosciuta / unknown application password"
	wrongToken    = "token non valido / token not valid"
	wrongProtocol = "password per applicazione non valida per questo protocollo / application password not valid for this protocol"
	hasEnded      = "password per applicazione scaduta / application password expired"
	wasRevoked    = "password per applicazione revocata / application password revoked"
	isDisabled    = "utente disabilitato / user disabled"
)

// Refusal is the cause of a refused login. Its text is the same for all: what
// it holds is for the log alone, and never for who tried.
type Refusal struct {
	Login   string // canonical; "" where there is no such user: people type their password there
	Program string // name of the application password, "" without one that is his
	ID      int64  // its number, 0 without one
	Reason  string // Italian, then English
}

// Error implements error.
func (*Refusal) Error() string { return "login refused" }

// RefusalOf returns why a login was refused, nil where err is no refusal.
func RefusalOf(err error) *Refusal {
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	return nil
}

// Guessed reports whether a login that was refused with err may have been a
// guess. It is none with an application password that is there but has ended, or
// is not for this protocol: programs go on trying those, and whoever shares their
// address must not be kept out for it.
func Guessed(err error) bool {
	r := RefusalOf(err)
	return r == nil || r.Program == ""
}

func refuse(r Refusal) error {
	return &fault.Error{Op: "directory.Authenticate", Kind: fault.Denied, Text: "nome utente o password errati / wrong user name or password", Err: &r}
}

// Authenticate checks a login and its password for one protocol. The password is
// the user's own, or an application password, told by its form. Every refusal is
// the same error of kind Denied, for a password not in that form after the same
// work, whether the user exists or not; RefusalOf tells more. Temporary when too
// many logins wait already.
//
// A verification that succeeded is remembered while it is used, for an hour at
// most; user, grants and application password are at most five seconds old, and as
// they are now where they were changed by this node.
func (d *Directory) Authenticate(ctx context.Context, login, password string, by storage.Protocol) (Principal, error) {
	name, known := canonicalLogin(login)
	u, cached, err := d.userFor(ctx, name, &known)
	if err != nil {
		return Principal{}, fault.Wrap("directory.Authenticate", err)
	}
	if secret, ok := programSecret(password); ok {
		return d.authenticateProgram(ctx, u, known, secret, by)
	}
	if len(password) == 0 || len(password) > maxPassword {
		known, password = false, "-"
	}
	good, err := d.verify(ctx, u, known, password)
	if err == nil && !good && cached {
		// Another node may have changed the password since it was read.
		stored := u.Hash
		d.users.drop(name)
		if u, _, err = d.userFor(ctx, name, &known); err == nil && known && u.Hash != stored {
			good, err = d.verify(ctx, u, known, password)
		}
	}
	switch {
	case err != nil:
		return Principal{}, fault.Wrap("directory.Authenticate", err)
	case !good:
		return Principal{}, refuse(refusalOf(u, known, wrongPassword))
	}
	return d.admit(ctx, u, Principal{By: by, proof: proof{password: sha256.Sum256([]byte(u.Hash))}}, nil)
}

// refusalOf names the user in a refusal only where he exists.
func refusalOf(u storage.User, known bool, reason string) Refusal {
	switch {
	case !known:
		return Refusal{Reason: unknownUser}
	case u.Disabled:
		reason = isDisabled
	}
	return Refusal{Login: u.Login, Reason: reason}
}

// userFor reads the user of a login; known becomes false where there is none.
func (d *Directory) userFor(ctx context.Context, name string, known *bool) (u storage.User, cached bool, err error) {
	if !*known {
		return storage.User{}, false, nil
	}
	u, cached, err = d.user(ctx, name)
	if fault.Is(err, fault.NotFound) {
		*known, err = false, nil
	}
	return u, cached, err
}

// verify compares a password with the user's, or does the same work in vain.
func (d *Directory) verify(ctx context.Context, u storage.User, known bool, password string) (bool, error) {
	if !known || u.Hash == "" {
		known, u.Hash = false, noSuchUserHash
	}
	good, err := d.auth.verify(ctx, u.Login, u.Hash, password)
	return good && known, err
}

// authenticateProgram looks up an application password. It costs one look-up,
// right or wrong.
func (d *Directory) authenticateProgram(ctx context.Context, u storage.User, known bool, secret string, by storage.Protocol) (Principal, error) {
	sum := sha256.Sum256([]byte(secret))
	a, err := d.program(ctx, sum)
	switch {
	case fault.Is(err, fault.NotFound):
		return Principal{}, refuse(refusalOf(u, known, wrongProgram))
	case err != nil:
		return Principal{}, fault.Wrap("directory.Authenticate", err)
	case !known || subtle.ConstantTimeCompare([]byte(a.Login), []byte(u.Login)) != 1:
		return Principal{}, refuse(refusalOf(u, known, wrongProgram))
	}
	if why := closed(a, d.clk.Now(), by); why != "" {
		r := refusalOf(u, known, why)
		r.Program, r.ID = a.Name, a.ID
		return Principal{}, refuse(r)
	}
	return d.admit(ctx, u, Principal{Program: a.Name, ProgramID: a.ID, By: by, proof: proof{program: sum}}, &a)
}

// closed says why an application password does not open a protocol, "" if it does.
func closed(a storage.AppPassword, now time.Time, by storage.Protocol) string {
	switch {
	case !a.Revoked.IsZero():
		return wasRevoked
	case !a.Expires.IsZero() && !now.Before(a.Expires):
		return hasEnded
	case by&^a.Protocols != 0:
		return wrongProtocol
	}
	return ""
}

// AuthenticateToken checks a bearer token for one protocol. login is what the
// client claims to be, "" where it leaves that to the token. Denied as in
// Authenticate, also where no tokens are taken.
func (d *Directory) AuthenticateToken(ctx context.Context, login, token string, by storage.Protocol) (Principal, error) {
	const op = "directory.AuthenticateToken"
	if d.tokens == nil {
		return Principal{}, refuse(Refusal{Reason: wrongToken})
	}
	owner, err := d.tokens.VerifyToken(ctx, token)
	switch {
	case fault.Is(err, fault.Denied):
		return Principal{}, refuse(Refusal{Reason: wrongToken})
	case err != nil:
		return Principal{}, fault.Wrap(op, err)
	}
	name, known := canonicalLogin(owner)
	u, _, err := d.userFor(ctx, name, &known)
	if err != nil {
		return Principal{}, fault.Wrap(op, err)
	}
	if claimed, ok := canonicalLogin(login); login != "" && (!ok || !strings.EqualFold(claimed, name)) || !known {
		return Principal{}, refuse(refusalOf(u, known, wrongToken))
	}
	return d.admit(ctx, u, Principal{By: by}, nil)
}

// admit completes p for a user who proved who he is.
func (d *Directory) admit(ctx context.Context, u storage.User, p Principal, a *storage.AppPassword) (Principal, error) {
	if u.Disabled {
		r := refusalOf(u, true, isDisabled)
		r.Program = p.Program
		return Principal{}, refuse(r)
	}
	grants, err := d.Grants(ctx, u.Login)
	if err != nil {
		return Principal{}, fault.Wrap("directory.Authenticate", err)
	}
	if a != nil {
		grants = restricted(grants, *a)
	}
	p.Login, p.Grants = u.Login, grants
	return p, nil
}

// Still tells whether a login that was admitted is still good: Denied when the
// user was disabled, his password changed, the application password was revoked
// or ended, or a permission that p has was taken away. Sessions ask it before
// each command: it is cheap, and what another node changed is seen within five
// seconds (S0-44).
func (d *Directory) Still(ctx context.Context, p Principal) error {
	const op = "directory.Still"
	gone := fault.Say(op, fault.Denied, "accesso revocato o modificato: collegarsi di nuovo / access was revoked or changed: log in again")
	u, _, err := d.user(ctx, p.Login)
	switch {
	case fault.Is(err, fault.NotFound):
		return gone
	case err != nil:
		return fault.Wrap(op, err)
	case u.Disabled, p.proof.password != [32]byte{} && p.proof.password != sha256.Sum256([]byte(u.Hash)):
		return gone
	}
	grants, err := d.Grants(ctx, p.Login)
	if err != nil {
		return fault.Wrap(op, err)
	}
	if p.ProgramID != 0 {
		a, err := d.program(ctx, p.proof.program)
		switch {
		case fault.Is(err, fault.NotFound):
			return gone
		case err != nil:
			return fault.Wrap(op, err)
		case closed(a, d.clk.Now(), p.By) != "":
			return gone
		}
		grants = restricted(grants, a)
	}
	if lessened(p.Grants, grants) {
		return gone
	}
	return nil
}
