// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"fmt"
	"strings"

	"pecd/fault"
	"pecd/storage"
)

// Action is one thing that is done in the administration.
type Action string

// The actions.
const (
	ChangeTiers   Action = "tiers.change"   // figures of a tier
	ChangeBodies  Action = "bodies.change"  // public bodies and their ceilings
	ChangeDomains Action = "domains.change" // add, certify, give to a body

	SeeBody           Action = "body.see" // its domains too
	SeeMailbox        Action = "mailbox.see"
	ChangeFilters     Action = "mailbox.filters"    // see them, too: they say whom the holder writes with
	ChangeProtections Action = "protections.change" // rules about unwanted contents, above the provider's
	CreateMailboxes   Action = "mailbox.create"
	TransformMailbox  Action = "mailbox.transform" // another tier
	ActivateMailbox   Action = "mailbox.activate"
	DeactivateMailbox Action = "mailbox.deactivate"
	BlockMailbox      Action = "mailbox.block" // and end that
	CloseMailbox      Action = "mailbox.close" // for good
	RaiseMailbox      Action = "mailbox.raise" // figures above the tier's
	BlockSending      Action = "mailbox.block_sending"
	ChangeOrdinary    Action = "mailbox.ordinary" // closing to ordinary mail
	ChangeOptions     Action = "mailbox.options"
	GrantMailbox      Action = "mailbox.grant" // say what a user may do with it

	ChangeTokens        Action = "tokens.change"         // of the provider and of bodies
	ChangeMailboxTokens Action = "mailbox.tokens.change" // of its applications

	SeeUsers   Action = "users.see"
	AddUsers   Action = "users.add"
	ChangeUser Action = "user.change" // password, disabling, deletion, application passwords
)

// rule says whether the two roles below the provider's may do something with what
// is theirs: a body's domains with their mailboxes and users, an application's
// mailbox. The provider may do everything; nobody else anything with what is not
// his, and the provider's service mailboxes are nobody else's.
type rule struct {
	action            Action
	customer, mailbox bool
}

// rules is who may do what, in one table. What the provider sets stays above what
// a body can change: limits, ceilings, blocks.
func rules() []rule {
	const yes, no = true, false
	return []rule{
		//                  a body's administrator, a mailbox's application
		{ChangeTiers, no, no},
		{ChangeBodies, no, no},
		{ChangeDomains, no, no},
		{SeeBody, yes, no},
		{SeeMailbox, yes, yes},
		{ChangeFilters, yes, no},
		{ChangeProtections, yes, no},
		{CreateMailboxes, yes, no},   // within its ceilings
		{TransformMailbox, yes, no},  // within its ceilings
		{ActivateMailbox, yes, no},   // what it deactivated itself
		{DeactivateMailbox, yes, no}, // S4-056
		{BlockMailbox, no, no},
		{CloseMailbox, no, no},
		{RaiseMailbox, no, no},
		{BlockSending, no, no},
		{ChangeOrdinary, yes, no},
		{ChangeOptions, yes, no},
		{GrantMailbox, yes, no}, // to its own users
		{ChangeTokens, no, no},
		{ChangeMailboxTokens, yes, no},
		{SeeUsers, yes, no},
		{AddUsers, yes, no},
		{ChangeUser, yes, no}, // unless he has mailboxes of others, too
	}
}

// Actions lists every action, in the order of the table.
func Actions() []Action {
	all := rules()
	actions := make([]Action, len(all))
	for i, r := range all {
		actions[i] = r.action
	}
	return actions
}

// may reports whether a role may do something with what is its own.
func (r Role) may(a Action) bool {
	if r == RoleProvider {
		return true
	}
	for _, rule := range rules() {
		if rule.action == a {
			return r == RoleCustomer && rule.customer || r == RoleMailbox && rule.mailbox
		}
	}
	return false
}

const (
	unknownMailbox = "casella sconosciuta / unknown mailbox"
	unknownBody    = "ente sconosciuto / unknown body"
	notAllowed     = "operazione riservata al gestore / for the provider alone"
)

// May checks that who acts may do something that concerns no single mailbox, user
// or body. Denied otherwise.
func (d *Directory) May(ctx context.Context, a Action) error {
	if !ActorOf(ctx).Role.may(a) {
		return fault.Say("directory.May", fault.Denied, notAllowed)
	}
	return nil
}

// MayMailbox returns the mailbox of an address, as it is in the store, if who acts
// may do something with it. NotFound where it is not his: what he must not see
// does not exist for him; Denied where he sees it and may not do that.
func (d *Directory) MayMailbox(ctx context.Context, a Action, address string) (storage.Mailbox, error) {
	const op = "directory.MayMailbox"
	name, _, why := canonicalAddress(address)
	if why != "" {
		return storage.Mailbox{}, noMailbox(op, address)
	}
	m, err := d.st.Mailbox(ctx, name)
	switch {
	case fault.Is(err, fault.NotFound):
		return storage.Mailbox{}, noMailbox(op, address)
	case err != nil:
		return storage.Mailbox{}, fault.Wrap(op, err)
	}
	own, err := d.ownMailbox(ctx, m)
	switch {
	case err != nil:
		return storage.Mailbox{}, fault.Wrap(op, err)
	case !own:
		return storage.Mailbox{}, noMailbox(op, address)
	}
	return m, fault.Wrap(op, d.May(ctx, a))
}

// noMailbox is the one answer about a mailbox that is not there, or not for who asks.
func noMailbox(op, address string) error {
	return &fault.Error{Op: op, Kind: fault.NotFound, Text: unknownMailbox, Err: fmt.Errorf("mailbox %q: "+unknownMailbox, address)}
}

// MayBody checks that who acts may do something with a body. NotFound and Denied
// as MayMailbox; whether there is such a body is not looked at.
func (d *Directory) MayBody(ctx context.Context, a Action, code string) error {
	const op = "directory.MayBody"
	switch actor := ActorOf(ctx); {
	case actor.Role == RoleProvider, actor.Role == RoleCustomer && actor.Customer != "" && actor.Customer == code:
		return fault.Wrap(op, d.May(ctx, a))
	}
	return fault.Say(op, fault.NotFound, unknownBody)
}

// ownMailbox reports whether a mailbox is that of who acts.
func (d *Directory) ownMailbox(ctx context.Context, m storage.Mailbox) (bool, error) {
	switch actor := ActorOf(ctx); actor.Role {
	case RoleProvider:
		return true, nil
	case RoleCustomer:
		if m.Service {
			return false, nil
		}
		return d.ownDomain(ctx, m.Domain)
	case RoleMailbox:
		return !m.Service && actor.Mailbox != "" && strings.EqualFold(actor.Mailbox, m.Address), nil
	}
	return false, nil
}

// ownDomain reports whether a domain is of the body that acts, or the provider acts.
func (d *Directory) ownDomain(ctx context.Context, name string) (bool, error) {
	actor := ActorOf(ctx)
	if actor.Role == RoleProvider {
		return true, nil
	}
	if actor.Role != RoleCustomer || actor.Customer == "" {
		return false, nil
	}
	body, err := d.bodyOf(ctx, name)
	return body == actor.Customer, err
}

// bodyOf returns the body of a domain, "" for none, or where the domain is not ours.
func (d *Directory) bodyOf(ctx context.Context, domain string) (string, error) {
	dom, err := d.Domain(ctx, domain)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return "", err
	}
	return dom.Customer, nil
}

// looksAfter returns the body that looks after a user: that of his login's domain,
// where it is an address of ours; otherwise the one that he was made for.
func (d *Directory) looksAfter(ctx context.Context, u storage.User) (string, error) {
	_, domain, ok := strings.Cut(u.Login, "@")
	if !ok {
		return u.Customer, nil
	}
	dom, err := d.Domain(ctx, domain)
	switch {
	case fault.Is(err, fault.NotFound):
		return u.Customer, nil
	case err != nil:
		return "", err
	}
	return dom.Customer, nil
}

// ownUser reports whether who acts looks after a user.
func (d *Directory) ownUser(ctx context.Context, u storage.User) (bool, error) {
	switch actor := ActorOf(ctx); actor.Role {
	case RoleProvider:
		return true, nil
	case RoleCustomer:
		body, err := d.looksAfter(ctx, u)
		return actor.Customer != "" && body == actor.Customer, err
	}
	return false, nil
}

// mayUser is present for a user whom who acts looks after, and with whom he may do
// something. To change one who has access to the mailboxes of others would be a
// way into these: Denied.
func (d *Directory) mayUser(ctx context.Context, a Action, login string) (storage.User, error) {
	const op = "directory.mayUser"
	u, err := d.present(ctx, login)
	if err != nil {
		return storage.User{}, err
	}
	own, err := d.ownUser(ctx, u)
	switch {
	case err != nil:
		return storage.User{}, err
	case !own:
		return storage.User{}, fault.Say(op, fault.NotFound, unknownUser)
	}
	if err := d.May(ctx, a); err != nil {
		return storage.User{}, err
	}
	if a != ChangeUser || ActorOf(ctx).Role == RoleProvider {
		return u, nil
	}
	grants, err := d.st.Grants(ctx, u.Login)
	if err != nil {
		return storage.User{}, err
	}
	for _, g := range grants {
		m, err := d.st.MailboxByID(ctx, g.Mailbox)
		if err != nil {
			return storage.User{}, err
		}
		if own, err = d.ownMailbox(ctx, m); err != nil {
			return storage.User{}, err
		}
		if !own {
			return storage.User{}, fault.Say(op, fault.Denied,
				"l'utente usa anche caselle di altri: può cambiarlo solo il gestore / he uses mailboxes of others, too: only the provider can change him")
		}
	}
	return u, nil
}
