// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"context"
	"strings"

	"pecd/fault"
	"pecd/storage"
)

// role is a set of those who may do something.
type role uint8

const (
	provider role = 1 << iota
	customer
	application // of a mailbox
	anybody     // without a token

	administrators = provider | customer
	everyone       = administrators | application
)

// roles is who may do which operation, of what he sees. An operation that is not
// here is for nobody.
func roles() map[string]role {
	return map[string]role{
		"me": everyone,

		"list-bodies":  administrators,
		"get-body":     administrators,
		"list-domains": administrators,
		"get-domain":   administrators,
		"list-tiers":   everyone,
		"get-tier":     everyone,

		"list-mailboxes":    everyone,
		"create-mailbox":    administrators,
		"get-mailbox":       everyone,
		"set-state":         administrators, // of states: mayMove
		"set-ordinary-mail": administrators,
		"set-options":       administrators,

		"list-mailbox-users":  administrators,
		"add-mailbox-user":    administrators,
		"grant-mailbox":       administrators,
		"revoke-mailbox":      administrators,
		"get-user":            administrators,
		"set-user-state":      administrators,
		"set-user-password":   administrators,
		"reset-user-password": administrators,
		"delete-user":         administrators,
		"list-app-passwords":  administrators,
		"create-app-password": administrators,
		"revoke-app-password": administrators,

		"list-tokens":  administrators, // of a body: those of its mailboxes
		"create-token": administrators,
		"revoke-token": administrators,

		"get-message": provider | application,
		"get-queue":   provider,

		"confirm-recovery": anybody,
	}
}

func roleOf(r storage.TokenRole) role {
	switch r {
	case storage.TokenProvider:
		return provider
	case storage.TokenCustomer:
		return customer
	case storage.TokenMailbox:
		return application
	}
	return 0
}

// absent is the answer for what is not there, and for what a role must not see.
func absent(what string) error { return fault.Say("api.absent", fault.NotFound, what) }

const (
	noMailbox = "casella sconosciuta / unknown mailbox"
	noDomain  = "dominio sconosciuto / unknown domain"
	noBody    = "ente sconosciuto / unknown body"
	noUser    = "utente sconosciuto / unknown user"
)

// seesDomain reports whether the caller may know of a domain.
func (s *Server) seesDomain(ctx context.Context, d storage.Domain) bool {
	by := callerOf(ctx)
	switch by.Role {
	case storage.TokenProvider:
		return true
	case storage.TokenCustomer:
		return d.Customer != "" && d.Customer == by.Customer
	}
	return false
}

// domain returns a domain that the caller may know of.
func (s *Server) domain(ctx context.Context, name string) (storage.Domain, error) {
	d, err := s.Directory.Domain(ctx, name)
	if fault.Is(err, fault.NotFound) || err == nil && !s.seesDomain(ctx, d) {
		return storage.Domain{}, absent(noDomain)
	}
	return d, err
}

// seesMailbox reports whether the caller may know of a mailbox. Service mailboxes
// are the provider's.
func (s *Server) seesMailbox(ctx context.Context, m storage.Mailbox) (bool, error) {
	by := callerOf(ctx)
	switch by.Role {
	case storage.TokenProvider:
		return true, nil
	case storage.TokenMailbox:
		return m.ID == by.Mailbox, nil
	}
	if m.Service {
		return false, nil
	}
	d, err := s.Directory.Domain(ctx, m.Domain)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return s.seesDomain(ctx, d), err
}

// mailbox returns a mailbox that the caller may know of, as it is now.
func (s *Server) mailbox(ctx context.Context, address string) (storage.Mailbox, error) {
	m, err := s.Directory.Mailbox(ctx, address)
	if fault.Is(err, fault.NotFound) {
		return m, absent(noMailbox)
	}
	if err != nil {
		return m, err
	}
	ok, err := s.seesMailbox(ctx, m)
	if err != nil {
		return m, err
	}
	if !ok {
		return storage.Mailbox{}, absent(noMailbox)
	}
	return s.Store.MailboxByID(ctx, m.ID)
}

// user returns a user whom the caller may know of, and whether he may change him.
// A body knows who has a mailbox of its own, or an address in its domains for a
// login. It changes those who have nothing of others besides: whoever sets a
// user's password has all that he has.
func (s *Server) user(ctx context.Context, login string) (u storage.User, mine bool, err error) {
	u, err = s.Directory.User(ctx, login)
	if fault.Is(err, fault.NotFound) {
		return u, false, absent(noUser)
	}
	if err != nil || callerOf(ctx).Role == storage.TokenProvider {
		return u, true, err
	}
	grants, err := s.Store.Grants(ctx, u.Login)
	if err != nil {
		return u, false, err
	}
	known, err := s.ownLogin(ctx, u.Login)
	if err != nil {
		return u, false, err
	}
	mine = true
	for _, g := range grants {
		m, err := s.Store.MailboxByID(ctx, g.Mailbox)
		if err != nil {
			return u, false, err
		}
		sees, err := s.seesMailbox(ctx, m)
		if err != nil {
			return u, false, err
		}
		known, mine = known || sees, mine && sees
	}
	if !known {
		return storage.User{}, false, absent(noUser)
	}
	return u, mine, nil
}

// managed returns a user whom the caller may change: Denied where he may only know
// of him.
func (s *Server) managed(ctx context.Context, login string) (storage.User, error) {
	u, mine, err := s.user(ctx, login)
	if err == nil && !mine {
		err = fault.Say("api.managed", fault.Denied,
			"l'utente ha anche caselle di altri: lo modifica il gestore / the user has mailboxes of others too: the provider changes him")
	}
	return u, err
}

// ownLogin reports whether a login is an address in a domain that the caller
// administers.
func (s *Server) ownLogin(ctx context.Context, login string) (bool, error) {
	at := strings.LastIndexByte(login, '@')
	if at < 0 {
		return false, nil
	}
	_, err := s.domain(ctx, login[at+1:])
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// mayMove checks who may bring a mailbox into a state. What the provider blocked
// the provider unblocks, and what is closed is closed for good: bodies activate
// and deactivate (S4-055, S4-056).
func mayMove(by caller, from, to storage.MailboxState) error {
	if by.Role == storage.TokenProvider {
		return nil
	}
	ordinary := func(st storage.MailboxState) bool {
		return st == storage.MailboxActive || st == storage.MailboxDeactivated
	}
	if ordinary(from) && ordinary(to) {
		return nil
	}
	return fault.Say("api.mayMove", fault.Denied,
		"questo passaggio di stato spetta al gestore / this change of state is the provider's")
}
