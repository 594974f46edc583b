// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"strings"

	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// Options are what may be chosen for a mailbox besides its tier and state; nil
// leaves what is there.
type Options struct {
	PersonalSeen *bool // each user has \Seen flags of his own
	FileSent     *bool // a copy of each submission is filed among the sent messages
	FileReceipts *bool // receipts go into a folder for the year of their message
}

// SetOptions changes options of a mailbox and returns the mailbox as it was and
// as it is. They hold for what comes from then on: nothing that is there is
// moved. NotFound without the mailbox. Another node learns of it when what it
// remembers of the mailbox ends.
func (d *Directory) SetOptions(ctx context.Context, address string, o Options) (before, after storage.Mailbox, err error) {
	err = d.change(ctx, ChangeOptions, address, func(m *storage.Mailbox) (ledger.Event, error) {
		before = *m
		for _, c := range [...]struct{ to, option *bool }{
			{o.PersonalSeen, &m.PersonalSeen}, {o.FileSent, &m.FileSent}, {o.FileReceipts, &m.FileReceipts},
		} {
			if c.to != nil {
				*c.option = *c.to
			}
		}
		after = *m
		return ledger.Event{Kind: ledger.MailboxOptions, From: optionNames(before), To: optionNames(after)}, nil
	})
	return before, after, fault.Wrap("directory.SetOptions", err)
}

// optionNames are the options that are on.
func optionNames(m storage.Mailbox) string {
	var on []string
	for _, o := range []struct {
		set  bool
		name string
	}{{m.PersonalSeen, "personal_seen"}, {m.FileSent, "file_sent"}, {m.FileReceipts, "file_receipts"}} {
		if o.set {
			on = append(on, o.name)
		}
	}
	return strings.Join(on, ",")
}
