// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"

	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// DeleteUser takes everything from a user at once: his password, his grants, his
// application passwords, his contacts, and with them his sessions (S0-44). The login stays
// taken, so that what the log says of him is never said of somebody else.
// Conflict for the login of a mailbox that is not closed, which nobody could
// open any more.
func (d *Directory) DeleteUser(ctx context.Context, login string) error {
	const op = "directory.DeleteUser"
	d.writing.Lock()
	defer d.writing.Unlock()
	u, err := d.mayUser(ctx, ChangeUser, login)
	if err != nil {
		return fault.Wrap(op, err)
	}
	if err := d.holdsNothing(ctx, u.Login); err != nil {
		return fault.Wrap(op, err)
	}
	grants, err := d.st.Grants(ctx, u.Login)
	if err != nil {
		return fault.Wrap(op, err)
	}
	programs, err := d.st.AppPasswords(ctx, u.Login)
	if err != nil {
		return fault.Wrap(op, err)
	}
	now := d.clk.Now().UTC()
	u.Hash, u.Disabled, u.Deleted = "", true, now
	step := new(storage.Step).Add(&storage.PutUser{User: u}, &storage.DropContacts{Login: u.Login}, d.recorded(ctx, ledger.Event{Kind: ledger.UserDeleted, User: u.Login}))
	for _, g := range grants {
		step.Add(
			&storage.PutGrant{Login: u.Login, Mailbox: g.Mailbox},
			d.recorded(ctx, ledger.Event{Kind: ledger.UserGrant, User: u.Login, Mailbox: g.Address, From: PermissionNames(g.Permission)}),
		)
	}
	sums := make([]string, 0, len(programs))
	for _, a := range programs {
		if !a.Revoked.IsZero() {
			continue
		}
		if err := d.revoke(ctx, step, a, now); err != nil {
			return fault.Wrap(op, err)
		}
		sums = append(sums, string(a.Sum[:]))
	}
	err = d.st.Commit(ctx, step)
	d.users.drop(u.Login)
	d.grants.drop(u.Login)
	d.programs.drop(sums...)
	return fault.Wrap(op, err)
}

// holdsNothing fails with Conflict where the login is that of a mailbox in use.
func (d *Directory) holdsNothing(ctx context.Context, login string) error {
	m, err := d.st.Mailbox(ctx, login)
	switch {
	case fault.Is(err, fault.NotFound):
		return nil
	case err != nil:
		return err
	case m.State != storage.MailboxClosed:
		return fault.Say("directory.holdsNothing", fault.Conflict,
			"è il nome utente di una casella in uso: disabilitarlo, o chiudere prima la casella / it is the login of a mailbox in use: disable it, or close the mailbox first")
	}
	return nil
}

// User returns a user by his login, as he is in the store. NotFound where there
// is none, or no more, or who acts does not look after him.
func (d *Directory) User(ctx context.Context, login string) (storage.User, error) {
	u, err := d.mayUser(ctx, SeeUsers, login)
	return u, fault.Wrap("directory.User", err)
}

// ListUsers calls fn by login for every user whom who acts looks after, but for
// deleted ones. An error of fn ends the listing and is returned.
func (d *Directory) ListUsers(ctx context.Context, fn func(storage.User) error) error {
	const op = "directory.ListUsers"
	if err := d.May(ctx, SeeUsers); err != nil {
		return fault.Wrap(op, err)
	}
	return fault.Wrap(op, d.st.Users(ctx, func(u storage.User) error {
		if own, err := d.ownUser(ctx, u); err != nil || !own || !u.Deleted.IsZero() {
			return err
		}
		return fn(u)
	}))
}

// UsersOf lists who may do what with the mailbox of an address, by login.
// NotFound without the mailbox.
func (d *Directory) UsersOf(ctx context.Context, address string) ([]storage.Grant, error) {
	const op = "directory.UsersOf"
	m, err := d.MayMailbox(ctx, SeeMailbox, address)
	if err == nil {
		err = d.May(ctx, SeeUsers)
	}
	if err != nil {
		return nil, fault.Wrap(op, err)
	}
	grants, err := d.st.GrantsOn(ctx, m.ID)
	return grants, fault.Wrap(op, err)
}

// present reads a user from the store by his login; NotFound where he was deleted.
func (d *Directory) present(ctx context.Context, login string) (storage.User, error) {
	unknown := fault.Say("directory.user", fault.NotFound, unknownUser)
	name, ok := canonicalLogin(login)
	if !ok {
		return storage.User{}, unknown
	}
	u, err := d.st.User(ctx, name)
	switch {
	case fault.Is(err, fault.NotFound):
		return storage.User{}, unknown
	case err != nil:
		return storage.User{}, err
	case !u.Deleted.IsZero():
		return storage.User{}, unknown
	}
	return u, nil
}
