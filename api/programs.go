// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"pecd/directory"
	"pecd/storage"
)

type (
	// AppPassword is a further password of a user, for one program (S4-018).
	AppPassword struct {
		ID          int64      `json:"id"`
		Name        string     `json:"name"`
		State       string     `json:"state" enum:"active,expired,revoked"`
		Protocols   []string   `json:"protocols" nullable:"false" enum:"imap,pop3,submission,web"`
		Permissions []string   `json:"permissions" nullable:"false" enum:"read,write,send,client,settings"`
		Mailbox     string     `json:"mailbox,omitempty" doc:"Solo questa / only this one"`
		Created     time.Time  `json:"created"`
		Expires     *time.Time `json:"expires,omitempty"`
	}
	// NewAppPassword is one to be made.
	NewAppPassword struct {
		Name        string     `json:"name" minLength:"1" maxLength:"64"`
		Protocols   []string   `json:"protocols" nullable:"false" minItems:"1" maxItems:"4" enum:"imap,pop3,submission,web"`
		Permissions []string   `json:"permissions" nullable:"false" minItems:"1" maxItems:"5" enum:"read,write,send,client,settings"`
		Mailbox     string     `json:"mailbox,omitempty" maxLength:"320"`
		Expires     *time.Time `json:"expires,omitempty"`
	}
	// MadeAppPassword is one with its secret, told this once.
	MadeAppPassword struct {
		AppPassword AppPassword `json:"app_password"`
		Password    string      `json:"password"`
	}
	programsOut  struct{ Body page[AppPassword] }
	newProgramIn struct {
		LoginParam
		Body NewAppPassword
	}
	newProgramOut   struct{ Body MadeAppPassword }
	revokeProgramIn struct {
		LoginParam
		ID int64 `path:"id" minimum:"1"`
	}
)

func (s *Server) registerPrograms() {
	const programs = "/users/{login}/app-passwords"
	register(s, operation{name: "list-app-passwords", method: get, path: programs, summary: "Password per applicazioni / Application passwords"}, s.listPrograms)
	register(s, operation{name: "create-app-password", method: post, path: programs, status: http.StatusCreated,
		summary: "Crea una password per un'applicazione, mostrata una volta / Makes one, shown once"}, s.createProgram)
	register(s, operation{name: "revoke-app-password", method: remove, path: programs + "/{id}", status: http.StatusNoContent, summary: "Revoca subito / Revokes at once"},
		func(ctx context.Context, in *revokeProgramIn) (*nothing, error) {
			u, err := s.Directory.User(ctx, in.Login)
			if err != nil {
				return nil, err
			}
			return nil, s.Directory.RevokeProgram(ctx, u.Login, in.ID)
		})
}

func (s *Server) viewOfProgram(ctx context.Context, a storage.AppPassword) (AppPassword, error) {
	v := AppPassword{ID: a.ID, Name: a.Name, State: stateOf(a.Expires, a.Revoked, s.Clock.Now()), Protocols: words(directory.ProtocolNames(a.Protocols)),
		Permissions: words(directory.PermissionNames(a.Permission)), Created: a.Created, Expires: instant(a.Expires)}
	if a.Mailbox == 0 {
		return v, nil
	}
	m, err := s.Store.MailboxByID(ctx, a.Mailbox)
	v.Mailbox = m.Address
	return v, err
}

// stateOf tells whether what ends is good.
func stateOf(expires, revoked, now time.Time) string {
	switch {
	case !revoked.IsZero():
		return "revoked"
	case !expires.IsZero() && !now.Before(expires):
		return "expired"
	}
	return "active"
}

func (s *Server) listPrograms(ctx context.Context, in *struct {
	LoginParam
	Paging
}) (*programsOut, error) {
	u, err := s.Directory.User(ctx, in.Login)
	if err != nil {
		return nil, err
	}
	all, err := s.Directory.Programs(ctx, u.Login)
	if err != nil {
		return nil, err
	}
	views := make([]AppPassword, 0, len(all))
	for _, a := range all {
		v, err := s.viewOfProgram(ctx, a)
		if err != nil {
			return nil, err
		}
		views = append(views, v)
	}
	return &programsOut{paged(views, func(a AppPassword) string { return numberKey(a.ID) }, in.Paging)}, nil
}

// numberKey sorts numbers as texts.
func numberKey(n int64) string {
	s := strconv.FormatInt(n, 10)
	return strings.Repeat("0", 19-len(s)) + s
}

func (s *Server) createProgram(ctx context.Context, in *newProgramIn) (*newProgramOut, error) {
	u, err := s.Directory.User(ctx, in.Login)
	if err != nil {
		return nil, err
	}
	n := directory.NewProgram{Login: u.Login, Name: in.Body.Name, Mailbox: in.Body.Mailbox}
	if n.Protocols, err = directory.ParseProtocols(strings.Join(in.Body.Protocols, ",")); err != nil {
		return nil, err
	}
	if n.Permission, err = permission(in.Body.Permissions); err != nil {
		return nil, err
	}
	if in.Body.Expires != nil {
		n.Expires = in.Body.Expires.UTC()
	}
	a, secret, err := s.Directory.CreateProgram(ctx, n)
	if err != nil {
		return nil, err
	}
	out := &newProgramOut{MadeAppPassword{Password: secret}}
	out.Body.AppPassword, err = s.viewOfProgram(ctx, a)
	return out, err
}
