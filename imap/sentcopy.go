// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"io"

	"pecd/rfc822"
	"pecd/storage"
)

// maxSentHeader is how many octets of an appended message are looked at for its
// Message-ID.
const maxSentHeader = 64 << 10

// sentCopy is for an APPEND to the folder of sent mail in a mailbox whose
// submissions are filed there: most clients put a copy of their own into it, and
// one is enough (ADR 0020). nil: the message is stored in any case.
func (s *session) sentCopy(to storage.Folder, body *storage.NewBody) (*storage.SentCopy, error) {
	if to.SpecialUse != storage.SentUse {
		return nil, nil
	}
	box, err := s.store.MailboxByID(s.ctx, to.Mailbox)
	if err != nil || !box.FileSent {
		return nil, err
	}
	head := body.Head
	if body.Blob != nil {
		head = make([]byte, min(body.Blob.Len, maxSentHeader))
		if _, err := body.Blob.Spool.ReadAt(head, 0); err != nil && err != io.EOF {
			return nil, err
		}
	}
	header, _ := rfc822.ParseHeader(head, rfc822.DefaultLimits()) // what can be read of it
	id := rfc822.MessageID(header)
	if id == "" {
		return nil, nil
	}
	return &storage.SentCopy{MessageID: id, ByClient: true}, nil
}
