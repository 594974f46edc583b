// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"strings"

	"pecd/fault"
	"pecd/storage"
)

// Mailbox returns the mailbox of an address, whatever its state is. NotFound
// when there is none, or the address is malformed. The answer may be a few
// seconds old, Used and Messages included: the quota is enforced by the step
// that appends.
func (d *Directory) Mailbox(ctx context.Context, address string) (storage.Mailbox, error) {
	const op = "directory.Mailbox"
	a, _, why := canonicalAddress(address)
	if why != "" {
		return storage.Mailbox{}, fault.New(op, fault.NotFound, nil)
	}
	m, mark, ok := d.boxes.get(a)
	if ok {
		return m, nil
	}
	m, err := d.st.Mailbox(ctx, a)
	if err != nil {
		return storage.Mailbox{}, fault.Wrap(op, err)
	}
	d.boxes.put(a, m, mark)
	return m, nil
}

// Grants returns what a user may do with which mailboxes; none where there is no
// such user. The answer may be a few seconds old, but for changes made here.
func (d *Directory) Grants(ctx context.Context, login string) ([]storage.Grant, error) {
	const op = "directory.Grants"
	name, ok := canonicalLogin(login)
	if !ok {
		return nil, nil
	}
	all, mark, ok := d.grants.get(name)
	if ok {
		return all, nil
	}
	all, err := d.st.Grants(ctx, name)
	if err != nil {
		return nil, fault.Wrap(op, err)
	}
	d.grants.put(name, all, mark)
	return all, nil
}

// Shared reports whether several people may have access to the mailbox of an
// address (S4-017): whether its tier allows it.
func (d *Directory) Shared(ctx context.Context, address string) (bool, error) {
	const op = "directory.Shared"
	m, err := d.Mailbox(ctx, address)
	if err != nil {
		return false, fault.Wrap(op, err)
	}
	t, err := d.Tier(ctx, m.Tier)
	return t.MultiUser, fault.Wrap(op, err)
}

// user returns a user by his canonical login, and whether the answer may be a few
// seconds old. NotFound where there is none: that is never remembered.
func (d *Directory) user(ctx context.Context, name string) (u storage.User, cached bool, err error) {
	u, mark, ok := d.users.get(name)
	if ok {
		return u, true, nil
	}
	if u, err = d.st.User(ctx, name); err != nil {
		return storage.User{}, false, err
	}
	d.users.put(name, u, mark)
	return u, false, nil
}

// program returns the application password with a sum, as user does.
func (d *Directory) program(ctx context.Context, sum [32]byte) (storage.AppPassword, error) {
	key := string(sum[:])
	a, mark, ok := d.programs.get(key)
	if ok {
		return a, nil
	}
	a, err := d.st.AppPassword(ctx, sum)
	if err != nil {
		return storage.AppPassword{}, err
	}
	d.programs.put(key, a, mark)
	return a, nil
}

// Tier returns a tier by its code.
func (d *Directory) Tier(ctx context.Context, code string) (storage.Tier, error) {
	const op = "directory.Tier"
	all, mark, ok := d.tiers.get("")
	if !ok {
		list, err := d.st.Tiers(ctx)
		if err != nil {
			return storage.Tier{}, fault.Wrap(op, err)
		}
		all = make(map[string]storage.Tier, len(list))
		for _, t := range list {
			all[t.Code] = t
		}
		d.tiers.put("", all, mark)
	}
	t, ok := all[code]
	if !ok {
		return storage.Tier{}, fault.Say(op, fault.NotFound, "tipologia di casella sconosciuta / unknown tier")
	}
	return t, nil
}

// Figures returns what a mailbox may hold and send: the figures of its tier, and
// what was raised for it.
func (d *Directory) Figures(ctx context.Context, m storage.Mailbox) (storage.Figures, error) {
	t, err := d.Tier(ctx, m.Tier)
	return t.Raised(m.Raised), fault.Wrap("directory.Figures", err)
}

// Domain returns a domain of this provider, certified or not. NotFound when it
// is not ours.
func (d *Directory) Domain(ctx context.Context, name string) (storage.Domain, error) {
	const op = "directory.Domain"
	n, why := canonicalDomain(name)
	if why != "" {
		return storage.Domain{}, fault.Say(op, fault.NotFound, unknownDomain)
	}
	all, mark, ok := d.domains.get("")
	if !ok {
		list, err := d.st.Domains(ctx)
		if err != nil {
			return storage.Domain{}, fault.Wrap(op, err)
		}
		all = make(map[string]storage.Domain, len(list))
		for _, dom := range list {
			all[strings.ToLower(dom.Name)] = dom
		}
		d.domains.put("", all, mark)
	}
	dom, ok := all[n]
	if !ok {
		return storage.Domain{}, fault.Say(op, fault.NotFound, unknownDomain)
	}
	return dom, nil
}

const unknownDomain = "dominio non gestito / no domain of this provider"

// IsLocalDomain reports whether mail for the domain ends here: the domain is
// ours and certified. A domain still being certified belongs, on the wire, to
// the provider that had it before (S4-097).
func (d *Directory) IsLocalDomain(ctx context.Context, domain string) (bool, error) {
	dom, err := d.Domain(ctx, domain)
	switch {
	case err == nil:
		return dom.State == storage.DomainCertified, nil
	case fault.Is(err, fault.NotFound):
		return false, nil
	}
	return false, fault.Wrap("directory.IsLocalDomain", err)
}

// ListMailboxes calls fn by address for every mailbox of a domain ("" for all of
// them) that who acts may see, read from the store. NotFound for a domain that is
// not there, or not his. An error of fn ends the listing and is returned.
func (d *Directory) ListMailboxes(ctx context.Context, domain string, fn func(storage.Mailbox) error) error {
	const op = "directory.ListMailboxes"
	if domain != "" {
		n, why := canonicalDomain(domain)
		if why != "" {
			return fault.Say(op, fault.Invalid, why)
		}
		domain = n
		_, err := d.Domain(ctx, domain)
		own := false
		if err == nil {
			own, err = d.ownDomain(ctx, domain)
		}
		if fault.Is(err, fault.NotFound) || err == nil && !own {
			return fault.Say(op, fault.NotFound, unknownDomain)
		}
		if err != nil {
			return fault.Wrap(op, err)
		}
	}
	return fault.Wrap(op, d.st.Mailboxes(ctx, domain, func(m storage.Mailbox) error {
		if own, err := d.ownMailbox(ctx, m); err != nil || !own {
			return err
		}
		return fn(m)
	}))
}

// Tiers lists all tiers by code.
func (d *Directory) Tiers(ctx context.Context) ([]storage.Tier, error) {
	all, err := d.st.Tiers(ctx)
	return all, fault.Wrap("directory.Tiers", err)
}
