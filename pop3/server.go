// SPDX-License-Identifier: EUPL-1.2

// Package pop3 serves the INBOX of a mailbox by POP3 (RFC 1939) with the
// extensions of RFC 2449, 2595, 3206, 5034 and 6856. It is an adapter: it owns no
// mail and no accounts.
//
// A session is a snapshot. It sees the messages that were in INBOX at its login,
// whatever others do meanwhile, so that no session locks another one out
// (ADR 0019). DELE destroys nothing: QUIT moves what is marked to a folder where
// it stays for thirty days.
//
// One goroutine drives a connection. Message bytes go from the store to the
// socket as they are, but for what the protocol itself demands.
package pop3

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"pecd/clock"
	"pecd/connections"
	"pecd/directory"
	"pecd/fault"
	"pecd/guesses"
	"pecd/storage"
	"pecd/trail"
)

// Authenticator checks who logs in: package directory's Directory. The error of
// a refusal is of kind fault.Denied.
type Authenticator interface {
	Authenticate(ctx context.Context, login, password string, by storage.Protocol) (directory.Principal, error)
	AuthenticateToken(ctx context.Context, login, token string, by storage.Protocol) (directory.Principal, error)
	// TakesTokens reports whether there is anybody to verify tokens.
	TakesTokens() bool
	// Still is Denied once a login that was admitted is no longer good.
	Still(ctx context.Context, p directory.Principal) error
}

// Config is what a Server needs.
type Config struct {
	Store     storage.Store
	Directory Authenticator
	Clock     clock.Clock
	Logger    *slog.Logger // nil: no log
	TLS       *tls.Config

	MaxConns      int // open connections in all, 0 for no bound
	MaxConnsPerIP int // … of one IPv4 address or IPv6 /64, 0 for no bound

	// Guesses counts wrong passwords over all listeners of the node; nil: over
	// those of this server.
	Guesses *guesses.Guard
	// Counters count what is done over all listeners of the node; nil: nobody
	// wants to know.
	Counters *Counters
	// Sessions counts those of each mailbox over all listeners of the node; nil:
	// over those of this server.
	Sessions *Sessions
	// Trail records who logs in and what he reads and deletes; nil: nothing is
	// recorded.
	Trail *trail.Recorder
}

// timing bounds how long a client may take. Tests shorten it.
type timing struct {
	tick      time.Duration // how often deadlines are looked at
	login     time.Duration // from the connection to a successful login
	idle      time.Duration // between two commands; RFC 1939 §3 asks for ten minutes
	line      time.Duration // from the first octet of a line to its end
	progress  time.Duration // until the client has taken what is written at once
	failDelay time.Duration // before the answer to the first failed login, growing
}

func defaultTiming() timing {
	return timing{
		tick: time.Second, login: 2 * time.Minute, idle: 11 * time.Minute, line: time.Minute,
		progress: 2 * time.Minute, failDelay: time.Second,
	}
}

// Server serves POP3 on any number of listeners.
type Server struct {
	cfg     Config
	log     *slog.Logger
	timing  timing
	buffers *sync.Pool // of *[]byte, bufferSize octets

	conns *connections.Set[*conn]
}

// NewServer returns a server that does nothing before Serve.
func NewServer(cfg Config) *Server {
	if cfg.Guesses == nil {
		cfg.Guesses = guesses.Alone(cfg.Clock)
	}
	if cfg.Counters == nil {
		cfg.Counters = &Counters{}
	}
	if cfg.Sessions == nil {
		cfg.Sessions = &Sessions{}
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Server{
		cfg:     cfg,
		log:     log,
		timing:  defaultTiming(),
		buffers: &sync.Pool{New: func() any { b := make([]byte, 0, bufferSize); return &b }},
		conns:   connections.NewSet[*conn](cfg.Clock, cfg.MaxConns, cfg.MaxConnsPerIP),
	}
}

// Serve accepts connections until ctx ends or Shutdown is called, and returns
// nil then. With implicitTLS the TLS handshake comes first (RFC 8314); otherwise
// the client must ask for it by STLS before it may log in. Connections that are
// open when Serve returns stay until Shutdown.
func (s *Server) Serve(ctx context.Context, l net.Listener, implicitTLS bool) error {
	const op = "pop3.Serve"
	if s.cfg.TLS == nil {
		return fault.New(op, fault.Internal, errors.New("no TLS configuration"))
	}
	failed := func(err error) { s.log.Error("pop3: accepting failed", "error", err) }
	return fault.Wrap(op, s.conns.Serve(ctx, l, s.timing.tick, func(raw net.Conn) { s.take(ctx, raw, implicitTLS) }, failed))
}

// take serves a connection in a goroutine of its own, unless a bound is reached.
func (s *Server) take(ctx context.Context, raw net.Conn, implicitTLS bool) {
	c := newConn(context.WithoutCancel(ctx), s, raw)
	if !s.conns.Admit(c, c.network) {
		s.log.Info("pop3: connection refused", "remote", c.remote.String())
		if !implicitTLS {
			// A new socket has room for it.
			_, _ = io.WriteString(raw, "-ERR [SYS/TEMP] troppe connessioni / too many connections\r\n")
		}
		c.Cut()
		return
	}
	go func() {
		defer s.conns.Leave(c)
		defer c.close()
		defer func() { s.recovered(recover()) }()
		c.serve(implicitTLS)
	}()
}

// Shutdown closes the listeners, lets commands that are being answered finish and
// waits. When ctx ends first, the connections left are cut and its error is
// returned. What a session has marked and not committed by QUIT stays.
func (s *Server) Shutdown(ctx context.Context) error {
	return fault.Wrap("pop3.Shutdown", s.conns.Shutdown(ctx))
}

// recovered logs the panic of a connection, which ends with it. The value is left
// out: it may quote a message.
func (s *Server) recovered(value any) {
	if value != nil {
		s.log.Error("pop3: panic in a session", "stack", string(debug.Stack()))
	}
}

// Counters count what POP3 did since the start of the node.
type Counters struct {
	logins, retrieved, octets, discarded atomic.Int64
}

// Figures are the values of Counters.
type Figures struct {
	Logins    int64 // successful ones
	Retrieved int64 // messages sent whole
	Octets    int64 // of them
	Discarded int64 // messages moved to recoverable folders
}

// Figures returns the present values.
func (c *Counters) Figures() Figures {
	return Figures{c.logins.Load(), c.retrieved.Load(), c.octets.Load(), c.discarded.Load()}
}
