// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"pecd/ledger"
	"pecd/protection"
	"pecd/storage"
)

type protectionCountsCmd struct {
	nodeFlag
	Month string `placeholder:"YYYY-MM" help:"Which month; by default the present one."`
	JSON  bool   `help:"One JSON object a day."`
}

// Run counts what was intercepted, by day (indicator 11).
func (c *protectionCountsCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "protection counts", c, openStore)
}

// dayCount is what was intercepted in a day of legal time.
type dayCount struct {
	Day    string `json:"day"`
	Virus  int    `json:"virus"`
	Spam   int    `json:"spam"`
	Macro  int    `json:"macro"`
	Link   int    `json:"link"`
	Opaque int    `json:"opaque"`
}

func (d *dayCount) add(e ledger.Event) {
	switch {
	case e.Kind == ledger.InterceptVirus:
		d.Virus++
	case e.Threat == string(protection.Spam):
		d.Spam++
	case e.Threat == string(protection.Macro):
		d.Macro++
	case e.Threat == string(protection.Link):
		d.Link++
	default:
		d.Opaque++
	}
}

func (c *protectionCountsCmd) do(ctx context.Context, k call) error {
	zone, err := time.LoadLocation(k.node.cfg.Zone)
	if err != nil {
		return fmt.Errorf("zone: %w", err)
	}
	const month, day = "2006-01", "2006-01-02"
	if c.Month == "" {
		c.Month = k.node.clock.Now().In(zone).Format(month)
	}
	from, err := time.ParseInLocation(month, c.Month, zone)
	if err != nil {
		return fmt.Errorf("mese / month %q: YYYY-MM", c.Month)
	}
	days := make(map[string]*dayCount)
	for _, kind := range []ledger.Kind{ledger.InterceptVirus, ledger.InterceptSpam, ledger.InterceptContents} {
		query := storage.RecordQuery{From: from, To: from.AddDate(0, 1, 0), Event: string(kind)}
		err := k.node.store.FindRecords(ctx, query, func(r storage.Record) error {
			e, err := ledger.Decode(r.Data)
			if err != nil {
				return err
			}
			name := e.At.In(zone).Format(day)
			if days[name] == nil {
				days[name] = &dayCount{Day: name}
			}
			days[name].add(e)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return printCounts(k, days, c.JSON)
}

func printCounts(k call, days map[string]*dayCount, asJSON bool) error {
	enc := json.NewEncoder(k.out)
	w := tabwriter.NewWriter(k.out, 0, 8, 2, ' ', 0)
	if !asJSON {
		fmt.Fprintln(w, "giorno / day\tvirus\tspam\tmacro\tlink\topaque")
	}
	for _, name := range slices.Sorted(maps.Keys(days)) {
		d := days[name]
		var err error
		if asJSON {
			err = enc.Encode(d)
		} else {
			_, err = fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\n", d.Day, d.Virus, d.Spam, d.Macro, d.Link, d.Opaque)
		}
		if err != nil {
			return err
		}
	}
	return w.Flush()
}
