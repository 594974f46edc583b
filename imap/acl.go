// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"strings"

	imaplib "github.com/emersion/go-imap/v2"

	"pecd/storage"
)

// RFC 4314, for reading only: who may do what is the provider's to set.

// aclCapability names the rights that RFC 2086 did not know (RFC 4314 §2.2).
const aclCapability = "RIGHTS=texk"

// rightsOf tells permissions as rights of RFC 4314 §2.1:
//
//	MayRead            l r, and s where what each user has seen is his own
//	MayWrite           s w i k x t e, and c d of RFC 2086
//	MaySend            p
//	MayChangeSettings  a: may read who has which rights
//
// MayUseClient is no right: without it there is no session.
func rightsOf(p storage.Permission, personalSeen bool) string {
	var b strings.Builder
	write := p&storage.MayWrite != 0
	if p&storage.MayRead != 0 {
		b.WriteString("lr")
		if personalSeen && !write {
			b.WriteString("s")
		}
	}
	if write {
		b.WriteString("swi")
	}
	if p&storage.MaySend != 0 {
		b.WriteString("p")
	}
	if write {
		b.WriteString("kxte")
	}
	if p&storage.MayChangeSettings != 0 {
		b.WriteString("a")
	}
	if write {
		b.WriteString("cd")
	}
	return b.String()
}

// myRights answers MYRIGHTS (RFC 4314 §3.5).
func (s *session) myRights(args []byte) error {
	name, err := s.named(args)
	if err != nil {
		return err
	}
	f, p, err := s.folder(name)
	if err != nil {
		return s.noFolder(err)
	}
	b := appendName([]byte("* MYRIGHTS "), f.Name, s.utf8())
	b = append(append(b, ' '), rightsOf(p.grant.Permission, f.PersonalSeen)...)
	return s.c.put(append(b, "\r\n"...))
}

// administered is folder for a command that tells of other users: whoever may
// not change settings is not told.
func (s *session) administered(name string) (storage.Folder, error) {
	f, p, err := s.folder(name)
	if err != nil {
		return f, s.noFolder(err)
	}
	if p.grant.Permission&storage.MayChangeSettings == 0 {
		return f, no(imaplib.ResponseCodeNoPerm, "permessi non visibili / the rights of others are not shown to you")
	}
	return f, nil
}

// getACL answers GETACL (RFC 4314 §3.3).
func (s *session) getACL(args []byte) error {
	name, err := s.named(args)
	if err != nil {
		return err
	}
	f, err := s.administered(name)
	if err != nil {
		return err
	}
	grants, err := s.store.GrantsOn(s.ctx, f.Mailbox)
	if err != nil {
		return s.refuse(err)
	}
	b := appendName([]byte("* ACL "), f.Name, s.utf8())
	for _, g := range grants {
		if rights := rightsOf(g.Permission, f.PersonalSeen); rights != "" {
			b = appendString(append(b, ' '), g.Login, s.utf8())
			b = append(append(b, ' '), rights...)
		}
	}
	return s.c.put(append(b, "\r\n"...))
}

// listRights answers LISTRIGHTS (RFC 4314 §3.4): the rights that a user has are
// those that cannot be taken from him by IMAP, and there are no others to be had.
func (s *session) listRights(args []byte) error {
	p := &parser{b: args}
	p.space()
	name := p.mailbox(s.utf8())
	p.space()
	login := p.astring()
	switch {
	case !p.end():
		return errSyntax
	case !s.open():
		return errNotOpen
	}
	f, err := s.administered(name)
	if err != nil {
		return err
	}
	grants, err := s.store.GrantsOn(s.ctx, f.Mailbox)
	if err != nil {
		return s.refuse(err)
	}
	rights := ""
	for _, g := range grants {
		if strings.EqualFold(g.Login, login) {
			rights = rightsOf(g.Permission, f.PersonalSeen)
		}
	}
	b := appendName([]byte("* LISTRIGHTS "), f.Name, s.utf8())
	b = appendString(append(b, ' '), login, s.utf8())
	b = appendString(append(b, ' '), rights, s.utf8())
	return s.c.put(append(b, "\r\n"...))
}

// setACL refuses SETACL and DELETEACL (RFC 4314 §3.1, §3.2).
func (s *session) setACL([]byte) error {
	if !s.open() {
		return errNotOpen
	}
	return no(imaplib.ResponseCodeNoPerm, "i permessi si cambiano presso il gestore / rights are changed at the provider")
}
