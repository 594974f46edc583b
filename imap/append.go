// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"io"

	imaplib "github.com/emersion/go-imap/v2"

	"pecd/ledger"
	"pecd/storage"
)

// maxHead is up to which size an appended message is stored in one piece with its
// row; a larger one becomes a blob.
const maxHead = 64 << 10

// Append implements imapserver.Session. The message is stored exactly as it
// was sent.
func (s *session) Append(name string, r imaplib.LiteralReader, options *imaplib.AppendOptions) (*imaplib.AppendData, error) {
	var words []string
	for _, f := range options.Flags {
		words = append(words, string(f))
	}
	flags, err := storable(words)
	if err != nil {
		return nil, err
	}
	if r.Size() == 0 {
		return nil, no("", "messaggio vuoto / empty message")
	}
	if err := s.srv.room(r.Size()); err != nil {
		return nil, s.refuse(err)
	}
	folder, at, err := s.folder(folderName(name))
	if err != nil {
		return nil, s.noTarget(err)
	}
	if err := at.mayWrite(); err != nil {
		return nil, err
	}
	quota, err := s.quota(folder.Mailbox)
	if err != nil {
		return nil, s.refuse(err)
	}
	body := &storage.NewBody{}
	if r.Size() <= maxHead {
		body.Head = make([]byte, r.Size())
		if _, err := io.ReadFull(r, body.Head); err != nil {
			return nil, err
		}
	} else {
		spool := s.store.NewSpool()
		defer spool.Close()
		if n, err := io.Copy(spool, r); err != nil || n != r.Size() {
			return nil, s.refuse(orUnexpectedEOF(err))
		}
		body.Blob = &storage.NewBlob{Spool: spool, Len: spool.Size()}
	}
	sent, err := s.sentCopy(folder, body)
	if err != nil {
		return nil, s.refuse(err)
	}
	date := options.Time
	if date.IsZero() {
		date = s.srv.cfg.Clock.Now()
	}
	op := &storage.Append{
		Folder: folder.ID, Body: storage.BodyRef{New: body}, Flags: flags, InternalDate: date.UTC(), Quota: quota,
		Sent: sent, Logged: s.did(ledger.MessageAppended, at, place{}),
	}
	if err := s.commit(body, op); err != nil {
		return nil, s.noTarget(err)
	}
	return &imaplib.AppendData{UID: imaplib.UID(op.UID), UIDValidity: op.UIDValidity}, nil
}

func orUnexpectedEOF(err error) error {
	if err == nil {
		return io.ErrUnexpectedEOF
	}
	return err
}
