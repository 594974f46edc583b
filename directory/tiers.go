// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	_ "embed" // tiers.toml
	"errors"
	"fmt"

	"github.com/BurntSushi/toml"

	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

//go:embed tiers.toml
var tiersTOML string

// SeedTiers returns the six tiers with the figures of S4-010 … S4-038, in the
// order of the catalogue. Quotas are in octets of 2^30 a GiB (D18).
func SeedTiers() []storage.Tier {
	tiers, err := readTiers(tiersTOML)
	if err != nil {
		return nil // the embedded table is checked by the tests; Seed reports it
	}
	return tiers
}

func readTiers(text string) ([]storage.Tier, error) {
	var file struct {
		Tier []struct {
			Code         string `toml:"code"`
			Name         string `toml:"name"`
			QuotaGiB     int64  `toml:"quota_gib"`
			PerDay       int    `toml:"per_day"`
			PerMinute    int    `toml:"per_minute"`
			Recipients   int    `toml:"recipients"`
			MessageBytes int64  `toml:"message_bytes"`
			RcptMinute   int    `toml:"recipients_per_minute"`
			RcptDay      int    `toml:"recipients_per_day"`
			MultiUser    bool   `toml:"multi_user"`
			Application  bool   `toml:"application"`
			Notices      bool   `toml:"notices"`
		} `toml:"tier"`
	}
	meta, err := toml.Decode(text, &file)
	if err != nil {
		return nil, err
	}
	if extra := meta.Undecoded(); len(extra) > 0 {
		return nil, fmt.Errorf("unknown key %s", extra[0])
	}
	if len(file.Tier) == 0 {
		return nil, errors.New("no tier")
	}
	tiers := make([]storage.Tier, 0, len(file.Tier))
	for _, t := range file.Tier {
		tier := storage.Tier{Code: t.Code, Name: t.Name, MultiUser: t.MultiUser, Application: t.Application, Notices: t.Notices, Figures: storage.Figures{
			QuotaBytes: t.QuotaGiB << 30, MaxPerDay: t.PerDay, MaxPerMinute: t.PerMinute, MaxRecipients: t.Recipients,
			MaxMessage: t.MessageBytes, RecipientsPerMinute: t.RcptMinute, RecipientsPerDay: t.RcptDay,
		}}
		if !complete(tier) {
			return nil, fmt.Errorf("tier %q: a figure is missing", t.Code)
		}
		tiers = append(tiers, tier)
	}
	return tiers, nil
}

// Seed writes the tiers that the store does not have. It never overwrites one:
// their figures may have been raised since.
func (d *Directory) Seed(ctx context.Context) error {
	const op = "directory.Seed"
	want, err := readTiers(tiersTOML)
	if err != nil {
		return fault.New(op, fault.Internal, err)
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	have, err := d.st.Tiers(ctx)
	if err != nil {
		return fault.Wrap(op, err)
	}
	known := make(map[string]bool, len(have))
	for _, t := range have {
		known[t.Code] = true
	}
	var step storage.Step
	for _, t := range want {
		if !known[t.Code] {
			step.Add(&storage.PutTier{Tier: t})
		}
	}
	if len(step.Ops) == 0 {
		return nil
	}
	if err := d.st.Commit(ctx, &step); err != nil {
		return fault.Wrap(op, err)
	}
	d.tiers.drop("")
	return nil
}

// SetTier creates or replaces a tier. The figures of the six tiers of the
// catalogue may be raised, never lowered below it (D1): Invalid otherwise. Conflict
// where a tier that is there would be for other kinds of users, or its quota would
// be less than what one of its mailboxes holds.
func (d *Directory) SetTier(ctx context.Context, t storage.Tier) error {
	const op = "directory.SetTier"
	if err := d.May(ctx, ChangeTiers); err != nil {
		return fault.Wrap(op, err)
	}
	if !complete(t) || !sane(t.Figures) {
		return fault.Say(op, fault.Invalid, "tipologia incompleta, o con cifre senza senso / tier incomplete, or with figures that make no sense")
	}
	floor, err := readTiers(tiersTOML)
	if err != nil {
		return fault.New(op, fault.Internal, err)
	}
	for _, f := range floor {
		if f.Code != t.Code {
			continue
		}
		if t.Raised(f.Figures) != t.Figures || f.Notices && !t.Notices {
			return fault.Say(op, fault.Invalid, "i limiti di "+f.Name+" non scendono sotto il catalogo: "+inWords(f.Figures)+" / the figures of "+f.Name+" are not set below the catalogue")
		}
		if t.MultiUser != f.MultiUser || t.Application != f.Application {
			return fault.Say(op, fault.Conflict, kindOfTier)
		}
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	d.tiers.drop("")
	before, err := d.Tier(ctx, t.Code)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return fault.Wrap(op, err)
	}
	changed := ledger.Event{Kind: ledger.TierChanged, Detail: t.Code, To: figures(t)}
	if err == nil {
		changed.From = figures(before)
		if t.MultiUser != before.MultiUser || t.Application != before.Application {
			return fault.Say(op, fault.Conflict, kindOfTier)
		}
		if t.QuotaBytes < before.QuotaBytes {
			if err := d.fitsQuota(ctx, t); err != nil {
				return fault.Wrap(op, err)
			}
		}
	}
	if err == nil && t == before {
		return nil
	}
	if err := d.usable(before.Figures, t.Figures); err != nil {
		return fault.Wrap(op, err)
	}
	var step storage.Step
	if err := d.st.Commit(ctx, step.Add(&storage.PutTier{Tier: t}, d.recorded(ctx, changed))); err != nil {
		return fault.Wrap(op, err)
	}
	d.tiers.drop("")
	return nil
}

const kindOfTier = "chi usa le caselle di una tipologia non cambia / for whom a tier's mailboxes are does not change"

// fitsQuota checks that no mailbox of a tier holds more than it would be allowed to.
func (d *Directory) fitsQuota(ctx context.Context, t storage.Tier) error {
	var fullest storage.Mailbox
	beyond := 0
	err := d.st.Mailboxes(ctx, "", func(m storage.Mailbox) error {
		if m.Tier != t.Code || m.Used <= t.Raised(m.Raised).QuotaBytes {
			return nil
		}
		beyond++
		if m.Used > fullest.Used {
			fullest = m
		}
		return nil
	})
	if err != nil || beyond == 0 {
		return err
	}
	return fault.Say("directory.fitsQuota", fault.Conflict, fmt.Sprintf(
		"caselle che occupano più di %s: %d, la più piena è %s con %s / mailboxes hold more than that",
		GB(t.QuotaBytes), beyond, fullest.Address, GB(fullest.Used)))
}

// complete reports whether a tier has all that it needs, and no budget of
// recipients that a single message could exceed.
func complete(t storage.Tier) bool {
	return t.Code != "" && t.Name != "" && t.QuotaBytes > 0 && t.MaxPerDay > 0 && t.MaxPerMinute > 0 && t.MaxRecipients > 0 && t.MaxMessage > 0 &&
		t.RecipientsPerMinute >= t.MaxRecipients && t.RecipientsPerDay >= t.MaxRecipients
}

// figures tells a tier for the log.
func figures(t storage.Tier) string {
	return fmt.Sprintf("%s multi_user=%t application=%t notices=%t", numbers(t.Figures), t.MultiUser, t.Application, t.Notices)
}
