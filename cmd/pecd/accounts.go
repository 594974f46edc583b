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
)

type mailboxCmd struct {
	Add       mailboxAddCmd       `cmd:"" help:"Create a mailbox and its user."`
	List      mailboxListCmd      `cmd:"" help:"List mailboxes."`
	Show      mailboxShowCmd      `cmd:"" help:"Everything about a mailbox. / Tutto su una casella."`
	State     mailboxStateCmd     `cmd:"" help:"Activate, block, deactivate or close a mailbox. / Stato di una casella."`
	Ordinary  mailboxOrdinaryCmd  `cmd:"" help:"Open or close a mailbox to ordinary mail (S4-037)."`
	Transform mailboxTransformCmd `cmd:"" help:"Give a mailbox another tier (S4-057). / Trasforma una casella in un'altra tipologia."`
	Raise     mailboxRaiseCmd     `cmd:"" help:"Raise figures of one mailbox above its tier's. / Alza i limiti di una casella."`
	Set       mailboxSetCmd       `cmd:"" help:"Choose what the mailbox does by itself. / Opzioni della casella."`
	Limits    mailboxLimitsCmd    `cmd:"" help:"What of its send limits a mailbox has used up. / Limiti di invio di una casella."`
	Block     mailboxBlockCmd     `cmd:"" help:"Keep a mailbox from sending; it is read and receives on. / Sospende l'invio."`
	Unblock   mailboxUnblockCmd   `cmd:"" help:"Let it send again. / Riattiva l'invio."`
	Users     mailboxUsersCmd     `cmd:"" help:"Who may do what with a mailbox. / Chi può usare una casella."`
}

type mailboxAddCmd struct {
	nodeFlag
	Address  string `arg:"" help:"Address, also the login."`
	Tier     string `default:"standard" help:"Tier: standard, strutturata, small, medium, large, xl."`
	Holder   string `help:"Name of the holder."`
	Ordinary bool   `default:"true" negatable:"" help:"Open to ordinary mail."`
	Service  bool   `help:"Service mailbox of the provider (RFC 6109 §2.2.5)."`
	Password string `kong:"-"` // from standard input; travels over the admin socket at most
}

// Run creates the mailbox; the password comes from standard input, so that it
// is in no process list.
func (c *mailboxAddCmd) Run(e *env) (err error) {
	if c.Password, err = readPassword(); err != nil {
		return err
	}
	return c.perform(e, e.stdout, "mailbox add", c, openStore)
}

func (c *mailboxAddCmd) do(ctx context.Context, k call) error {
	_, err := k.node.users.CreateMailbox(ctx, directory.NewMailbox{
		Address: c.Address, Tier: c.Tier, Holder: c.Holder, Ordinary: c.Ordinary, Service: c.Service, User: &directory.NewUser{Password: c.Password},
	})
	return err
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

type mailboxSetCmd struct {
	nodeFlag
	Address      string `arg:"" help:"Address."`
	PersonalSeen *bool  `negatable:"" help:"Each user has flags of his own for what he has read. / Letto e non letto personali."`
	FileSent     *bool  `negatable:"" help:"A copy of each submission goes into the folder of sent mail. / Copia nella posta inviata."`
	FileReceipts *bool  `negatable:"" help:"Receipts go into a folder for the year of their message. / Ricevute nella cartella dell'anno."`
}

// Run changes options of the mailbox.
func (c *mailboxSetCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "mailbox set", c, openStore)
}

func (c *mailboxSetCmd) do(ctx context.Context, k call) error {
	if c.PersonalSeen == nil && c.FileSent == nil && c.FileReceipts == nil {
		return errors.New("nessuna opzione indicata / no option given: --[no-]personal-seen, --[no-]file-sent, --[no-]file-receipts")
	}
	_, _, err := k.node.users.SetOptions(ctx, c.Address, directory.Options{PersonalSeen: c.PersonalSeen, FileSent: c.FileSent, FileReceipts: c.FileReceipts})
	return err
}

type mailboxUsersCmd struct {
	nodeFlag
	Address string `arg:"" help:"Address."`
	JSON    bool   `help:"One JSON object a line."`
}

// Run lists who may use the mailbox.
func (c *mailboxUsersCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "mailbox users", c, openStore)
}

func (c *mailboxUsersCmd) do(ctx context.Context, k call) error {
	grants, err := k.node.users.UsersOf(ctx, c.Address)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Address, err)
	}
	w := tabwriter.NewWriter(k.out, 0, 8, 2, ' ', 0)
	enc := json.NewEncoder(k.out)
	for _, g := range grants {
		if c.JSON {
			err = enc.Encode(viewOfGrant(g))
		} else {
			_, err = fmt.Fprintf(w, "%s\t%s\n", g.Login, directory.PermissionNames(g.Permission))
		}
		if err != nil {
			return err
		}
	}
	return w.Flush()
}
