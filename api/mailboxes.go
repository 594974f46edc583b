// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"pecd/directory"
	"pecd/fault"
	"pecd/storage"
)

type (
	// AddressParam names a mailbox.
	AddressParam struct {
		Address string `path:"address" maxLength:"320"`
	}
	mailboxOut struct {
		ETag string `header:"ETag"`
		Body Mailbox
	}
	mailboxesIn struct {
		Paging
		Domain string `query:"domain" maxLength:"253" doc:"Solo di questo dominio / only of this domain"`
		Tier   string `query:"tier" maxLength:"64"`
		State  string `query:"state" enum:"provisioned_uncertified,active,blocked,deactivated,closed"`
	}
	mailboxesOut struct{ Body page[Mailbox] }
	// NewUser is a user to be created.
	NewUser struct {
		Login    string `json:"login" minLength:"1" maxLength:"320" doc:"Indirizzo o nome / an address or a name"`
		Name     string `json:"name,omitempty" maxLength:"200"`
		Password string `json:"password,omitempty" writeOnly:"true" minLength:"8" maxLength:"1024" doc:"Senza, la risposta porta un collegamento con cui l'utente la sceglie / without it the answer has a link by which the user chooses one"`
	}
	// NewMailbox is a mailbox to be created.
	NewMailbox struct {
		Tier     string   `json:"tier" maxLength:"64"`
		Holder   string   `json:"holder,omitempty" maxLength:"200"`
		Ordinary *bool    `json:"ordinary,omitempty" doc:"Aperta alla posta ordinaria; assente: sì / open to ordinary mail; absent: yes"`
		User     *NewUser `json:"user,omitempty" doc:"Chi la usa, con ogni permesso; su una Standard ha per nome l'indirizzo / who uses it, with every permission; on a Standard his login is the address"`
	}
	createIn struct {
		AddressParam
		Body NewMailbox
	}
	// Link is a link by which a user sets his password, once.
	Link struct {
		URL     string `json:"url"`
		Expires string `json:"expires" format:"date-time"`
	}
	// CreatedMailbox is a mailbox and, for a user without password, his link.
	CreatedMailbox struct {
		Mailbox Mailbox `json:"mailbox"`
		Link    *Link   `json:"link,omitempty"`
	}
	createOut struct {
		Status int
		ETag   string `header:"ETag"`
		Body   CreatedMailbox
	}
)

func (s *Server) registerMailboxes() {
	register(s, operation{name: "list-mailboxes", method: get, path: "/mailboxes", summary: "Caselle con stato e occupazione / Mailboxes with state and occupancy"}, s.listMailboxes)
	register(s, operation{name: "get-mailbox", method: get, path: "/mailboxes/{address}", summary: "Una casella / A mailbox"}, s.getMailbox)
	register(s, operation{name: "create-mailbox", method: put, path: "/mailboxes/{address}", status: http.StatusCreated,
		summary: "Crea una casella; ripetuta uguale non cambia nulla / Creates a mailbox; repeated alike it changes nothing"}, s.createMailbox)
	answers := s.api.OpenAPI().Paths["/mailboxes/{address}"].Put.Responses
	answers["200"] = answers["201"] // it was there
}

func (s *Server) getMailbox(ctx context.Context, in *AddressParam) (*mailboxOut, error) {
	m, err := s.mailbox(ctx, in.Address)
	if err != nil {
		return nil, err
	}
	v, version, err := s.viewOfMailbox(ctx, m)
	return &mailboxOut{version, v}, err
}

// maxScanned bounds how many mailboxes are looked at for a page: a filter that
// selects few gives a short page with a cursor.
const maxScanned = 5000

func (s *Server) listMailboxes(ctx context.Context, in *mailboxesIn) (*mailboxesOut, error) {
	out := &mailboxesOut{page[Mailbox]{Items: []Mailbox{}}}
	by := callerOf(ctx)
	if by.Role == storage.TokenMailbox {
		own, err := s.getMailbox(ctx, &AddressParam{by.address})
		if err == nil {
			out.Body.Items = append(out.Body.Items, own.Body)
		}
		return out, err
	}
	domains, err := s.domainsOf(ctx, in)
	if err != nil {
		return nil, err
	}
	after, last, scanned := strings.ToLower(in.Cursor), "", 0
	full := errors.New("page full")
	for _, d := range domains {
		// Whole domains before the cursor's have been listed: the order is by domain.
		if at := strings.LastIndexByte(after, '@'); d != "" && at >= 0 && d < after[at+1:] {
			continue
		}
		from := after
		if d != "" && !strings.HasSuffix(after, "@"+d) {
			from = ""
		}
		err := s.Store.MailboxesAfter(ctx, d, from, func(m storage.Mailbox) error {
			if len(out.Body.Items) == in.Limit || scanned == maxScanned {
				out.Body.Next = last
				return full
			}
			last = m.Address
			scanned++
			if in.Tier != "" && m.Tier != in.Tier || in.State != "" && string(m.State) != in.State {
				return nil
			}
			if m.Service && by.Role != storage.TokenProvider {
				return nil
			}
			v, _, err := s.viewOfMailbox(ctx, m)
			out.Body.Items = append(out.Body.Items, v)
			return err
		})
		if errors.Is(err, full) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// domainsOf are the domains that are listed, by name; "" for all of them.
func (s *Server) domainsOf(ctx context.Context, in *mailboxesIn) ([]string, error) {
	by := callerOf(ctx)
	switch {
	case in.Domain != "":
		d, err := s.domain(ctx, in.Domain)
		return []string{d.Name}, err
	case by.Role == storage.TokenProvider:
		return []string{""}, nil
	}
	var names []string
	err := s.Directory.ListDomains(ctx, func(d storage.Domain) error {
		names = append(names, d.Name)
		return nil
	})
	return names, err
}

func (s *Server) createMailbox(ctx context.Context, in *createIn) (*createOut, error) {
	address, err := directory.CanonicalAddress(in.Address)
	if err != nil {
		return nil, err
	}
	if _, err := s.domain(ctx, address[strings.LastIndexByte(address, '@')+1:]); err != nil {
		return nil, err
	}
	n := directory.NewMailbox{Address: address, Tier: in.Body.Tier, Holder: in.Body.Holder, Ordinary: in.Body.Ordinary == nil || *in.Body.Ordinary}
	var invited bool
	if in.Body.User != nil {
		u, none := newUser(*in.Body.User)
		n.User, invited = &u, none
	}
	// Without the lock of changes: a password waits its turn here, and the directory
	// makes a mailbox once.
	m, err := s.Directory.CreateMailbox(ctx, n)
	status := http.StatusCreated
	if fault.Is(err, fault.Exists) {
		m, err = s.alike(ctx, n, err)
		status, invited = http.StatusOK, false
	}
	if err != nil {
		return nil, err
	}
	out := &createOut{Status: status}
	if out.Body.Mailbox, out.ETag, err = s.viewOfMailbox(ctx, m); err != nil {
		return nil, err
	}
	if invited {
		out.Body.Link, err = s.link(ctx, n.User.Login)
	}
	return out, err
}

// alike returns the mailbox that is there if it is what was asked for, so that a
// creation whose answer was lost can be repeated; else the refusal.
func (s *Server) alike(ctx context.Context, n directory.NewMailbox, refused error) (storage.Mailbox, error) {
	m, err := s.mailbox(ctx, n.Address)
	if fault.Is(err, fault.NotFound) {
		return m, refused
	}
	if err != nil {
		return m, err
	}
	if m.Tier != n.Tier || m.Holder != n.Holder || m.State == storage.MailboxClosed {
		return m, refused
	}
	if n.User == nil {
		return m, nil
	}
	grants, err := s.Directory.UsersOf(ctx, m.Address)
	for _, g := range grants {
		if strings.EqualFold(g.Login, n.User.Login) {
			return m, err
		}
	}
	return m, errors.Join(err, refused)
}
