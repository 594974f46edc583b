// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"pecd/directory"
	"pecd/storage"
)

type userCmd struct {
	Add         userAddCmd      `cmd:"" help:"Add a user, who may do nothing yet. / Aggiunge un utente."`
	List        userListCmd     `cmd:"" help:"List the users. / Elenca gli utenti."`
	Show        userShowCmd     `cmd:"" help:"What a user may do, and his application passwords. / Permessi e password di un utente."`
	Disable     userDisableCmd  `cmd:"" help:"Shut a user out, his sessions too. / Disabilita un utente."`
	Enable      userEnableCmd   `cmd:"" help:"Let a user in again. / Riabilita un utente."`
	Delete      userDeleteCmd   `cmd:"" help:"Delete a user for good; nobody else gets his login. / Elimina un utente."`
	Password    userPasswordCmd `cmd:"" help:"Set a user's password, read from standard input. / Nuova password."`
	Grant       userGrantCmd    `cmd:"" help:"Say what a user may do with a mailbox. / Assegna i permessi su una casella."`
	Revoke      userRevokeCmd   `cmd:"" help:"Take a mailbox from a user. / Toglie una casella a un utente."`
	AppPassword appPasswordCmd  `cmd:"" name:"app-password" help:"Application passwords. / Password per applicazioni."`
}

type userAddCmd struct {
	nodeFlag
	Login    string `arg:"" help:"Login: an address or a plain name."`
	Name     string `help:"Name of the person or the application."`
	Body     string `placeholder:"CODE" help:"The body whose administrators look after him. / Ente."`
	Password string `kong:"-"` // from standard input; travels over the admin socket at most
}

// Run adds the user.
func (c *userAddCmd) Run(e *env) (err error) {
	if c.Password, err = readPassword(); err != nil {
		return err
	}
	return c.perform(e, e.stdout, "user add", c, openStore)
}

func (c *userAddCmd) do(ctx context.Context, k call) error {
	return k.node.users.CreateUser(ctx, directory.NewUser{Login: c.Login, Name: c.Name, Body: c.Body, Password: c.Password})
}

// userView is a user as commands print him.
type userView struct {
	Login        string            `json:"login"`
	Name         string            `json:"name,omitempty"`
	Disabled     bool              `json:"disabled"`
	Created      time.Time         `json:"created"`
	Mailboxes    []grantView       `json:"mailboxes,omitempty"`
	AppPasswords []appPasswordView `json:"app_passwords,omitempty"`
}

// grantView is what a user may do with a mailbox.
type grantView struct {
	Login   string `json:"login"`
	Mailbox string `json:"mailbox"`
	May     string `json:"may"`
}

func viewOfGrant(g storage.Grant) grantView {
	return grantView{g.Login, g.Address, directory.PermissionNames(g.Permission)}
}

func viewOfUser(u storage.User) userView {
	return userView{Login: u.Login, Name: u.Name, Disabled: u.Disabled, Created: u.Created}
}

func (v userView) state() string {
	if v.Disabled {
		return "disabled"
	}
	return "enabled"
}

type userListCmd struct {
	nodeFlag
	JSON bool `help:"One JSON object a line."`
}

// Run lists the users.
func (c *userListCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "user list", c, openStore)
}

func (c *userListCmd) do(ctx context.Context, k call) error {
	w := tabwriter.NewWriter(k.out, 0, 8, 2, ' ', 0)
	enc := json.NewEncoder(k.out)
	err := k.node.users.ListUsers(ctx, func(u storage.User) error {
		v := viewOfUser(u)
		if c.JSON {
			return enc.Encode(v)
		}
		_, err := fmt.Fprintf(w, "%s\t%s\t%s\n", v.Login, v.state(), v.Name)
		return err
	})
	return errors.Join(err, w.Flush())
}

type userShowCmd struct {
	nodeFlag
	Login string `arg:"" help:"Login."`
	JSON  bool   `help:"Print JSON."`
}

// Run shows the user.
func (c *userShowCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "user show", c, openStore)
}

func (c *userShowCmd) do(ctx context.Context, k call) error {
	u, err := k.node.users.User(ctx, c.Login)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Login, err)
	}
	v := viewOfUser(u)
	grants, err := k.node.store.Grants(ctx, u.Login)
	if err != nil {
		return err
	}
	for _, g := range grants {
		v.Mailboxes = append(v.Mailboxes, viewOfGrant(g))
	}
	if v.AppPasswords, err = k.appPasswords(ctx, u.Login); err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(k.out).Encode(v)
	}
	return v.print(k.out)
}

// print writes the user, then a line for each mailbox and application password.
func (v userView) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "%s\t%s\t%s\n", v.Login, v.state(), v.Name)
	for _, g := range v.Mailboxes {
		fmt.Fprintf(w, "  %s\t%s\n", g.Mailbox, g.May)
	}
	for _, a := range v.AppPasswords {
		fmt.Fprintf(w, "  app-password %s\n", a.line())
	}
	return w.Flush() // says what went wrong before
}

type userDisableCmd struct {
	nodeFlag
	Login string `arg:"" help:"Login."`
}

// Run disables the user.
func (c *userDisableCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "user disable", c, openStore)
}

func (c *userDisableCmd) do(ctx context.Context, k call) error {
	return k.node.users.SetUserDisabled(ctx, c.Login, true)
}

type userEnableCmd struct {
	nodeFlag
	Login string `arg:"" help:"Login."`
}

// Run enables the user.
func (c *userEnableCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "user enable", c, openStore)
}

func (c *userEnableCmd) do(ctx context.Context, k call) error {
	return k.node.users.SetUserDisabled(ctx, c.Login, false)
}

type userDeleteCmd struct {
	nodeFlag
	Login string `arg:"" help:"Login."`
	Yes   bool   `help:"Do it. It cannot be undone."`
}

// Run deletes the user.
func (c *userDeleteCmd) Run(e *env) error {
	if !c.Yes {
		return errors.New("l'eliminazione non si annulla: aggiungere --yes / deleting cannot be undone: add --yes")
	}
	return c.perform(e, e.stdout, "user delete", c, openStore)
}

func (c *userDeleteCmd) do(ctx context.Context, k call) error {
	return k.node.users.DeleteUser(ctx, c.Login)
}

type userPasswordCmd struct {
	nodeFlag
	Login    string `arg:"" help:"Login."`
	Password string `kong:"-"` // as in userAddCmd
}

// Run sets the password.
func (c *userPasswordCmd) Run(e *env) (err error) {
	if c.Password, err = readPassword(); err != nil {
		return err
	}
	return c.perform(e, e.stdout, "user password", c, openStore)
}

func (c *userPasswordCmd) do(ctx context.Context, k call) error {
	return k.node.users.SetPassword(ctx, c.Login, c.Password)
}

type userGrantCmd struct {
	nodeFlag
	Login   string `arg:"" help:"Login."`
	Address string `arg:"" help:"Mailbox."`
	May     string `required:"" help:"What he may do from now on: read, write, send, client, settings, with commas; or all."`
}

// Run grants the permissions.
func (c *userGrantCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "user grant", c, openStore)
}

func (c *userGrantCmd) do(ctx context.Context, k call) error {
	p, err := directory.ParsePermissions(c.May)
	if err != nil {
		return err
	}
	return k.node.users.Grant(ctx, c.Login, c.Address, p)
}

type userRevokeCmd struct {
	nodeFlag
	Login   string `arg:"" help:"Login."`
	Address string `arg:"" help:"Mailbox."`
}

// Run takes the mailbox away.
func (c *userRevokeCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "user revoke", c, openStore)
}

func (c *userRevokeCmd) do(ctx context.Context, k call) error {
	return k.node.users.Grant(ctx, c.Login, c.Address, 0)
}
