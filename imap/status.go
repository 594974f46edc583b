// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"slices"

	"pecd/storage"
)

// status answers STATUS (RFC 9051 §6.3.11, RFC 7162 §3.1.7, RFC 8438,
// RFC 8474 §4.3).
func (s *session) status(args []byte) error {
	p := &parser{b: args}
	p.space()
	name := p.mailbox(s.utf8())
	p.space()
	items := p.statusItems()
	if !p.end() {
		return errSyntax
	}
	if !s.open() {
		return errNotOpen
	}
	f, _, err := s.folder(name)
	if err != nil {
		return s.noFolder(err)
	}
	line, err := s.appendStatus(nil, f, items)
	if err != nil {
		return s.refuse(err)
	}
	return s.c.put(line)
}

// statusItems reads a list of STATUS items, of which each is told once.
func (p *parser) statusItems() (items []string) {
	p.list(func() {
		item := p.atom()
		switch item {
		case "MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "DELETED", "SIZE",
			"DELETED-STORAGE", "APPENDLIMIT", "HIGHESTMODSEQ", "MAILBOXID":
		default:
			p.fail()
		}
		if !slices.Contains(items, item) {
			items = append(items, item)
		}
	})
	return items
}

// appendStatus writes the STATUS response for a folder, in the order asked for.
func (s *session) appendStatus(b []byte, f storage.Folder, items []string) ([]byte, error) {
	if slices.Contains(items, "HIGHESTMODSEQ") {
		s.knowsModSeqs()
	}
	deleted, octets, err := s.deletedIn(f, items)
	if err != nil {
		return b, err
	}
	b = append(b, "* STATUS "...)
	b = appendName(b, f.Name, s.utf8())
	b = append(b, " ("...)
	for k, item := range items {
		if k > 0 {
			b = append(b, ' ')
		}
		b = append(b, item...)
		b = append(b, ' ')
		switch item {
		case "MESSAGES":
			b = appendInt(b, f.Messages)
		case "RECENT": // no message is ever \Recent
			b = append(b, '0')
		case "UIDNEXT":
			b = appendInt(b, f.UIDNext)
		case "UIDVALIDITY":
			b = appendInt(b, f.UIDValidity)
		case "UNSEEN":
			b = appendInt(b, f.Unseen)
		case "DELETED":
			b = appendInt(b, deleted)
		case "SIZE":
			b = appendInt(b, f.Bytes)
		case "DELETED-STORAGE":
			b = appendInt(b, octets)
		case "APPENDLIMIT":
			b = appendInt(b, s.AppendLimit())
		case "HIGHESTMODSEQ":
			b = appendInt(b, f.ModSeq)
		case "MAILBOXID":
			b = append(append(append(b, '('), mailboxID(f.ID)...), ')')
		}
	}
	return append(b, ")\r\n"...), nil
}

// deletedIn counts the messages with \Deleted where that was asked for.
func (s *session) deletedIn(f storage.Folder, items []string) (n uint32, octets int64, err error) {
	if !slices.Contains(items, "DELETED") && !slices.Contains(items, "DELETED-STORAGE") {
		return 0, 0, nil
	}
	err = s.store.Messages(s.ctx, f.ID, 1, 0, func(m storage.Message) error {
		if slices.Contains(m.Flags, flagDeleted) {
			n++
			octets += m.Size
		}
		return nil
	})
	return n, octets, err
}
