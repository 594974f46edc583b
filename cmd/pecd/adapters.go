// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"

	"pecd/directory"
	"pecd/fault"
	"pecd/storage"
)

// mailboxes shows the directory to the pipeline.
type mailboxes struct{ *directory.Directory }

// MaySend implements pipeline.Mailboxes.
func (m mailboxes) MaySend(ctx context.Context, login, address string) (bool, error) {
	grants, err := m.Directory.Grants(ctx, login)
	if err != nil {
		return false, err
	}
	return directory.Principal{Login: login, Grants: grants}.MaySendAs(address), nil
}

// providers shows the provider index to the pipeline.
type providers struct{ *directory.LiveIndex }

// Certified implements pipeline.Providers.
func (p providers) Certified(domain string) bool {
	_, ok := p.ProviderOfDomain(domain)
	return ok
}

// submitters lets users log in to submit.
type submitters struct{ *directory.Directory }

// Authenticate implements smtp.Authenticator.
func (s submitters) Authenticate(ctx context.Context, login, password string) (string, error) {
	p, err := s.Directory.Authenticate(ctx, login, password)
	if err != nil {
		return "", err
	}
	for _, g := range p.Grants {
		if g.Permission&storage.MaySend != 0 {
			return p.Login, nil
		}
	}
	return "", fault.Say("pecd.Authenticate", fault.Denied, "utente non abilitato all'invio / not allowed to send")
}
