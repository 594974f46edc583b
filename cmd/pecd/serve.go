// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"errors"
	"fmt"
)

type serveCmd struct {
	Config string `required:"" type:"path" placeholder:"FILE" help:"Configuration file."`
}

// Run serves one node until it is told to stop.
func (c *serveCmd) Run(e *env) error {
	inherited, err := inheritedSockets()
	if err != nil {
		return err
	}
	cfg, err := readConfig(c.Config)
	if err != nil {
		return err
	}
	log, err := newLogger(e.stderr, cfg.Log)
	if err != nil {
		return err
	}
	boundMemory()
	n, err := openNode(e.ctx, cfg, e.clock, log)
	if err != nil {
		return err
	}
	makeRoom(n)
	n.sockets = inherited
	r, ctx, err := newRestart(e.ctx, c.Config, n)
	if err != nil {
		return errors.Join(err, n.close())
	}
	return r.finish(e.ctx, n.run(ctx, func() {
		r.watch(ctx)
		if cfg.Demo {
			fmt.Fprintln(e.stdout, demoWarning)
		}
		fmt.Fprintf(e.stdout, "pecd: %s pronto / ready\n", cfg.Node)
		if err := notifyReady(); err != nil {
			n.log.Warn("the service manager was not told that the node is ready", "error", err)
		}
	}))
}
