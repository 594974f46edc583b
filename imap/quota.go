// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"errors"
	"strings"

	imaplib "github.com/emersion/go-imap/v2"

	"pecd/fault"
	"pecd/storage"
)

// A mailbox is one quota root, named by its address (RFC 9208).

// quotaUnit is how many octets a unit of STORAGE has (RFC 9208 §5.1).
const quotaUnit = 1024

// quotaOf is the number of octets a mailbox may hold, 0 for no bound.
func (s *session) quotaOf(m storage.Mailbox) (int64, error) {
	tiers, err := s.store.Tiers(s.ctx)
	if err != nil {
		return 0, err
	}
	if f, ok := storage.FiguresOf(tiers, m); ok {
		return f.QuotaBytes, nil
	}
	return 0, fault.New("imap.quota", fault.Internal, errors.New("mailbox without a tier"))
}

// quota is quotaOf for a mailbox given by its ID.
func (s *session) quota(id storage.MailboxID) (int64, error) {
	m, err := s.store.MailboxByID(s.ctx, id)
	if err != nil {
		return 0, err
	}
	return s.quotaOf(m)
}

// getQuota answers GETQUOTA (RFC 9208 §4.2).
func (s *session) getQuota(args []byte) error {
	p := &parser{b: args}
	p.space()
	root := p.astring()
	switch {
	case !p.end():
		return errSyntax
	case !s.open():
		return errNotOpen
	}
	for _, p := range s.places() {
		if !strings.EqualFold(p.grant.Address, root) {
			continue
		}
		if err := s.inUse(p); err != nil {
			return s.refuse(err)
		}
		return s.tellQuota(p)
	}
	return no(imaplib.ResponseCodeNonExistent, "quota inesistente / no such quota root")
}

// getQuotaRoot answers GETQUOTAROOT (RFC 9208 §4.3).
func (s *session) getQuotaRoot(args []byte) error {
	name, err := s.named(args)
	if err != nil {
		return err
	}
	f, p, err := s.folder(name)
	if err != nil {
		return s.noFolder(err)
	}
	b := appendName([]byte("* QUOTAROOT "), f.Name, s.utf8())
	b = appendString(append(b, ' '), p.grant.Address, s.utf8())
	if err := s.c.put(append(b, "\r\n"...)); err != nil {
		return err
	}
	return s.tellQuota(p)
}

// tellQuota writes the QUOTA response of a mailbox. Usage is rounded up and the
// limit down, so that what is told to fit does.
func (s *session) tellQuota(p place) error {
	m, err := s.store.MailboxByID(s.ctx, p.grant.Mailbox)
	if err != nil {
		return s.refuse(err)
	}
	limit, err := s.quotaOf(m)
	if err != nil {
		return s.refuse(err)
	}
	b := appendString([]byte("* QUOTA "), m.Address, s.utf8())
	b = append(b, " ("...)
	if limit > 0 {
		b = appendInt(append(b, "STORAGE "...), (m.Used+quotaUnit-1)/quotaUnit)
		b = appendInt(append(b, ' '), limit/quotaUnit)
	}
	return s.c.put(append(b, ")\r\n"...))
}

// setQuota refuses SETQUOTA (RFC 9208 §4.4).
func (s *session) setQuota([]byte) error {
	if !s.open() {
		return errNotOpen
	}
	return no(imaplib.ResponseCodeNoPerm, "la quota dipende dal contratto / the quota follows from the contract")
}
