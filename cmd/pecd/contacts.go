// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"pecd/storage"
)

// The commands of contacts open the whole node where none runs: they send codes,
// and look at the index.
type contactCmd struct {
	Add     contactAddCmd     `cmd:"" help:"Add an address or number and send it a code; again: another code. / Aggiunge un contatto e gli invia un codice."`
	Confirm contactConfirmCmd `cmd:"" help:"Confirm a contact with its code. / Conferma un contatto con il codice."`
	List    contactListCmd    `cmd:"" help:"List the contacts of a user. / Elenca i contatti di un utente."`
	Remove  contactRemoveCmd  `cmd:"" help:"Remove a contact. / Toglie un contatto."`
}

// contactView is a contact as commands print it.
type contactView struct {
	ID        int64      `json:"id"`
	Kind      string     `json:"kind"` // mail, sms
	Address   string     `json:"address"`
	Created   time.Time  `json:"created"`
	Confirmed *time.Time `json:"confirmed,omitempty"`
}

func viewOfContact(c storage.Contact) contactView {
	v := contactView{ID: c.ID, Kind: string(c.Kind), Address: c.Address, Created: c.Created}
	if !c.Confirmed.IsZero() {
		v.Confirmed = &c.Confirmed
	}
	return v
}

func (v contactView) line() string {
	state := "unconfirmed"
	if v.Confirmed != nil {
		state = "confirmed"
	}
	return fmt.Sprintf("%d %s %s %s", v.ID, v.Kind, v.Address, state)
}

// show prints one thing, as JSON or as a line.
func (k call) show(asJSON bool, v any, line string) error {
	if asJSON {
		return json.NewEncoder(k.out).Encode(v)
	}
	_, err := fmt.Fprintln(k.out, line)
	return err
}

type contactAddCmd struct {
	nodeFlag
	Login   string `arg:"" help:"Login."`
	Address string `arg:"" help:"Ordinary e-mail address, or mobile number (+39 where no country is named)."`
	JSON    bool   `help:"Print JSON."`
}

// Run adds the contact.
func (c *contactAddCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "contact add", c, openNode)
}

func (c *contactAddCmd) do(ctx context.Context, k call) error {
	added, err := k.node.notices.Add(ctx, c.Login, c.Address)
	if err != nil {
		return err
	}
	v := viewOfContact(added)
	return k.show(c.JSON, v, v.line())
}

type contactConfirmCmd struct {
	nodeFlag
	Login string `arg:"" help:"Login."`
	ID    int64  `arg:"" help:"Its number, as list shows it."`
	Code  string `arg:"" help:"The six digits that were sent."`
}

// Run confirms the contact.
func (c *contactConfirmCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "contact confirm", c, openNode)
}

func (c *contactConfirmCmd) do(ctx context.Context, k call) error {
	return k.node.notices.Confirm(ctx, c.Login, c.ID, c.Code)
}

type contactListCmd struct {
	nodeFlag
	Login string `arg:"" help:"Login."`
	JSON  bool   `help:"One JSON object a line."`
}

// Run lists the contacts.
func (c *contactListCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "contact list", c, openNode)
}

func (c *contactListCmd) do(ctx context.Context, k call) error {
	all, err := k.node.notices.List(ctx, c.Login)
	for _, one := range all {
		v := viewOfContact(one)
		if err := k.show(c.JSON, v, v.line()); err != nil {
			return err
		}
	}
	return err
}

type contactRemoveCmd struct {
	nodeFlag
	Login string `arg:"" help:"Login."`
	ID    int64  `arg:"" help:"Its number, as list shows it."`
}

// Run removes the contact.
func (c *contactRemoveCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "contact remove", c, openNode)
}

func (c *contactRemoveCmd) do(ctx context.Context, k call) error {
	return k.node.notices.Remove(ctx, c.Login, c.ID)
}

type noticeCmd struct {
	On    noticeOnCmd    `cmd:"" help:"Have a contact told of what arrives in a mailbox. / Attiva gli avvisi di una casella verso un contatto."`
	Off   noticeOffCmd   `cmd:"" help:"Have it told no more. / Disattiva gli avvisi."`
	List  noticeListCmd  `cmd:"" help:"List which mailboxes a user's contacts are told of. / Elenca gli avvisi di un utente."`
	Allow noticeAllowCmd `cmd:"" help:"Allow notices for a mailbox whose tier has none. / Consente gli avvisi per una casella la cui tipologia non li comprende."`
}

type noticeOnCmd struct {
	nodeFlag
	Login   string `arg:"" help:"Login."`
	Mailbox string `arg:"" help:"A mailbox that he may read."`
	Contact int64  `arg:"" help:"Number of his contact, as contact list shows it."`
}

// Run has the contact told.
func (c *noticeOnCmd) Run(e *env) error { return c.perform(e, e.stdout, "notice on", c, openNode) }

func (c *noticeOnCmd) do(ctx context.Context, k call) error {
	return k.node.notices.Tell(ctx, c.Login, c.Mailbox, c.Contact, true)
}

type noticeOffCmd struct {
	nodeFlag
	Login   string `arg:"" help:"Login."`
	Mailbox string `arg:"" help:"Mailbox."`
	Contact int64  `arg:"" help:"Number of his contact, as contact list shows it."`
}

// Run has the contact told no more.
func (c *noticeOffCmd) Run(e *env) error { return c.perform(e, e.stdout, "notice off", c, openNode) }

func (c *noticeOffCmd) do(ctx context.Context, k call) error {
	return k.node.notices.Tell(ctx, c.Login, c.Mailbox, c.Contact, false)
}

type noticeListCmd struct {
	nodeFlag
	Login   string `arg:"" help:"Login."`
	Mailbox string `arg:"" optional:"" help:"This mailbox alone."`
	JSON    bool   `help:"One JSON object a line."`
}

// Run lists what was chosen.
func (c *noticeListCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "notice list", c, openNode)
}

func (c *noticeListCmd) do(ctx context.Context, k call) error {
	all, err := k.node.notices.Targets(ctx, c.Login)
	for _, t := range all {
		if c.Mailbox != "" && !strings.EqualFold(c.Mailbox, t.Address) {
			continue
		}
		v := viewOfContact(t.Contact)
		if err := k.show(c.JSON, struct {
			Mailbox string      `json:"mailbox"`
			Contact contactView `json:"contact"`
		}{t.Address, v}, t.Address+" "+v.line()); err != nil {
			return err
		}
	}
	return err
}

type noticeAllowCmd struct {
	nodeFlag
	Mailbox string `arg:"" help:"Mailbox."`
	No      bool   `help:"Not any more."`
}

// Run allows the notices, or not.
func (c *noticeAllowCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "notice allow", c, openNode)
}

func (c *noticeAllowCmd) do(ctx context.Context, k call) error {
	return k.node.notices.Allow(ctx, c.Mailbox, !c.No)
}
