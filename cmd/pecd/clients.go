// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"pecd/autoconf"
	"pecd/directory"
)

// notOffered, in place of a host and port of [clients], is a service that
// clients are not told of.
const notOffered = "none"

// site is what mail clients are told: [clients], and where that is silent the
// host name and the listeners' ports.
func (c *Config) site() (autoconf.Site, error) {
	s := autoconf.Site{Provider: c.Provider.Name, MX: c.Clients.MX}
	host := c.Clients.Host
	if host == "" {
		host = c.Hostname
	}
	if s.MX == "" {
		s.MX = c.Hostname
	}
	for _, service := range []struct {
		key, said, listener string
		at                  *autoconf.Endpoint
	}{
		{"submission", c.Clients.Submission, c.Listen.Submission, &s.Submission},
		{"smtps", c.Clients.SMTPS, c.Listen.SMTPS, &s.SMTPS},
		{"imap", c.Clients.IMAP, c.Listen.IMAP, &s.IMAP},
		{"imaps", c.Clients.IMAPS, c.Listen.IMAPS, &s.IMAPS},
		{"pop3", c.Clients.POP3, c.Listen.POP3, &s.POP3},
		{"pop3s", c.Clients.POP3S, c.Listen.POP3S, &s.POP3S},
		{"https", c.Clients.HTTPS, c.Listen.HTTPS, &s.HTTPS},
	} {
		at, err := publicEndpoint("clients."+service.key, service.said, host, service.listener)
		if err != nil {
			return autoconf.Site{}, err
		}
		*service.at = at
	}
	return s, errors.Join(checkHost("clients.host", c.Clients.Host), checkHost("clients.mx", c.Clients.MX))
}

// publicEndpoint reads "host:port", "host", ":port" or "none"; what is left out
// is the host given, or the listener's port. Nothing said and no listener: the
// service is not offered.
func publicEndpoint(key, said, host, listener string) (autoconf.Endpoint, error) {
	if said == notOffered || said == "" && listener == "" {
		return autoconf.Endpoint{}, nil
	}
	name, port := said, ""
	if strings.Contains(said, ":") {
		var err error
		if name, port, err = net.SplitHostPort(said); err != nil {
			return autoconf.Endpoint{}, fmt.Errorf("%s: %w", key, err)
		}
	}
	if err := checkHost(key, name); err != nil {
		return autoconf.Endpoint{}, err
	}
	if name == "" {
		name = host
	}
	if port == "" && listener == "" {
		return autoconf.Endpoint{}, fmt.Errorf("%s: %q needs a port, as this node does not listen itself", key, said)
	}
	if port == "" {
		var err error
		if _, port, err = net.SplitHostPort(listener); err != nil {
			return autoconf.Endpoint{}, fmt.Errorf("%s: %w", key, err)
		}
	}
	number, err := net.LookupPort("tcp", port)
	if err != nil {
		return autoconf.Endpoint{}, fmt.Errorf("%s: %w", key, err)
	}
	if number == 0 { // the kernel's choice: nobody can be told
		return autoconf.Endpoint{}, nil
	}
	return autoconf.Endpoint{Host: name, Port: number}, nil
}

// checkHost wants a key to hold a host name, or nothing: records of the DNS lead
// to names, not to addresses.
func checkHost(key, name string) error {
	if name == "" || name == "localhost" {
		return nil
	}
	if _, err := directory.CanonicalDomain(name); err != nil || strings.HasSuffix(name, ".") {
		return fmt.Errorf("%s: %q is no host name", key, name)
	}
	return nil
}

// clientHandler serves the documents that configure mail clients.
func (n *node) clientHandler() http.Handler {
	return autoconf.NewHandler(autoconf.Handler{
		Site: n.site, Domains: n.users, Clock: n.clock, Logger: n.log,
		Sign: func(profile []byte) ([]byte, error) { return autoconf.SignWith(n.tlsCert.current.Load(), profile) },
	})
}
