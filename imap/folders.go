// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"slices"
	"strings"
	"unicode"

	imaplib "github.com/emersion/go-imap/v2"
	"golang.org/x/text/unicode/norm"

	"pecd/ledger"
	"pecd/storage"
)

const (
	delimiter = '/'
	inbox     = "INBOX"
)

// folderName is the stored form of a name or pattern a client used: NFC (RFC 9051
// §5.1.1 leaves the form open, and clients differ), and INBOX is upper case also
// where it stands above other folders (§5.1).
func folderName(name string) string {
	name = norm.NFC.String(name)
	first, rest, below := strings.Cut(name, string(delimiter))
	if strings.EqualFold(first, inbox) {
		if !below {
			return inbox
		}
		return inbox + string(delimiter) + rest
	}
	return name
}

// newName checks of the name of a folder to be made what the protocol demands:
// it must be possible to LIST it. The rest is the store's to decide. A delimiter
// at the end, by which a client tells that it will put folders below, is left
// out.
func newName(name string) (string, error) {
	name = folderName(strings.TrimSuffix(name, string(delimiter)))
	if strings.ContainsAny(name, "%*"+string(unicode.ReplacementChar)) {
		return "", no(imaplib.ResponseCodeCannot, "nome di cartella non valido / invalid mailbox name")
	}
	return name, nil
}

// named parses a command whose only argument is the name of a folder.
func (s *session) named(args []byte) (string, error) {
	p := &parser{b: args}
	p.space()
	name := p.mailbox(s.utf8())
	switch {
	case !p.end():
		return "", errSyntax
	case !s.open():
		return "", errNotOpen
	}
	return name, nil
}

// create answers CREATE (RFC 9051 §6.3.4), with RFC 6154 §3 and RFC 8474 §4.1.
func (s *session) create(args []byte) error {
	p := &parser{b: args}
	p.space()
	name := p.mailbox(s.utf8())
	var uses []string
	if p.take(' ') {
		p.list(func() {
			if p.atom() != "USE" {
				p.fail()
			}
			p.space()
			p.options(func() { uses = append(uses, p.flag()) })
		})
	}
	if !p.end() {
		return errSyntax
	}
	if !s.open() {
		return errNotOpen
	}
	at, err := s.newPlace(name)
	if err != nil {
		return s.refuse(err)
	}
	if err := at.mayWrite(); err != nil {
		return err
	}
	op := &storage.CreateFolder{Mailbox: at.grant.Mailbox, Name: at.name}
	if len(uses) > 0 {
		if op.SpecialUse, err = s.freeUse(at, uses); err != nil {
			return err
		}
	}
	if err := s.commit(op); err != nil {
		return s.refuse(err)
	}
	s.code = "MAILBOXID (" + mailboxID(op.Folder.ID) + ")"
	return nil
}

// freeUse returns the special use that a new folder may have of those asked for.
func (s *session) freeUse(at place, uses []string) (string, error) {
	i := slices.IndexFunc(specialUses(), func(known string) bool { return strings.EqualFold(known, uses[0]) })
	if len(uses) > 1 || i < 0 {
		return "", errNoUse
	}
	use := specialUses()[i]
	folders, err := s.store.Folders(s.ctx, at.grant.Mailbox)
	if err != nil {
		return "", s.refuse(err)
	}
	if slices.ContainsFunc(folders, func(f storage.Folder) bool { return f.SpecialUse == use }) {
		return "", errNoUse
	}
	return use, nil
}

var errNoUse = no("USEATTR", "uso speciale non disponibile / special use not available")

// specialUses are the attributes that a folder may be created with. \All and
// \Flagged are left out: they would have to be virtual folders.
func specialUses() []string {
	return []string{`\Archive`, `\Drafts`, `\Junk`, `\Sent`, `\Trash`}
}

// delete answers DELETE (RFC 9051 §6.3.5).
func (s *session) delete(args []byte) error {
	name, err := s.named(args)
	if err != nil {
		return err
	}
	_, at, err := s.folder(name)
	if err != nil {
		return s.noFolder(err)
	}
	if err := at.mayWrite(); err != nil {
		return err
	}
	return s.noFolder(s.commit(&storage.DeleteFolder{
		Mailbox: at.grant.Mailbox, Name: at.name, Logged: s.did(ledger.MessageExpunged, at, place{}),
	}))
}

// rename answers RENAME (RFC 9051 §6.3.6).
func (s *session) rename(args []byte) error {
	p := &parser{b: args}
	p.space()
	from := p.mailbox(s.utf8())
	p.space()
	to := p.mailbox(s.utf8())
	if !p.end() {
		return errSyntax
	}
	if !s.open() {
		return errNotOpen
	}
	_, source, err := s.folder(from)
	if err != nil {
		return s.noFolder(err)
	}
	dest, err := s.newPlace(to)
	if err != nil {
		return s.refuse(err)
	}
	if err := source.mayWrite(); err != nil {
		return err
	}
	if source.grant.Mailbox != dest.grant.Mailbox {
		return no(imaplib.ResponseCodeCannot, "una cartella resta nella sua casella / a folder stays in its mailbox")
	}
	if strings.HasPrefix(dest.name, source.name+string(delimiter)) && source.name != inbox {
		return no(imaplib.ResponseCodeCannot, "una cartella non puo' contenere se stessa / cannot move a mailbox below itself")
	}
	return s.noFolder(s.commit(&storage.RenameFolder{
		Mailbox: source.grant.Mailbox, From: source.name, To: dest.name, Logged: s.did(ledger.MessageMoved, source, dest),
	}))
}

// subscribe answers SUBSCRIBE and UNSUBSCRIBE. It takes no permission: who is not
// the holder of the mailbox has subscriptions of his own (storage.Viewing). Only a
// folder that exists can be subscribed to (RFC 9051 §6.3.7 leaves that open); a
// subscription that outlived its folder can be ended.
func (s *session) subscribe(args []byte) error {
	name, err := s.named(args)
	if err != nil {
		return err
	}
	at, err := s.located(name)
	if err != nil {
		return s.noFolder(err)
	}
	on := s.c.now.verb == "SUBSCRIBE"
	return s.noFolder(s.commit(&storage.Subscribe{Mailbox: at.grant.Mailbox, Name: at.name, Subscribed: on}))
}
