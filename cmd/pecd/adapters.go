// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"

	"pecd/directory"
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
