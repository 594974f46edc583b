// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"strings"

	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// Transformed is a mailbox that was given another tier.
type Transformed struct {
	Before, After     storage.Figures // what it might, and may, hold and send
	FromTier, ToTier  storage.Tier
	NowByApplications bool // until now people sent from it with their passwords (D6)
	NowByPeople       bool // until now only applications sent from it
}

// Transform gives a mailbox another tier (S4-057), with effect from the next
// command of its sessions on. Figures that were raised for the mailbox stay; those
// that are not above the new tier's have no effect. Conflict, with the figures,
// where it holds more than it would be allowed to; where the new tier is for one
// user and others use it; where it is closed; and where its body may have no more
// mailboxes of the new tier.
func (d *Directory) Transform(ctx context.Context, address, tier string) (Transformed, error) {
	const op = "directory.Transform"
	var done Transformed
	err := d.change(ctx, TransformMailbox, address, func(m *storage.Mailbox) (ledger.Event, error) {
		d.tiers.drop("")
		from, err := d.Tier(ctx, m.Tier)
		if err != nil {
			return ledger.Event{}, err
		}
		to, err := d.Tier(ctx, tier)
		if err != nil {
			return ledger.Event{}, err
		}
		done = Transformed{
			Before: from.Raised(m.Raised), After: to.Raised(m.Raised), FromTier: from, ToTier: to,
			NowByApplications: to.Application && !from.Application, NowByPeople: from.Application && !to.Application,
		}
		if from.Code == to.Code {
			return ledger.Event{}, nil
		}
		if err := d.mayBecome(ctx, *m, to, done.After.QuotaBytes); err != nil {
			return ledger.Event{}, err
		}
		m.Tier = to.Code
		return ledger.Event{Kind: ledger.MailboxTier, From: from.Code, To: to.Code, Size: m.Used,
			Detail: numbers(done.Before) + " > " + numbers(done.After)}, nil
	})
	return done, fault.Wrap(op, err)
}

// mayBecome checks that a mailbox can be of a tier, with a quota in octets.
func (d *Directory) mayBecome(ctx context.Context, m storage.Mailbox, t storage.Tier, quota int64) error {
	const op = "directory.mayBecome"
	if m.State == storage.MailboxClosed {
		return fault.Say(op, fault.Conflict, "la casella è chiusa / the mailbox is closed")
	}
	if m.Used > quota {
		return tooFull(m, quota)
	}
	if !t.MultiUser {
		if err := d.oneUser(ctx, m, t); err != nil {
			return err
		}
	}
	body, err := d.bodyOf(ctx, m.Domain)
	if err != nil || body == "" || m.Service {
		return err
	}
	u, err := d.use(ctx, body)
	if err != nil {
		return err
	}
	return u.take(t)
}

// maxNamed is how many users a refusal names.
const maxNamed = 10

// oneUser checks that nobody but its own login uses a mailbox (S4-011).
func (d *Directory) oneUser(ctx context.Context, m storage.Mailbox, t storage.Tier) error {
	grants, err := d.st.GrantsOn(ctx, m.ID)
	if err != nil {
		return err
	}
	var others []string
	for _, g := range grants {
		if !strings.EqualFold(g.Login, m.Address) {
			others = append(others, g.Login)
		}
	}
	if len(others) == 0 {
		return nil
	}
	named := strings.Join(others[:min(len(others), maxNamed)], ", ")
	if len(others) > maxNamed {
		named += ", …"
	}
	return fault.Say("directory.oneUser", fault.Conflict, "una casella "+t.Name+" ha un solo utente, questa ne ha altri: "+named+
		"; prima vanno tolti i loro permessi / a "+t.Name+" mailbox has one user: the permissions of these have to be taken away first")
}
