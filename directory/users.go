// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"strings"
	"unicode/utf8"

	"pecd/fault"
	"pecd/storage"
)

// NewUser is a user to be created: a person, or an application.
type NewUser struct {
	Login string // an address or a plain name; CreateMailbox takes its address when empty
	Name  string
	// Password is the clear password, Hash a ready one made by HashPassword.
	// Exactly one of them is set.
	Password string
	Hash     string
}

// minPassword is the least number of characters of a new password.
const minPassword = 8

// CreateUser adds a user without any grant. Exists if the login is taken.
func (d *Directory) CreateUser(ctx context.Context, n NewUser) error {
	const op = "directory.CreateUser"
	d.writing.Lock()
	defer d.writing.Unlock()
	u, err := d.newUser(ctx, n)
	if err != nil {
		return fault.Wrap(op, err)
	}
	var step storage.Step
	return fault.Wrap(op, d.st.Commit(ctx, step.Add(&storage.PutUser{User: u})))
}

// newUser validates n and hashes its password.
func (d *Directory) newUser(ctx context.Context, n NewUser) (storage.User, error) {
	const op = "directory.newUser"
	login, ok := canonicalLogin(n.Login)
	if !ok {
		return storage.User{}, fault.Say(op, fault.Invalid, "nome utente non valido / malformed login")
	}
	_, err := d.st.User(ctx, login)
	switch {
	case err == nil:
		return storage.User{}, fault.Say(op, fault.Exists, loginTaken)
	case !fault.Is(err, fault.NotFound):
		return storage.User{}, err
	}
	u := storage.User{Login: login, Name: n.Name, Hash: n.Hash, Created: d.clk.Now().UTC()}
	switch {
	case (n.Password == "") == (n.Hash == ""):
		return storage.User{}, fault.Say(op, fault.Invalid, "serve una password / a password is needed")
	case n.Hash != "":
		if _, err := parsePHC(n.Hash); err != nil {
			return storage.User{}, fault.New(op, fault.Invalid, err)
		}
	default:
		if u.Hash, err = d.newHash(ctx, n.Password); err != nil {
			return storage.User{}, err
		}
	}
	return u, nil
}

func (d *Directory) newHash(ctx context.Context, password string) (string, error) {
	if utf8.RuneCountInString(password) < minPassword {
		return "", fault.Say("directory.newHash", fault.Invalid, "la password deve avere almeno 8 caratteri / a password needs at least 8 characters")
	}
	if _, ok := programSecret(password); ok {
		return "", fault.Say("directory.newHash", fault.Invalid, "questa forma è riservata alle password per applicazioni / this form is kept for application passwords")
	}
	return d.auth.hash(ctx, password)
}

// SetPassword gives a user a new password of at least 8 characters. Cached
// verifications of the old one end with it.
func (d *Directory) SetPassword(ctx context.Context, login, password string) error {
	const op = "directory.SetPassword"
	hash, err := d.newHash(ctx, password)
	if err != nil {
		return fault.Wrap(op, err)
	}
	return fault.Wrap(op, d.changeUser(ctx, login, func(u *storage.User) { u.Hash = hash }))
}

// SetUserDisabled shuts a user out, or lets him in again.
func (d *Directory) SetUserDisabled(ctx context.Context, login string, disabled bool) error {
	return fault.Wrap("directory.SetUserDisabled", d.changeUser(ctx, login, func(u *storage.User) { u.Disabled = disabled }))
}

func (d *Directory) changeUser(ctx context.Context, login string, edit func(*storage.User)) error {
	name, ok := canonicalLogin(login)
	if !ok {
		return fault.Say("directory.changeUser", fault.NotFound, unknownUser)
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	u, err := d.st.User(ctx, name)
	if err != nil {
		return sayUnknownUser(err)
	}
	edit(&u)
	var step storage.Step
	err = d.st.Commit(ctx, step.Add(&storage.PutUser{User: u}))
	d.users.drop(name)
	return err
}

const loginTaken = "il nome utente esiste già / the login exists"

const unknownUser = "utente sconosciuto / unknown user"

func sayUnknownUser(err error) error {
	if fault.Is(err, fault.NotFound) {
		return &fault.Error{Op: "directory.user", Kind: fault.NotFound, Text: unknownUser, Err: err}
	}
	return err
}

// Grant sets what a user may do with a mailbox; 0 takes everything away. A
// mailbox of a tier for one user is held by the login that equals its address:
// granting it to another is Denied (S4-011).
func (d *Directory) Grant(ctx context.Context, login, address string, p storage.Permission) error {
	const op = "directory.Grant"
	name, ok := canonicalLogin(login)
	if !ok {
		return fault.Say(op, fault.NotFound, unknownUser)
	}
	if p&^storage.MayAll != 0 {
		return fault.Say(op, fault.Invalid, "permesso sconosciuto / unknown permission")
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	if _, err := d.st.User(ctx, name); err != nil {
		return fault.Wrap(op, sayUnknownUser(err))
	}
	m, err := d.Mailbox(ctx, address)
	if err != nil {
		return fault.Wrap(op, err)
	}
	if p != 0 {
		tier, err := d.Tier(ctx, m.Tier)
		if err != nil {
			return fault.Wrap(op, err)
		}
		if err := mayHold(tier, name, m.Address); err != nil {
			return fault.Wrap(op, err)
		}
	}
	var step storage.Step
	err = d.st.Commit(ctx, step.Add(&storage.PutGrant{Login: name, Mailbox: m.ID, Permission: p}))
	d.grants.drop(name)
	return fault.Wrap(op, err)
}

// mayHold enforces that a mailbox of a tier for one user has one: its own login.
func mayHold(t storage.Tier, login, address string) error {
	if t.MultiUser || strings.EqualFold(login, address) {
		return nil
	}
	return fault.Say("directory.mayHold", fault.Denied,
		"una casella "+t.Name+" ha un solo utente, con l'indirizzo come nome utente: trasforma in Strutturata per aggiungerne altri / "+
			"a "+t.Name+" mailbox has one user, its address: change it into Strutturata to add more")
}
