// SPDX-License-Identifier: EUPL-1.2

// Package summary gives stored messages their summaries (rfc822.Summary) as they
// are stored, so that a mailbox can be listed and searched without opening them.
package summary

import (
	"context"
	"io"

	"pecd/rfc822"
	"pecd/storage"
)

// maxHeader is how many octets of a message are looked at for the end of its
// header. Where it is longer, whoever reads the message first works it out.
const maxHeader = 64 << 10

// Store is a store whose Commit adds a summary of its header to each message
// that a step puts into a folder. The MIME tree is left to the first reader who
// asks for it: at delivery it would cost ten times as much.
type Store struct{ storage.Store }

// Commit implements storage.Store.
func (s Store) Commit(ctx context.Context, step *storage.Step) error {
	for _, op := range step.Ops {
		if a, ok := op.(*storage.Append); ok && a.Body.New != nil && a.Body.New.Summary == nil {
			a.Body.New.Summary = ofHeader(a.Body.New)
		}
	}
	return s.Store.Commit(ctx, step)
}

// ofHeader returns the summary of a message's header, nil where that is not at hand.
func ofHeader(n *storage.NewBody) []byte {
	head := n.Head
	if len(head) == 0 && n.Blob != nil && n.Blob.Spool != nil {
		head = make([]byte, min(n.Blob.Len, maxHeader))
		got, err := n.Blob.Spool.ReadAt(head, n.Blob.Off)
		if err != nil && err != io.EOF {
			return nil // the commit meets the same error, and tells it
		}
		head = head[:got]
	}
	b, ok := rfc822.HeaderSummary(head[:min(len(head), maxHeader)])
	if !ok || len(b) > storage.MaxSummary {
		return nil
	}
	return b
}
