// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"context"
	"strings"
	"time"

	"pecd/storage"
)

// Me is who a token acts for.
type Me struct {
	ID      int64      `json:"id"`
	Name    string     `json:"name"`
	Role    string     `json:"role" enum:"provider,customer,mailbox"`
	Body    string     `json:"body,omitempty"`
	Mailbox string     `json:"mailbox,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`
}

// Body is a public body (ente).
type Body struct {
	Code    string    `json:"code" doc:"Codice IPA"`
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
}

// Domain is a domain of the provider.
type Domain struct {
	Name    string    `json:"name"`
	State   string    `json:"state" enum:"certified,pending"`
	Body    string    `json:"body,omitempty"`
	Created time.Time `json:"created"`
}

type (
	meOut     struct{ Body Me }
	bodyOut   struct{ Body Body }
	bodiesOut struct{ Body page[Body] }
	tierOut   struct {
		ETag string `header:"ETag"`
		Body Tier
	}
	tiersOut   struct{ Body page[Tier] }
	domainOut  struct{ Body Domain }
	domainsOut struct{ Body page[Domain] }
	codeIn     struct {
		Code string `path:"code" maxLength:"64"`
	}
	domainIn struct {
		Name string `path:"name" maxLength:"253"`
	}
)

func (s *Server) registerMe() {
	register(s, operation{name: "me", method: get, path: "/me", summary: "Per chi agisce il token / Whom the token acts for"},
		func(ctx context.Context, _ *struct{}) (*meOut, error) {
			by := callerOf(ctx)
			return &meOut{Me{by.ID, by.Name, string(by.Role), by.Customer, by.address, instant(by.Expires)}}, nil
		})
}

func (s *Server) registerBodies() {
	register(s, operation{name: "list-bodies", method: get, path: "/bodies", summary: "Enti / Public bodies"}, s.listBodies)
	register(s, operation{name: "get-body", method: get, path: "/bodies/{code}", summary: "Un ente / A public body"}, s.getBody)
	register(s, operation{name: "list-domains", method: get, path: "/domains", summary: "Domini / Domains"}, s.listDomains)
	register(s, operation{name: "get-domain", method: get, path: "/domains/{name}", summary: "Un dominio / A domain"}, s.getDomain)
	register(s, operation{name: "list-tiers", method: get, path: "/tiers", summary: "Tipologie di casella / Tiers"}, s.listTiers)
	register(s, operation{name: "get-tier", method: get, path: "/tiers/{code}", summary: "Una tipologia / A tier"}, s.getTier)
}

// bodies are those that the caller may know of.
func (s *Server) bodies(ctx context.Context) ([]Body, error) {
	all, err := s.Store.Customers(ctx)
	if err != nil {
		return nil, err
	}
	by := callerOf(ctx)
	var seen []Body
	for _, c := range all {
		if by.Role == storage.TokenProvider || c.Code == by.Customer {
			seen = append(seen, Body{c.Code, c.Name, c.Created})
		}
	}
	return seen, nil
}

func (s *Server) listBodies(ctx context.Context, in *struct{ Paging }) (*bodiesOut, error) {
	all, err := s.bodies(ctx)
	return &bodiesOut{paged(all, func(b Body) string { return b.Code }, in.Paging)}, err
}

func (s *Server) getBody(ctx context.Context, in *codeIn) (*bodyOut, error) {
	all, err := s.bodies(ctx)
	if err != nil {
		return nil, err
	}
	for _, b := range all {
		if strings.EqualFold(b.Code, in.Code) {
			return &bodyOut{b}, nil
		}
	}
	return nil, absent(noBody)
}

func viewOfDomain(d storage.Domain) Domain {
	return Domain{d.Name, string(d.State), d.Customer, d.Created}
}

// domains are those that the caller may know of, by name.
func (s *Server) domains(ctx context.Context) ([]storage.Domain, error) {
	all, err := s.Store.Domains(ctx)
	if err != nil {
		return nil, err
	}
	var seen []storage.Domain
	for _, d := range all {
		if s.seesDomain(ctx, d) {
			seen = append(seen, d)
		}
	}
	return seen, nil
}

func (s *Server) listDomains(ctx context.Context, in *struct{ Paging }) (*domainsOut, error) {
	all, err := s.domains(ctx)
	if err != nil {
		return nil, err
	}
	views := make([]Domain, 0, len(all))
	for _, d := range all {
		views = append(views, viewOfDomain(d))
	}
	return &domainsOut{paged(views, func(d Domain) string { return d.Name }, in.Paging)}, nil
}

func (s *Server) getDomain(ctx context.Context, in *domainIn) (*domainOut, error) {
	d, err := s.domain(ctx, in.Name)
	return &domainOut{viewOfDomain(d)}, err
}

func (s *Server) listTiers(ctx context.Context, in *struct{ Paging }) (*tiersOut, error) {
	all, err := s.Store.Tiers(ctx)
	if err != nil {
		return nil, err
	}
	views := make([]Tier, 0, len(all))
	for _, t := range all {
		views = append(views, viewOfTier(t))
	}
	return &tiersOut{paged(views, func(t Tier) string { return t.Code }, in.Paging)}, nil
}

func (s *Server) getTier(ctx context.Context, in *codeIn) (*tierOut, error) {
	t, err := s.Directory.Tier(ctx, in.Code)
	v := viewOfTier(t)
	return &tierOut{etag(v), v}, err
}
