// SPDX-License-Identifier: EUPL-1.2

package notify

import (
	"context"
	"strings"
	"time"

	"pecd/directory"
	"pecd/fault"
	"pecd/ledger"
	"pecd/notice"
	"pecd/pipeline"
	"pecd/storage"
)

// Bounds of contacts and their codes.
const (
	maxContacts   = 10 // of a user
	codeLife      = 10 * time.Minute
	maxTries      = 5  // wrong answers to one code
	codesPerHour  = 3  // to one address or number, whoever asks for them
	codesPerDay   = 10 // …
	unknownOne    = "contatto sconosciuto / unknown contact"
	changedAtOnce = "modificato nel frattempo, riprovare / changed meanwhile, try again"
)

// Add gives a user a contact, an ordinary e-mail address or a mobile number, and
// sends it the code that confirms it; for one that waits for its code it sends
// another. Nothing else is sent to it before it is confirmed. Invalid for what is
// neither; Denied for an address of certified mail, which would be told of its own
// notices; Exists where it is confirmed; TooMany beyond 10 contacts, and beyond 3
// codes an hour or 10 a day to one address; Unsupported for a number without a
// gateway; Temporary where the gateway does not take the code.
func (s *Service) Add(ctx context.Context, login, address string) (storage.Contact, error) {
	const op = "notify.Add"
	u, err := s.cfg.Directory.MayUser(ctx, directory.ChangeUser, login)
	if err != nil {
		return storage.Contact{}, fault.Wrap(op, err)
	}
	kind, address, err := s.reachable(ctx, address)
	if err != nil {
		return storage.Contact{}, fault.Wrap(op, err)
	}
	have, err := s.cfg.Store.Contacts(ctx, u.Login)
	if err != nil {
		return storage.Contact{}, fault.Wrap(op, err)
	}
	now := s.now()
	code, sum := newCode()
	c := storage.Contact{Login: u.Login, Kind: kind, Address: address, Created: now}
	var before storage.Contact
	for _, h := range have {
		if h.Kind == kind && h.Address == address {
			c, before = h, h
		}
	}
	switch {
	case !c.Confirmed.IsZero():
		return c, say("Add", fault.Exists, "il contatto è già confermato / the contact is confirmed already")
	case c.ID == 0 && len(have) >= maxContacts:
		return c, say("Add", fault.TooMany, "troppi contatti: al massimo 10 / too many contacts: 10 at most")
	}
	c.Code, c.CodeAt, c.Tries = sum, now, 0
	put := &storage.PutContact{Contact: c, Before: before}
	ops := []storage.Op{put}
	if c.ID == 0 {
		ops = append(ops, s.record(ctx, ledger.Event{Kind: ledger.ContactAdded, User: c.Login, To: c.Masked()}))
	}
	if err := s.sendCode(ctx, c, confirmation(code), ops...); err != nil {
		return c, fault.Wrap(op, err)
	}
	c.ID = put.ID
	return c, nil
}

// reachable brings an address or number into its form, if notices may go there.
func (s *Service) reachable(ctx context.Context, address string) (storage.ContactKind, string, error) {
	if strings.IndexByte(address, '@') < 0 {
		number, err := parseNumber(address)
		if err == nil && s.cfg.SMS == nil {
			err = say("Add", fault.Unsupported, "nessun gateway SMS configurato / no SMS gateway is configured")
		}
		if err == nil {
			err = s.cfg.SMS.MayReach(number)
		}
		return storage.ContactSMS, number, err
	}
	address, err := directory.CanonicalAddress(address)
	if err == nil {
		err = s.ordinary(ctx, address)
	}
	return storage.ContactMail, address, err
}

// ordinary fails for an address of certified mail: a notice would arrive there as
// an anomaly, be told in its turn, and so on.
func (s *Service) ordinary(ctx context.Context, address string) error {
	domain := address[strings.LastIndexByte(address, '@')+1:]
	_, err := s.cfg.Directory.Domain(ctx, domain)
	if err == nil || s.cfg.Certified(domain) {
		return say("Add", fault.Denied, "è una casella di posta certificata: serve un indirizzo di posta ordinaria / "+
			"this is a certified mailbox: an ordinary address is needed")
	}
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// SendCode sends a code, or a link with one, to a confirmed contact, as for a new
// password (S4-115): subject and text are the same for mail, the Italian text is
// what a text message has. TooMany as in Add; Denied for a contact that is not
// confirmed.
func (s *Service) SendCode(ctx context.Context, c storage.Contact, text notice.Text) error {
	if c.Confirmed.IsZero() {
		return say("SendCode", fault.Denied, "il contatto non è confermato / the contact is not confirmed")
	}
	return fault.Wrap("notify.SendCode", s.sendCode(ctx, c, text))
}

// SendWarning tells a confirmed contact that something was changed, such as its
// user's password. It does not count as a code: who asks for codes must not be able
// to keep it back. Denied for a contact that is not confirmed.
func (s *Service) SendWarning(ctx context.Context, c storage.Contact, subject, text notice.Text) error {
	if c.Confirmed.IsZero() {
		return say("SendWarning", fault.Denied, "il contatto non è confermato / the contact is not confirmed")
	}
	return fault.Wrap("notify.SendWarning", s.send(ctx, new(storage.Step), c, subject, text))
}

// sendCode sends a code, if not too many were sent to the address, in the same
// step as ops; a text message after it.
func (s *Service) sendCode(ctx context.Context, c storage.Contact, text notice.Text, ops ...storage.Op) error {
	step := new(storage.Step).Add(&storage.NoteCode{Address: c.Address, At: s.now(), PerHour: codesPerHour, PerDay: codesPerDay}).Add(ops...)
	return s.send(ctx, step, c, notice.Text{Italian: "Posta certificata: codice di sicurezza", English: "Certified mail: security code"}, text)
}

// send sends a mail with step, or a text message after it.
func (s *Service) send(ctx context.Context, step *storage.Step, c storage.Contact, subject, text notice.Text) error {
	now := s.now()
	id, err := newID()
	if err != nil {
		return err
	}
	if c.Kind == storage.ContactMail {
		raw, err := notice.Compose(notice.Message{
			ID: "codice." + id, From: s.cfg.From, To: c.Address, At: now,
			Subject: subject, Body: text,
		})
		if err != nil {
			return fault.New("notify.send", fault.Invalid, err)
		}
		step.Add(pipeline.NoticeMail(raw, c, "", now)...)
	}
	switch err := s.cfg.Store.Commit(ctx, step); {
	case fault.Is(err, fault.TooMany):
		return say("send", fault.TooMany, "troppi codici inviati a questo contatto, riprovare più tardi / too many codes were sent to this contact, try later")
	case fault.Is(err, fault.Conflict):
		return say("send", fault.Conflict, changedAtOnce)
	case err != nil || c.Kind == storage.ContactMail:
		return err
	case s.cfg.SMS == nil:
		return say("send", fault.Unsupported, "nessun gateway SMS configurato / no SMS gateway is configured")
	}
	err = s.cfg.SMS.Send(ctx, SMS{To: c.Address, Text: plain(text.Italian), ID: "codice-" + id})
	if err != nil {
		s.cfg.Logger.Warn("text message not sent", "contact", c.Masked(), "error", err)
		return &fault.Error{Op: "notify.send", Kind: fault.Temporary, Err: err, Text: "SMS non inviato, riprovare più tardi / SMS not sent, try later"}
	}
	return nil
}

// Confirm confirms a contact of a user with the code that was sent to it. Denied
// for a wrong code or one of more than 10 minutes ago, TooMany after 5 wrong ones,
// NotFound where the user has no such contact.
func (s *Service) Confirm(ctx context.Context, login string, id int64, code string) error {
	const op = "notify.Confirm"
	c, err := s.contact(ctx, login, id)
	if err != nil {
		return fault.Wrap(op, err)
	}
	now := s.cfg.Clock.Now()
	switch {
	case !c.Confirmed.IsZero():
		return nil
	case len(c.Code) == 0 || now.Sub(c.CodeAt) >= codeLife || now.Before(c.CodeAt):
		return say("Confirm", fault.Denied, "codice scaduto: chiederne un altro / the code has expired: ask for another")
	case c.Tries >= maxTries:
		return say("Confirm", fault.TooMany, "troppi tentativi: chiedere un altro codice / too many tries: ask for another code")
	}
	after := c
	if !codeMatches(c.Code, code) {
		after.Tries++
		if err := s.commit(ctx, &storage.PutContact{Contact: after, Before: c}); err != nil {
			return fault.Wrap(op, err)
		}
		return say("Confirm", fault.Denied, "codice errato / wrong code")
	}
	after.Confirmed, after.Code, after.CodeAt, after.Tries, after.Refused, after.RefusedAt = now, nil, time.Time{}, 0, 0, time.Time{}
	err = s.commit(ctx, &storage.PutContact{Contact: after, Before: c},
		s.record(ctx, ledger.Event{Kind: ledger.ContactConfirmed, User: c.Login, To: c.Masked()}))
	if err != nil {
		return fault.Wrap(op, err)
	}
	return fault.Wrap(op, s.forget(ctx, c.Login))
}

// contact returns a contact of a user whom who acts may change.
func (s *Service) contact(ctx context.Context, login string, id int64) (storage.Contact, error) {
	u, err := s.cfg.Directory.MayUser(ctx, directory.ChangeUser, login)
	if err != nil {
		return storage.Contact{}, err
	}
	all, err := s.cfg.Store.Contacts(ctx, u.Login)
	if err != nil {
		return storage.Contact{}, err
	}
	for _, c := range all {
		if c.ID == id {
			return c, nil
		}
	}
	return storage.Contact{}, say("contact", fault.NotFound, unknownOne)
}

// List lists the contacts of a user, confirmed or not, by number. NotFound without
// the user.
func (s *Service) List(ctx context.Context, login string) ([]storage.Contact, error) {
	u, err := s.cfg.Directory.User(ctx, login)
	if err != nil {
		return nil, fault.Wrap("notify.List", err)
	}
	all, err := s.cfg.Store.Contacts(ctx, u.Login)
	return all, fault.Wrap("notify.List", err)
}

// Remove removes a contact of a user, and what it was to be told. NotFound where
// he has no such contact.
func (s *Service) Remove(ctx context.Context, login string, id int64) error {
	const op = "notify.Remove"
	c, err := s.contact(ctx, login, id)
	if err != nil {
		return fault.Wrap(op, err)
	}
	err = s.commit(ctx, &storage.DropContacts{Login: c.Login, ID: c.ID},
		s.record(ctx, ledger.Event{Kind: ledger.ContactRemoved, User: c.Login, To: c.Masked()}))
	return fault.Wrap(op, err) // what is remembered of its mailboxes for seconds has nobody told
}

// forget has the mailboxes of a user read anew.
func (s *Service) forget(ctx context.Context, login string) error {
	all, err := s.cfg.Store.Targets(ctx, login)
	for _, t := range all {
		s.cfg.Directory.Forget(t.Address)
	}
	return err
}
