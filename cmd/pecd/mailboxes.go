// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"pecd/directory"
	"pecd/storage"
)

// mailboxView is a mailbox with what its tier makes of it.
type mailboxView struct {
	storage.Mailbox
	QuotaBytes int64
	Percent    float64 // of the quota that is in use, to a tenth
}

// viewMailboxes calls fn for every mailbox of a domain ("" for all).
func (k call) viewMailboxes(ctx context.Context, domain string, fn func(mailboxView) error) error {
	tiers, err := k.node.store.Tiers(ctx)
	if err != nil {
		return err
	}
	return k.node.users.ListMailboxes(ctx, domain, func(m storage.Mailbox) error {
		f, _ := storage.FiguresOf(tiers, m)
		return fn(occupancy(m, f))
	})
}

func occupancy(m storage.Mailbox, f storage.Figures) mailboxView {
	v := mailboxView{Mailbox: m, QuotaBytes: f.QuotaBytes}
	if f.QuotaBytes > 0 {
		v.Percent = float64(m.Used*1000/f.QuotaBytes) / 10
	}
	return v
}

type mailboxListCmd struct {
	nodeFlag
	Domain string `arg:"" optional:"" help:"Only this domain."`
	JSON   bool   `help:"One JSON object a line."`
	CSV    bool   `name:"csv" help:"Print CSV for a spreadsheet (S4-060)."`
}

// Run lists the mailboxes.
func (c *mailboxListCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "mailbox list", c, openStore)
}

func (c *mailboxListCmd) do(ctx context.Context, k call) error {
	switch {
	case c.JSON:
		enc := json.NewEncoder(k.out)
		return k.viewMailboxes(ctx, c.Domain, func(v mailboxView) error { return enc.Encode(v) })
	case c.CSV:
		return k.mailboxesAsCSV(ctx, c.Domain)
	}
	w := tabwriter.NewWriter(k.out, 0, 8, 2, ' ', 0)
	err := k.viewMailboxes(ctx, c.Domain, func(v mailboxView) error {
		_, err := fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%.1f%%\n", v.Address, v.Tier, v.State, v.Messages, v.Used, directory.GB(v.QuotaBytes), v.Percent)
		return err
	})
	return errors.Join(err, w.Flush())
}

// mailboxesAsCSV writes the mailboxes with the separator and the marks that
// spreadsheets in Italian expect.
func (k call) mailboxesAsCSV(ctx context.Context, domain string) error {
	if _, err := io.WriteString(k.out, "\ufeff"); err != nil {
		return err
	}
	zone, err := time.LoadLocation(k.node.cfg.Zone)
	if err != nil {
		return err
	}
	w := csv.NewWriter(k.out)
	w.Comma = ';'
	err = w.Write([]string{"indirizzo", "tipologia", "intestatario", "stato", "messaggi", "occupati_byte", "capienza_byte", "percentuale", "posta_ordinaria", "invio_bloccato", "creata"})
	if err != nil {
		return err
	}
	err = k.viewMailboxes(ctx, domain, func(v mailboxView) error {
		cells := []string{
			v.Address, v.Tier, v.Holder, string(v.State), strconv.FormatInt(v.Messages, 10), strconv.FormatInt(v.Used, 10), strconv.FormatInt(v.QuotaBytes, 10),
			strings.Replace(strconv.FormatFloat(v.Percent, 'f', 1, 64), ".", ",", 1), choose(v.Ordinary, "sì", "no"), choose(v.Block.On(), "sì", "no"),
			v.Created.In(zone).Format(time.DateOnly),
		}
		for i, cell := range cells {
			cells[i] = plainCell(cell)
		}
		return w.Write(cells)
	})
	w.Flush()
	return errors.Join(err, w.Error())
}

// plainCell keeps a spreadsheet from taking an address or a name for a formula.
func plainCell(cell string) string {
	if cell != "" && strings.IndexByte("=+-@\t\r", cell[0]) >= 0 {
		return "'" + cell
	}
	return cell
}

type mailboxShowCmd struct {
	nodeFlag
	Address string `arg:"" help:"Address."`
	JSON    bool   `help:"Print JSON."`
}

// Run shows the mailbox.
func (c *mailboxShowCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "mailbox show", c, openStore)
}

func (c *mailboxShowCmd) do(ctx context.Context, k call) error {
	m, err := k.node.users.MayMailbox(ctx, directory.SeeMailbox, c.Address)
	if err != nil {
		return err
	}
	f, err := k.node.users.Figures(ctx, m)
	if err != nil {
		return err
	}
	dom, err := k.node.users.Domain(ctx, m.Domain)
	if err != nil {
		return err
	}
	grants, err := k.node.users.UsersOf(ctx, m.Address)
	if err != nil {
		return err
	}
	zone, err := time.LoadLocation(k.node.cfg.Zone)
	if err != nil {
		return err
	}
	v := occupancy(m, f)
	if c.JSON {
		users := make([]grantView, len(grants))
		for i, g := range grants {
			users[i] = viewOfGrant(g)
		}
		return json.NewEncoder(k.out).Encode(struct {
			mailboxView
			Figures storage.Figures
			Body    string
			Users   []grantView
		}{v, f, dom.Customer, users})
	}
	w := tabwriter.NewWriter(k.out, 0, 8, 2, ' ', 0)
	v.print(w, dom, zone)
	printFigures(w, f, m.Raised)
	for _, g := range grants {
		fmt.Fprintf(w, "utente / user\t%s\t%s\n", g.Login, directory.PermissionNames(g.Permission))
	}
	return w.Flush() // says what went wrong before
}

// print writes what concerns the mailbox alone, a line each.
func (v mailboxView) print(w io.Writer, dom storage.Domain, zone *time.Location) {
	fmt.Fprintf(w, "%s\t%s\n", v.Address, v.Holder)
	fmt.Fprintf(w, "tipologia / tier\t%s\n", v.Tier)
	fmt.Fprintf(w, "stato / state\t%s%s\n", v.State, choose(v.StateBy != "", ", deciso dall'ente / set by the body", ""))
	fmt.Fprintf(w, "dominio / domain\t%s, %s\n", dom.Name, dom.State)
	if dom.Customer != "" {
		fmt.Fprintf(w, "ente / body\t%s\n", dom.Customer)
	}
	fmt.Fprintf(w, "creata / created\t%s\n", v.Created.In(zone).Format(time.DateTime))
	fmt.Fprintf(w, "occupazione / in use\t%s, %.1f%%, %d messaggi / messages\n", directory.GB(v.Used), v.Percent, v.Messages)
	ordinary := choose(v.Ordinary, "accettata / accepted", "rifiutata / refused")
	if v.Redirect != "" {
		ordinary += ", i mittenti sono rinviati a / senders are referred to " + v.Redirect
	}
	fmt.Fprintf(w, "posta ordinaria / ordinary mail\t%s\n", ordinary)
	if v.Block.On() {
		fmt.Fprintf(w, "invio bloccato / sending blocked\t%s, %s: %s\n", v.Block.Since.In(zone).Format(time.DateTime), v.Block.By, v.Block.Reason)
	}
	for _, o := range []struct {
		on   bool
		name string
	}{{v.Service, "casella di servizio / service mailbox"}, {v.PersonalSeen, "lettura personale / personal-seen"}, {v.FileSent, "copia degli inviati / file-sent"}, {v.FileReceipts, "ricevute per anno / file-receipts"}} {
		if o.on {
			fmt.Fprintf(w, "opzione / option\t%s\n", o.name)
		}
	}
}
