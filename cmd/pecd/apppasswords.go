// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"pecd/directory"
	"pecd/storage"
)

type appPasswordCmd struct {
	Add    appPasswordAddCmd    `cmd:"" help:"Make one and print it, this once. / Crea una password per un'applicazione."`
	List   appPasswordListCmd   `cmd:"" help:"List those of a user, ended ones too. / Elenca le password per applicazioni."`
	Revoke appPasswordRevokeCmd `cmd:"" help:"End one, and the sessions that use it. / Revoca una password per applicazione."`
}

type appPasswordAddCmd struct {
	nodeFlag
	Login     string `arg:"" help:"Login."`
	Name      string `required:"" help:"What it is for, such as Protocollo or Telefono."`
	Protocols string `default:"imap,pop3,submission" help:"Where it is good: imap, pop3, submission, web, with commas; or all."`
	May       string `default:"read,write,send,client" help:"What it allows at most: read, write, send, client, settings, with commas; or all."`
	Mailbox   string `help:"Only this mailbox of the user's."`
	Expires   string `placeholder:"90d" help:"How long it is good, such as 90d or 12h; never ends without."`
	JSON      bool   `help:"Print JSON."`
}

// Run makes the application password.
func (c *appPasswordAddCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "user app-password add", c, openStore)
}

func (c *appPasswordAddCmd) do(ctx context.Context, k call) (err error) {
	n := directory.NewProgram{Login: c.Login, Name: c.Name, Mailbox: c.Mailbox}
	if n.Protocols, err = directory.ParseProtocols(c.Protocols); err != nil {
		return err
	}
	if n.Permission, err = directory.ParsePermissions(c.May); err != nil {
		return err
	}
	if c.Expires != "" {
		d, err := parseDays(c.Expires)
		if err != nil {
			return err
		}
		n.Expires = k.node.clock.Now().Add(d).UTC()
	}
	a, secret, err := k.node.users.CreateProgram(ctx, n)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(k.out).Encode(struct {
			ID       int64  `json:"id"`
			Password string `json:"password"`
		}{a.ID, secret})
	}
	_, err = fmt.Fprintf(k.out, "%s\n", secret)
	return err
}

// parseDays reads a duration, with days as "90d".
func parseDays(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("durata / duration: %q", s)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	return time.ParseDuration(s)
}

// appPasswordView is an application password as commands print it.
type appPasswordView struct {
	ID        int64      `json:"id"`
	Name      string     `json:"name"`
	State     string     `json:"state"` // active, expired, revoked
	Protocols string     `json:"protocols"`
	May       string     `json:"may"`
	Mailbox   string     `json:"mailbox,omitempty"`
	Created   time.Time  `json:"created"`
	Expires   *time.Time `json:"expires,omitempty"`
	Revoked   *time.Time `json:"revoked,omitempty"`
}

func (v appPasswordView) line() string {
	until, where := "-", "*"
	if v.Expires != nil {
		until = v.Expires.Format(time.DateOnly)
	}
	if v.Mailbox != "" {
		where = v.Mailbox
	}
	return fmt.Sprintf("%d %q %s %s %s %s %s", v.ID, v.Name, v.State, v.Protocols, v.May, where, until)
}

// appPasswords reads those of a user.
func (k call) appPasswords(ctx context.Context, login string) ([]appPasswordView, error) {
	all, err := k.node.users.Programs(ctx, login)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", login, err)
	}
	views := make([]appPasswordView, 0, len(all))
	for _, a := range all {
		v, err := k.viewOfAppPassword(ctx, a)
		if err != nil {
			return nil, err
		}
		views = append(views, v)
	}
	return views, nil
}

func (k call) viewOfAppPassword(ctx context.Context, a storage.AppPassword) (appPasswordView, error) {
	v := appPasswordView{
		ID: a.ID, Name: a.Name, State: "active", Protocols: directory.ProtocolNames(a.Protocols),
		May: directory.PermissionNames(a.Permission), Created: a.Created,
	}
	if !a.Expires.IsZero() {
		v.Expires = &a.Expires
		if !k.node.clock.Now().Before(a.Expires) {
			v.State = "expired"
		}
	}
	if !a.Revoked.IsZero() {
		v.State, v.Revoked = "revoked", &a.Revoked
	}
	if a.Mailbox == 0 {
		return v, nil
	}
	m, err := k.node.store.MailboxByID(ctx, a.Mailbox)
	v.Mailbox = m.Address
	return v, err
}

type appPasswordListCmd struct {
	nodeFlag
	Login string `arg:"" help:"Login."`
	JSON  bool   `help:"One JSON object a line."`
}

// Run lists the application passwords.
func (c *appPasswordListCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "user app-password list", c, openStore)
}

func (c *appPasswordListCmd) do(ctx context.Context, k call) error {
	views, err := k.appPasswords(ctx, c.Login)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(k.out)
	for _, v := range views {
		if c.JSON {
			err = enc.Encode(v)
		} else {
			_, err = fmt.Fprintln(k.out, v.line())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type appPasswordRevokeCmd struct {
	nodeFlag
	Login string `arg:"" help:"Login."`
	ID    int64  `arg:"" help:"Its number, as list shows it."`
}

// Run revokes the application password.
func (c *appPasswordRevokeCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "user app-password revoke", c, openStore)
}

func (c *appPasswordRevokeCmd) do(ctx context.Context, k call) error {
	return k.node.users.RevokeProgram(ctx, c.Login, c.ID)
}
