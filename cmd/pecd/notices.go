// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"fmt"
	"os"

	"pecd/directory"
	"pecd/metrics"
	"pecd/notify"
	"pecd/storage"
)

// check checks what is said of notices.
func (c NoticesConfig) check() error {
	if c.OneByOne < 0 || c.Together <= 0 || c.PerDay <= 0 || c.SMS.Parallel <= 0 {
		return fmt.Errorf("[notices]: together, per_day and sms.parallel must be positive, one_by_one not negative")
	}
	if c.From == "" {
		return nil
	}
	if _, err := directory.CanonicalAddress(c.From); err != nil {
		return fmt.Errorf("notices.from: %q is no address", c.From)
	}
	return nil
}

// noticesFrom is the address that notices come from.
func (c *Config) noticesFrom() string {
	if c.Notices.From != "" {
		return c.Notices.From
	}
	return "avvisi@" + c.Provider.Domain
}

// openGateway reads what the gateway for text messages needs, if there is one.
func (n *node) openGateway() (err error) {
	c := n.cfg.Notices.SMS
	if c.URL == "" {
		return nil
	}
	h := notify.HTTPConfig{
		URL: c.URL, Method: c.Method, ContentType: c.ContentType, Body: c.Body, Headers: c.Headers,
		Timeout: c.Timeout, Accept: c.Accept, Prefixes: c.Prefixes,
	}
	if c.SecretFile != "" {
		secret, err := os.ReadFile(n.cfg.path(c.SecretFile))
		if err != nil {
			return fmt.Errorf("notices.sms.secret_file: %w", err)
		}
		h.Secret = string(bytes.TrimSpace(secret))
	}
	if c.Authorities != "" {
		if h.Authorities, err = certPool(n.cfg.path(c.Authorities)); err != nil {
			return fmt.Errorf("notices.sms.authorities: %w", err)
		}
	}
	if n.gateway, err = notify.NewHTTPGateway(h); err != nil {
		return fmt.Errorf("notices.sms: %w", err)
	}
	return nil
}

// openNotices has the pipeline note what contacts are to be told, and makes who
// tells them.
func (n *node) openNotices() {
	c := n.cfg.Notices
	n.core.Notices = &storage.NoticeRules{OneByOne: c.OneByOne, Interval: c.Together, PerDay: c.PerDay}
	n.notices = notify.New(notify.Config{
		Store: n.core.Store, Directory: n.users, Certified: n.core.Providers.Certified, Clock: n.clock, Logger: n.log, Alarms: n.alarms,
		Zone: n.zone, From: n.core.NoticesFrom, SMS: n.gateway, Parallel: c.SMS.Parallel,
	})
}

// noticeFigures are the notices' metrics. By mail, what the relay could not deliver
// has failed as well.
func (n *node) noticeFigures() []metrics.NoticeFigure {
	var all []metrics.NoticeFigure
	for _, f := range n.notices.Figures() {
		if f.Kind == storage.ContactMail && f.Result == notify.Failed {
			f.Count += n.relaying.LostNotices.Load()
		}
		all = append(all, metrics.NoticeFigure{Kind: string(f.Kind), Result: string(f.Result), Count: f.Count})
	}
	return all
}
