// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"pecd/backup"
	"pecd/clock"
	"pecd/ledger"
	"pecd/storage"
	"pecd/storage/sqlite"
)

type backupCmd struct {
	Create backupCreateCmd `cmd:"" default:"withargs" help:"Make a copy. / Esegue una copia."`
	List   backupListCmd   `cmd:"" help:"List the copies in a folder. / Elenca le copie."`
	Verify backupVerifyCmd `cmd:"" help:"Read a copy back and check everything in it. / Verifica una copia."`
}

type backupCreateCmd struct {
	nodeFlag
	To   string `required:"" type:"path" placeholder:"DIR" help:"Folder of copies: each gets a folder in it, named by its instant (UTC)."`
	Rate int    `default:"32" help:"MB a second that are read at most; 0: no bound."`
	Keep int    `default:"0" help:"How many copies stay; older ones are removed. 0: all."`
	Full bool   `help:"Copy every file anew, also those that the copy before has."`
	JSON bool   `help:"Print JSON."`
}

// Run makes a copy.
func (c *backupCreateCmd) Run(e *env) error {
	if c.Rate < 0 || c.Keep < 0 {
		return errors.New("--rate, --keep: non negativi / not negative")
	}
	return c.perform(e, e.stdout, "backup", c, openNode)
}

func (c *backupCreateCmd) do(ctx context.Context, k call) error {
	n := k.node
	// Whoever has a copy has every message: it is told of before the first octet.
	e := ledger.Event{At: n.clock.Now(), Kind: ledger.StoreCopied, Actor: k.actor, Detail: c.To}
	if err := n.store.Commit(ctx, new(storage.Step).Add(recordOf(e))); err != nil {
		return err
	}
	extras, closing, err := n.publicFiles()
	if err != nil {
		return err
	}
	defer closing()
	src := backup.Source{
		Store: n.store, Dir: n.cfg.path(n.cfg.Store.Dir), Still: n.daybook.Still, Extras: extras, Provider: n.cfg.Provider.Domain, Node: n.cfg.Node,
	}
	res, err := backup.Create(ctx, src, c.To, backup.Options{Rate: int64(c.Rate) * 1_000_000, Keep: c.Keep, Anew: c.Full, Clock: n.clock, Logger: n.log})
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(k.out).Encode(res)
	}
	for _, dir := range res.Removed {
		fmt.Fprintf(k.out, "rimossa / removed: %s\n", dir)
	}
	_, err = fmt.Fprintf(k.out, "%s\n%d file, %d byte: %d copiati / copied, %d già presenti / there before\n%s\n",
		res.Point, res.Files, res.Bytes, res.Copied, res.Linked, res.Dir)
	return err
}

type backupListCmd struct {
	Dir  string `arg:"" type:"existingdir" help:"Folder of copies."`
	JSON bool   `help:"One JSON object a line."`
}

// Run lists copies.
func (c *backupListCmd) Run(e *env) error {
	points, unreadable, err := backup.Points(c.Dir)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(e.stdout)
	for _, p := range points {
		if c.JSON {
			err = enc.Encode(p)
		} else {
			_, err = fmt.Fprintln(e.stdout, p)
		}
		if err != nil {
			return err
		}
	}
	return tellUnreadable(e.stderr, unreadable)
}

// tellUnreadable names the copies that cannot be read; with any comes errProblems.
func tellUnreadable(w io.Writer, copies []backup.Problem) error {
	for _, b := range copies {
		if _, err := fmt.Fprintf(w, "PROBLEMA %s\n", b); err != nil {
			return err
		}
	}
	if len(copies) > 0 {
		return errProblems
	}
	return nil
}

type backupVerifyCmd struct {
	Dir    string    `arg:"" type:"existingdir" help:"A copy, or a folder of copies: the newest in it."`
	At     time.Time `placeholder:"INSTANT" help:"Of a folder of copies, the newest not after this instant (RFC 3339)."`
	Config string    `type:"path" placeholder:"FILE" help:"Configuration of the node: also verify our signatures and the transactions, as pecd verify does."`
	JSON   bool      `help:"Print JSON."`
}

// Run checks the files of a copy against their sums, and reads the store in it
// as pecd verify does.
func (c *backupVerifyCmd) Run(e *env) error {
	p, unreadable, err := backup.Find(c.Dir, c.At)
	if err != nil {
		return errors.Join(err, tellUnreadable(e.stderr, unreadable))
	}
	f := &findings{Problems: []problem{}}
	for _, b := range unreadable {
		f.add(b.File, "%s", b.What)
	}
	if err := p.Verify(e.ctx, e.clock, func(b backup.Problem) error { f.add(b.File, "%s", b.What); return nil }); err != nil {
		return err
	}
	sums := len(f.Problems) - len(unreadable)
	if err := c.contents(e, p, f); err != nil {
		if sums == 0 {
			return err
		}
		f.add("pecd.db", "%v", err) // what was damaged need not be readable
	}
	if !c.JSON {
		fmt.Fprintf(e.stdout, "%s\n", p)
	}
	if err := f.print(e.stdout, c.JSON); err != nil {
		return err
	}
	if c.Config == "" && !c.JSON {
		fmt.Fprintln(e.stdout, "corpi riletti e confrontati; firme verificate solo con --config / bodies were read and compared; signatures are verified with --config only")
	}
	if len(f.Problems) > 0 {
		return errProblems
	}
	return nil
}

// contents reads the store in the copy, at the time of the copy: what waits in
// it has not been waiting since.
func (c *backupVerifyCmd) contents(e *env, p backup.Point, f *findings) error {
	n := newNode(&Config{Node: p.Node}, clock.NewManual(p.Instant), slog.New(slog.NewTextHandler(io.Discard, nil)))
	if c.Config != "" {
		cfg, err := readConfig(c.Config)
		if err != nil {
			return err
		}
		n.cfg = cfg
		if err := n.prepare(e.ctx); err != nil {
			return err
		}
		defer n.relay.Close()
	}
	var err error
	if n.store, err = sqlite.OpenCopy(e.ctx, p.StoreDir(), sqlite.Options{Clock: n.clock, Logger: n.log}); err != nil {
		return err
	}
	if c.Config == "" {
		f.Mailboxes, f.Messages = int(p.Mailboxes), int(p.Messages) // the store was checked whole: these hold
		return errors.Join(n.verifyStore(e.ctx, f), n.verifyTransactions(e.ctx, f), n.store.Close())
	}
	all, err := n.verify(e.ctx)
	if err == nil {
		all.Problems = append(f.Problems, all.Problems...)
		*f = *all
	}
	return errors.Join(err, n.store.Close())
}

type restoreCmd struct {
	From    string    `required:"" type:"existingdir" placeholder:"DIR" help:"A copy, or a folder of copies: the newest in it."`
	At      time.Time `placeholder:"INSTANT" help:"Of a folder of copies, the newest not after this instant (RFC 3339)."`
	To      string    `required:"" type:"path" placeholder:"STOREDIR" help:"Directory of the store; it must be empty or missing."`
	Damaged bool      `name:"accept-damage" help:"Put back what is left of a damaged copy."`
}

// Run puts a store back. No node may run on the directory yet.
func (c *restoreCmd) Run(e *env) error {
	p, unreadable, err := backup.Find(c.From, c.At)
	tellErr := tellUnreadable(e.stderr, unreadable)
	if err != nil {
		return errors.Join(err, tellErr)
	}
	problems := 0
	r := backup.Restoring{
		Actor: processUser(), Clock: e.clock, Logger: slog.New(slog.NewTextHandler(e.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), Damaged: c.Damaged,
	}
	err = p.Restore(e.ctx, c.To, r, func(b backup.Problem) error {
		problems++
		_, err := fmt.Fprintf(e.stdout, "PROBLEMA %s\n", b)
		return err
	})
	if err != nil {
		return err
	}
	jobs := 0
	for _, n := range p.Jobs {
		jobs += n
	}
	fmt.Fprintf(e.stdout, "%s\nistante / instant: %s; ultima registrazione / last record: %d, %s\n", p, p.Instant.Format(time.RFC3339Nano), p.Log.Seq, p.Log.At.Format(time.RFC3339))
	_, err = fmt.Fprintf(e.stdout, "ripristinato in / put back to %s; lavori messi da parte / jobs set aside: %d. Ora / now: pecd verify, pecd ledger verify, pecd queue list --restored\n",
		filepath.Clean(c.To), jobs)
	if err == nil && problems > 0 {
		return errProblems
	}
	return err
}
