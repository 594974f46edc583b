// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"pecd/clock"
	"pecd/directory"
)

// errNoFetch is why an index of a file has nothing to fetch or accept.
var errNoFetch = errors.New("index.url non è configurato: l'indice è il file / index.url is not set: the index is the file")

// openIndexAlone opens a stopped node for what is done about its index, which may
// be missing or unusable: openNode would refuse to go on, and with it what mends
// that. Nothing is fetched.
func openIndexAlone(ctx context.Context, cfg *Config, clk clock.Clock, log *slog.Logger) (*node, error) {
	n := newNode(cfg, clk, log)
	_, open, err := n.openAuthorities()
	if err != nil {
		return nil, err
	}
	if cfg.Index.URL == "" {
		n.index, err = directory.NewLiveIndex(cfg.path(cfg.Index.File), open, n.log, n.clock)
	} else {
		if err := n.openFetcher(open); err != nil {
			return nil, err
		}
		n.index, err = n.fetcher.Existing(ctx)
	}
	if err != nil {
		n.log.Error("provider index not usable", "error", err)
	}
	return n, n.openStore(ctx)
}

type indexCmd struct {
	Status  indexStatusCmd  `cmd:"" help:"The index in use, and one that was refused. / Stato dell'indice."`
	Refresh indexRefreshCmd `cmd:"" help:"Fetch it now. / Scarica ora."`
	Accept  indexAcceptCmd  `cmd:"" help:"Take over a refused index by hand. / Accetta un indice rifiutato."`
}

type indexStatusCmd struct {
	nodeFlag
	JSON bool `help:"Print JSON."`
}

// Run prints the state of the index.
func (c *indexStatusCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "index status", c, openIndexAlone)
}

func (c *indexStatusCmd) do(_ context.Context, k call) error {
	s := struct {
		Providers int                    `json:"providers"`
		Domains   int                    `json:"domains"`
		Fetch     *directory.FetchStatus `json:"fetch,omitempty"`
	}{}
	if k.node.index != nil {
		x := k.node.index.Current()
		s.Providers, s.Domains = x.Len(), x.Domains()
	}
	if k.node.fetcher != nil {
		st := k.node.fetcher.Status()
		s.Fetch = &st
	}
	if c.JSON {
		enc := json.NewEncoder(k.out)
		enc.SetIndent("", "  ")
		return enc.Encode(s)
	}
	if k.node.index == nil {
		fmt.Fprintln(k.out, "nessun indice in uso / no index in use")
	} else {
		fmt.Fprintf(k.out, "%d gestori / records, %d domini / domains\n", s.Providers, s.Domains)
	}
	if s.Fetch == nil {
		return nil
	}
	fmt.Fprintf(k.out, "ultimo aggiornamento / last refresh: %s\n", s.Fetch.LastSuccess.Format(time.RFC3339))
	if s.Fetch.LastError != "" {
		fmt.Fprintf(k.out, "ultimo errore / last error: %s\n", s.Fetch.LastError)
	}
	if r := s.Fetch.Refused; r != nil {
		fmt.Fprintf(k.out, "RIFIUTATO / REFUSED %s: %s\n  pecd index accept %s\n", r.At.Format(time.RFC3339), r.Reason, r.SHA256)
	}
	return nil
}

type indexRefreshCmd struct{ nodeFlag }

// Run fetches the index.
func (c *indexRefreshCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "index refresh", c, openNode)
}

func (c *indexRefreshCmd) do(ctx context.Context, k call) error {
	if k.node.fetcher == nil {
		return errNoFetch
	}
	return told(k, k.node.fetcher.Refresh)(ctx)
}

type indexAcceptCmd struct {
	nodeFlag
	SHA256 string `arg:"" help:"SHA-256 of the refused file, from pecd index status."`
}

// Run takes over a refused index.
func (c *indexAcceptCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "index accept", c, openIndexAlone)
}

func (c *indexAcceptCmd) do(ctx context.Context, k call) error {
	if k.node.fetcher == nil {
		return errNoFetch
	}
	return told(k, func(ctx context.Context) (directory.Summary, error) { return k.node.fetcher.Accept(ctx, c.SHA256) })(ctx)
}

// told prints what a fetch brought.
func told(k call, fetch func(context.Context) (directory.Summary, error)) func(context.Context) error {
	return func(ctx context.Context) error {
		s, err := fetch(ctx)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(k.out, "%d gestori / records, %d domini / domains, %d certificati / certificates\n", s.Providers, s.Domains, s.Certificates)
		return err
	}
}
