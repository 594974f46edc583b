// SPDX-License-Identifier: EUPL-1.2

// Package autoconf tells mail clients where the servers are, so that a holder
// types address and password and nothing else: autoconfig (Thunderbird and
// most clients of free software), autodiscover (Outlook), a configuration
// profile (iPhone, iPad, Mac), and the DNS records of a domain (RFC 6186,
// RFC 8314). All of it is made from one description, Site.
//
// No answer depends on whether a mailbox exists: only domains are looked up.
package autoconf

import (
	"net"
	"strconv"
)

// Endpoint is where clients reach a service: a host name and a TCP port. The
// zero value is a service that is not offered.
type Endpoint struct {
	Host string
	Port int
}

// Offered reports whether there is such a service.
func (e Endpoint) Offered() bool { return e.Host != "" && e.Port != 0 }

// Site is what a provider offers to mail clients.
type Site struct {
	Provider string // name shown to people
	// IMAPS, POP3S and SMTPS are TLS from the first octet (RFC 8314 §3), the
	// others begin in clear and go on after STARTTLS or STLS.
	IMAPS, IMAP, POP3S, POP3, SMTPS, Submission Endpoint
	HTTPS                                       Endpoint // where this package's documents are served
	MX                                          string   // host name that takes mail for the domains, on port 25
}

// Web is the HTTPS address of a path of ours.
func (s Site) Web(path string) string {
	host := s.HTTPS.Host
	if s.HTTPS.Port != 443 {
		host = net.JoinHostPort(host, strconv.Itoa(s.HTTPS.Port))
	}
	return "https://" + host + path
}

// access is one way to a service.
type access struct {
	Endpoint
	implicit bool // TLS from the first octet
}

// offered are the ways that there are, in order.
func offered(all ...access) (out []access) {
	for _, a := range all {
		if a.Offered() {
			out = append(out, a)
		}
	}
	return out
}

// imap, pop3 and smtp are the ways to each, the one to be preferred first: TLS
// from the first octet before STARTTLS (RFC 8314 §3.3).
func (s Site) imap() []access { return offered(access{s.IMAPS, true}, access{s.IMAP, false}) }
func (s Site) pop3() []access { return offered(access{s.POP3S, true}, access{s.POP3, false}) }
func (s Site) smtp() []access { return offered(access{s.SMTPS, true}, access{s.Submission, false}) }
