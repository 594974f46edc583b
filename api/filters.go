// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"pecd/fault"
	"pecd/storage"
)

type (
	// Filter is a script of a mailbox (S4-039 … S4-042).
	Filter struct {
		Name    string    `json:"name"`
		Active  bool      `json:"active" doc:"Viene eseguito su ciò che arriva / is run on what arrives"`
		Changed time.Time `json:"changed"`
		Script  string    `json:"script" doc:"Sieve (RFC 5228)"`
	}
	filtersOut struct{ Body page[Filter] }
	filterOut  struct {
		ETag string `header:"ETag"`
		Body Filter
	}
	// FilterParam names a script of a mailbox.
	FilterParam struct {
		AddressParam
		Name string `path:"name" maxLength:"128"`
	}
	filterIn struct {
		FilterParam
		Change
		Body struct {
			Script string `json:"script" maxLength:"60000"`
			Active bool   `json:"active"`
		}
	}
)

func (s *Server) registerFilters() {
	const filters = "/mailboxes/{address}/filters"
	register(s, operation{name: "list-filters", method: get, path: filters, summary: "Filtri della casella / Filters of the mailbox"}, s.listFilters)
	register(s, operation{name: "get-filter", method: get, path: filters + "/{name}", summary: "Un filtro / A filter"},
		func(ctx context.Context, in *FilterParam) (*filterOut, error) {
			v, err := s.filter(ctx, *in)
			return &filterOut{etag(v), v}, err
		})
	register(s, operation{name: "set-filter", method: put, path: filters + "/{name}",
		summary: "Crea o sostituisce un filtro; uno solo è attivo / Creates or replaces a filter; one alone is active"}, s.setFilter)
	register(s, operation{name: "remove-filter", method: remove, path: filters + "/{name}", status: http.StatusNoContent, summary: "Toglie un filtro / Removes a filter"},
		func(ctx context.Context, in *FilterParam) (*nothing, error) {
			m, err := s.mailbox(ctx, in.Address)
			if err != nil {
				return nil, err
			}
			return nil, s.Directory.RemoveFilter(ctx, m.Address, in.Name)
		})
}

func viewOfFilter(f storage.Filter) Filter { return Filter{f.Name, f.Active, f.At, f.Script} }

func (s *Server) listFilters(ctx context.Context, in *struct {
	AddressParam
	Paging
}) (*filtersOut, error) {
	m, err := s.mailbox(ctx, in.Address)
	if err != nil {
		return nil, err
	}
	all, err := s.Directory.Filters(ctx, m.Address)
	if err != nil {
		return nil, err
	}
	views := make([]Filter, 0, len(all))
	for _, f := range all {
		views = append(views, viewOfFilter(f))
	}
	return &filtersOut{paged(views, func(f Filter) string { return f.Name }, in.Paging)}, nil
}

func (s *Server) filter(ctx context.Context, in FilterParam) (Filter, error) {
	m, err := s.mailbox(ctx, in.Address)
	if err != nil {
		return Filter{}, err
	}
	f, err := s.Directory.Filter(ctx, m.Address, in.Name)
	return viewOfFilter(f), err
}

// setFilter stores a script. One that is there is replaced where If-Match says
// which version.
func (s *Server) setFilter(ctx context.Context, in *filterIn) (*filterOut, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	before, err := s.filter(ctx, in.FilterParam)
	there := err == nil
	switch {
	case there && (before.Script != in.Body.Script || before.Active != in.Body.Active):
		err = matches(ctx, in.Change, etag(before))
	case fault.Is(err, fault.NotFound):
		_, err = s.mailbox(ctx, in.Address) // is it the filter or the mailbox that is not there?
	}
	if err == nil {
		err = s.Directory.PutFilter(ctx, in.Address, in.Name, in.Body.Script)
	}
	if err == nil && in.Body.Active != (there && before.Active) {
		name := strings.TrimSpace(in.Name)
		if !in.Body.Active {
			name = "" // none is run
		}
		err = s.Directory.ActivateFilter(ctx, in.Address, name)
	}
	if err != nil {
		return nil, err
	}
	v, err := s.filter(ctx, in.FilterParam)
	return &filterOut{etag(v), v}, err
}
