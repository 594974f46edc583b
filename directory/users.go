// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"pecd/fault"
	"pecd/ledger"
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
	// NoPassword leaves him without one, and with nothing to log in by, until one is
	// set: neither of the two is given then.
	NoPassword bool
	// Body is the body that looks after him, "" for the provider alone. It is that of
	// who adds him where that is a body's administrator, and that of the domain for a
	// user made with his mailbox.
	Body string
}

// minPassword is the least number of characters of a new password.
const minPassword = 8

// CreateUser adds a user without any grant. Exists if the login is taken.
func (d *Directory) CreateUser(ctx context.Context, n NewUser) error {
	const op = "directory.CreateUser"
	if err := d.May(ctx, AddUsers); err != nil {
		return fault.Wrap(op, err)
	}
	n, err := d.derived(ctx, n)
	if err != nil {
		return fault.Wrap(op, err)
	}
	if actor := ActorOf(ctx); actor.Role == RoleCustomer {
		n.Body = actor.Customer
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	if n.Body != "" {
		if _, err := d.body(ctx, n.Body); err != nil {
			return fault.Wrap(op, err)
		}
	}
	u, err := d.newUser(ctx, n)
	if err != nil {
		return fault.Wrap(op, err)
	}
	var step storage.Step
	return fault.Wrap(op, d.st.Commit(ctx, step.Add(&storage.PutUser{User: u}, d.recorded(ctx, ledger.Event{Kind: ledger.UserCreated, User: u.Login}))))
}

// AddUser creates a user with what he may do with a mailbox, in one step: where he
// may not have it (S4-011), there is no user either. Errors as of CreateUser and
// Grant.
func (d *Directory) AddUser(ctx context.Context, n NewUser, address string, p storage.Permission) error {
	const op = "directory.AddUser"
	if p == 0 || p&^storage.MayAll != 0 {
		return fault.Say(op, fault.Invalid, "permesso mancante o sconosciuto / permission missing or unknown")
	}
	if err := d.May(ctx, AddUsers); err != nil {
		return fault.Wrap(op, err)
	}
	n, err := d.derived(ctx, n)
	if err != nil {
		return fault.Wrap(op, err)
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	m, err := d.MayMailbox(ctx, GrantMailbox, address)
	if err != nil {
		return fault.Wrap(op, err)
	}
	// The body of the mailbox looks after him.
	if n.Body, err = d.bodyOf(ctx, m.Domain); err != nil {
		return fault.Wrap(op, err)
	}
	tier, err := d.Tier(ctx, m.Tier)
	if err != nil {
		return fault.Wrap(op, err)
	}
	u, err := d.newUser(ctx, n)
	if err == nil {
		err = mayHold(tier, u.Login, m.Address)
	}
	if err != nil {
		return fault.Wrap(op, err)
	}
	err = d.st.Commit(ctx, new(storage.Step).Add(
		&storage.PutUser{User: u}, &storage.PutGrant{Login: u.Login, Mailbox: m.ID, Permission: p},
		d.recorded(ctx, ledger.Event{Kind: ledger.UserCreated, User: u.Login}),
		d.recorded(ctx, ledger.Event{Kind: ledger.UserGrant, User: u.Login, Mailbox: m.Address, To: PermissionNames(p)}),
	))
	d.grants.drop(u.Login)
	return fault.Wrap(op, err)
}

// derived returns n with the hash of its password in the place of it. It is called
// before the lock is taken: it waits as long as logins have to, and what else is
// to be administered must not wait with it.
func (d *Directory) derived(ctx context.Context, n NewUser) (NewUser, error) {
	if n.Password == "" || n.Hash != "" {
		return n, nil // newUser judges it
	}
	hash, err := d.newHash(ctx, n.Password)
	n.Password, n.Hash = "", hash
	return n, err
}

// newUser validates n, whose password was derived.
func (d *Directory) newUser(ctx context.Context, n NewUser) (storage.User, error) {
	const op = "directory.newUser"
	login, ok := canonicalLogin(n.Login)
	if !ok {
		return storage.User{}, fault.Say(op, fault.Invalid, "nome utente non valido / malformed login")
	}
	if err := checkName(n.Name); err != nil {
		return storage.User{}, err
	}
	_, err := d.st.User(ctx, login)
	switch {
	case err == nil:
		return storage.User{}, fault.Say(op, fault.Exists, loginTaken)
	case !fault.Is(err, fault.NotFound):
		return storage.User{}, err
	}
	u := storage.User{Login: login, Name: n.Name, Hash: n.Hash, Customer: n.Body, Created: d.clk.Now().UTC()}
	if err := d.mayName(ctx, u); err != nil {
		return storage.User{}, err
	}
	if n.NoPassword && n.Hash == "" && n.Password == "" {
		return u, nil
	}
	if n.Hash == "" || n.Password != "" || n.NoPassword {
		return storage.User{}, fault.Say(op, fault.Invalid, "serve una password / a password is needed")
	}
	if _, err := parsePHC(n.Hash); err != nil {
		return storage.User{}, fault.New(op, fault.Invalid, err)
	}
	return u, nil
}

// mayName keeps a body's administrator from taking a login that is an address of
// somebody else's domain here.
func (d *Directory) mayName(ctx context.Context, u storage.User) error {
	own, err := d.ownUser(ctx, u)
	if err == nil && !own {
		return fault.Say("directory.mayName", fault.Denied, "il dominio del nome utente non è di questo ente / the login's domain is not of this body")
	}
	return err
}

// maxName is how many characters the name of a user, a holder or a body may have.
const maxName = 200

// checkName keeps names of people and bodies short and on one line.
func checkName(name string) error {
	if utf8.RuneCountInString(name) > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return fault.Say("directory.checkName", fault.Invalid, "nome non valido: al massimo 200 caratteri su una riga / malformed name: 200 characters on one line at most")
	}
	return nil
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
// verifications of the old one end with it, and so do links and codes by which he
// could set another.
func (d *Directory) SetPassword(ctx context.Context, login, password string) error {
	const op = "directory.SetPassword"
	if _, err := d.mayUser(ctx, ChangeUser, login); err != nil {
		return fault.Wrap(op, err)
	}
	hash, err := d.newHash(ctx, password)
	if err != nil {
		return fault.Wrap(op, err)
	}
	return fault.Wrap(op, d.changeUser(ctx, login, func(u *storage.User) (ledger.Kind, error) {
		u.Hash = hash
		return ledger.UserPassword, nil
	}))
}

// SetUserDisabled shuts a user out, or lets him in again. Whom the provider shut
// out, before or after a body did, a body does not let in: Denied.
func (d *Directory) SetUserDisabled(ctx context.Context, login string, disabled bool) error {
	const op = "directory.SetUserDisabled"
	by := ActorOf(ctx).Role
	return fault.Wrap(op, d.changeUser(ctx, login, func(u *storage.User) (ledger.Kind, error) {
		if !disabled {
			if u.Disabled && by != RoleProvider && u.DisabledBy != string(by) {
				return "", fault.Say(op, fault.Denied, "l'utente è stato disabilitato dal gestore: solo lui può riabilitarlo / the provider shut him out, and alone can let him in again")
			}
			u.Disabled, u.DisabledBy = false, ""
			return ledger.UserEnabled, nil
		}
		switch {
		case by == RoleProvider:
			u.DisabledBy = ""
		case !u.Disabled:
			u.DisabledBy = string(by)
		}
		u.Disabled = true
		return ledger.UserDisabled, nil
	}))
}

// changeUser lets edit alter a user with whom who acts may do that; the event that
// edit returns is recorded, if anything changed.
func (d *Directory) changeUser(ctx context.Context, login string, edit func(*storage.User) (ledger.Kind, error)) error {
	d.writing.Lock()
	defer d.writing.Unlock()
	u, err := d.mayUser(ctx, ChangeUser, login)
	if err != nil {
		return err
	}
	before := u
	kind, err := edit(&u)
	if err != nil || u == before {
		return err
	}
	var step storage.Step
	if u.Hash != before.Hash {
		step.Add(&storage.EndRecoveries{Login: u.Login, At: d.clk.Now().UTC()})
	}
	err = d.st.Commit(ctx, step.Add(&storage.PutUser{User: u}, d.recorded(ctx, ledger.Event{Kind: kind, User: u.Login})))
	d.users.drop(u.Login)
	return err
}

const loginTaken = "il nome utente esiste già / the login exists"

const unknownUser = "utente sconosciuto / unknown user"

// Grant sets what a user may do with a mailbox; 0 takes everything away. A
// mailbox of a tier for one user is held by the login that equals its address:
// granting it to another is Denied (S4-011).
func (d *Directory) Grant(ctx context.Context, login, address string, p storage.Permission) error {
	const op = "directory.Grant"
	if p&^storage.MayAll != 0 {
		return fault.Say(op, fault.Invalid, "permesso sconosciuto / unknown permission")
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	m, err := d.MayMailbox(ctx, GrantMailbox, address)
	if err != nil {
		return fault.Wrap(op, err)
	}
	u, err := d.grantee(ctx, login, m.ID, p)
	if err != nil {
		return fault.Wrap(op, err)
	}
	if p != 0 {
		tier, err := d.Tier(ctx, m.Tier)
		if err != nil {
			return fault.Wrap(op, err)
		}
		if err := mayHold(tier, u.Login, m.Address); err != nil {
			return fault.Wrap(op, err)
		}
	}
	had, err := d.permission(ctx, u.Login, m.ID)
	if err != nil || had == p {
		return fault.Wrap(op, err)
	}
	var step storage.Step
	err = d.st.Commit(ctx, step.Add(
		&storage.PutGrant{Login: u.Login, Mailbox: m.ID, Permission: p},
		d.recorded(ctx, ledger.Event{Kind: ledger.UserGrant, User: u.Login, Mailbox: m.Address, From: PermissionNames(had), To: PermissionNames(p)}),
	))
	d.grants.drop(u.Login)
	return fault.Wrap(op, err)
}

// grantee is the user of a login for a grant. A body's administrator gives
// permissions to those whom he looks after, and may take them from everybody.
func (d *Directory) grantee(ctx context.Context, login string, m storage.MailboxID, p storage.Permission) (storage.User, error) {
	u, err := d.present(ctx, login)
	if err != nil {
		return storage.User{}, err
	}
	if own, err := d.ownUser(ctx, u); err != nil || own {
		return u, err
	}
	if had, err := d.permission(ctx, u.Login, m); err != nil || had != 0 && p == 0 {
		return u, err
	}
	return storage.User{}, fault.Say("directory.grantee", fault.NotFound, unknownUser)
}

// permission reads what a user may do with a mailbox now.
func (d *Directory) permission(ctx context.Context, login string, m storage.MailboxID) (storage.Permission, error) {
	grants, err := d.st.Grants(ctx, login)
	for _, g := range grants {
		if g.Mailbox == m {
			return g.Permission, err
		}
	}
	return 0, err
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
