// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"pecd/directory"
	"pecd/storage"
	"pecd/storage/sqlite"
)

// nodeFlag names the node whose store an administration command works on.
type nodeFlag struct {
	Config string `required:"" type:"path" placeholder:"FILE" help:"Configuration of the node; it must be stopped."`
}

// with opens the node's store for one command.
func (f nodeFlag) with(e *env, do func(ctx context.Context, st storage.Store, d *directory.Directory) error) (err error) {
	cfg, err := readConfig(f.Config)
	if err != nil {
		return err
	}
	st, err := sqlite.Open(e.ctx, cfg.path(cfg.Store.Dir), sqlite.Options{Clock: e.clock})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	d := directory.New(st, e.clock)
	if err := d.Seed(e.ctx); err != nil {
		return err
	}
	return do(e.ctx, st, d)
}

type domainCmd struct {
	Add  domainAddCmd  `cmd:"" help:"Add a certified domain."`
	List domainListCmd `cmd:"" help:"List the domains."`
}

type domainAddCmd struct {
	nodeFlag
	Name string `arg:"" help:"Domain name."`
}

// Run adds the domain.
func (c *domainAddCmd) Run(e *env) error {
	return c.with(e, func(ctx context.Context, _ storage.Store, d *directory.Directory) error {
		return d.CreateDomain(ctx, c.Name, storage.DomainCertified)
	})
}

type domainListCmd struct {
	nodeFlag
	JSON bool `help:"Print JSON."`
}

// Run lists the domains.
func (c *domainListCmd) Run(e *env) error {
	return c.with(e, func(ctx context.Context, st storage.Store, _ *directory.Directory) error {
		all, err := st.Domains(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return json.NewEncoder(e.stdout).Encode(all)
		}
		for _, d := range all {
			fmt.Fprintf(e.stdout, "%s\t%s\n", d.Name, d.State)
		}
		return nil
	})
}

type mailboxCmd struct {
	Add      mailboxAddCmd      `cmd:"" help:"Create a mailbox and its user."`
	List     mailboxListCmd     `cmd:"" help:"List mailboxes."`
	State    mailboxStateCmd    `cmd:"" help:"Activate, block or deactivate a mailbox."`
	Ordinary mailboxOrdinaryCmd `cmd:"" help:"Open or close a mailbox to ordinary mail (S4-037)."`
	Password mailboxPasswordCmd `cmd:"" help:"Set a user's password, read from standard input."`
}

type mailboxAddCmd struct {
	nodeFlag
	Address  string `arg:"" help:"Address, also the login."`
	Tier     string `default:"standard" help:"Tier: standard, strutturata, small, medium, large, xl."`
	Holder   string `help:"Name of the holder."`
	Ordinary bool   `default:"true" negatable:"" help:"Open to ordinary mail."`
	Service  bool   `help:"Service mailbox of the provider (RFC 6109 §2.2.5)."`
}

// Run creates the mailbox; the password comes from standard input, so that it
// is in no process list.
func (c *mailboxAddCmd) Run(e *env) error {
	password, err := readPassword()
	if err != nil {
		return err
	}
	return c.with(e, func(ctx context.Context, _ storage.Store, d *directory.Directory) error {
		hash, err := directory.HashPassword(password)
		if err != nil {
			return err
		}
		_, err = d.CreateMailbox(ctx, directory.NewMailbox{
			Address: c.Address, Tier: c.Tier, Holder: c.Holder, Ordinary: c.Ordinary, Service: c.Service, User: &directory.NewUser{Hash: hash},
		})
		return err
	})
}

func readPassword() (string, error) {
	s, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("password: %w", err)
	}
	if s = strings.TrimRight(s, "\r\n"); s == "" {
		return "", errors.New("password: one line on standard input, please")
	}
	return s, nil
}

type mailboxListCmd struct {
	nodeFlag
	Domain string `arg:"" optional:"" help:"Only this domain."`
	JSON   bool   `help:"Print JSON."`
}

// Run lists the mailboxes.
func (c *mailboxListCmd) Run(e *env) error {
	return c.with(e, func(ctx context.Context, st storage.Store, _ *directory.Directory) error {
		w := tabwriter.NewWriter(e.stdout, 0, 8, 2, ' ', 0)
		enc := json.NewEncoder(e.stdout)
		err := st.Mailboxes(ctx, strings.ToLower(c.Domain), func(m storage.Mailbox) error {
			if c.JSON {
				return enc.Encode(m)
			}
			_, err := fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\n", m.Address, m.Tier, m.State, m.Messages, m.Used)
			return err
		})
		return errors.Join(err, w.Flush())
	})
}

type mailboxStateCmd struct {
	nodeFlag
	Address string `arg:"" help:"Address."`
	State   string `arg:"" enum:"active,blocked,deactivated" help:"active, blocked or deactivated."`
}

// Run changes the state.
func (c *mailboxStateCmd) Run(e *env) error {
	return c.with(e, func(ctx context.Context, _ storage.Store, d *directory.Directory) error {
		return d.SetMailboxState(ctx, c.Address, storage.MailboxState(c.State))
	})
}

type mailboxOrdinaryCmd struct {
	nodeFlag
	Address string `arg:"" help:"Address."`
	Mail    string `arg:"" enum:"open,closed" help:"open or closed."`
}

// Run opens or closes the mailbox to ordinary mail.
func (c *mailboxOrdinaryCmd) Run(e *env) error {
	return c.with(e, func(ctx context.Context, _ storage.Store, d *directory.Directory) error {
		return d.SetOrdinary(ctx, c.Address, c.Mail == "open")
	})
}

type mailboxPasswordCmd struct {
	nodeFlag
	Login string `arg:"" help:"The user."`
}

// Run sets the password.
func (c *mailboxPasswordCmd) Run(e *env) error {
	password, err := readPassword()
	if err != nil {
		return err
	}
	return c.with(e, func(ctx context.Context, _ storage.Store, d *directory.Directory) error {
		return d.SetPassword(ctx, c.Login, password)
	})
}
