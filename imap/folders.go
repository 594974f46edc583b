// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"slices"
	"strings"
	"unicode"

	imaplib "github.com/emersion/go-imap/v2"
	"golang.org/x/text/unicode/norm"

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

// Namespace implements imapserver.SessionNamespace (RFC 2342).
func (s *session) Namespace() (*imaplib.NamespaceData, error) {
	return &imaplib.NamespaceData{Personal: []imaplib.NamespaceDescriptor{{Delim: delimiter}}}, nil
}

// Create implements imapserver.Session, with RFC 6154 §3.
func (s *session) Create(name string, options *imaplib.CreateOptions) error {
	if err := s.mayWrite(); err != nil {
		return err
	}
	name, err := newName(name)
	if err != nil {
		return err
	}
	op := &storage.CreateFolder{Mailbox: s.grant.Mailbox, Name: name}
	if len(options.SpecialUse) > 0 {
		use := string(options.SpecialUse[0])
		folders, err := s.store.Folders(s.ctx, s.grant.Mailbox)
		if err != nil {
			return s.refuse(err)
		}
		taken := slices.ContainsFunc(folders, func(f storage.Folder) bool { return f.SpecialUse == use })
		if len(options.SpecialUse) > 1 || taken || !slices.Contains(specialUses(), use) {
			return no("USEATTR", "uso speciale non disponibile / special use not available")
		}
		op.SpecialUse = use
	}
	return s.refuse(s.commit(op))
}

// specialUses are the attributes that a folder may be created with. \All and
// \Flagged are left out: they would have to be virtual folders.
func specialUses() []string {
	return []string{`\Archive`, `\Drafts`, `\Junk`, `\Sent`, `\Trash`}
}

// Delete implements imapserver.Session.
func (s *session) Delete(name string) error {
	if err := s.mayWrite(); err != nil {
		return err
	}
	return s.noFolder(s.commit(&storage.DeleteFolder{Mailbox: s.grant.Mailbox, Name: folderName(name)}))
}

// Rename implements imapserver.Session.
func (s *session) Rename(from, to string, _ *imaplib.RenameOptions) error {
	if err := s.mayWrite(); err != nil {
		return err
	}
	from = folderName(from)
	to, err := newName(to)
	if err != nil {
		return err
	}
	if strings.HasPrefix(to, from+string(delimiter)) && from != inbox {
		return no(imaplib.ResponseCodeCannot, "una cartella non puo' contenere se stessa / cannot move a mailbox below itself")
	}
	return s.noFolder(s.commit(&storage.RenameFolder{Mailbox: s.grant.Mailbox, From: from, To: to}))
}

// Subscribe implements imapserver.Session.
func (s *session) Subscribe(name string) error { return s.subscribe(name, true) }

// Unsubscribe implements imapserver.Session.
func (s *session) Unsubscribe(name string) error { return s.subscribe(name, false) }

func (s *session) subscribe(name string, on bool) error {
	if err := s.mayWrite(); err != nil {
		return err
	}
	return s.noFolder(s.commit(&storage.Subscribe{Mailbox: s.grant.Mailbox, Name: folderName(name), Subscribed: on}))
}

// Status implements imapserver.Session (RFC 9051 §6.3.11, RFC 8438).
func (s *session) Status(name string, options *imaplib.StatusOptions) (*imaplib.StatusData, error) {
	f, err := s.store.Folder(s.ctx, s.grant.Mailbox, folderName(name))
	if err != nil {
		return nil, s.noFolder(err)
	}
	data, err := s.statusOf(f, options)
	return data, s.refuse(err)
}

func (s *session) statusOf(f storage.Folder, options *imaplib.StatusOptions) (*imaplib.StatusData, error) {
	recent, limit := uint32(0), s.AppendLimit()
	data := &imaplib.StatusData{
		Mailbox: f.Name, NumMessages: &f.Messages, NumRecent: &recent, NumUnseen: &f.Unseen, Size: &f.Bytes,
		UIDNext: imaplib.UID(f.UIDNext), UIDValidity: f.UIDValidity, AppendLimit: &limit, HighestModSeq: f.ModSeq,
	}
	if options.NumDeleted || options.DeletedStorage {
		var n uint32
		var size int64
		err := s.store.Messages(s.ctx, f.ID, 1, 0, func(m storage.Message) error {
			if slices.Contains(m.Flags, flagDeleted) {
				n++
				size += m.Size
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		data.NumDeleted, data.DeletedStorage = &n, &size
	}
	return data, nil
}
