// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"time"

	"pecd/api"
	"pecd/autoconf"
	"pecd/imap"
	"pecd/managesieve"
	"pecd/pipeline"
	"pecd/pop3"
	"pecd/smtp"
	"pecd/summary"
)

type listening struct {
	name     string
	proto    server
	listener net.Listener
	implicit bool
}

// envelopeAllowance is what an envelope, or a receipt, may add to the original
// it carries: the recipients several times over, and the signature.
const envelopeAllowance = 8 << 20

// listen binds every configured listener; on an error those bound are closed.
func (n *node) listen() (out []listening, err error) {
	defer func() {
		if err != nil {
			for _, s := range out {
				s.listener.Close()
			}
		}
	}()
	c := n.cfg
	if n.programs, err = n.openAPI(); err != nil {
		return nil, err
	}
	mail := smtp.ServerConfig{
		Hostname: c.Hostname, TLS: n.tlsCert.config(), Clock: n.clock, Logger: n.log, MaxMessage: c.Limits.MessageBytes,
		MaxRecipients: c.Limits.Recipients, MaxConns: c.Limits.Connections, MaxConnsPerIP: c.Limits.ConnectionsPerIP,
		Guesses: n.guard, Trail: n.trail, Turns: smtp.NewTurns(runtime.GOMAXPROCS(0)),
	}
	exchange := mail // another provider's users have our limit too, and their envelopes weigh more
	exchange.MaxMessage += envelopeAllowance
	mail.Admission, exchange.Admission = n.gates.submission, n.gates.mx
	box := imap.Config{
		Store: summary.Store{Store: n.store}, Directory: n.users, Clock: n.clock, Logger: n.log, TLS: n.tlsCert.config(),
		MaxConns: c.Limits.Connections, MaxConnsPerIP: c.Limits.ConnectionsPerIP, AppendLimit: c.Limits.MessageBytes,
		Guesses: n.guard, Trail: n.trail, Room: n.room.Load,
	}
	drop := pop3.Config{
		Store: n.store, Directory: n.users, Clock: n.clock, Logger: n.log, TLS: n.tlsCert.config(),
		MaxConns: c.Limits.Connections, MaxConnsPerIP: c.Limits.ConnectionsPerIP, Guesses: n.guard, Counters: &n.drops, Sessions: new(pop3.Sessions), Trail: n.trail,
	}
	scripts := managesieve.Config{
		Directory: n.users, Clock: n.clock, Logger: n.log, TLS: n.tlsCert.config(),
		MaxConns: c.Limits.Connections, MaxConnsPerIP: c.Limits.ConnectionsPerIP, Guesses: n.guard, Trail: n.trail,
	}
	access := &pipeline.Access{Core: n.core, Delivery: n.delivery, Limits: n.limits}
	incoming := &pipeline.Incoming{Core: n.core}
	for _, s := range []struct {
		name, address  string
		implicit, http bool
		proto          func() server
	}{
		{"submission", c.Listen.Submission, false, false, func() server { return smtp.NewSubmission(mail, n.users, access) }},
		{"smtps", c.Listen.SMTPS, true, false, func() server { return smtp.NewSubmission(mail, n.users, access) }},
		{"mx", c.Listen.MX, false, false, func() server { return smtp.NewMX(exchange, incoming) }},
		{"imap", c.Listen.IMAP, false, false, func() server { return imap.NewServer(box) }},
		{"imaps", c.Listen.IMAPS, true, false, func() server { return imap.NewServer(box) }},
		{"pop3", c.Listen.POP3, false, false, func() server { return pop3.NewServer(drop) }},
		{"pop3s", c.Listen.POP3S, true, false, func() server { return pop3.NewServer(drop) }},
		{"managesieve", c.Listen.Sieve, false, false, func() server { return managesieve.NewServer(scripts) }},
		{"http", c.Listen.HTTP, false, true, func() server { return newHTTPServer(n.publicHandler()) }},
		{"https", c.Listen.HTTPS, true, true, func() server { return n.newHTTPSServer(n.programs) }},
		{"metrics", c.Listen.Metrics, false, true, func() server { return newHTTPServer(n.metricsHandler()) }},
		{"debug", c.Listen.Debug, false, true, func() server { return newHTTPServer(debugHandler()) }},
	} {
		if s.address == "" {
			continue
		}
		l, err := n.sockets.listen(s.name, s.address)
		if err != nil {
			return out, fmt.Errorf("listen.%s: %w", s.name, err)
		}
		if s.http {
			l = newBoundedListener(l, c.Limits.Connections, c.Limits.ConnectionsPerIP)
		}
		out = append(out, listening{s.name, s.proto(), l, s.implicit})
	}
	if err := n.sockets.settled(); err != nil {
		return out, err
	}
	l, err := n.listenAdmin()
	if err != nil {
		return out, fmt.Errorf("admin socket: %w", err)
	}
	return append(out, listening{"admin", n.newAdminServer(), l, false}), nil
}

// httpServer lets net/http's server be one of the listeners.
type httpServer struct{ http.Server }

func newHTTPServer(h http.Handler) *httpServer {
	return &httpServer{http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 5 * time.Second, WriteTimeout: 5 * time.Minute, MaxHeaderBytes: 64 << 10,
	}}
}

// openClients reads the authorities of those who may fetch our own record.
func (n *node) openClients() (*x509.CertPool, error) {
	f := n.cfg.Publish.ClientAuthority
	if f == "" {
		return nil, nil
	}
	pool, err := certPool(n.cfg.path(f))
	if err != nil {
		return nil, fmt.Errorf("publish.client_authorities: %w", err)
	}
	return pool, nil
}

// newHTTPSServer serves over TLS the configuration of mail clients, the interface
// for programs and our own record of the index (RFC 6109 §4.5.6, §5.6).
func (n *node) newHTTPSServer(programs *api.Server) *httpServer {
	s := newHTTPServer(n.secureHandler(programs))
	s.TLSConfig = n.tlsCert.config()
	if n.clients != nil {
		s.TLSConfig.GetConfigForClient = n.askForCertificate(s.TLSConfig.Clone())
	}
	return s
}

// askForCertificate has whoever fetches our record show a client certificate if
// he has one; whether it is needed is the publisher's rule. Mail clients, who
// come by names of their own, are not asked: some ask their user then.
func (n *node) askForCertificate(c *tls.Config) func(*tls.ClientHelloInfo) (*tls.Config, error) {
	c.ClientAuth, c.ClientCAs = tls.VerifyClientCertIfGiven, n.clients
	return func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if autoconf.IsAlias(hello.ServerName) {
			return nil, nil
		}
		return c, nil
	}
}

// Serve implements server.
func (s *httpServer) Serve(ctx context.Context, l net.Listener, implicitTLS bool) error {
	if implicitTLS {
		l = tls.NewListener(l, s.TLSConfig)
	}
	unhook := context.AfterFunc(ctx, func() { l.Close() })
	defer unhook()
	return ignoreClosed(ctx, s.Server.Serve(l))
}
