// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"pecd/alarm"
	"pecd/storage"
)

type statusCmd struct {
	nodeFlag
	JSON bool `help:"Print JSON."`
}

// status is what a node is at.
type status struct {
	Node    string         `json:"node"`
	Running bool           `json:"running"`
	At      time.Time      `json:"at"`
	Jobs    map[string]int `json:"jobs"` // waiting, by kind
	Log     struct {
		First int64 `json:"first"`
		Last  int64 `json:"last"`
	} `json:"log"`
	Seals struct {
		Last      int64  `json:"last"`
		Day       string `json:"day"`
		Unstamped int    `json:"unstamped"`
	} `json:"seals"`
	Alarms []alarm.Alarm `json:"alarms"`
}

// Run prints the status; with an alarm the exit code is 1.
func (c *statusCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "status", c, openStore)
}

func (c *statusCmd) do(ctx context.Context, k call) error {
	s, err := k.node.status(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		enc := json.NewEncoder(k.out)
		enc.SetIndent("", "  ")
		err = enc.Encode(s)
	} else {
		err = s.print(k)
	}
	if err == nil && len(s.Alarms) > 0 {
		return errProblems
	}
	return err
}

func (n *node) status(ctx context.Context) (*status, error) {
	s := &status{Node: n.cfg.Node, Running: n.running, At: n.clock.Now().UTC(), Jobs: make(map[string]int), Alarms: n.alarms.Raised()}
	err := n.store.Jobs(ctx, "", func(j storage.Job) error {
		s.Jobs[j.Kind]++
		return nil
	})
	if err != nil {
		return nil, err
	}
	log, err := n.store.LogState(ctx)
	if err != nil {
		return nil, err
	}
	s.Log.First, s.Log.Last = log.First, log.Last
	err = n.store.Seals(ctx, 1, func(seal storage.Seal) error {
		s.Seals.Last, s.Seals.Day = seal.Number, seal.Day
		if len(seal.Stamp) == 0 {
			s.Seals.Unstamped++
		}
		return nil
	})
	return s, err
}

func (s *status) print(k call) error {
	state := "fermo / stopped"
	if s.Running {
		state = "in esecuzione / running"
	}
	fmt.Fprintf(k.out, "%s: %s\n", s.Node, state)
	fmt.Fprintf(k.out, "in coda / queued: %d consegne / deliveries, %d inoltri / relays, %d scadenze / deadlines\n", s.Jobs["deliver"], s.Jobs["relay"], s.Jobs["deadline"])
	if aside := s.aside(); aside > 0 {
		fmt.Fprintf(k.out, "messi da parte dal ripristino / set aside by the restore: %d (pecd queue list --restored)\n", aside)
	}
	fmt.Fprintf(k.out, "log: %d … %d; sigilli / seals: %d (%s), senza marca / unstamped: %d\n", s.Log.First, s.Log.Last, s.Seals.Last, s.Seals.Day, s.Seals.Unstamped)
	for _, a := range s.Alarms {
		fmt.Fprintf(k.out, "ALLARME %s dal / since %s: %s\n", a.Name, a.Since.Format(time.RFC3339), a.Text)
	}
	_, err := fmt.Fprintf(k.out, "allarmi / alarms: %d\n", len(s.Alarms))
	return err
}

// aside counts the jobs that a restore set aside.
func (s *status) aside() (n int) {
	for kind, jobs := range s.Jobs {
		if strings.HasPrefix(kind, storage.SetAside) {
			n += jobs
		}
	}
	return n
}
