// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"pecd/directory"
	"pecd/storage"
)

type mailboxStateCmd struct {
	nodeFlag
	Address string `arg:"" help:"Address."`
	State   string `arg:"" enum:"active,blocked,deactivated,closed" help:"active, blocked, deactivated; or closed, from deactivated and for good: its address is never given out again."`
	Yes     bool   `help:"Close it. It cannot be undone."`
}

// Run changes the state.
func (c *mailboxStateCmd) Run(e *env) error {
	if c.State == string(storage.MailboxClosed) && !c.Yes {
		return errors.New("la chiusura non si annulla e l'indirizzo non sarà mai riassegnato: aggiungere --yes / closing cannot be undone, and the address is never given out again: add --yes")
	}
	return c.perform(e, e.stdout, "mailbox state", c, openStore)
}

func (c *mailboxStateCmd) do(ctx context.Context, k call) error {
	return k.node.users.SetMailboxState(ctx, c.Address, storage.MailboxState(c.State))
}

type mailboxOrdinaryCmd struct {
	nodeFlag
	Address  string `arg:"" help:"Address."`
	Mail     string `arg:"" enum:"open,closed" help:"open or closed."`
	Redirect string `placeholder:"ADDRESS" help:"Where senders of ordinary mail are told to write instead; nothing is sent on. / Indirizzo da comunicare ai mittenti."`
}

// Run opens or closes the mailbox to ordinary mail.
func (c *mailboxOrdinaryCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "mailbox ordinary", c, openStore)
}

func (c *mailboxOrdinaryCmd) do(ctx context.Context, k call) error {
	switch open := c.Mail == "open"; {
	case open && c.Redirect != "":
		return errors.New("--redirect vale solo per una casella chiusa alla posta ordinaria / is for a closed mailbox")
	case c.Redirect != "":
		return k.node.users.CloseToOrdinary(ctx, c.Address, c.Redirect)
	default:
		return k.node.users.SetOrdinary(ctx, c.Address, open)
	}
}

type mailboxTransformCmd struct {
	nodeFlag
	Address string `arg:"" help:"Address."`
	Tier    string `arg:"" help:"Tier: standard, strutturata, small, medium, large, xl."`
}

// Run gives the mailbox another tier.
func (c *mailboxTransformCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "mailbox transform", c, openStore)
}

func (c *mailboxTransformCmd) do(ctx context.Context, k call) error {
	done, err := k.node.users.Transform(ctx, c.Address, c.Tier)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(k.out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "%s\t%s → %s\n", c.Address, done.FromTier.Name, done.ToTier.Name)
	fmt.Fprintf(w, "capienza / quota\t%s → %s\n", directory.GB(done.Before.QuotaBytes), directory.GB(done.After.QuotaBytes))
	fmt.Fprintf(w, "messaggi al giorno / messages a day\t%d → %d\n", done.Before.MaxPerDay, done.After.MaxPerDay)
	fmt.Fprintf(w, "messaggi al minuto / messages a minute\t%d → %d\n", done.Before.MaxPerMinute, done.After.MaxPerMinute)
	if err := w.Flush(); err != nil {
		return err
	}
	switch {
	case done.NowByApplications:
		_, err = fmt.Fprintln(k.out, "da ora inviano solo applicazioni, con una password per applicazione o con l'indirizzo come nome utente; le persone leggono / "+
			"from now on only applications send, by an application password or with the address as login; people read")
	case done.NowByPeople:
		_, err = fmt.Fprintln(k.out, "da ora inviano anche le persone, con la propria password; le password per applicazioni restano valide / "+
			"from now on people send, too, with their own passwords; application passwords go on working")
	}
	return err
}

type mailboxRaiseCmd struct {
	nodeFlag
	figureFlags
	Address string `arg:"" help:"Address."`
}

// Run raises figures of the mailbox.
func (c *mailboxRaiseCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "mailbox raise", c, openStore)
}

func (c *mailboxRaiseCmd) do(ctx context.Context, k call) error {
	change, ok := c.change()
	if !ok {
		return noFigure()
	}
	now, err := k.node.users.Raise(ctx, c.Address, change)
	if err != nil {
		return err
	}
	m, err := k.node.users.MayMailbox(ctx, directory.SeeMailbox, c.Address)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(k.out, 0, 8, 2, ' ', 0)
	printFigures(w, now, m.Raised)
	return w.Flush()
}
