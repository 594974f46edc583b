// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"pecd/clock"
	"pecd/directory"
	"pecd/guesses"
	"pecd/pipeline"
	"pecd/trail"
)

// Defaults of ServerConfig; the figures of a message are S4-035's.
const (
	DefaultMaxMessage     = 104857600 // octets
	DefaultMaxRecipients  = 1000
	DefaultMaxConns       = 2000
	DefaultMaxConnsPerIP  = 200
	DefaultCommandTimeout = 5 * time.Minute // RFC 5321 §4.5.3.2.7
	DefaultDataTimeout    = 3 * time.Minute // RFC 5321 §4.5.3.2.5
	DefaultAuthDelay      = time.Second
	DefaultLoginTimeout   = 2 * time.Minute

	DefaultMaxInFlight   = 8 << 30 // octets, at a submission listener
	DefaultMaxInFlightMX = 4 << 30
)

// ServerConfig is what both listeners need. Zero fields take the defaults above.
type ServerConfig struct {
	Hostname string      // in the greeting
	TLS      *tls.Config // nil: no STARTTLS, no implicit TLS
	Clock    clock.Clock
	Logger   *slog.Logger

	MaxMessage    int64 // octets of a message as received, CRLF line ends
	MaxRecipients int
	// MaxConns and MaxConnsPerIP bound the open connections, in all and of one
	// IPv4 address or IPv6 /64. Negative: no limit.
	MaxConns, MaxConnsPerIP int
	// CommandTimeout is how long a client may take for one command. DataTimeout
	// is how long it may be silent inside a message; one that sends less than
	// 1 KiB a second over that time is cut off too.
	CommandTimeout, DataTimeout time.Duration
	// MaxInFlight bounds the octets of messages being received, over all
	// connections: beyond it no other message may begin. Those that have begun
	// go on to their own limit. Negative: no limit.
	MaxInFlight int64
	// Admission decides whether another message may begin; nil: every one may.
	Admission Admission
	// Turns are shared by the listeners of a node; nil makes some for this one.
	Turns *Turns

	// Of submission only. Trail records who logs in; nil: nothing is recorded.
	Trail *trail.Recorder
	// Guesses counts failed logins; listeners of one node
	// share it, nil makes one for this listener. AuthDelay is how long the
	// answer to a wrong password is held back. LoginTimeout is how long a
	// client may take from connecting to a login that succeeds.
	Guesses                 *guesses.Guard
	AuthDelay, LoginTimeout time.Duration
}

func (c ServerConfig) withDefaults() ServerConfig {
	if c.Hostname == "" {
		c.Hostname = "localhost"
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.MaxMessage <= 0 {
		c.MaxMessage = DefaultMaxMessage
	}
	if c.MaxRecipients <= 0 {
		c.MaxRecipients = DefaultMaxRecipients
	}
	if c.MaxConns == 0 {
		c.MaxConns = DefaultMaxConns
	}
	if c.MaxConnsPerIP == 0 {
		c.MaxConnsPerIP = DefaultMaxConnsPerIP
	}
	if c.CommandTimeout <= 0 {
		c.CommandTimeout = DefaultCommandTimeout
	}
	if c.DataTimeout <= 0 {
		c.DataTimeout = DefaultDataTimeout
	}
	if c.AuthDelay <= 0 {
		c.AuthDelay = DefaultAuthDelay
	}
	if c.LoginTimeout <= 0 {
		c.LoginTimeout = DefaultLoginTimeout
	}
	if c.Turns == nil {
		c.Turns = NewTurns(runtime.GOMAXPROCS(0))
	}
	if c.Guesses == nil {
		c.Guesses = guesses.Alone(c.Clock)
	}
	return c
}

// Server is a submission or MX listener. Serve may be called for several
// sockets; Shutdown ends them all.
type Server struct {
	cfg    ServerConfig
	door   door
	logins *logins // nil at the MX
	lib    *gosmtp.Server
	limits *connLimits
	flight inFlight

	loops sync.WaitGroup // accept loops and the library's

	stopping context.Context // over once Shutdown is called
	stop     context.CancelFunc

	mu        sync.Mutex
	conns     map[*conn]struct{}
	empty     chan struct{} // closed when stopping and no connection is left
	listeners map[net.Listener]*handoff
}

// NewSubmission returns the listener for holders (RFC 6409): TLS and a login
// come before anything else.
func NewSubmission(cfg ServerConfig, dir Directory, acc pipeline.Acceptor) *Server {
	s := newServer(cfg, submission{acc, dir}, DefaultMaxInFlight)
	s.logins = &logins{dir: dir, clk: s.cfg.Clock, delay: s.cfg.AuthDelay, guesses: s.cfg.Guesses, stopping: s.stopping}
	return s
}

// NewMX returns the listener for other servers. It offers STARTTLS and accepts
// cleartext, as ordinary mail arrives that way (pec-rules §1.8).
func NewMX(cfg ServerConfig, rcv pipeline.Receiver) *Server {
	return newServer(cfg, exchanger{rcv}, DefaultMaxInFlightMX)
}

func newServer(cfg ServerConfig, d door, maxInFlight int64) *Server {
	cfg = cfg.withDefaults()
	if cfg.MaxInFlight == 0 {
		cfg.MaxInFlight = maxInFlight
	}
	s := &Server{
		cfg: cfg, door: d, limits: newConnLimits(cfg.MaxConns, cfg.MaxConnsPerIP),
		conns: make(map[*conn]struct{}), empty: make(chan struct{}), listeners: make(map[net.Listener]*handoff),
	}
	s.flight.limit = cfg.MaxInFlight
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.lib = gosmtp.NewServer(gosmtp.BackendFunc(s.newSession))
	s.lib.Domain = cfg.Hostname
	s.lib.ErrorLog = libraryLog{cfg.Logger}
	// The filter owns TLS, size, recipients, line lengths and deadlines: the
	// library's own limits are off by one or count the raw stream.
	s.lib.AllowInsecureAuth = true
	s.lib.MaxLineLength = 0
	return s
}

// Serve accepts connections on l until ctx ends, Shutdown is called or l fails.
// It closes l. Connections that are open when it returns are served on until
// Shutdown. With implicitTLS every connection starts with a TLS handshake
// (RFC 8314 §3.3), otherwise STARTTLS is offered.
func (s *Server) Serve(ctx context.Context, l net.Listener, implicitTLS bool) error {
	if implicitTLS && s.cfg.TLS == nil {
		l.Close()
		return errors.New("smtp: implicit TLS without a certificate")
	}
	h := newHandoff(l.Addr())
	if !s.addListener(l, h) {
		l.Close()
		return nil
	}
	defer s.loops.Done()
	unhook := context.AfterFunc(ctx, func() { l.Close() })
	defer unhook()
	defer l.Close()

	s.loops.Add(1)
	go func() {
		defer s.loops.Done()
		// It ends with the handoff, at Shutdown: a connection that is open
		// beyond Serve may still come back through it after STARTTLS.
		_ = s.lib.Serve(h)
	}()
	return s.accept(ctx, l, h, implicitTLS)
}

func (s *Server) addListener(l net.Listener, h *handoff) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping.Err() != nil {
		return false
	}
	s.listeners[l] = h
	s.loops.Add(1)
	return true
}

func (s *Server) accept(ctx context.Context, l net.Listener, h *handoff, implicitTLS bool) error {
	pause := 5 * time.Millisecond
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			pause = 5 * time.Millisecond
			s.admit(nc, h, implicitTLS)
		case ctx.Err() != nil || s.stopping.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			// Out of file descriptors, or the client gave up: it passes.
			s.cfg.Logger.Warn("smtp: accept", "err", err)
			fire, release := s.cfg.Clock.After(pause)
			select {
			case <-fire:
			case <-ctx.Done():
			case <-s.stopping.Done():
			}
			release()
			pause = min(2*pause, time.Second)
		}
	}
}

func (s *Server) admit(nc net.Conn, h *handoff, implicitTLS bool) {
	key := directory.ClientNetwork(nc.RemoteAddr())
	if !s.limits.enter(key) {
		s.cfg.Logger.Warn("smtp: too many connections", "remote", nc.RemoteAddr().String())
		if !implicitTLS {
			// The socket's buffer is empty: this does not block.
			_, _ = nc.Write([]byte(tooManyConnections().line()))
		}
		nc.Close()
		return
	}
	c := newConn(s, nc, h, key, implicitTLS)
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	if !h.push(&view{conn: c}) {
		c.close()
	}
}

// forget is called once for each connection, when it is closed.
func (s *Server) forget(c *conn) {
	s.limits.leave(c.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.checkEmpty()
}

// checkEmpty is called with the lock held.
func (s *Server) checkEmpty() {
	if len(s.conns) > 0 || s.stopping.Err() == nil {
		return
	}
	select {
	case <-s.empty:
	default:
		close(s.empty)
	}
}

// Shutdown stops accepting and answers 421 to every connection that is not
// inside a message. Messages under way may end until ctx does; then their
// connections are told 421 and closed, and the context that the access or
// incoming point works under is cancelled. It returns when no goroutine of the
// server is left, with ctx's error if a message was cut off.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.stop()
	for l, h := range s.listeners {
		l.Close()
		h.Close()
	}
	s.mu.Unlock()
	s.loops.Wait()

	s.each((*conn).drain)
	s.mu.Lock()
	s.checkEmpty()
	s.mu.Unlock()
	var err error
	select {
	case <-s.empty:
	case <-ctx.Done():
		err = ctx.Err()
		s.each((*conn).cutOff)
		<-s.empty
	}
	// Nothing is open any more: this waits for the library's goroutines.
	_ = s.lib.Shutdown(context.WithoutCancel(ctx))
	return err
}

func (s *Server) each(f func(*conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		f(c)
	}
}
