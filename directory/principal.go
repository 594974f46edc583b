// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"strings"

	"pecd/fault"
	"pecd/storage"
)

// Principal is an authenticated user with what he may do by the protocol that he
// logged in by. It is valid for as long as Still says so.
type Principal struct {
	Login string // canonical
	// Program is the name of the application password that was used, "" for the
	// user's own password or a token; ProgramID is its ID, or 0.
	Program   string
	ProgramID int64
	By        storage.Protocol
	// Grants are what he may do, by address, where a program logged in no more
	// than its password allows. Read only.
	Grants []storage.Grant

	proof proof
}

// proof is what a login was admitted by: when it is gone, so is the login.
type proof struct {
	password [32]byte // SHA-256 of the user's stored hash; zero: not by his own password
	program  [32]byte // sum of the application password; zero: not by one
}

// Grant returns what the user may do with the mailbox of an address.
func (p Principal) Grant(address string) (storage.Grant, bool) {
	a, _, why := canonicalAddress(address)
	if why != "" {
		return storage.Grant{}, false
	}
	for _, g := range p.Grants {
		if strings.EqualFold(g.Address, a) {
			return g, true
		}
	}
	return storage.Grant{}, false
}

// MaySendAs reports whether the user may send from the mailbox of an address.
func (p Principal) MaySendAs(address string) bool {
	g, ok := p.Grant(address)
	return ok && g.Permission&storage.MaySend != 0
}

// restricted is what is left of grants under an application password.
func restricted(grants []storage.Grant, a storage.AppPassword) []storage.Grant {
	left := make([]storage.Grant, 0, len(grants))
	for _, g := range grants {
		if a.Mailbox != 0 && a.Mailbox != g.Mailbox {
			continue
		}
		if g.Permission &= a.Permission; g.Permission != 0 {
			left = append(left, g)
		}
	}
	return left
}

// lessened reports whether anything of before is missing in after.
func lessened(before, after []storage.Grant) bool {
	have := make(map[storage.MailboxID]storage.Permission, len(after))
	for _, g := range after {
		have[g.Mailbox] = g.Permission
	}
	for _, g := range before {
		if g.Permission&^have[g.Mailbox] != 0 {
			return true
		}
	}
	return false
}

// MaySubmit checks that p may send from the mailbox of an address with a mail
// client or an application: his login is still good, he may send from there and
// use clients, and a mailbox of an application tier is sent from by an
// application only. That is whoever logs in with an application password, or
// with the mailbox's own address: on these tiers that login is the application's
// and no person's (D6, S4-018). Denied otherwise.
func (d *Directory) MaySubmit(ctx context.Context, p Principal, address string) error {
	const op = "directory.MaySubmit"
	if err := d.Still(ctx, p); err != nil {
		return fault.Wrap(op, err)
	}
	const needed = storage.MaySend | storage.MayUseClient
	g, ok := p.Grant(address)
	if !ok || g.Permission&needed != needed {
		return fault.Say(op, fault.Denied, "mittente non autorizzato per questo utente / sender not owned by user")
	}
	if p.ProgramID != 0 || strings.EqualFold(p.Login, g.Address) {
		return nil
	}
	m, err := d.Mailbox(ctx, address)
	if err != nil {
		return fault.Wrap(op, err)
	}
	t, err := d.Tier(ctx, m.Tier)
	if err != nil {
		return fault.Wrap(op, err)
	}
	if t.Application {
		return fault.Say(op, fault.Denied, "da una casella "+t.Name+" invia solo un'applicazione: serve una password per applicazione / "+
			"only an application sends from a "+t.Name+" mailbox: an application password is needed")
	}
	return nil
}
