// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"fmt"
	"strings"

	"pecd/fault"
	"pecd/ledger"
	"pecd/protection"
	"pecd/storage"
)

// Protections are the rules about spam and dangerous contents (S4-066): the
// provider's, which are a floor, those of domains and those of mailboxes. All
// methods may be called concurrently.
type Protections struct {
	d     *Directory
	floor protection.Policy
	rules *cache[protection.Policy] // by scope; the zero policy where there is none
}

// Protections returns the rules over the provider's own.
func (d *Directory) Protections(provider protection.Policy) *Protections {
	return &Protections{d: d, floor: provider, rules: newCache[protection.Policy](d.clk, lookupTTL, 2*maxMailboxes)}
}

// Of returns what holds for a mailbox. The answer may be a few seconds old, but
// for changes made here. Rules that cannot be read are passed over: they are no
// reason to keep mail back, and the provider's hold.
func (p *Protections) Of(ctx context.Context, address string) (protection.Policy, error) {
	const op = "directory.Protections.Of"
	a, domain, why := canonicalAddress(address)
	if why != "" {
		return p.floor, nil
	}
	own, err := p.scope(ctx, a)
	if err != nil {
		return protection.Policy{}, fault.Wrap(op, err)
	}
	shared, err := p.scope(ctx, domain)
	if err != nil {
		return protection.Policy{}, fault.Wrap(op, err)
	}
	return protection.Effective(p.floor, shared, own), nil
}

// scope returns the rules of a domain or of a mailbox alone.
func (p *Protections) scope(ctx context.Context, name string) (protection.Policy, error) {
	rules, mark, ok := p.rules.get(name)
	if ok {
		return rules, nil
	}
	rules, err := p.read(ctx, name)
	if err != nil && !fault.Is(err, fault.Invalid) {
		return protection.Policy{}, err
	}
	p.rules.put(name, rules, mark)
	return rules, nil
}

func (p *Protections) read(ctx context.Context, name string) (protection.Policy, error) {
	rows, err := p.d.st.Protections(ctx, name)
	if err != nil || len(rows) == 0 {
		return protection.Policy{}, err
	}
	return protection.Decode(rows[0].Policy)
}

// Rules are those of one scope: what it says itself, and what holds there.
type Rules struct {
	Scope     string // "" is the provider
	Own       protection.Policy
	Effective protection.Policy
}

// Show returns the rules of a scope: a domain of ours, the address of a mailbox,
// or "" for the provider. NotFound where there is no such domain or mailbox.
func (p *Protections) Show(ctx context.Context, scope string) (Rules, error) {
	const op = "directory.Protections.Show"
	if scope == "" {
		return Rules{Own: p.floor, Effective: p.floor}, nil
	}
	name, address, err := p.known(ctx, scope)
	if err != nil {
		return Rules{}, fault.Wrap(op, err)
	}
	r := Rules{Scope: name}
	if r.Own, err = p.read(ctx, name); err != nil {
		return Rules{}, fault.Wrap(op, err)
	}
	shared, own := r.Own, protection.Policy{}
	if address {
		own = r.Own
		_, domain, _ := strings.Cut(name, "@")
		if shared, err = p.scope(ctx, domain); err != nil {
			return Rules{}, fault.Wrap(op, err)
		}
	}
	r.Effective = protection.Effective(p.floor, shared, own)
	return r, nil
}

// Set replaces the rules of a domain or of a mailbox; the empty policy removes
// them. Whoever sets them is named by As. Invalid where they cannot hold, Denied
// where they say less than the provider does, NotFound without the domain or the
// mailbox. Another node learns of it when what it remembers ends.
func (p *Protections) Set(ctx context.Context, scope string, policy protection.Policy) (before, after Rules, err error) {
	const op = "directory.Protections.Set"
	if err := policy.Check(); err != nil {
		return Rules{}, Rules{}, fault.Wrap(op, err)
	}
	if err := policy.CheckAbove(p.floor); err != nil {
		return Rules{}, Rules{}, fault.Wrap(op, err)
	}
	name, address, err := p.known(ctx, scope)
	if err != nil {
		return Rules{}, Rules{}, fault.Wrap(op, err)
	}
	p.d.writing.Lock()
	defer p.d.writing.Unlock()
	before, err = p.Show(ctx, name)
	unread := fault.Is(err, fault.Invalid) // what is there must go
	if err != nil && !unread {
		return Rules{}, Rules{}, fault.Wrap(op, err)
	}
	row := storage.Protection{Scope: name}
	if policy != (protection.Policy{}) {
		row.Policy = policy.Encode()
	}
	e := ledger.Event{Kind: ledger.ProtectionChanged, Detail: changed(before.Own, policy)}
	if address {
		e.Mailbox = name
	} else {
		e.Domain = name
	}
	if e.Detail != "" || unread {
		if err := p.d.st.Commit(ctx, new(storage.Step).Add(&storage.PutProtection{Protection: row}, p.d.recorded(ctx, e))); err != nil {
			return Rules{}, Rules{}, fault.Wrap(op, err)
		}
		p.rules.drop(name)
	}
	after, err = p.Show(ctx, name)
	return before, after, fault.Wrap(op, err)
}

// known returns the canonical name of a scope that who acts may see and change, and
// whether it is an address. NotFound where it is not his.
func (p *Protections) known(ctx context.Context, scope string) (name string, address bool, err error) {
	if strings.Contains(scope, "@") {
		m, err := p.d.MayMailbox(ctx, ChangeProtections, scope)
		return m.Address, true, err
	}
	dom, err := p.d.Domain(ctx, scope)
	if err != nil {
		return "", false, err
	}
	own, err := p.d.ownDomain(ctx, dom.Name)
	if err == nil && !own {
		return "", false, fault.Say("directory.Protections.known", fault.NotFound, unknownDomain)
	}
	return dom.Name, false, err
}

// changed lists the rules that differ, before and after.
func changed(before, after protection.Policy) string {
	var out []string
	for _, k := range protection.Kinds() {
		for _, d := range protection.Directions() {
			if a, b := before.Action(k, d), after.Action(k, d); a != b {
				out = append(out, fmt.Sprintf("%s.%s: %s > %s", k, d, orNothing(a), orNothing(b)))
			}
		}
	}
	return strings.Join(out, ", ")
}

func orNothing(a protection.Action) string {
	if a == "" {
		return "-"
	}
	return string(a)
}
