// SPDX-License-Identifier: EUPL-1.2

// Package managesieve lets holders edit their filters from mail clients
// (RFC 5804). It is an adapter between the protocol's library and the directory,
// which keeps the scripts.
package managesieve

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	wire "github.com/migadu/go-managesieve/managesieve"
	"github.com/migadu/go-managesieve/managesieveserver"

	"pecd/clock"
	"pecd/connections"
	"pecd/directory"
	"pecd/fault"
	"pecd/guesses"
	"pecd/sieve"
	"pecd/storage"
	"pecd/trail"
)

// Directory is who logs in and whose scripts there are: package directory's
// Directory.
type Directory interface {
	Authenticate(ctx context.Context, login, password string, by storage.Protocol) (directory.Principal, error)
	Still(ctx context.Context, p directory.Principal) error
	Mailbox(ctx context.Context, address string) (storage.Mailbox, error)

	Filters(ctx context.Context, mailbox string) ([]storage.Filter, error)
	Filter(ctx context.Context, mailbox, name string) (storage.Filter, error)
	PutFilter(ctx context.Context, mailbox, name, script string) error
	RenameFilter(ctx context.Context, mailbox, from, to string) error
	RemoveFilter(ctx context.Context, mailbox, name string) error
	ActivateFilter(ctx context.Context, mailbox, name string) error
}

// Config is what a Server needs.
type Config struct {
	Directory Directory
	Clock     clock.Clock
	Logger    *slog.Logger // nil: no log
	TLS       *tls.Config

	MaxConns      int // open connections in all, 0 for no bound
	MaxConnsPerIP int // … of one IPv4 address or IPv6 /64, 0 for no bound

	// Guesses counts wrong passwords over all listeners of the node; nil: over
	// those of this server.
	Guesses *guesses.Guard
	// Trail records who logs in; nil: nothing is recorded.
	Trail *trail.Recorder
}

const (
	tick        = time.Second
	loginWithin = 2 * time.Minute  // from the connection to a successful login
	idle        = 10 * time.Minute // between two commands
	longest     = time.Hour        // of a session
	command     = time.Minute      // the work of one command
	failDelay   = time.Second      // before the answer to the first error, growing
	maxErrors   = 5                // of one connection
)

// Server serves ManageSieve on any number of listeners, STARTTLS first.
type Server struct {
	cfg   Config
	log   *slog.Logger
	lib   *managesieveserver.Server
	conns *connections.Set[*conn]
	// sessions finds the connection of a session that the library begins.
	mu       sync.Mutex
	accepted map[net.Conn]*conn
}

// conn is one client's connection, as the set of connections sees it.
type conn struct {
	connections.Deadlines
	remote  netip.Addr
	network netip.Prefix
}

// Hint implements connections.Conn. The library tells its clients by itself.
func (*conn) Hint() {}

// NewServer returns a server that does nothing before Serve.
func NewServer(cfg Config) *Server {
	if cfg.Guesses == nil {
		cfg.Guesses = guesses.Alone(cfg.Clock)
	}
	s := &Server{cfg: cfg, log: cfg.Logger, accepted: make(map[net.Conn]*conn)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.conns = connections.NewSet[*conn](cfg.Clock, cfg.MaxConns, cfg.MaxConnsPerIP)
	s.lib = managesieveserver.New(managesieveserver.Options{
		NewSession: s.session, TLSConfig: cfg.TLS, Implementation: "pecd", Greeting: `"pecd: filtri / filters"`,
		SieveExtensions:   sieve.Capabilities(),
		ExtraCapabilities: []wire.Capability{{Name: "MAXREDIRECTS", Value: strconv.Itoa(sieve.MaxForwards), HasValue: true}},
		MaxScriptSize:     sieve.MaxScript, IdleTimeout: idle, AuthIdleTimeout: loginWithin, AbsoluteSessionTimeout: longest,
		CommandTimeout: command, MaxErrors: maxErrors, ErrorDelay: failDelay, StrictSessionErrors: true, Logger: s.log,
	})
	return s
}

// Serve accepts connections until ctx ends or Shutdown is called, and returns nil
// then. There is no implicit TLS in this protocol (RFC 5804 §2.2).
func (s *Server) Serve(ctx context.Context, l net.Listener, implicitTLS bool) error {
	const op = "managesieve.Serve"
	if s.cfg.TLS == nil || implicitTLS {
		return fault.New(op, fault.Internal, errors.New("only STARTTLS is served"))
	}
	failed := func(err error) { s.log.Error("managesieve: accepting failed", "error", err) }
	return fault.Wrap(op, s.conns.Serve(ctx, l, tick, s.take, failed))
}

// take serves a connection in a goroutine of its own, unless a bound is reached.
func (s *Server) take(raw net.Conn) {
	c := &conn{Deadlines: connections.Deadlines{Raw: raw, Cancel: func() {}}}
	c.remote, c.network = clientOf(raw)
	if !s.conns.Admit(c, c.network) {
		s.log.Info("managesieve: connection refused", "remote", c.remote.String())
		// A new socket has room for it.
		_, _ = io.WriteString(raw, "BYE (TRYLATER) \"troppe connessioni / too many connections\"\r\n")
		c.Cut()
		return
	}
	c.ReadBy.Store(s.cfg.Clock.Now().Add(loginWithin).UnixNano())
	s.mu.Lock()
	s.accepted[raw] = c
	s.mu.Unlock()
	go func() {
		defer s.conns.Leave(c)
		defer s.forget(raw)
		s.lib.ServeConn(raw)
	}()
}

func (s *Server) forget(raw net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.accepted, raw)
	raw.Close()
}

// Shutdown closes the listeners, has the sessions say good-bye and waits. When ctx
// ends first, the connections left are cut and its error is returned.
func (s *Server) Shutdown(ctx context.Context) error {
	closed := s.lib.Close() // wakes the sessions; it has no listener of its own
	return fault.Wrap("managesieve.Shutdown", errors.Join(s.conns.Shutdown(ctx), closed))
}
