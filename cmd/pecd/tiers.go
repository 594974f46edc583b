// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"text/tabwriter"

	"pecd/directory"
	"pecd/storage"
)

type tierCmd struct {
	List tierListCmd `cmd:"" help:"The tiers and their figures. / Le tipologie e i loro limiti."`
	Show tierShowCmd `cmd:"" help:"One tier. / Una tipologia."`
	Set  tierSetCmd  `cmd:"" help:"Raise figures of a tier, never below the catalogue. / Alza i limiti di una tipologia."`
}

// figureFlags are figures on the command line; what is not given stays.
type figureFlags struct {
	QuotaGiB            *int64 `name:"quota-gib" placeholder:"N" help:"What a mailbox may hold, in units of 2^30 octets. / Capienza."`
	PerDay              *int   `placeholder:"N" help:"Messages in a day. / Messaggi al giorno."`
	PerMinute           *int   `placeholder:"N" help:"Messages in a minute. / Messaggi al minuto."`
	Recipients          *int   `placeholder:"N" help:"Recipients of one message. / Destinatari di un messaggio."`
	MessageMiB          *int64 `name:"message-mib" placeholder:"N" help:"Size of one message, in units of 2^20 octets; limits.message_bytes bounds it, too. / Dimensione di un messaggio."`
	RecipientsPerMinute *int   `placeholder:"N" help:"Recipients of all messages of a minute. / Destinatari al minuto."`
	RecipientsPerDay    *int   `placeholder:"N" help:"Recipients of all messages of a day. / Destinatari al giorno."`
}

// change is what the flags ask for; ok is false where they ask for nothing.
func (f figureFlags) change() (c directory.FigureChange, ok bool) {
	c = directory.FigureChange{
		MaxPerDay: f.PerDay, MaxPerMinute: f.PerMinute, MaxRecipients: f.Recipients,
		RecipientsPerMinute: f.RecipientsPerMinute, RecipientsPerDay: f.RecipientsPerDay,
	}
	for _, size := range [...]struct {
		units *int64
		shift int
		to    **int64
	}{{f.QuotaGiB, 30, &c.QuotaBytes}, {f.MessageMiB, 20, &c.MaxMessage}} {
		if size.units != nil {
			n := *size.units << size.shift
			if n>>size.shift != *size.units {
				n = math.MaxInt64 // refused, rather than taken for what is left of it
			}
			*size.to = &n
		}
	}
	return c, c != directory.FigureChange{}
}

// noFigure is what a command without any figure is told.
func noFigure() error {
	return errors.New("nessun limite indicato / no figure given: --quota-gib, --per-day, --per-minute, --recipients, --message-mib, --recipients-per-minute, --recipients-per-day")
}

type tierListCmd struct {
	nodeFlag
	JSON bool `help:"One JSON object a line."`
}

// Run lists the tiers.
func (c *tierListCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "tier list", c, openStore)
}

func (c *tierListCmd) do(ctx context.Context, k call) error {
	all, err := k.node.store.Tiers(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(k.out, 0, 8, 2, ' ', 0)
	enc := json.NewEncoder(k.out)
	if !c.JSON {
		fmt.Fprintln(w, "CODICE\tNOME\tCAPIENZA\tAL GIORNO\tAL MINUTO\tDESTINATARI\tMESSAGGIO\tUTENTI\tINVIO")
	}
	for _, t := range all {
		if c.JSON {
			err = enc.Encode(t)
		} else {
			_, err = fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d MB\t%s\t%s\n", t.Code, t.Name, directory.GB(t.QuotaBytes), t.MaxPerDay, t.MaxPerMinute,
				t.MaxRecipients, t.MaxMessage>>20, choose(t.MultiUser, "più", "uno"), choose(t.Application, "applicazioni", "persone"))
		}
		if err != nil {
			return err
		}
	}
	return w.Flush()
}

func choose(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

type tierShowCmd struct {
	nodeFlag
	Code string `arg:"" help:"Code of the tier."`
	JSON bool   `help:"Print JSON."`
}

// Run shows the tier.
func (c *tierShowCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "tier show", c, openStore)
}

func (c *tierShowCmd) do(ctx context.Context, k call) error {
	t, err := k.node.users.Tier(ctx, c.Code)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(k.out).Encode(t)
	}
	w := tabwriter.NewWriter(k.out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "%s\t%s\n", t.Code, t.Name)
	printFigures(w, t.Figures, storage.Figures{})
	fmt.Fprintf(w, "utenti / users\t%s\n", choose(t.MultiUser, "più d'uno / several", "uno / one"))
	fmt.Fprintf(w, "invio / sent from by\t%s\n", choose(t.Application, "applicazioni / applications", "persone e applicazioni / people and applications"))
	fmt.Fprintf(w, "avvisi di arrivo / notices of arrivals\t%s\n", choose(t.Notices, "compresi / included", "non compresi / not included"))
	return w.Flush()
}

// printFigures prints figures, a line each, and which of them were raised.
func printFigures(w io.Writer, f, raised storage.Figures) {
	mark := func(up bool) string { return choose(up, "\talzato / raised", "") }
	fmt.Fprintf(w, "capienza / quota\t%s%s\n", directory.GB(f.QuotaBytes), mark(raised.QuotaBytes == f.QuotaBytes))
	fmt.Fprintf(w, "messaggi al giorno / messages a day\t%d%s\n", f.MaxPerDay, mark(raised.MaxPerDay == f.MaxPerDay))
	fmt.Fprintf(w, "messaggi al minuto / messages a minute\t%d%s\n", f.MaxPerMinute, mark(raised.MaxPerMinute == f.MaxPerMinute))
	fmt.Fprintf(w, "destinatari per messaggio / recipients of a message\t%d%s\n", f.MaxRecipients, mark(raised.MaxRecipients == f.MaxRecipients))
	fmt.Fprintf(w, "dimensione del messaggio / size of a message\t%d MB%s\n", f.MaxMessage>>20, mark(raised.MaxMessage == f.MaxMessage))
	fmt.Fprintf(w, "destinatari al minuto / recipients a minute\t%d%s\n", f.RecipientsPerMinute, mark(raised.RecipientsPerMinute == f.RecipientsPerMinute))
	fmt.Fprintf(w, "destinatari al giorno / recipients a day\t%d%s\n", f.RecipientsPerDay, mark(raised.RecipientsPerDay == f.RecipientsPerDay))
}

type tierSetCmd struct {
	nodeFlag
	figureFlags
	Code    string  `arg:"" help:"Code of the tier."`
	Name    *string `placeholder:"NAME" help:"What users call it. / Nome."`
	Notices *bool   `negatable:"" help:"Notices of arrivals are included. / Avvisi di arrivo compresi."`
}

// Run changes the tier.
func (c *tierSetCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "tier set", c, openStore)
}

func (c *tierSetCmd) do(ctx context.Context, k call) error {
	change, ok := c.change()
	if !ok && c.Name == nil && c.Notices == nil {
		return noFigure()
	}
	t, err := k.node.users.Tier(ctx, c.Code)
	if err != nil {
		return err
	}
	t.Figures = change.On(t.Figures)
	if c.Name != nil {
		t.Name = *c.Name
	}
	if c.Notices != nil {
		t.Notices = *c.Notices
	}
	return k.node.users.SetTier(ctx, t)
}
