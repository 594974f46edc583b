// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"pecd/storage"
)

type (
	// LoginParam names a user.
	LoginParam struct {
		Login string `path:"login" maxLength:"320"`
	}
	userOut struct {
		ETag string `header:"ETag"`
		Body User
	}
	userStateIn struct {
		LoginParam
		Change
		Body struct {
			Disabled bool `json:"disabled"`
		}
	}
	passwordIn struct {
		LoginParam
		Body struct {
			Password string `json:"password" writeOnly:"true" minLength:"8" maxLength:"1024"`
		}
	}
	linkOut  struct{ Body Link }
	usersOut struct{ Body page[User] }
)

func (s *Server) registerUsers() {
	const user = "/users/{login}"
	register(s, operation{name: "list-users", method: get, path: "/users", summary: "Utenti / Users"}, s.listUsers)
	register(s, operation{name: "get-user", method: get, path: user, summary: "Un utente e le sue caselle / A user and his mailboxes"},
		func(ctx context.Context, in *LoginParam) (*userOut, error) {
			u, err := s.Directory.User(ctx, in.Login)
			if err != nil {
				return nil, err
			}
			v, err := s.viewOfUser(ctx, u)
			return &userOut{etag(v), v}, err
		})
	register(s, operation{name: "set-user-state", method: put, path: user + "/state", summary: "Disabilita o riabilita, con le sessioni aperte / Shuts out or lets in again, open sessions too"}, s.setUserState)
	register(s, operation{name: "set-user-password", method: put, path: user + "/password", status: http.StatusNoContent, summary: "Nuova password / A new password"},
		func(ctx context.Context, in *passwordIn) (*nothing, error) {
			u, err := s.Directory.User(ctx, in.Login)
			if err != nil {
				return nil, err
			}
			return nil, s.Directory.SetPassword(ctx, u.Login, in.Body.Password)
		})
	register(s, operation{name: "reset-user-password", method: post, path: user + "/reset", status: http.StatusCreated,
		summary: "Collegamento da consegnare, con cui l'utente sceglie la password, una volta / A link to hand over, by which the user chooses a password, once"},
		func(ctx context.Context, in *LoginParam) (*linkOut, error) {
			u, err := s.Directory.User(ctx, in.Login)
			if err != nil {
				return nil, err
			}
			l, err := s.link(ctx, u.Login)
			if err != nil {
				return nil, err
			}
			return &linkOut{*l}, nil
		})
	register(s, operation{name: "delete-user", method: remove, path: user, status: http.StatusNoContent, summary: "Elimina; il nome non si riassegna / Deletes; the login is not given out again"},
		func(ctx context.Context, in *LoginParam) (*nothing, error) {
			u, err := s.Directory.User(ctx, in.Login)
			if err != nil {
				return nil, err
			}
			return nil, s.Directory.DeleteUser(ctx, u.Login)
		})
}

// listUsers tells of the users whom the caller looks after, by login.
func (s *Server) listUsers(ctx context.Context, in *struct{ Paging }) (*usersOut, error) {
	out := &usersOut{page[User]{Items: []User{}}}
	after, full := strings.ToLower(in.Cursor), errors.New("page full")
	err := s.Directory.ListUsers(ctx, func(u storage.User) error {
		switch {
		case u.Login <= after:
			return nil
		case len(out.Body.Items) == in.Limit:
			out.Body.Next = out.Body.Items[in.Limit-1].Login
			return full
		}
		v, err := s.viewOfUser(ctx, u)
		out.Body.Items = append(out.Body.Items, v)
		return err
	})
	if errors.Is(err, full) {
		err = nil
	}
	return out, err
}

func (s *Server) setUserState(ctx context.Context, in *userStateIn) (*userOut, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	u, err := s.Directory.User(ctx, in.Login)
	if err != nil {
		return nil, err
	}
	v, err := s.viewOfUser(ctx, u)
	if err == nil {
		err = matches(ctx, in.Change, etag(v))
	}
	if err == nil {
		err = s.Directory.SetUserDisabled(ctx, u.Login, in.Body.Disabled)
	}
	if err != nil {
		return nil, err
	}
	v.Disabled = in.Body.Disabled
	return &userOut{etag(v), v}, nil
}
