// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"context"
	"net/http"
	"time"

	"pecd/notice"
	"pecd/storage"
)

// Contacts reaches users outside certified mail; *notify.Service does.
type Contacts interface {
	List(ctx context.Context, login string) ([]storage.Contact, error)
	Add(ctx context.Context, login, address string) (storage.Contact, error)
	Confirm(ctx context.Context, login string, id int64, code string) error
	Remove(ctx context.Context, login string, id int64) error
	Targets(ctx context.Context, login string) ([]storage.Target, error)
	Tell(ctx context.Context, login, mailbox string, contact int64, on bool) error
	SendCode(ctx context.Context, c storage.Contact, text notice.Text) error
	SendWarning(ctx context.Context, c storage.Contact, subject, text notice.Text) error
}

type (
	// ContactView is where a user is reached outside certified mail.
	ContactView struct {
		ID        int64      `json:"id"`
		Kind      string     `json:"kind" enum:"mail,sms"`
		Address   string     `json:"address"`
		Created   time.Time  `json:"created"`
		Confirmed *time.Time `json:"confirmed,omitempty" doc:"Assente: non ancora, e non riceve nulla / absent: not yet, and gets nothing"`
	}
	contactsOut  struct{ Body page[ContactView] }
	contactOut   struct{ Body ContactView }
	newContactIn struct {
		LoginParam
		Body struct {
			Address string `json:"address" minLength:"1" maxLength:"254" doc:"Indirizzo di posta ordinaria, o numero di cellulare / address of ordinary mail, or mobile number"`
		}
	}
	// ContactParam names a contact of a user.
	ContactParam struct {
		LoginParam
		ID int64 `path:"id" minimum:"1"`
	}
	confirmIn struct {
		ContactParam
		Body struct {
			Code string `json:"code" writeOnly:"true" minLength:"1" maxLength:"20"`
		}
	}
	// Told is a contact that is told of what arrives in a mailbox (S4-014, S4-021).
	Told struct {
		Contact int64  `json:"contact"`
		Mailbox string `json:"mailbox"`
	}
	toldOut struct{ Body page[Told] }
	toldIn  struct {
		ContactParam
		Address string `path:"address" maxLength:"320"`
	}
)

func (s *Server) registerContacts() {
	const contacts = "/users/{login}/contacts"
	register(s, operation{name: "list-contacts", method: get, path: contacts, summary: "Contatti di un utente / Contacts of a user"}, s.listContacts)
	register(s, operation{name: "add-contact", method: post, path: contacts, status: http.StatusCreated,
		summary: "Aggiunge un contatto, a cui è inviato un codice / Adds a contact, which is sent a code"},
		func(ctx context.Context, in *newContactIn) (*contactOut, error) {
			c, err := s.Contacts.Add(ctx, in.Login, in.Body.Address)
			return &contactOut{viewOfContact(c)}, err
		})
	register(s, operation{name: "confirm-contact", method: post, path: contacts + "/{id}/confirm", status: http.StatusNoContent, summary: "Conferma con il codice / Confirms with the code"},
		func(ctx context.Context, in *confirmIn) (*nothing, error) {
			return nil, s.Contacts.Confirm(ctx, in.Login, in.ID, in.Body.Code)
		})
	register(s, operation{name: "remove-contact", method: remove, path: contacts + "/{id}", status: http.StatusNoContent, summary: "Toglie un contatto / Removes a contact"},
		func(ctx context.Context, in *ContactParam) (*nothing, error) {
			return nil, s.Contacts.Remove(ctx, in.Login, in.ID)
		})
	register(s, operation{name: "list-notices", method: get, path: "/users/{login}/notices", summary: "Quali arrivi sono avvisati, e dove / Which arrivals are told, and where"}, s.listTold)
	register(s, operation{name: "turn-notice-on", method: put, path: contacts + "/{id}/notices/{address}", status: http.StatusNoContent, summary: "Avvisa degli arrivi in una casella / Tells of arrivals in a mailbox"},
		func(ctx context.Context, in *toldIn) (*nothing, error) { return nil, s.tell(ctx, in, true) })
	register(s, operation{name: "turn-notice-off", method: remove, path: contacts + "/{id}/notices/{address}", status: http.StatusNoContent, summary: "Non avvisa più / Tells no more"},
		func(ctx context.Context, in *toldIn) (*nothing, error) { return nil, s.tell(ctx, in, false) })
}

func viewOfContact(c storage.Contact) ContactView {
	return ContactView{c.ID, string(c.Kind), c.Address, c.Created, instant(c.Confirmed)}
}

func (s *Server) listContacts(ctx context.Context, in *struct {
	LoginParam
	Paging
}) (*contactsOut, error) {
	all, err := s.Contacts.List(ctx, in.Login)
	if err != nil {
		return nil, err
	}
	views := make([]ContactView, 0, len(all))
	for _, c := range all {
		views = append(views, viewOfContact(c))
	}
	return &contactsOut{paged(views, func(c ContactView) string { return numberKey(c.ID) }, in.Paging)}, nil
}

func (s *Server) listTold(ctx context.Context, in *struct {
	LoginParam
	Paging
}) (*toldOut, error) {
	all, err := s.Contacts.Targets(ctx, in.Login)
	if err != nil {
		return nil, err
	}
	views := make([]Told, 0, len(all))
	for _, t := range all {
		views = append(views, Told{t.Contact.ID, t.Address})
	}
	return &toldOut{paged(views, func(t Told) string { return t.Mailbox + " " + numberKey(t.Contact) }, in.Paging)}, nil
}

// tell chooses for a mailbox that the caller may know of.
func (s *Server) tell(ctx context.Context, in *toldIn, on bool) error {
	m, err := s.mailbox(ctx, in.Address)
	if err != nil {
		return err
	}
	return s.Contacts.Tell(ctx, in.Login, m.Address, in.ID, on)
}
