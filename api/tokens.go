// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"context"
	"net/http"
	"time"

	"pecd/directory"
	"pecd/storage"
)

type (
	// Token is a token of this interface.
	Token struct {
		ID      int64      `json:"id"`
		Name    string     `json:"name"`
		Role    string     `json:"role" enum:"provider,customer,mailbox"`
		State   string     `json:"state" enum:"active,expired,revoked"`
		Body    string     `json:"body,omitempty"`
		Mailbox string     `json:"mailbox,omitempty"`
		Created time.Time  `json:"created"`
		Expires *time.Time `json:"expires,omitempty"`
	}
	// NewToken is one to be made.
	NewToken struct {
		Name    string     `json:"name" minLength:"1" maxLength:"64"`
		Role    string     `json:"role" enum:"provider,customer,mailbox"`
		Body    string     `json:"body,omitempty" maxLength:"64" doc:"Codice dell'ente, per customer / code of the body, for customer"`
		Mailbox string     `json:"mailbox,omitempty" maxLength:"320" doc:"Indirizzo, per mailbox / address, for mailbox"`
		Expires *time.Time `json:"expires,omitempty"`
	}
	// MadeToken is one with its secret, told this once.
	MadeToken struct {
		Token  Token  `json:"token"`
		Secret string `json:"secret"`
	}
	tokensOut   struct{ Body page[Token] }
	newTokenIn  struct{ Body NewToken }
	newTokenOut struct{ Body MadeToken }
	idIn        struct {
		ID int64 `path:"id" minimum:"1"`
	}
)

func (s *Server) registerTokens() {
	register(s, operation{name: "list-tokens", method: get, path: "/tokens", summary: "Token / Tokens"}, s.listTokens)
	register(s, operation{name: "create-token", method: post, path: "/tokens", status: http.StatusCreated, summary: "Crea un token, mostrato una volta / Makes one, shown once"}, s.createToken)
	register(s, operation{name: "revoke-token", method: remove, path: "/tokens/{id}", status: http.StatusNoContent, summary: "Revoca subito / Revokes at once"}, s.revokeToken)
}

func (s *Server) viewOfToken(ctx context.Context, t storage.APIToken) (Token, error) {
	v := Token{ID: t.ID, Name: t.Name, Role: string(t.Role), State: stateOf(t.Expires, t.Revoked, s.Clock.Now()), Body: t.Customer, Created: t.Created, Expires: instant(t.Expires)}
	if t.Mailbox == 0 {
		return v, nil
	}
	m, err := s.Store.MailboxByID(ctx, t.Mailbox)
	v.Mailbox = m.Address
	return v, err
}

func (s *Server) listTokens(ctx context.Context, in *struct{ Paging }) (*tokensOut, error) {
	all, err := s.Directory.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	var views []Token
	for _, t := range all {
		v, err := s.viewOfToken(ctx, t)
		if err != nil {
			return nil, err
		}
		views = append(views, v)
	}
	return &tokensOut{paged(views, func(t Token) string { return numberKey(t.ID) }, in.Paging)}, nil
}

func (s *Server) createToken(ctx context.Context, in *newTokenIn) (*newTokenOut, error) {
	n := directory.NewToken{Name: in.Body.Name, Role: storage.TokenRole(in.Body.Role), Customer: in.Body.Body, Mailbox: in.Body.Mailbox}
	if in.Body.Expires != nil {
		n.Expires = in.Body.Expires.UTC()
	}
	t, secret, err := s.Directory.CreateToken(ctx, n)
	if err != nil {
		return nil, err
	}
	v, err := s.viewOfToken(ctx, t)
	return &newTokenOut{MadeToken{v, secret}}, err
}

func (s *Server) revokeToken(ctx context.Context, in *idIn) (*nothing, error) {
	return nil, s.Directory.RevokeToken(ctx, in.ID)
}
