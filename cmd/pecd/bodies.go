// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"pecd/storage"
)

type bodyCmd struct {
	Add    bodyAddCmd    `cmd:"" help:"Add a public body. / Aggiunge un ente."`
	List   bodyListCmd   `cmd:"" help:"List the bodies. / Elenca gli enti."`
	Show   bodyShowCmd   `cmd:"" help:"A body's domains, and what mailboxes it has and may have. / Domini, caselle e massimali di un ente."`
	Import bodyImportCmd `cmd:"" help:"Create a body's mailboxes and users from a CSV file, all or nothing. / Crea caselle e utenti di un ente da un file CSV."`
	Set    bodySetCmd    `cmd:"" help:"Change a body's name or ceilings. / Nome e massimali di un ente."`
}

type bodyAddCmd struct {
	nodeFlag
	Code string `arg:"" help:"Its codice IPA."`
	Name string `required:"" help:"Its name."`
}

// Run adds the body.
func (c *bodyAddCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "body add", c, openStore)
}

func (c *bodyAddCmd) do(ctx context.Context, k call) error {
	if _, err := k.node.users.Body(ctx, c.Code); err == nil {
		return errors.New("l'ente esiste già / the body exists")
	}
	return k.node.users.SetBody(ctx, c.Code, c.Name)
}

type bodyListCmd struct {
	nodeFlag
	JSON bool `help:"One JSON object a line."`
}

// Run lists the bodies.
func (c *bodyListCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "body list", c, openStore)
}

func (c *bodyListCmd) do(ctx context.Context, k call) error {
	w := tabwriter.NewWriter(k.out, 0, 8, 2, ' ', 0)
	enc := json.NewEncoder(k.out)
	err := k.node.users.ListBodies(ctx, func(b storage.Customer) error {
		if c.JSON {
			return enc.Encode(b)
		}
		_, err := fmt.Fprintf(w, "%s\t%s\n", b.Code, b.Name)
		return err
	})
	return errors.Join(err, w.Flush())
}

type bodyShowCmd struct {
	nodeFlag
	Code string `arg:"" help:"Its code."`
	JSON bool   `help:"Print JSON."`
}

// Run shows the body.
func (c *bodyShowCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "body show", c, openStore)
}

func (c *bodyShowCmd) do(ctx context.Context, k call) error {
	b, err := k.node.users.Body(ctx, c.Code)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(k.out).Encode(b)
	}
	w := tabwriter.NewWriter(k.out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "%s\t%s\n", b.Code, b.Name)
	for _, d := range b.Domains {
		fmt.Fprintf(w, "dominio / domain\t%s\t%s\n", d.Name, d.State)
	}
	for _, t := range b.Tiers {
		most := "senza massimale / no ceiling"
		if t.Ceiling >= 0 {
			most = "su / of " + strconv.FormatInt(t.Ceiling, 10)
		}
		fmt.Fprintf(w, "%s\t%d\t%s\n", t.Tier, t.Mailboxes, most)
	}
	return w.Flush()
}

type bodySetCmd struct {
	nodeFlag
	Code    string   `arg:"" help:"Its code."`
	Name    string   `help:"Its new name."`
	Ceiling []string `placeholder:"TIER=N" help:"How many mailboxes of a tier it may have; TIER=none: no bound. Once there is one, the body may have none of the tiers that are not named. / Massimali."`
}

// Run changes the body.
func (c *bodySetCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "body set", c, openStore)
}

func (c *bodySetCmd) do(ctx context.Context, k call) error {
	if c.Name == "" && len(c.Ceiling) == 0 {
		return errors.New("nulla da cambiare / nothing to change: --name, --ceiling")
	}
	most := make([]int64, len(c.Ceiling))
	for i, s := range c.Ceiling {
		_, n, _ := strings.Cut(s, "=")
		if n == "none" || n == "nessuno" {
			most[i] = -1
			continue
		}
		var err error
		if most[i], err = strconv.ParseInt(n, 10, 64); err != nil || most[i] < 0 {
			return fmt.Errorf("--ceiling %s: TIPOLOGIA=NUMERO / TIER=NUMBER", s)
		}
	}
	if _, err := k.node.users.Body(ctx, c.Code); err != nil {
		return err
	}
	if c.Name != "" {
		if err := k.node.users.SetBody(ctx, c.Code, c.Name); err != nil {
			return err
		}
	}
	for i, s := range c.Ceiling {
		tier, _, _ := strings.Cut(s, "=")
		if err := k.node.users.SetCeiling(ctx, c.Code, tier, most[i]); err != nil {
			return fmt.Errorf("%s: %w", tier, err)
		}
	}
	return nil
}
