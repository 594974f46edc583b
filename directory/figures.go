// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"fmt"
	"strings"

	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// Bounds of single figures, against typing errors.
const (
	mostOctets = 1 << 50
	mostCount  = 1_000_000_000
)

// FigureChange says which figures are changed, and to what; nil leaves one as it
// is.
type FigureChange struct {
	QuotaBytes, MaxMessage                                                        *int64 // octets
	MaxPerDay, MaxPerMinute, MaxRecipients, RecipientsPerMinute, RecipientsPerDay *int
}

// On returns f with the changes made.
func (c FigureChange) On(f storage.Figures) storage.Figures {
	for _, o := range [...]struct{ to, figure *int64 }{{c.QuotaBytes, &f.QuotaBytes}, {c.MaxMessage, &f.MaxMessage}} {
		if o.to != nil {
			*o.figure = *o.to
		}
	}
	for _, o := range [...]struct{ to, figure *int }{
		{c.MaxPerDay, &f.MaxPerDay}, {c.MaxPerMinute, &f.MaxPerMinute}, {c.MaxRecipients, &f.MaxRecipients},
		{c.RecipientsPerMinute, &f.RecipientsPerMinute}, {c.RecipientsPerDay, &f.RecipientsPerDay},
	} {
		if o.to != nil {
			*o.figure = *o.to
		}
	}
	return f
}

// Raise gives a mailbox figures above its tier's (D1); 0 takes one back. It returns
// what the mailbox may then hold and send. Invalid where a figure is not above the
// tier's; Conflict where the quota would be less than what the mailbox holds.
func (d *Directory) Raise(ctx context.Context, address string, c FigureChange) (storage.Figures, error) {
	const op = "directory.Raise"
	var now storage.Figures
	err := d.change(ctx, RaiseMailbox, address, func(m *storage.Mailbox) (ledger.Event, error) {
		d.tiers.drop("")
		t, err := d.Tier(ctx, m.Tier)
		if err != nil {
			return ledger.Event{}, err
		}
		before := m.Raised
		m.Raised = c.On(m.Raised)
		now = t.Raised(m.Raised)
		if err := raisable(t, m.Raised); err != nil {
			return ledger.Event{}, err
		}
		if err := d.usable(t.Raised(before), now); err != nil {
			return ledger.Event{}, err
		}
		if now.QuotaBytes < t.Raised(before).QuotaBytes && m.Used > now.QuotaBytes {
			return ledger.Event{}, tooFull(*m, now.QuotaBytes)
		}
		return ledger.Event{Kind: ledger.MailboxRaised, From: numbers(before), To: numbers(m.Raised), Detail: numbers(now)}, nil
	})
	return now, fault.Wrap(op, err)
}

// raisable checks that figures of a mailbox stand above those of its tier, or are 0.
func raisable(t storage.Tier, up storage.Figures) error {
	const op = "directory.raisable"
	one := func(n, tier int64) bool { return n == 0 || n > tier }
	switch now := t.Raised(up); {
	case !sane(now):
		return fault.Say(op, fault.Invalid, "cifre senza senso / figures that make no sense")
	case !one(up.QuotaBytes, t.QuotaBytes), !one(up.MaxMessage, t.MaxMessage), !one(int64(up.MaxPerDay), int64(t.MaxPerDay)),
		!one(int64(up.MaxPerMinute), int64(t.MaxPerMinute)), !one(int64(up.MaxRecipients), int64(t.MaxRecipients)),
		!one(int64(up.RecipientsPerMinute), int64(t.RecipientsPerMinute)), !one(int64(up.RecipientsPerDay), int64(t.RecipientsPerDay)):
		return fault.Say(op, fault.Invalid, "i limiti di una casella si alzano solo sopra quelli della tipologia ("+inWords(t.Figures)+"); 0 li riporta a questi / "+
			"figures of a mailbox are only raised above its tier's; 0 takes them back")
	}
	return nil
}

// sane reports whether figures are within what makes sense, and a message with all
// the recipients it may have fits into their budgets.
func sane(f storage.Figures) bool {
	for _, n := range [...]int64{f.QuotaBytes, f.MaxMessage} {
		if n <= 0 || n > mostOctets {
			return false
		}
	}
	for _, n := range [...]int{f.MaxPerDay, f.MaxPerMinute, f.MaxRecipients, f.RecipientsPerMinute, f.RecipientsPerDay} {
		if n <= 0 || n > mostCount {
			return false
		}
	}
	return f.RecipientsPerMinute >= f.MaxRecipients && f.RecipientsPerDay >= f.MaxRecipients
}

// Bound says how many octets and recipients this node lets any message have
// (limits.message_bytes, limits.recipients): no figures beyond that are given. It
// is called before the directory is used.
func (d *Directory) Bound(octets int64, recipients int) {
	d.bound.octets, d.bound.recipients = octets, recipients
}

// usable checks that what figures are raised to is not beyond what the node lets
// a message have.
func (d *Directory) usable(before, now storage.Figures) error {
	const op = "directory.usable"
	switch b := d.bound; {
	case b.octets > 0 && now.MaxMessage > b.octets && now.MaxMessage > before.MaxMessage:
		return fault.Say(op, fault.Invalid, fmt.Sprintf("il nodo accetta messaggi di al massimo %d byte: prima va alzato limits.message_bytes / "+
			"the node takes messages of at most %d octets: raise limits.message_bytes first", b.octets, b.octets))
	case b.recipients > 0 && now.MaxRecipients > b.recipients && now.MaxRecipients > before.MaxRecipients:
		return fault.Say(op, fault.Invalid, fmt.Sprintf("il nodo accetta al massimo %d destinatari per messaggio: prima va alzato limits.recipients / "+
			"the node takes at most %d recipients of a message: raise limits.recipients first", b.recipients, b.recipients))
	}
	return nil
}

// Beyond lists the tiers whose messages this node bounds more strictly than was
// sold.
func (d *Directory) Beyond(ctx context.Context) (codes []string, err error) {
	all, err := d.st.Tiers(ctx)
	for _, t := range all {
		if d.usable(storage.Figures{}, t.Figures) != nil {
			codes = append(codes, t.Code)
		}
	}
	return codes, fault.Wrap("directory.Beyond", err)
}

// tooFull tells what is to be removed before a mailbox has a lower quota (S4-057).
func tooFull(m storage.Mailbox, quota int64) error {
	return fault.Say("directory.tooFull", fault.Conflict, fmt.Sprintf(
		"la casella %s occupa %s, la nuova capienza è %s: prima vanno liberati %s / it holds %s, the new quota is %s: %s have to be removed first",
		m.Address, GB(m.Used), GB(quota), GB(m.Used-quota), GB(m.Used), GB(quota), GB(m.Used-quota)))
}

// GB writes octets in GB of 2^30, as quotas are sold (D18), with a decimal comma
// and rounded up: what is to be removed is never told too low.
func GB(octets int64) string {
	const hundredth = 1 << 30 / 100
	n := (octets + hundredth - 1) / hundredth
	if octets%(1<<30) == 0 {
		return fmt.Sprintf("%d GB", octets>>30)
	}
	return strings.Replace(fmt.Sprintf("%d.%02d GB", n/100, n%100), ".", ",", 1)
}

// numbers writes figures for the log.
func numbers(f storage.Figures) string {
	return fmt.Sprintf("quota=%d day=%d minute=%d recipients=%d message=%d recipients_minute=%d recipients_day=%d",
		f.QuotaBytes, f.MaxPerDay, f.MaxPerMinute, f.MaxRecipients, f.MaxMessage, f.RecipientsPerMinute, f.RecipientsPerDay)
}

// inWords writes figures for people.
func inWords(f storage.Figures) string {
	return fmt.Sprintf("%s, %d messaggi al giorno e %d al minuto, %d destinatari, messaggi di %d MB, %d destinatari al minuto e %d al giorno",
		GB(f.QuotaBytes), f.MaxPerDay, f.MaxPerMinute, f.MaxRecipients, f.MaxMessage>>20, f.RecipientsPerMinute, f.RecipientsPerDay)
}
