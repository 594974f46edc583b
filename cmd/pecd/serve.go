// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"fmt"
)

type serveCmd struct {
	Config string `required:"" type:"path" placeholder:"FILE" help:"Configuration file."`
}

// Run serves one node until it is told to stop.
func (c *serveCmd) Run(e *env) error {
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
	return n.run(e.ctx, func() {
		if cfg.Demo {
			fmt.Fprintln(e.stdout, demoWarning)
		}
		fmt.Fprintf(e.stdout, "pecd: %s pronto / ready\n", cfg.Node)
	})
}
