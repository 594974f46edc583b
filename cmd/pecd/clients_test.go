// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"strings"
	"testing"

	"pecd/autoconf"
)

func TestSiteOfAConfiguration(t *testing.T) {
	at := func(host string, port int) autoconf.Endpoint { return autoconf.Endpoint{Host: host, Port: port} }
	c := defaultConfig()
	c.Hostname, c.Provider.Name = "mail.gestore.example", "Gestore"
	s, err := c.site()
	want := autoconf.Site{
		Provider: "Gestore", MX: c.Hostname,
		IMAPS: at(c.Hostname, 993), IMAP: at(c.Hostname, 143), POP3S: at(c.Hostname, 995), POP3: at(c.Hostname, 110), SMTPS: at(c.Hostname, 465), Submission: at(c.Hostname, 587),
	}
	if err != nil || s != want {
		t.Errorf("from the listeners: %+v, %v", s, err)
	}

	c.Listen.IMAPS, c.Listen.IMAP, c.Listen.HTTPS = "10.1.2.3:1993", "127.0.0.1:0", "[::]:https"
	c.Clients = ClientsConfig{Host: "pec.gestore.example", IMAPS: ":993", SMTPS: "smtps.gestore.example", Submission: "none", POP3S: "pop.gestore.example:995", MX: "mx.gestore.example"}
	s, err = c.site()
	want = autoconf.Site{
		Provider: "Gestore", MX: "mx.gestore.example", IMAPS: at("pec.gestore.example", 993), SMTPS: at("smtps.gestore.example", 465),
		POP3S: at("pop.gestore.example", 995), POP3: at("pec.gestore.example", 110), HTTPS: at("pec.gestore.example", 443),
	}
	if err != nil || s != want {
		t.Errorf("from [clients]: %+v, %v", s, err)
	}

	for said, part := range map[ClientsConfig]string{
		{Host: "192.0.2.1"}:           "clients.host",
		{Host: "mail.gestore.it."}:    "clients.host",
		{MX: "mx gestore"}:            "clients.mx",
		{IMAPS: "a:b:c"}:              "clients.imaps",
		{IMAPS: "mail.it:70000"}:      "clients.imaps",
		{IMAPS: "[::1]:993"}:          "clients.imaps",
		{HTTPS: "web.gestore.it"}:     "needs a port",
		{SMTPS: "<b>.gestore.it:465"}: "clients.smtps",
	} {
		c := defaultConfig()
		c.Hostname, c.Clients = "mail.gestore.example", said
		if s, err := c.site(); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%+v: %+v, %v, want an error with %q", said, s, err, part)
		}
	}
}
