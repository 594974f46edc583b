// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"context"
	"strings"
	"time"

	"pecd/directory"
	"pecd/fault"
	"pecd/storage"
)

// Figures bound what a mailbox holds and sends.
type Figures struct {
	QuotaBytes          int64 `json:"quota_bytes" minimum:"0" doc:"Spazio, in ottetti / room, in octets"`
	PerDay              int   `json:"per_day" minimum:"0" doc:"Messaggi accettati in un giorno civile / messages accepted in a civil day"`
	PerMinute           int   `json:"per_minute" minimum:"0" doc:"Messaggi accettati in 60 secondi / messages accepted in 60 seconds"`
	Recipients          int   `json:"recipients" minimum:"0" doc:"Destinatari di un messaggio / recipients of a message"`
	MessageBytes        int64 `json:"message_bytes" minimum:"0" doc:"Un messaggio, in ottetti / a message, in octets"`
	RecipientsPerMinute int   `json:"recipients_per_minute" minimum:"0"`
	RecipientsPerDay    int   `json:"recipients_per_day" minimum:"0"`
}

func viewOfFigures(f storage.Figures) Figures {
	return Figures{f.QuotaBytes, f.MaxPerDay, f.MaxPerMinute, f.MaxRecipients, f.MaxMessage, f.RecipientsPerMinute, f.RecipientsPerDay}
}

// Tier is a class of mailboxes.
type Tier struct {
	Code        string  `json:"code"`
	Name        string  `json:"name"`
	Figures     Figures `json:"figures"`
	MultiUser   bool    `json:"multi_user" doc:"Più utenti / several users"`
	Application bool    `json:"application" doc:"Inviano solo le applicazioni / applications alone send"`
	Notices     bool    `json:"notices" doc:"Avvisi di arrivo compresi / notices of arrivals are included"`
}

func viewOfTier(t storage.Tier) Tier {
	return Tier{t.Code, t.Name, viewOfFigures(t.Figures), t.MultiUser, t.Application, t.Notices}
}

// Options are what may be chosen for a mailbox.
type Options struct {
	PersonalSeen bool `json:"personal_seen" doc:"Letto e non letto personali / read marks of each user's own"`
	FileSent     bool `json:"file_sent" doc:"Copia nella posta inviata / a copy among the sent messages"`
	FileReceipts bool `json:"file_receipts" doc:"Ricevute nella cartella dell'anno / receipts in the folder of the year"`
}

// SendBlock says that and why a mailbox may not send.
type SendBlock struct {
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
}

// Mailbox is a mailbox with its state and how full it is (S4-060).
type Mailbox struct {
	Address     string     `json:"address"`
	Domain      string     `json:"domain"`
	Body        string     `json:"body,omitempty" doc:"Codice dell'ente / code of the body"`
	Tier        string     `json:"tier"`
	State       string     `json:"state" enum:"provisioned_uncertified,active,blocked,deactivated,closed"`
	Holder      string     `json:"holder"`
	Ordinary    bool       `json:"ordinary" doc:"Aperta alla posta ordinaria / open to ordinary mail"`
	Redirect    string     `json:"redirect,omitempty" doc:"Dove scrivere invece, per la posta ordinaria / where to write instead, for ordinary mail"`
	Service     bool       `json:"service" doc:"Del gestore / of the provider"`
	Created     time.Time  `json:"created"`
	Messages    int64      `json:"messages"`
	UsedBytes   int64      `json:"used_bytes"`
	UsedPercent float64    `json:"used_percent" doc:"Occupazione, con un decimale / how full it is, with one decimal"`
	Figures     Figures    `json:"figures" doc:"Valgono per la casella / in force for the mailbox"`
	Raised      Figures    `json:"raised" doc:"Aumentati rispetto alla tipologia; 0: no / above the tier; 0: not"`
	Options     Options    `json:"options"`
	SendBlock   *SendBlock `json:"send_block,omitempty" doc:"Invio bloccato / sending is blocked"`
}

// viewOfMailbox returns a mailbox and its version.
func (s *Server) viewOfMailbox(ctx context.Context, m storage.Mailbox) (Mailbox, string, error) {
	f, err := s.Directory.Figures(ctx, m)
	if err != nil {
		return Mailbox{}, "", err
	}
	d, err := s.Directory.Domain(ctx, m.Domain)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return Mailbox{}, "", err
	}
	v := Mailbox{
		Address: m.Address, Domain: m.Domain, Body: d.Customer, Tier: m.Tier, State: string(m.State), Holder: m.Holder, Ordinary: m.Ordinary, Redirect: m.Redirect,
		Service: m.Service, Created: m.Created, Figures: viewOfFigures(f), Raised: viewOfFigures(m.Raised), Options: Options{m.PersonalSeen, m.FileSent, m.FileReceipts},
	}
	if m.Block.On() {
		v.SendBlock = &SendBlock{m.Block.Since, m.Block.Reason}
	}
	version := etag(v) // without what follows, which changes by itself
	v.Messages, v.UsedBytes = m.Messages, m.Used
	if f.QuotaBytes > 0 {
		v.UsedPercent = float64(m.Used*1000/f.QuotaBytes) / 10
	}
	return v, version, nil
}

// Grant is what a user may do with a mailbox.
type Grant struct {
	Login       string   `json:"login"`
	Mailbox     string   `json:"mailbox"`
	Permissions []string `json:"permissions" nullable:"false" enum:"read,write,send,client,settings"`
}

func viewOfGrant(g storage.Grant) Grant {
	return Grant{g.Login, g.Address, words(directory.PermissionNames(g.Permission))}
}

func words(list string) []string {
	if list == "" {
		return []string{}
	}
	return strings.Split(list, ",")
}

// User is a user with what he may do.
type User struct {
	Login     string    `json:"login"`
	Name      string    `json:"name"`
	Disabled  bool      `json:"disabled"`
	Created   time.Time `json:"created"`
	Mailboxes []Grant   `json:"mailboxes" nullable:"false"`
}

// viewOfUser returns a user, with the mailboxes that the caller may know of.
func (s *Server) viewOfUser(ctx context.Context, u storage.User) (User, error) {
	v := User{Login: u.Login, Name: u.Name, Disabled: u.Disabled, Created: u.Created, Mailboxes: []Grant{}}
	grants, err := s.Store.Grants(ctx, u.Login)
	if err != nil {
		return v, err
	}
	for _, g := range grants {
		sees, err := s.sees(ctx, g.Address)
		if err != nil {
			return v, err
		}
		if sees {
			v.Mailboxes = append(v.Mailboxes, viewOfGrant(g))
		}
	}
	return v, nil
}

// instant is nil for none.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
