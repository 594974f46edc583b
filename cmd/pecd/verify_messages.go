// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/mail"
	"time"

	"pecd/pec"
	"pecd/rfc822"
	"pecd/signer"
	"pecd/storage"
)

// issuedWithin is how soon after its Date a message of ours is in the mailbox.
// What comes later under our name is a holder's own copy, who may have changed it.
const issuedWithin = time.Minute

// verifyMessages walks every folder and reads each message once. What this
// provider issued must carry its valid signature. What others signed was judged
// when it came in, and holders may keep anything: copies that do not verify are
// counted, and are no problem of the store.
func (n *node) verifyMessages(ctx context.Context, f *findings) error {
	seen := make(map[storage.BodyID]bool)
	return n.store.Mailboxes(ctx, "", func(box storage.Mailbox) error {
		f.Mailboxes++
		folders, err := n.store.Folders(ctx, box.ID)
		if err != nil {
			return err
		}
		for _, folder := range folders {
			err := n.store.Summaries(ctx, folder.ID, 1, 0, func(m storage.Message, kept []byte) error {
				f.Messages++
				if seen[m.Body] {
					return nil
				}
				seen[m.Body] = true
				f.Bodies++
				return n.verifyBody(ctx, f, fmt.Sprintf("%s/%s uid %d", box.Address, folder.Name, m.UID), m, kept)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (n *node) verifyBody(ctx context.Context, f *findings, where string, m storage.Message, kept []byte) error {
	body, err := n.store.OpenBody(ctx, m.Body)
	if err != nil {
		f.add(where, "body %d cannot be opened: %v", m.Body, err)
		return nil
	}
	defer body.Close()
	s := rfc822.NewScanner(rfc822.DefaultLimits())
	if _, err := io.Copy(s, io.NewSectionReader(body, 0, body.Size())); err != nil {
		f.add(where, "body %d cannot be read: %v", m.Body, err)
		return nil
	}
	scan := s.Finish()
	if !summarizes(kept, scan) {
		f.add(where, "the summary kept of body %d is not that of the message: lists and searches of mail clients are wrong", m.Body)
	}
	rec, err := pec.Recognise(scan, body)
	if err != nil {
		f.add(where, "body %d cannot be read: %v", m.Body, err)
		return nil
	}
	if rec.From != n.signer.Address() || rec.Signature == nil || rec.Signed == nil {
		return nil
	}
	at := m.SavedDate
	if rec.CertData != nil {
		at = rec.CertData.At
	}
	content := io.NewSectionReader(body, rec.Signed.Offset, rec.Signed.End-rec.Signed.Offset)
	verdict := n.own.Verify(rec.Signature, content, at, rec.From)
	switch {
	case verdict.Failed == signer.StepRead:
		return verdict.Err
	case verdict.OK():
		f.Signatures++
	case issuedHere(scan.Root.Header.Get("Date"), m.SavedDate):
		f.add(where, "our signature does not verify (%s): %s", verdict.Failed, verdict.ReasonEN)
	default:
		f.Altered++
	}
	return nil
}

// summarizes tells whether what is kept of a message agrees with it. That holds of no
// summary at all, and of one of another version: it is made anew.
func summarizes(kept []byte, scan *rfc822.Message) bool {
	have, err := rfc822.ReadSummary(kept, scan.Size)
	if err != nil {
		return true
	}
	whole := scan.Summary()
	if text, ok := have.Preview(); ok && have.HasTree() {
		// Only for show, and made by the rules of the day it was made: taken as it is.
		if whole, err = rfc822.WithPreview(whole, scan.Size, text); err != nil {
			return true
		}
	}
	if have.HasTree() {
		return bytes.Equal(kept, whole)
	}
	want, err := rfc822.ReadSummary(whole, scan.Size)
	return err == nil && have.BodyOffset == want.BodyOffset && bytes.Equal(have.Header.Raw(), want.Header.Raw())
}

func issuedHere(date string, saved time.Time) bool {
	d, err := mail.ParseDate(date)
	return err == nil && saved.Sub(d).Abs() <= issuedWithin
}
