// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"context"

	"pecd/directory"
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
		"set-body":     provider,
		"set-ceiling":  provider,
		"import-body":  administrators,
		"list-domains": administrators,
		"get-domain":   administrators,
		"set-domain":   provider,
		"list-tiers":   everyone,
		"get-tier":     everyone,
		"raise-tier":   provider,

		"list-mailboxes":    everyone,
		"create-mailbox":    administrators,
		"get-mailbox":       everyone,
		"set-tier":          administrators,
		"raise-mailbox":     provider,
		"set-state":         administrators,
		"set-ordinary-mail": administrators,
		"block-sending":     provider,
		"set-options":       administrators,

		"list-mailbox-users":  administrators,
		"add-mailbox-user":    administrators,
		"grant-mailbox":       administrators,
		"revoke-mailbox":      administrators,
		"list-users":          administrators,
		"get-user":            administrators,
		"set-user-state":      administrators,
		"set-user-password":   administrators,
		"reset-user-password": administrators,
		"delete-user":         administrators,
		"list-app-passwords":  administrators,
		"create-app-password": administrators,
		"revoke-app-password": administrators,

		"list-contacts":   administrators,
		"add-contact":     administrators,
		"confirm-contact": administrators,
		"remove-contact":  administrators,
		"list-notices":    administrators,
		"turn-notice-on":  administrators,
		"turn-notice-off": administrators,

		"list-tokens":  administrators, // of a body: those of its mailboxes
		"create-token": administrators,
		"revoke-token": administrators,

		"get-limits":             everyone,
		"list-filters":           administrators,
		"get-filter":             administrators,
		"set-filter":             administrators,
		"remove-filter":          administrators,
		"get-domain-protection":  administrators,
		"set-domain-protection":  administrators,
		"get-mailbox-protection": administrators,
		"set-mailbox-protection": administrators,

		"get-message": provider | application,
		"get-queue":   provider,

		"request-recovery": anybody,
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

// actor is who acts, for the directory: it judges what he may do with what, and
// its table (directory/roles.go) is the one that counts. The table above says
// which operations there are for a role at all.
func (by caller) actor() directory.Actor {
	return directory.Actor{Name: directory.TokenActor(by.APIToken), Role: directory.Role(by.Role), Customer: by.Customer, Mailbox: by.address}
}

// absent is the answer for what is not there, and for what a role must not see.
func absent(what string) error { return fault.Say("api.absent", fault.NotFound, what) }

const (
	noDomain = "dominio sconosciuto / unknown domain"
	noBody   = "ente sconosciuto / unknown body"
)

// domain returns a domain that the caller may know of.
func (s *Server) domain(ctx context.Context, name string) (storage.Domain, error) {
	d, err := s.Directory.Domain(ctx, name)
	if err == nil {
		err = s.Directory.MayBody(ctx, directory.SeeBody, d.Customer)
	}
	if fault.Is(err, fault.NotFound) {
		return storage.Domain{}, absent(noDomain)
	}
	return d, err
}

// mailbox returns a mailbox that the caller may know of, as it is now.
func (s *Server) mailbox(ctx context.Context, address string) (storage.Mailbox, error) {
	return s.Directory.MayMailbox(ctx, directory.SeeMailbox, address)
}

// sees reports whether the caller may know of a mailbox.
func (s *Server) sees(ctx context.Context, address string) (bool, error) {
	_, err := s.mailbox(ctx, address)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil, err
}
