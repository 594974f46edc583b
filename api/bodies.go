// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"context"
	"time"

	"pecd/directory"
	"pecd/fault"
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

// TierUse is how many mailboxes of a tier a body has.
type TierUse struct {
	Tier      string `json:"tier"`
	Mailboxes int64  `json:"mailboxes" doc:"Senza le chiuse / without closed ones"`
	Ceiling   *int64 `json:"ceiling,omitempty" doc:"Quante può averne; assente: senza limite / how many it may have; absent: no bound"`
}

// BodyUse is a public body with what it has.
type BodyUse struct {
	Body
	Domains []string  `json:"domains" nullable:"false"`
	Tiers   []TierUse `json:"tiers" nullable:"false"`
}

// Domain is a domain of the provider.
type Domain struct {
	Name    string    `json:"name"`
	State   string    `json:"state" enum:"certified,pending"`
	Body    string    `json:"body,omitempty"`
	Created time.Time `json:"created"`
}

type (
	meOut   struct{ Body Me }
	bodyOut struct {
		ETag string `header:"ETag"`
		Body BodyUse
	}
	bodiesOut struct{ Body page[Body] }
	tierOut   struct {
		ETag string `header:"ETag"`
		Body Tier
	}
	tiersOut  struct{ Body page[Tier] }
	domainOut struct {
		ETag string `header:"ETag"`
		Body Domain
	}
	domainsOut struct{ Body page[Domain] }
	// CodeParam names a body or a tier.
	CodeParam struct {
		Code string `path:"code" maxLength:"64"`
	}
	// DomainParam names a domain.
	DomainParam struct {
		Name string `path:"name" maxLength:"253"`
	}
	setBodyIn struct {
		CodeParam
		Change
		Body struct {
			Name string `json:"name" minLength:"1" maxLength:"200"`
		}
	}
	ceilingIn struct {
		CodeParam
		Tier string `path:"tier" maxLength:"64"`
		Change
		Body struct {
			Ceiling *int64 `json:"ceiling" nullable:"true" minimum:"0" doc:"null: senza limite / null: no bound"`
		}
	}
	setDomainIn struct {
		DomainParam
		Change
		Body struct {
			State string `json:"state" enum:"certified,pending"`
			Body  string `json:"body,omitempty" maxLength:"64" doc:"Codice dell'ente; assente: nessuno / code of the body; absent: none"`
		}
	}
	// FiguresChange says which figures change; what is absent stays.
	FiguresChange struct {
		QuotaBytes          *int64 `json:"quota_bytes,omitempty" minimum:"0"`
		PerDay              *int   `json:"per_day,omitempty" minimum:"0"`
		PerMinute           *int   `json:"per_minute,omitempty" minimum:"0"`
		Recipients          *int   `json:"recipients,omitempty" minimum:"0"`
		MessageBytes        *int64 `json:"message_bytes,omitempty" minimum:"0"`
		RecipientsPerMinute *int   `json:"recipients_per_minute,omitempty" minimum:"0"`
		RecipientsPerDay    *int   `json:"recipients_per_day,omitempty" minimum:"0"`
	}
	tierIn struct {
		CodeParam
		Change
		Body FiguresChange
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
	register(s, operation{name: "set-body", method: put, path: "/bodies/{code}", summary: "Crea un ente o ne cambia il nome / Creates a body or changes its name"}, s.setBody)
	register(s, operation{name: "set-ceiling", method: put, path: "/bodies/{code}/ceilings/{tier}", summary: "Quante caselle di una tipologia può avere / How many mailboxes of a tier it may have"}, s.setCeiling)
	register(s, operation{name: "list-domains", method: get, path: "/domains", summary: "Domini / Domains"}, s.listDomains)
	register(s, operation{name: "get-domain", method: get, path: "/domains/{name}", summary: "Un dominio / A domain"}, s.getDomain)
	register(s, operation{name: "set-domain", method: put, path: "/domains/{name}", summary: "Crea, assegna a un ente, certifica / Creates, gives to a body, certifies"}, s.setDomain)
	register(s, operation{name: "raise-tier", method: put, path: "/tiers/{code}/figures", summary: "Alza i limiti di una tipologia / Raises figures of a tier"}, s.raiseTier)
	register(s, operation{name: "list-tiers", method: get, path: "/tiers", summary: "Tipologie di casella / Tiers"}, s.listTiers)
	register(s, operation{name: "get-tier", method: get, path: "/tiers/{code}", summary: "Una tipologia / A tier"}, s.getTier)
}

func (s *Server) listBodies(ctx context.Context, in *struct{ Paging }) (*bodiesOut, error) {
	var all []Body
	err := s.Directory.ListBodies(ctx, func(c storage.Customer) error {
		all = append(all, Body{Code: c.Code, Name: c.Name, Created: c.Created})
		return nil
	})
	return &bodiesOut{paged(all, func(b Body) string { return b.Code }, in.Paging)}, err
}

func (s *Server) getBody(ctx context.Context, in *CodeParam) (*bodyOut, error) {
	v, err := s.body(ctx, in.Code)
	return &bodyOut{etag(v), v}, err
}

// body returns a body with its domains and what it has of each tier.
func (s *Server) body(ctx context.Context, code string) (BodyUse, error) {
	b, err := s.Directory.Body(ctx, code)
	v := BodyUse{Body: Body{b.Code, b.Name, b.Created}, Domains: make([]string, 0, len(b.Domains)), Tiers: make([]TierUse, 0, len(b.Tiers))}
	for _, d := range b.Domains {
		v.Domains = append(v.Domains, d.Name)
	}
	for _, t := range b.Tiers {
		use := TierUse{Tier: t.Tier, Mailboxes: t.Mailboxes}
		if t.Ceiling >= 0 {
			use.Ceiling = &t.Ceiling
		}
		v.Tiers = append(v.Tiers, use)
	}
	return v, err
}

// setBody creates a body, or changes its name where If-Match says which version.
func (s *Server) setBody(ctx context.Context, in *setBodyIn) (*bodyOut, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	before, err := s.body(ctx, in.Code)
	switch {
	case err == nil && before.Name != in.Body.Name:
		err = matches(ctx, in.Change, etag(before))
	case fault.Is(err, fault.NotFound):
		err = nil
	}
	if err == nil {
		err = s.Directory.SetBody(ctx, in.Code, in.Body.Name)
	}
	if err != nil {
		return nil, err
	}
	return s.getBody(ctx, &in.CodeParam)
}

func (s *Server) setCeiling(ctx context.Context, in *ceilingIn) (*bodyOut, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	before, err := s.body(ctx, in.Code)
	if err == nil {
		err = matches(ctx, in.Change, etag(before))
	}
	most := int64(-1)
	if in.Body.Ceiling != nil {
		most = *in.Body.Ceiling
	}
	if err == nil {
		err = s.Directory.SetCeiling(ctx, in.Code, in.Tier, most)
	}
	if err != nil {
		return nil, err
	}
	return s.getBody(ctx, &in.CodeParam)
}

func viewOfDomain(d storage.Domain) Domain {
	return Domain{d.Name, string(d.State), d.Customer, d.Created}
}

func (s *Server) listDomains(ctx context.Context, in *struct{ Paging }) (*domainsOut, error) {
	var all []Domain
	err := s.Directory.ListDomains(ctx, func(d storage.Domain) error {
		all = append(all, viewOfDomain(d))
		return nil
	})
	return &domainsOut{paged(all, func(d Domain) string { return d.Name }, in.Paging)}, err
}

func (s *Server) getDomain(ctx context.Context, in *DomainParam) (*domainOut, error) {
	d, err := s.domain(ctx, in.Name)
	v := viewOfDomain(d)
	return &domainOut{etag(v), v}, err
}

// setDomain creates a domain, or gives it to another body or certifies it where
// If-Match says which version. A certified domain does not go back.
func (s *Server) setDomain(ctx context.Context, in *setDomainIn) (*domainOut, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	now, err := s.domain(ctx, in.Name)
	state := storage.DomainState(in.Body.State)
	if in.Body.Body != "" { // a refusal leaves no domain that is nobody's
		if _, err := s.Directory.Body(ctx, in.Body.Body); err != nil {
			return nil, err
		}
	}
	switch {
	case fault.Is(err, fault.NotFound):
		if err = s.Directory.CreateDomain(ctx, in.Name, state); err == nil {
			now, err = s.domain(ctx, in.Name)
		}
	case err == nil && (now.State != state || now.Customer != in.Body.Body):
		err = matches(ctx, in.Change, etag(viewOfDomain(now)))
	}
	if err == nil && now.State == storage.DomainCertified && state == storage.DomainPending {
		err = fault.Say("api.setDomain", fault.Conflict, "il dominio è già certificato / the domain is certified")
	}
	if err == nil && now.Customer != in.Body.Body {
		err = s.Directory.SetDomainBody(ctx, in.Name, in.Body.Body)
	}
	if err == nil && now.State != state {
		err = s.Directory.CertifyDomain(ctx, in.Name)
	}
	if err != nil {
		return nil, err
	}
	return s.getDomain(ctx, &in.DomainParam)
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

func (s *Server) getTier(ctx context.Context, in *CodeParam) (*tierOut, error) {
	t, err := s.Directory.Tier(ctx, in.Code)
	v := viewOfTier(t)
	return &tierOut{etag(v), v}, err
}

func (c FiguresChange) change() directory.FigureChange {
	return directory.FigureChange{
		QuotaBytes: c.QuotaBytes, MaxMessage: c.MessageBytes, MaxPerDay: c.PerDay, MaxPerMinute: c.PerMinute, MaxRecipients: c.Recipients,
		RecipientsPerMinute: c.RecipientsPerMinute, RecipientsPerDay: c.RecipientsPerDay,
	}
}

func (s *Server) raiseTier(ctx context.Context, in *tierIn) (*tierOut, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	t, err := s.Directory.Tier(ctx, in.Code)
	if err == nil {
		err = matches(ctx, in.Change, etag(viewOfTier(t)))
	}
	if err != nil {
		return nil, err
	}
	t.Figures = in.Body.change().On(t.Figures)
	if err := s.Directory.SetTier(ctx, t); err != nil {
		return nil, err
	}
	return s.getTier(ctx, &in.CodeParam)
}
