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

// maxBodyCode bounds the code of a body, which is its codice IPA.
const maxBodyCode = 32

// bodyCode returns a code as it is kept: lower case letters, digits, hyphens and
// underscores.
func bodyCode(s string) (string, error) {
	s = strings.ToLower(s)
	ok := s != "" && len(s) <= maxBodyCode
	for i := range len(s) {
		c := s[i]
		ok = ok && ('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_')
	}
	if !ok {
		return "", fault.Say("directory.bodyCode", fault.Invalid, "codice IPA non valido / malformed code of the body")
	}
	return s, nil
}

// body reads a body from the store by its code. NotFound without it.
func (d *Directory) body(ctx context.Context, code string) (storage.Customer, error) {
	all, err := d.st.Customers(ctx)
	if err != nil {
		return storage.Customer{}, err
	}
	for _, c := range all {
		if strings.EqualFold(c.Code, code) {
			return c, nil
		}
	}
	return storage.Customer{}, fault.Say("directory.body", fault.NotFound, unknownBody)
}

// SetBody creates a public body or changes its name. code is its codice IPA, kept
// in lower case.
func (d *Directory) SetBody(ctx context.Context, code, name string) error {
	const op = "directory.SetBody"
	if err := d.May(ctx, ChangeBodies); err != nil {
		return fault.Wrap(op, err)
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	var step storage.Step
	if _, err := d.putBody(ctx, &step, code, name); err != nil || len(step.Ops) == 0 {
		return fault.Wrap(op, err)
	}
	return fault.Wrap(op, d.st.Commit(ctx, &step))
}

// putBody adds to step what creates a body or changes its name, if that changes
// anything, and returns its code as it is kept.
func (d *Directory) putBody(ctx context.Context, step *storage.Step, code, name string) (string, error) {
	const op = "directory.putBody"
	code, err := bodyCode(code)
	if err != nil {
		return "", err
	}
	if err := checkName(name); err != nil {
		return "", err
	}
	if strings.TrimSpace(name) == "" {
		return "", fault.Say(op, fault.Invalid, "serve il nome dell'ente / the name of the body is needed")
	}
	before, err := d.body(ctx, code)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return "", err
	}
	if before.Name != name {
		if before.Created.IsZero() {
			before.Created = d.clk.Now().UTC()
		}
		step.Add(&storage.PutCustomer{Customer: storage.Customer{Code: code, Name: name, Created: before.Created}},
			d.recorded(ctx, ledger.Event{Kind: ledger.BodyChanged, Detail: code, From: before.Name, To: name}))
	}
	return code, nil
}

// Body is a public body with what it has and may have.
type Body struct {
	storage.Customer
	Domains []storage.Domain
	Tiers   []TierUse // of which it has, or may have, mailboxes
}

// TierUse is how many mailboxes of a tier a body has; closed ones do not count.
type TierUse struct {
	Tier      string
	Mailboxes int64
	Ceiling   int64 // -1: no bound
}

// Body returns a body. NotFound without it, or where it is not that of who acts.
func (d *Directory) Body(ctx context.Context, code string) (Body, error) {
	const op = "directory.Body"
	if err := d.MayBody(ctx, SeeBody, strings.ToLower(code)); err != nil {
		return Body{}, fault.Wrap(op, err)
	}
	c, err := d.body(ctx, code)
	if err != nil {
		return Body{}, fault.Wrap(op, err)
	}
	b := Body{Customer: c}
	domains, err := d.st.Domains(ctx)
	if err != nil {
		return Body{}, fault.Wrap(op, err)
	}
	for _, dom := range domains {
		if dom.Customer == c.Code {
			b.Domains = append(b.Domains, dom)
		}
	}
	tiers, err := d.st.Tiers(ctx)
	if err != nil {
		return Body{}, fault.Wrap(op, err)
	}
	u, err := d.use(ctx, c.Code)
	if err != nil {
		return Body{}, fault.Wrap(op, err)
	}
	for _, t := range tiers {
		of := TierUse{Tier: t.Code, Mailboxes: u.have[t.Code], Ceiling: -1}
		if u.bounded {
			of.Ceiling = u.ceilings[t.Code]
		}
		if of.Mailboxes > 0 || of.Ceiling > 0 {
			b.Tiers = append(b.Tiers, of)
		}
	}
	return b, nil
}

// ListBodies calls fn by code for every body that who acts may see. An error of fn
// ends the listing and is returned.
func (d *Directory) ListBodies(ctx context.Context, fn func(storage.Customer) error) error {
	const op = "directory.ListBodies"
	all, err := d.st.Customers(ctx)
	if err != nil {
		return fault.Wrap(op, err)
	}
	for _, c := range all {
		if d.MayBody(ctx, SeeBody, c.Code) != nil {
			continue
		}
		if err := fn(c); err != nil {
			return fault.Wrap(op, err)
		}
	}
	return nil
}

// maxCeiling bounds a ceiling, against typing errors.
const maxCeiling = 1_000_000

// SetCeiling says how many mailboxes of a tier a body may have (S4-055); below 0
// takes the bound away. Once one is set, the body may have none of the tiers
// without. NotFound without body or tier; Conflict where it has more.
func (d *Directory) SetCeiling(ctx context.Context, code, tier string, most int64) error {
	const op = "directory.SetCeiling"
	if err := d.May(ctx, ChangeBodies); err != nil {
		return fault.Wrap(op, err)
	}
	if most > maxCeiling {
		return fault.Say(op, fault.Invalid, "massimale troppo alto / ceiling too high")
	}
	most = max(most, -1)
	d.writing.Lock()
	defer d.writing.Unlock()
	d.domains.drop("")
	c, err := d.body(ctx, code)
	if err != nil {
		return fault.Wrap(op, err)
	}
	t, err := d.Tier(ctx, tier)
	if err != nil {
		return fault.Wrap(op, err)
	}
	u, err := d.use(ctx, c.Code)
	if err != nil {
		return fault.Wrap(op, err)
	}
	before, had := u.ceilings[t.Code]
	if have := u.have[t.Code]; most >= 0 && have > most {
		return fault.Say(op, fault.Conflict, fmt.Sprintf("l'ente ha già %d caselle %s, più di %d / the body has %d of them, more than %d", have, t.Name, most, have, most))
	}
	if had && before == most || !had && most < 0 {
		return nil
	}
	e := ledger.Event{Kind: ledger.BodyCeiling, Detail: c.Code + " " + t.Code, From: bound(before, had), To: bound(most, most >= 0)}
	return fault.Wrap(op, d.st.Commit(ctx, new(storage.Step).Add(
		&storage.PutCeiling{Ceiling: storage.Ceiling{Customer: c.Code, Tier: t.Code, Mailboxes: most}}, d.recorded(ctx, e))))
}

func bound(n int64, set bool) string {
	if !set {
		return ""
	}
	return fmt.Sprint(n)
}
