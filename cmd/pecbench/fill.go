// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pecd/clock"
	"pecd/directory"
	"pecd/storage"
	"pecd/storage/sqlite"
	"pecd/summary"
)

// fillStep is how many messages one commit puts into a store that is prepared.
const fillStep = 2000

// prepared opens the store of a provider that does not run and lets fill write
// into it: a million messages by SMTP would take longer than what is measured.
func (p *provider) prepared(ctx context.Context, fill func(*sqlite.Store) error) (err error) {
	st, err := sqlite.Open(ctx, p.store, sqlite.Options{CacheBytes: 64 << 20})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	return fill(st)
}

// inbox is the folder of a mailbox.
func inbox(ctx context.Context, st storage.Store, address string) (storage.Folder, error) {
	m, err := st.Mailbox(ctx, address)
	if err != nil {
		return storage.Folder{}, err
	}
	return st.Folder(ctx, m.ID, "INBOX")
}

// fillInbox appends n messages to a mailbox, each written by letter, with what a
// node keeps of a message beside it.
func fillInbox(ctx context.Context, st storage.Store, address string, n int, letter func(i int) []byte) error {
	folder, err := inbox(ctx, st, address)
	if err != nil {
		return err
	}
	at := time.Now()
	for i := 0; i < n; {
		step, octets := new(storage.Step), 0
		for ; i < n && len(step.Ops) < 2*fillStep && octets < 32<<20; i++ {
			raw := letter(i)
			octets += len(raw)
			body, err := bodyOf(st, raw)
			if err != nil {
				return err
			}
			defer closeSpool(body)
			step.Add(body, &storage.Append{Folder: folder.ID, Body: storage.BodyRef{New: body}, InternalDate: at})
		}
		if err := (summary.Store{Store: st}).Commit(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

// bodyOf is a message as IMAP's APPEND stores it: a large one is a blob.
func bodyOf(st storage.Store, raw []byte) (*storage.NewBody, error) {
	if len(raw) <= 64<<10 {
		return &storage.NewBody{Head: raw}, nil
	}
	spool := st.NewSpool()
	body := &storage.NewBody{Blob: &storage.NewBlob{Spool: spool, Len: int64(len(raw))}}
	if _, err := spool.Write(raw); err != nil {
		closeSpool(body)
		return nil, err
	}
	return body, nil
}

// closeSpool closes the spool of a body, if it has one; what is stored stays.
func closeSpool(b *storage.NewBody) {
	if b.Blob != nil {
		b.Blob.Spool.Close()
	}
}

// correspondent is who message i of a filled mailbox is from: every one of a
// thousand writes as often as the others.
func correspondent(i int) string { return fmt.Sprintf("mittente%03d@altri.example", i%1000) }

// raiseQuota lets the mailboxes of the largest tier hold more. Every mailbox of
// the prepared sites has that tier.
func raiseQuota(ctx context.Context, st storage.Store, octets int64) error {
	d := directory.New(st, clock.System{})
	t, err := d.Tier(ctx, "xl")
	if err != nil {
		return err
	}
	t.QuotaBytes = octets
	return d.SetTier(ctx, t)
}
