// SPDX-License-Identifier: EUPL-1.2

// Package imap serves mailboxes by IMAP4rev1 (RFC 3501) with the extensions
// that mail clients use. It is an adapter: it owns no mail and no accounts.
//
// Three layers lie on a connection, from the socket upwards:
//
//   - conn is the connection filter. It coalesces output, bounds lines, literals
//     and time, and reads the client's commands: those named by own it
//     hands to the session itself, every other one to the library.
//   - the library's imapserver parses and answers the other commands and calls
//     the session back.
//   - session knows the mailbox. Its view maps sequence numbers to UIDs and moves
//     on only where RFC 9051 §7.5 allows it.
//
// One goroutine drives a connection; while the client idles a second one waits
// for changes. Message bytes go from the store to the socket as they are.
package imap

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"

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
	// Still fails with fault.Denied once a login is not good any more. It is asked
	// before each command.
	Still(ctx context.Context, p directory.Principal) error
	// TakesTokens reports whether there is anybody to verify tokens.
	TakesTokens() bool
}

// Config is what a Server needs.
type Config struct {
	Store     storage.Store
	Directory Authenticator
	Clock     clock.Clock
	Logger    *slog.Logger // nil: no log
	TLS       *tls.Config

	MaxConns      int   // open connections in all, 0 for no bound
	MaxConnsPerIP int   // … of one IPv4 address or IPv6 /64, 0 for no bound
	AppendLimit   int64 // octets of an appended message, 0 for 104,857,600 (RFC 7889)

	// Room says how many octets appended messages may take up on the store's disk
	// (ADR 0015); nil: as many as there are.
	Room func() int64

	// Guesses counts wrong passwords over all listeners of the node; nil: over
	// those of this server.
	Guesses *guesses.Guard
	// Trail records who logs in and what he does; nil: nothing is recorded.
	Trail *trail.Recorder
}

const defaultAppendLimit = 104857600

// timing bounds how long a client may take. Tests shorten it.
type timing struct {
	tick      time.Duration // how often deadlines are looked at
	login     time.Duration // from the connection to a successful login
	idle      time.Duration // between two commands; RFC 9051 §5.4 asks for 30 minutes
	line      time.Duration // from the first octet of a line to its end
	progress  time.Duration // without any octet of a literal, or any octet taken by the client
	work      time.Duration // on a SEARCH, SORT, THREAD or LIST, whose cost the client chooses
	failDelay time.Duration // before the answer to the first failed login, growing
}

func defaultTiming() timing {
	return timing{
		tick:      time.Second,
		login:     2 * time.Minute,
		idle:      32 * time.Minute,
		line:      time.Minute,
		progress:  2 * time.Minute,
		work:      30 * time.Second,
		failDelay: time.Second,
	}
}

// Server serves IMAP on any number of listeners.
type Server struct {
	cfg        Config
	log        *slog.Logger
	timing     timing
	lib        *imapserver.Server
	structures *scanned
	buffers    *sync.Pool    // of *[]byte, outBuffer octets
	deflated   *sync.Pool    // of *bytes.Buffer
	large      chan *large   // for large literals; filled in when first used
	scans      chan struct{} // one slot for each message being read through
	orders     chan struct{} // one slot for each SORT or THREAD that holds what it orders
	conns      *connections.Set[*conn]
}

// NewServer returns a server that does nothing before Serve.
func NewServer(cfg Config) *Server {
	if cfg.AppendLimit <= 0 {
		cfg.AppendLimit = defaultAppendLimit
	}
	if cfg.AppendLimit > 1<<32-1 {
		cfg.AppendLimit = 1<<32 - 1
	}
	if cfg.Guesses == nil {
		cfg.Guesses = guesses.Alone(cfg.Clock)
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		cfg:      cfg,
		log:      log,
		timing:   defaultTiming(),
		buffers:  &sync.Pool{New: func() any { b := make([]byte, 0, outBuffer); return &b }},
		deflated: &sync.Pool{New: func() any { return new(bytes.Buffer) }},
		scans:    make(chan struct{}, 2*runtime.GOMAXPROCS(0)),
		orders:   make(chan struct{}, runtime.GOMAXPROCS(0)),
		conns:    connections.NewSet[*conn](cfg.Clock, cfg.MaxConns, cfg.MaxConnsPerIP),
	}
	s.structures = newScanned(s.scans)
	s.large = make(chan *large, largeBuffers)
	for range largeBuffers {
		s.large <- &large{}
	}
	s.lib = imapserver.New(&imapserver.Options{
		NewSession: s.newSession,
		Caps:       libraryCapabilities(),
		Logger:     libraryLog{log},
		// The filter lets nobody through to the library before TLS is up, and
		// the library cannot see TLS below the filter.
		InsecureAuth: true,
	})
	return s
}

// Serve accepts connections until ctx ends or Shutdown is called, and returns
// nil then. With implicitTLS the TLS handshake comes first (RFC 8314);
// otherwise the client must ask for it by STARTTLS before it may log in.
// Connections that are open when Serve returns stay until Shutdown.
func (s *Server) Serve(ctx context.Context, l net.Listener, implicitTLS bool) error {
	const op = "imap.Serve"
	if s.cfg.TLS == nil {
		return fault.New(op, fault.Internal, errors.New("no TLS configuration"))
	}
	if !s.conns.Open(l, s.timing.tick) {
		return fault.New(op, fault.Disabled, net.ErrClosed)
	}
	defer s.conns.Release(l)
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	err := s.lib.Serve(&gate{Listener: l, srv: s, ctx: context.WithoutCancel(ctx), implicitTLS: implicitTLS})
	if err != nil && ctx.Err() == nil && !s.conns.Closing() {
		return fault.New(op, fault.Internal, err)
	}
	return nil
}

// Shutdown closes the listeners, lets commands that are being answered finish
// (long searches are refused), says BYE to every client and waits. When ctx ends
// first, the connections left are cut and its error is returned.
func (s *Server) Shutdown(ctx context.Context) error {
	return fault.Wrap("imap.Shutdown", s.conns.Shutdown(ctx))
}

// recovered logs a panic of a goroutine that is not the library's and tells
// whether there was one. The value is left out: it may quote a message.
func recovered(log *slog.Logger, value any) bool {
	if value == nil {
		return false
	}
	log.Error("imap: panic in a goroutine", "stack", string(debug.Stack()))
	return true
}

// gate is the listener as the library sees it: it wraps what it accepts.
type gate struct {
	net.Listener
	srv         *Server
	ctx         context.Context
	implicitTLS bool
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	for {
		raw, err := g.Listener.Accept()
		if err != nil {
			if g.srv.conns.Closing() {
				err = net.ErrClosed
			}
			return nil, err
		}
		c := newConn(g.ctx, g.srv, raw, g.implicitTLS)
		if g.srv.conns.Admit(c, c.network) {
			return c, nil
		}
		g.srv.log.Info("imap: connection refused", "remote", c.remote.String())
		if !g.implicitTLS {
			fmt.Fprint(raw, "* BYE [UNAVAILABLE] troppe connessioni / too many connections\r\n")
		}
		raw.Close()
	}
}

// libraryLog takes what the library has to say. Its texts may quote what a
// client sent, passwords included, so only the fixed part of a line is kept;
// what fails inside the session is logged there.
type libraryLog struct{ log *slog.Logger }

// Printf implements imapserver.Logger.
func (l libraryLog) Printf(format string, args ...any) {
	if stack, ok := lastBytes(args); ok { // "panic …": %v\n%s
		l.log.Error("imap: panic in a session", "stack", stack)
		return
	}
	l.log.Debug("imap: library", "event", format)
}

func lastBytes(args []any) (string, bool) {
	if len(args) == 0 {
		return "", false
	}
	b, ok := args[len(args)-1].([]byte)
	return string(b), ok
}
