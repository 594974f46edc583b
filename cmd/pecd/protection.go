// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"pecd/alarm"
	"pecd/metrics"
	"pecd/pipeline"
	"pecd/protection"
	"pecd/scan/contents"
	"pecd/scan/rspamd"
	"pecd/storage"
)

// policy is the provider's own, below which nobody goes.
func (c ProtectionConfig) policy() protection.Policy {
	return protection.Policy{Spam: c.Spam, Macro: c.Macro, Link: c.Link, Opaque: c.Opaque}
}

func (c ProtectionConfig) check() error {
	if err := c.policy().Check(); err != nil {
		return fmt.Errorf("[protection]: %w", err)
	}
	if c.Timeout <= 0 || c.Parallel <= 0 || c.MaxBytes <= 0 {
		return fmt.Errorf("[protection]: timeout, parallel and max_bytes must be positive")
	}
	if c.SpamRequired && len(c.Rspamd) == 0 {
		return fmt.Errorf("protection.spam_required: there is no antispam, protection.rspamd")
	}
	return nil
}

// openProtection makes what looks for spam and dangerous contents.
func (n *node) openProtection() error {
	c := n.cfg.Protection
	n.intercepted = metrics.NewInterceptions()
	if len(c.Rspamd) > 0 {
		client, err := rspamd.New(rspamd.Config{Addresses: c.Rspamd, Timeout: c.Timeout, Places: c.Parallel, MaxBytes: c.MaxBytes, Clock: n.clock})
		if err != nil {
			return fmt.Errorf("protection.rspamd: %w", err)
		}
		n.rspamd = client
	}
	if !c.Contents {
		return nil
	}
	cfg := contents.Config{Clock: n.clock}
	if c.Domains != "" {
		list, err := contents.OpenDomainList(n.cfg.path(c.Domains), n.clock, n.log)
		if err != nil {
			return fmt.Errorf("protection.domains: %w", err)
		}
		cfg.Domains = list
	}
	n.contents = contents.New(cfg)
	return nil
}

// useProtection shows it to the pipeline.
func (n *node) useProtection() {
	n.core.Intercepted = n.intercepted.Count
	p := &pipeline.Protection{Rules: n.protections, SpamRequired: n.cfg.Protection.SpamRequired}
	if n.contents != nil {
		p.Contents = inspector{n.contents}
	}
	if n.rspamd != nil {
		p.Antispam = antispam{n}
	}
	n.core.Protection = p
}

// inspector shows the inspection of contents to the pipeline.
type inspector struct{ *contents.Inspector }

// Begin implements pipeline.Contents.
func (i inspector) Begin(scratch func() storage.Spool) pipeline.ContentsInspection {
	return inspection{i.Inspector.Begin(func() contents.Scratch { return scratch() })}
}

type inspection struct{ *contents.Inspection }

// Findings implements pipeline.ContentsInspection.
func (i inspection) Findings() []protection.Finding {
	var out []protection.Finding
	for _, f := range i.Inspection.Findings() {
		out = append(out, protection.Finding{Kind: protection.Kind(f.Kind), Name: f.Name, Where: f.Where})
	}
	return out
}

// antispam shows rspamd to the pipeline, and tells the operator when it does not
// answer.
type antispam struct{ n *node }

// Check implements pipeline.Antispam.
func (a antispam) Check(ctx context.Context, s pipeline.Suspect, r io.ReaderAt, size int64) ([]protection.Finding, error) {
	v, err := a.n.rspamd.Check(ctx, rspamd.Message{
		From: s.Sender, Recipients: s.Recipients, IP: s.Peer.Remote, Helo: s.Peer.Helo, User: s.Login, ID: s.ID,
	}, r, size)
	if err != nil {
		if ctx.Err() == nil {
			a.n.antispamDown(err)
		}
		return nil, err
	}
	a.n.alarms.Clear(alarm.SpamEngineDown)
	if v.Skipped != "" {
		a.n.log.Info("no verdict of the antispam", "id", s.ID, "bytes", size, "why", v.Skipped)
	}
	if !v.Spam {
		return nil, nil
	}
	return []protection.Finding{{Kind: protection.Spam, Name: fmt.Sprintf("%.2f", v.Score)}}, nil
}

func (n *node) antispamDown(err error) {
	n.alarms.Raise(alarm.SpamEngineDown, fmt.Sprintf("antispam non disponibile, la posta passa senza controllo antispam o attende (protection.spam_required) / antispam does not answer, mail passes unchecked or waits: %v", err))
}

// antispamEvery is how often rspamd is looked at while no mail asks it.
const antispamEvery = time.Minute

// watchAntispam raises and clears the alarm on a quiet node.
func (n *node) watchAntispam(ctx context.Context) {
	for {
		if err := n.rspamd.Ping(ctx); err == nil {
			n.alarms.Clear(alarm.SpamEngineDown)
		} else if ctx.Err() == nil {
			n.antispamDown(err)
		}
		if !n.pause(ctx, antispamEvery) {
			return
		}
	}
}
