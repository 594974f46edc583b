// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

const demoWarning = "ATTENZIONE: gestori dimostrativi, NON accreditati; le ricevute non hanno valore legale.\n" +
	"WARNING: demonstration providers, NOT accredited; their receipts have no legal value."

type demoCmd struct {
	Dir      string `default:"./demo" type:"path" help:"Where the demo lives; created on first start, kept afterwards."`
	Quiet    bool   `help:"Leave the first message out."`
	BasePort int    `default:"1000" help:"Moves all ports: alfa's submission is base+587, and so on."`
	AllTier  string `placeholder:"CODE" help:"Give every mailbox this tier (standard, strutturata, small, medium, large, xl). First start only."`
	Standard int    `default:"40" help:"Standard mailboxes of each domain. First start only."`
}

// demoSides are the two providers.
func demoSides(base int) []*demoSide {
	return []*demoSide{
		{name: "alfa", title: "Gestore Alfa S.p.A.", domain: "alfa.example", port: base},
		{name: "beta", title: "Gestore Beta S.p.A.", domain: "beta.example", port: base + 10000},
	}
}

// Run starts both providers and, on first start, sends a message from one to
// the other.
func (c *demoCmd) Run(e *env) error {
	if c.BasePort < 1 || c.BasePort+10000+8180 > 65535 {
		return fmt.Errorf("--base-port: between 1 and %d", 65535-10000-8180)
	}
	fmt.Fprintln(e.stdout, demoWarning)
	sides := demoSides(c.BasePort)
	d := &demo{dir: c.Dir, cmd: c, sides: sides, env: e}
	first, err := d.prepare()
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	return d.serve(first && !c.Quiet)
}

// demo is the two providers and what they share.
type demo struct {
	dir   string
	cmd   *demoCmd
	sides []*demoSide
	env   *env
	vars  map[string]string // demo.env
}

// demoSide is one of the two providers.
type demoSide struct {
	name, title, domain string
	port                int
	node                *node
}

// serve runs both nodes until the context ends or one of them fails.
func (d *demo) serve(greet bool) error {
	ctx, cancel := context.WithCancel(d.env.ctx)
	defer cancel()
	if err := d.open(ctx); err != nil {
		return err
	}
	makeRoom(d.sides[0].node, d.sides[1].node)
	var wg, up sync.WaitGroup
	errs := make([]error, len(d.sides))
	up.Add(len(d.sides))
	for i, s := range d.sides {
		wg.Go(func() {
			once := sync.OnceFunc(up.Done)
			defer once()
			if errs[i] = s.node.run(ctx, once); errs[i] != nil {
				errs[i] = fmt.Errorf("%s: %w", s.name, errs[i])
			}
			cancel() // one provider alone is no demo
		})
	}
	up.Wait()
	var greeting error
	if ctx.Err() == nil {
		greeting = d.welcome(ctx, greet)
	}
	if greeting != nil {
		cancel()
	}
	wg.Wait()
	return errors.Join(append(errs, greeting)...)
}

// open opens both nodes, or none.
func (d *demo) open(ctx context.Context) error {
	for i, s := range d.sides {
		cfg, err := readConfig(filepath.Join(d.dir, s.name+".toml"))
		if err != nil {
			return err
		}
		log, err := newLogger(d.env.stderr, cfg.Log)
		if err != nil {
			return err
		}
		if s.node, err = openNode(ctx, cfg, d.env.clock, log); err != nil {
			for _, o := range d.sides[:i] {
				err = errors.Join(err, o.node.close())
			}
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func (d *demo) welcome(ctx context.Context, greet bool) error {
	out := d.env.stdout
	if greet {
		if err := d.firstMessage(ctx); err != nil {
			return fmt.Errorf("demo: first message: %w", err)
		}
	}
	alfa := d.vars
	fmt.Fprintf(out, `
Collegare un client di posta / connect a mail client:
  utente / user        %s     password %s
  IMAPS                %s
  POP3S                %s
  SMTPS                %s
  autorità / CA        %s
  variabili / env      %s
Interfaccia HTTP / HTTP interface (docs/api.md):
  https://%s/api/v1    %s token add Console --role provider --config %s
Due gestori pronti / both providers ready. Ctrl-C per terminare / to stop.
`, alfa["ALFA_STANDARD"], alfa["PASSWORD"], alfa["ALFA_IMAPS"], alfa["ALFA_POP3S"], alfa["ALFA_SMTPS"], alfa["CA_FILE"], filepath.Join(d.dir, "demo.env"), alfa["ALFA_HTTPS"], os.Args[0], filepath.Join(d.dir, "alfa.toml"))
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
