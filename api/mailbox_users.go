// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"pecd/directory"
	"pecd/storage"
)

type (
	grantsOut struct{ Body page[Grant] }
	// AddedUser is a user to be created on a mailbox.
	AddedUser struct {
		NewUser
		Permissions []string `json:"permissions" nullable:"false" minItems:"1" maxItems:"5" enum:"read,write,send,client,settings"`
	}
	addIn struct {
		AddressParam
		Body AddedUser
	}
	// CreatedUser is a user and, where he has no password yet, his link.
	CreatedUser struct {
		User User  `json:"user"`
		Link *Link `json:"link,omitempty"`
	}
	createdUserOut struct{ Body CreatedUser }
	grantIn        struct {
		AddressParam
		Login string `path:"login" maxLength:"320"`
		Body  struct {
			Permissions []string `json:"permissions" nullable:"false" minItems:"1" maxItems:"5" enum:"read,write,send,client,settings"`
		}
	}
	revokeIn struct {
		AddressParam
		Login string `path:"login" maxLength:"320"`
	}
	grantOut struct{ Body Grant }
)

func (s *Server) registerMailboxUsers() {
	const users = "/mailboxes/{address}/users"
	register(s, operation{name: "list-mailbox-users", method: get, path: users, summary: "Chi usa la casella / Who uses the mailbox"}, s.listMailboxUsers)
	register(s, operation{name: "add-mailbox-user", method: post, path: users, status: http.StatusCreated, summary: "Crea un utente sulla casella / Creates a user on the mailbox"}, s.addMailboxUser)
	register(s, operation{name: "grant-mailbox", method: put, path: users + "/{login}", summary: "Stabilisce i permessi di un utente / Sets what a user may do"}, s.grantMailbox)
	register(s, operation{name: "revoke-mailbox", method: remove, path: users + "/{login}", status: http.StatusNoContent, summary: "Toglie la casella a un utente / Takes the mailbox from a user"}, s.revokeMailbox)
}

func (s *Server) listMailboxUsers(ctx context.Context, in *struct {
	AddressParam
	Paging
}) (*grantsOut, error) {
	m, err := s.mailbox(ctx, in.Address)
	if err != nil {
		return nil, err
	}
	grants, err := s.Directory.UsersOf(ctx, m.Address)
	if err != nil {
		return nil, err
	}
	views := make([]Grant, 0, len(grants))
	for _, g := range grants {
		views = append(views, viewOfGrant(g))
	}
	return &grantsOut{paged(views, func(g Grant) string { return g.Login }, in.Paging)}, nil
}

// newUser is the directory's form of a user to be created. One without password is
// invited to choose one.
func newUser(u NewUser) (n directory.NewUser, invited bool) {
	return directory.NewUser{Login: u.Login, Name: u.Name, Password: u.Password, NoPassword: u.Password == ""}, u.Password == ""
}

// link makes the link by which a user sets his password.
func (s *Server) link(ctx context.Context, login string) (*Link, error) {
	secret, ends, err := s.Directory.BeginReset(ctx, login)
	if err != nil {
		return nil, err
	}
	return &Link{s.recoveryLink(secret), ends.Format(time.RFC3339)}, nil
}

func permission(words []string) (storage.Permission, error) {
	return directory.ParsePermissions(strings.Join(words, ","))
}

func (s *Server) addMailboxUser(ctx context.Context, in *addIn) (*createdUserOut, error) {
	m, err := s.mailbox(ctx, in.Address)
	if err != nil {
		return nil, err
	}
	p, err := permission(in.Body.Permissions)
	if err != nil {
		return nil, err
	}
	n, invited := newUser(in.Body.NewUser)
	if err := s.Directory.AddUser(ctx, n, m.Address, p); err != nil {
		return nil, err
	}
	u, err := s.Directory.User(ctx, n.Login)
	if err != nil {
		return nil, err
	}
	out := new(createdUserOut)
	if out.Body.User, err = s.viewOfUser(ctx, u); err == nil && invited {
		out.Body.Link, err = s.link(ctx, u.Login)
	}
	return out, err
}

func (s *Server) grantMailbox(ctx context.Context, in *grantIn) (*grantOut, error) {
	m, err := s.mailbox(ctx, in.Address)
	if err != nil {
		return nil, err
	}
	p, err := permission(in.Body.Permissions)
	if err != nil {
		return nil, err
	}
	err = s.Directory.Grant(ctx, in.Login, m.Address, p)
	return &grantOut{viewOfGrant(storage.Grant{Login: strings.ToLower(in.Login), Address: m.Address, Permission: p})}, err
}

func (s *Server) revokeMailbox(ctx context.Context, in *revokeIn) (*nothing, error) {
	return nil, s.Directory.Grant(ctx, in.Login, in.Address, 0)
}
