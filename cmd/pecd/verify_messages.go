// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"pecd/pec"
	"pecd/rfc822"
	"pecd/signer"
	"pecd/storage"
)

// verifyMessages walks every folder and reads each message once. What claims
// to come from this provider must carry its valid signature; what others
// signed was judged when it came in, and holders may keep anything.
func (n *node) verifyMessages(ctx context.Context, f *findings) error {
	seen := make(map[storage.BodyID]bool)
	return n.store.Mailboxes(ctx, "", func(box storage.Mailbox) error {
		f.Mailboxes++
		folders, err := n.store.Folders(ctx, box.ID)
		if err != nil {
			return err
		}
		for _, folder := range folders {
			err := n.store.Messages(ctx, folder.ID, 1, 0, func(m storage.Message) error {
				f.Messages++
				if seen[m.Body] {
					return nil
				}
				seen[m.Body] = true
				f.Bodies++
				return n.verifyBody(ctx, f, fmt.Sprintf("%s/%s uid %d", box.Address, folder.Name, m.UID), m.Body)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (n *node) verifyBody(ctx context.Context, f *findings, where string, id storage.BodyID) error {
	body, err := n.store.OpenBody(ctx, id)
	if err != nil {
		f.add(where, "body %d cannot be opened: %v", id, err)
		return nil
	}
	defer body.Close()
	s := rfc822.NewScanner(rfc822.DefaultLimits())
	if _, err := io.Copy(s, io.NewSectionReader(body, 0, body.Size())); err != nil {
		f.add(where, "body %d cannot be read: %v", id, err)
		return nil
	}
	rec, err := pec.Recognise(s.Finish(), body)
	if err != nil {
		f.add(where, "body %d cannot be read: %v", id, err)
		return nil
	}
	if rec.From != n.signer.Address() || rec.Signature == nil || rec.Signed == nil {
		return nil
	}
	at := time.Time{}
	switch {
	case rec.CertData != nil:
		at = rec.CertData.At
	default:
		at = n.clock.Now()
	}
	content := io.NewSectionReader(body, rec.Signed.Offset, rec.Signed.End-rec.Signed.Offset)
	verdict := n.own.Verify(rec.Signature, content, at, rec.From)
	if verdict.Failed == signer.StepRead {
		return verdict.Err
	}
	if !verdict.OK() {
		f.add(where, "our signature does not verify (%s): %s", verdict.Failed, verdict.ReasonEN)
		return nil
	}
	f.Signatures++
	return nil
}
