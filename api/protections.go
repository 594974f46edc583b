// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"context"

	"pecd/directory"
	"pecd/protection"
)

// Protections are the rules about spam and dangerous contents;
// *directory.Protections has them.
type Protections interface {
	Show(ctx context.Context, scope string) (directory.Rules, error)
	Set(ctx context.Context, scope string, policy protection.Policy) (before, after directory.Rules, err error)
}

type (
	// Rule is what is done about one kind of finding; what is absent is left to the
	// domain's rules, and to the provider's.
	Rule struct {
		Submission string `json:"submission,omitempty" enum:"pass,tag,refuse"`
		Certified  string `json:"certified,omitempty" enum:"pass,tag,folder,refuse" doc:"La posta certificata non si rifiuta come spam / certified mail is never refused for spam"`
		Ordinary   string `json:"ordinary,omitempty" enum:"pass,tag,folder,refuse"`
	}
	// Policy is the rules of a domain or of a mailbox.
	Policy struct {
		Spam   Rule `json:"spam,omitzero"`
		Macro  Rule `json:"macro,omitzero" doc:"Documenti con macro / documents with macros"`
		Link   Rule `json:"link,omitzero" doc:"Collegamenti pericolosi / dangerous links"`
		Opaque Rule `json:"opaque,omitzero" doc:"Contenuti che non si possono esaminare / contents that cannot be looked into"`
	}
	// Rules are what a domain or mailbox says, and what holds there.
	Rules struct {
		Scope     string `json:"scope"`
		Own       Policy `json:"own"`
		Effective Policy `json:"effective"`
	}
	rulesOut struct {
		ETag string `header:"ETag"`
		Body Rules
	}
	domainRulesIn struct {
		DomainParam
		Change
		Body Policy
	}
	mailboxRulesIn struct {
		AddressParam
		Change
		Body Policy
	}
)

func (s *Server) registerProtections() {
	register(s, operation{name: "get-domain-protection", method: get, path: "/domains/{name}/protection", summary: "Protezione di un dominio / Protection of a domain"},
		func(ctx context.Context, in *DomainParam) (*rulesOut, error) {
			d, err := s.domain(ctx, in.Name)
			if err != nil {
				return nil, err
			}
			return s.rules(ctx, d.Name)
		})
	register(s, operation{name: "set-domain-protection", method: put, path: "/domains/{name}/protection",
		summary: "Regole di un dominio, mai meno di quelle del gestore / Rules of a domain, never less than the provider's"},
		func(ctx context.Context, in *domainRulesIn) (*rulesOut, error) {
			d, err := s.domain(ctx, in.Name)
			if err != nil {
				return nil, err
			}
			return s.setRules(ctx, d.Name, in.Change, in.Body)
		})
	register(s, operation{name: "get-mailbox-protection", method: get, path: "/mailboxes/{address}/protection", summary: "Protezione di una casella / Protection of a mailbox"},
		func(ctx context.Context, in *AddressParam) (*rulesOut, error) {
			m, err := s.mailbox(ctx, in.Address)
			if err != nil {
				return nil, err
			}
			return s.rules(ctx, m.Address)
		})
	register(s, operation{name: "set-mailbox-protection", method: put, path: "/mailboxes/{address}/protection",
		summary: "Regole di una casella, mai meno di quelle del gestore / Rules of a mailbox, never less than the provider's"},
		func(ctx context.Context, in *mailboxRulesIn) (*rulesOut, error) {
			m, err := s.mailbox(ctx, in.Address)
			if err != nil {
				return nil, err
			}
			return s.setRules(ctx, m.Address, in.Change, in.Body)
		})
}

func viewOfRule(r protection.Rule) Rule {
	return Rule{string(r.Submission), string(r.Certified), string(r.Ordinary)}
}

func viewOfPolicy(p protection.Policy) Policy {
	return Policy{viewOfRule(p.Spam), viewOfRule(p.Macro), viewOfRule(p.Link), viewOfRule(p.Opaque)}
}

func (r Rule) rule() protection.Rule {
	return protection.Rule{Submission: protection.Action(r.Submission), Certified: protection.Action(r.Certified), Ordinary: protection.Action(r.Ordinary)}
}

func (s *Server) rules(ctx context.Context, scope string) (*rulesOut, error) {
	r, err := s.Protections.Show(ctx, scope)
	v := Rules{r.Scope, viewOfPolicy(r.Own), viewOfPolicy(r.Effective)}
	return &rulesOut{etag(v.Own), v}, err
}

func (s *Server) setRules(ctx context.Context, scope string, c Change, p Policy) (*rulesOut, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	now, err := s.rules(ctx, scope)
	if err == nil {
		err = matches(ctx, c, now.ETag)
	}
	if err == nil {
		_, _, err = s.Protections.Set(ctx, scope, protection.Policy{Spam: p.Spam.rule(), Macro: p.Macro.rule(), Link: p.Link.rule(), Opaque: p.Opaque.rule()})
	}
	if err != nil {
		return nil, err
	}
	return s.rules(ctx, scope)
}
