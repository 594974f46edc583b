// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"pecd/directory"
	"pecd/fault"
	"pecd/storage"
)

type tokenCmd struct {
	Add    tokenAddCmd    `cmd:"" help:"Make one and print it, this once. / Crea un token."`
	List   tokenListCmd   `cmd:"" help:"List all, ended ones too. / Elenca i token."`
	Revoke tokenRevokeCmd `cmd:"" help:"End one at once. / Revoca un token."`
}

type tokenAddCmd struct {
	nodeFlag
	Name    string `arg:"" help:"What it is for, such as Console or Protocollo."`
	Role    string `required:"" enum:"provider,customer,mailbox" help:"provider: the whole administration; customer: the administrator of a body; mailbox: the application of a mailbox."`
	Body    string `help:"Code of the body, with --role customer. / Codice IPA dell'ente."`
	Mailbox string `help:"Address, with --role mailbox."`
	Expires string `placeholder:"90d" help:"How long it is good, such as 90d or 12h; never ends without."`
	JSON    bool   `help:"Print JSON."`
}

// Run makes the token.
func (c *tokenAddCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "token add", c, openStore)
}

func (c *tokenAddCmd) do(ctx context.Context, k call) error {
	n := directory.NewToken{Name: c.Name, Role: storage.TokenRole(c.Role), Customer: c.Body, Mailbox: c.Mailbox}
	if c.Expires != "" {
		d, err := parseDays(c.Expires)
		if err != nil {
			return err
		}
		n.Expires = k.node.clock.Now().Add(d).UTC()
	}
	t, secret, err := k.node.users.CreateToken(ctx, n)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(k.out).Encode(struct {
			ID    int64  `json:"id"`
			Token string `json:"token"`
		}{t.ID, secret})
	}
	_, err = fmt.Fprintf(k.out, "%s\n", secret)
	return err
}

// tokenView is a token as commands print it.
type tokenView struct {
	ID      int64      `json:"id"`
	Name    string     `json:"name"`
	State   string     `json:"state"` // active, expired, revoked
	Role    string     `json:"role"`
	Body    string     `json:"body,omitempty"`
	Mailbox string     `json:"mailbox,omitempty"`
	Created time.Time  `json:"created"`
	Expires *time.Time `json:"expires,omitempty"`
	Revoked *time.Time `json:"revoked,omitempty"`
}

func (k call) viewOfToken(ctx context.Context, t storage.APIToken) (tokenView, error) {
	v := tokenView{ID: t.ID, Name: t.Name, State: "active", Role: string(t.Role), Body: t.Customer, Created: t.Created}
	if !t.Expires.IsZero() {
		v.Expires = &t.Expires
		if !k.node.clock.Now().Before(t.Expires) {
			v.State = "expired"
		}
	}
	if !t.Revoked.IsZero() {
		v.State, v.Revoked = "revoked", &t.Revoked
	}
	if t.Mailbox == 0 {
		return v, nil
	}
	m, err := k.node.store.MailboxByID(ctx, t.Mailbox)
	if fault.Is(err, fault.NotFound) {
		err = nil
	}
	v.Mailbox = m.Address
	return v, err
}

type tokenListCmd struct {
	nodeFlag
	JSON bool `help:"One JSON object a line."`
}

// Run lists the tokens.
func (c *tokenListCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "token list", c, openStore)
}

func (c *tokenListCmd) do(ctx context.Context, k call) error {
	all, err := k.node.users.Tokens(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(k.out, 0, 8, 2, ' ', 0)
	enc := json.NewEncoder(k.out)
	for _, t := range all {
		v, err := k.viewOfToken(ctx, t)
		if err != nil {
			return errors.Join(err, w.Flush())
		}
		if c.JSON {
			err = enc.Encode(v)
		} else {
			_, err = fmt.Fprintf(w, "%d\t%q\t%s\t%s\t%s%s\n", v.ID, v.Name, v.State, v.Role, v.Body, v.Mailbox)
		}
		if err != nil {
			return err
		}
	}
	return w.Flush()
}

type tokenRevokeCmd struct {
	nodeFlag
	ID int64 `arg:"" help:"Its number, as list shows it."`
}

// Run revokes the token.
func (c *tokenRevokeCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "token revoke", c, openStore)
}

func (c *tokenRevokeCmd) do(ctx context.Context, k call) error {
	return k.node.users.RevokeToken(ctx, c.ID)
}
