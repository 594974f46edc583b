// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	imaplib "github.com/emersion/go-imap/v2"

	"pecd/directory"
	"pecd/fault"
	"pecd/storage"
)

// othersName is where the further mailboxes of a login are: the namespace of
// other users (RFC 2342). The folders of one are below its address there.
const othersName = "Altre caselle"

// admit opens the mailboxes of who has logged in, of those that he may read with
// a mail client: as the client's own the one whose address is the login, otherwise
// the first that is in use; the others beside it.
func (s *session) admit(p directory.Principal) error {
	const op = "imap.Login"
	const needed = storage.MayRead | storage.MayUseClient
	usable := slices.DeleteFunc(slices.Clone(p.Grants), func(g storage.Grant) bool { return g.Permission&needed != needed })
	slices.SortStableFunc(usable, func(a, b storage.Grant) int {
		return cmp.Compare(notOwn(a, p.Login), notOwn(b, p.Login))
	})
	var err error = fault.Say(op, fault.Disabled,
		"accesso con programmi di posta non abilitato / access by mail clients is not enabled")
	for i, g := range usable {
		var m storage.Mailbox
		if m, err = s.store.MailboxByID(s.ctx, g.Mailbox); err == nil {
			err = inUse(m)
		}
		if err == nil {
			g.Address = m.Address
			s.principal, s.ctx = p, storage.Viewing(s.ctx, p.Login)
			s.grant, s.others = g, slices.Delete(usable, i, i+1)
			return nil
		}
		if !fault.Is(err, fault.Disabled) {
			return err
		}
	}
	return err
}

// notOwn is 0 for the mailbox that a login is the address of.
func notOwn(g storage.Grant, login string) int {
	if strings.EqualFold(g.Address, login) {
		return 0
	}
	return 1
}

// place is a folder, or where one may be made, in one of the mailboxes of a login.
type place struct {
	grant  storage.Grant
	prefix string // of the names of its folders as the client knows them; "" for its own mailbox
	name   string // as stored; "" for the mailbox itself
}

// shown is the name under which the client knows a folder of the place's mailbox.
func (p place) shown(name string) string { return p.prefix + name }

// own is the place of the mailbox that the login opens by itself.
func (s *session) own() place { return place{grant: s.grant} }

// placeOf is the place of another mailbox.
func placeOf(g storage.Grant) place {
	return place{grant: g, prefix: othersName + string(delimiter) + g.Address + string(delimiter)}
}

// places lists the mailboxes that the client sees, its own first.
func (s *session) places() []place {
	out := append(make([]place, 0, 1+len(s.others)), s.own())
	for _, g := range s.others {
		out = append(out, placeOf(g))
	}
	return out
}

// resolve finds out what a folder's name, in the stored form, stands for. What
// is below othersName but in no mailbox of the login is a name of its own one.
func (s *session) resolve(name string) place {
	for _, g := range s.others {
		p := placeOf(g)
		n := len(p.prefix)
		switch {
		case len(name) >= n && strings.EqualFold(name[:n], p.prefix):
			p.name = folderName(name[n:])
			return p
		case strings.EqualFold(name, p.prefix[:n-1]):
			return p
		}
	}
	p := s.own()
	p.name = name
	return p
}

// folder looks a folder up that a command names, in the stored form. The name in
// what it returns is the client's.
func (s *session) folder(name string) (storage.Folder, place, error) {
	p, err := s.located(name)
	if err != nil {
		return storage.Folder{}, p, err
	}
	f, err := s.store.Folder(s.ctx, p.grant.Mailbox, p.name)
	f.Name = p.shown(f.Name)
	return f, p, err
}

// located resolves the name of a folder, which need not exist, in a mailbox that
// is in use.
func (s *session) located(name string) (place, error) {
	p := s.resolve(name)
	if err := s.inUse(p); err != nil {
		return p, err
	}
	if p.name == "" {
		return p, fault.New("imap.folder", fault.NotFound, errors.New("a mailbox is no folder"))
	}
	return p, nil
}

// newPlace resolves the name of a folder to be made: nothing is made in the
// namespace of other users itself.
func (s *session) newPlace(name string) (place, error) {
	name, err := newName(name)
	if err != nil {
		return place{}, err
	}
	p := s.resolve(name)
	first, _, _ := strings.Cut(name, string(delimiter))
	if p.name == "" || p.prefix == "" && first == othersName {
		return p, no(imaplib.ResponseCodeCannot, "nome riservato alle altre caselle / name reserved for other mailboxes")
	}
	return p, s.inUse(p)
}

// inUse fails where a further mailbox is not in use any more. That of the login
// itself is looked after by the connection.
func (s *session) inUse(p place) error {
	if p.prefix == "" {
		return nil
	}
	m, err := s.store.MailboxByID(s.ctx, p.grant.Mailbox)
	if err != nil {
		return s.refuse(err)
	}
	return inUse(m)
}

func inUse(m storage.Mailbox) error {
	switch m.State {
	case storage.MailboxDeactivated, storage.MailboxClosed:
		return fault.Say("imap.mailbox", fault.Disabled, "casella non attiva / mailbox disabled")
	}
	return nil
}

// mayWrite returns the refusal where the mailbox may only be read.
func (p place) mayWrite() error {
	if p.grant.Permission&storage.MayWrite == 0 {
		return no(imaplib.ResponseCodeNoPerm, "casella in sola lettura / read-only access")
	}
	return nil
}

// namespace answers NAMESPACE (RFC 2342).
func (s *session) namespace(args []byte) error {
	if len(args) > 0 {
		return errSyntax
	}
	if !s.open() {
		return errNotOpen
	}
	others := "NIL"
	if len(s.others) > 0 {
		others = `(("` + othersName + `/" "/"))`
	}
	return s.c.put([]byte(`* NAMESPACE (("" "/")) ` + others + " NIL\r\n"))
}
