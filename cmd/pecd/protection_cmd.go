// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"pecd/directory"
	"pecd/protection"
)

type protectionCmd struct {
	Show   protectionShowCmd   `cmd:"" help:"What is done about spam, macros, links and opaque contents. / Regole in vigore."`
	Set    protectionSetCmd    `cmd:"" help:"Change the rules of a domain or a mailbox. / Cambia le regole di un dominio o di una casella."`
	Counts protectionCountsCmd `cmd:"" help:"What was intercepted, by day. / Intercettazioni per giorno (indicatore 11)."`
}

type protectionShowCmd struct {
	nodeFlag
	Scope string `arg:"" optional:"" help:"A domain or an address; none: the provider's rules."`
	JSON  bool   `help:"Print JSON."`
}

// Run prints the rules of a scope.
func (c *protectionShowCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "protection show", c, openStore)
}

func (c *protectionShowCmd) do(ctx context.Context, k call) error {
	r, err := k.node.protections.Show(ctx, c.Scope)
	if err != nil {
		return err
	}
	return printRules(k, r, c.JSON)
}

type protectionSetCmd struct {
	nodeFlag
	Scope string   `arg:"" help:"A domain or an address."`
	Rules []string `arg:"" optional:"" placeholder:"KIND.DIRECTION=ACTION" help:"spam, macro, link or opaque; submission, certified or ordinary; pass, tag, folder or refuse. Nothing behind = takes a rule away."`
	Reset bool     `help:"Take all rules of the scope away first."`
	JSON  bool     `help:"Print JSON."`
}

// Run changes rules of a scope and prints what holds then.
func (c *protectionSetCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "protection set", c, openStore)
}

func (c *protectionSetCmd) do(ctx context.Context, k call) error {
	if len(c.Rules) == 0 && !c.Reset {
		return fmt.Errorf("nessuna regola indicata / no rule given: macro.certified=folder, or --reset")
	}
	var policy protection.Policy
	if !c.Reset {
		r, err := k.node.protections.Show(ctx, c.Scope)
		if err != nil {
			return err
		}
		policy = r.Own
	}
	policy, err := withRules(policy, c.Rules)
	if err != nil {
		return err
	}
	_, after, err := k.node.protections.Set(ctx, c.Scope, policy)
	if err != nil {
		return err
	}
	return printRules(k, after, c.JSON)
}

// withRules reads rules as they are typed.
func withRules(p protection.Policy, rules []string) (protection.Policy, error) {
	for _, r := range rules {
		cell, action, ok := strings.Cut(r, "=")
		kind, way, ok2 := strings.Cut(cell, ".")
		if !ok || !ok2 || !slices.Contains(protection.Kinds(), protection.Kind(kind)) || !slices.Contains(protection.Directions(), protection.Direction(way)) {
			return p, fmt.Errorf("%q: TIPO.DIREZIONE=AZIONE / KIND.DIRECTION=ACTION, as macro.certified=folder", r)
		}
		p = p.With(protection.Kind(kind), protection.Direction(way), protection.Action(action))
	}
	return p, nil
}

func printRules(k call, r directory.Rules, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(k.out).Encode(struct {
			Scope     string            `json:"scope,omitempty"`
			Own       protection.Policy `json:"own"`
			Effective protection.Policy `json:"effective"`
		}{r.Scope, r.Own, r.Effective})
	}
	w := tabwriter.NewWriter(k.out, 0, 8, 2, ' ', 0)
	for _, kind := range protection.Kinds() {
		for _, way := range protection.Directions() {
			own := r.Own.Action(kind, way)
			if own == "" {
				own = "-"
			}
			if _, err := fmt.Fprintf(w, "%s.%s\t%s\t%s\n", kind, way, r.Effective.Action(kind, way), own); err != nil {
				return err
			}
		}
	}
	return w.Flush()
}
