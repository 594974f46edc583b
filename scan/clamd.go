// SPDX-License-Identifier: EUPL-1.2

package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"pecd/clock"
	"pecd/fault"
)

// The defaults of ClamdConfig. The whole of a scan has more than clamd's
// MaxScanTime (at most 4 minutes are recommended), so that what takes too long
// to unpack is a finding and not a failure.
const (
	DefaultConnect       = 5 * time.Second
	DefaultIdle          = 30 * time.Second
	DefaultScanTime      = 5 * time.Minute
	DefaultMaxConcurrent = 8 // for each address; clamd's MaxThreads is 10
	clamdPause           = 10 * time.Second
)

// ClamdConfig is what the client of clamd needs. Zero fields take the defaults.
type ClamdConfig struct {
	// Addresses are "unix:/path" or "tcp:host:port". They are used in turn; one
	// that fails is tried last for ten seconds.
	Addresses     []string
	MaxConcurrent int           // scans under way at once, over all addresses; more wait
	Connect       time.Duration // for the connection to one address
	Idle          time.Duration // for each chunk, to be read and sent, and for short commands
	ScanTime      time.Duration // for the whole: waiting for a turn, sending, the verdict
	Clock         clock.Clock
}

// Clamd asks one or several clamd over their INSTREAM command. It implements
// Pool and is safe for concurrent use; a message is streamed in 64 KiB chunks.
//
// An address that cannot be reached is passed over for the next one. One that
// fails later, when octets of the message are gone, fails the scan. Errors are
// Temporary and name the address, except for those of the message's reader,
// which keep their kind.
type Clamd struct {
	cfg   ClamdConfig
	slots chan struct{}
	peers []*peer

	mu   sync.Mutex
	next int // of peers, whose turn it is
}

// peer is one address. A failing one has a pause.
type peer struct {
	name, network, addr string
	pauseUntil          time.Time // guarded by Clamd.mu
}

// NewClamd returns a client of the clamd at the configured addresses, which
// need not run yet. A malformed address, or none, is Invalid.
func NewClamd(cfg ClamdConfig) (*Clamd, error) {
	c := &Clamd{cfg: cfg}
	for _, a := range cfg.Addresses {
		network, addr, err := clamdAddress(a)
		if err != nil {
			return nil, fault.Say("scan.NewClamd", fault.Invalid,
				fmt.Sprintf("indirizzo di clamd %q: unix:/percorso o tcp:host:porta / clamd address %q: unix:/path or tcp:host:port", a, a))
		}
		c.peers = append(c.peers, &peer{name: a, network: network, addr: addr})
	}
	if len(c.peers) == 0 {
		return nil, fault.Say("scan.NewClamd", fault.Invalid, "nessun indirizzo di clamd / no address of clamd")
	}
	for _, f := range []struct {
		d     *time.Duration
		value time.Duration
	}{{&c.cfg.Connect, DefaultConnect}, {&c.cfg.Idle, DefaultIdle}, {&c.cfg.ScanTime, DefaultScanTime}} {
		if *f.d <= 0 {
			*f.d = f.value
		}
	}
	if c.cfg.MaxConcurrent <= 0 {
		c.cfg.MaxConcurrent = DefaultMaxConcurrent * len(c.peers)
	}
	if c.cfg.Clock == nil {
		c.cfg.Clock = clock.System{}
	}
	c.slots = make(chan struct{}, c.cfg.MaxConcurrent)
	return c, nil
}

func clamdAddress(s string) (network, addr string, err error) {
	network, addr, _ = strings.Cut(s, ":")
	switch network {
	case "unix":
		if !strings.HasPrefix(addr, "/") {
			return "", "", errors.New("no absolute path")
		}
	case "tcp":
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return "", "", err
		}
		if host == "" || port == "" {
			return "", "", errors.New("no host or no port")
		}
	default:
		return "", "", errors.New("neither unix nor tcp")
	}
	return network, addr, nil
}

// Scan implements Engine.
func (c *Clamd) Scan(ctx context.Context, r io.Reader) (Finding, error) {
	return c.scan(ctx, c.turn(), r)
}

// Members implements Pool.
func (c *Clamd) Members() []Member {
	out := make([]Member, len(c.peers))
	for i, p := range c.peers {
		out[i] = Member{Address: p.name, Engine: clamdMember{c, p}}
	}
	return out
}

// clamdMember is one address of a Clamd, under the bounds of the whole.
type clamdMember struct {
	c *Clamd
	p *peer
}

// Scan implements Engine.
func (m clamdMember) Scan(ctx context.Context, r io.Reader) (Finding, error) {
	return m.c.scan(ctx, []*peer{m.p}, r)
}

// Ping returns nil when one of the addresses answers.
func (c *Clamd) Ping(ctx context.Context) error {
	answer, err := c.ask(ctx, "PING")
	if err == nil && answer != "PONG" {
		err = down("scan.Ping", fmt.Errorf("%w: %q", errGarbage, printable(answer)))
	}
	return err
}

// Version returns what the first address that answers says of itself, in
// printable ASCII: program, number and date of the signatures, as
// "ClamAV 1.4.6/27812/Mon Nov 23 09:41:02 2026".
func (c *Clamd) Version(ctx context.Context) (string, error) {
	answer, err := c.ask(ctx, "VERSION")
	return printable(answer), err
}

func (c *Clamd) scan(ctx context.Context, peers []*peer, r io.Reader) (Finding, error) {
	const op = "scan.Clamd"
	ctx, done := within(ctx, c.cfg.Clock, c.cfg.ScanTime)
	defer done()
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return Finding{}, down(op, fmt.Errorf("all %d connections are busy: %w", cap(c.slots), context.Cause(ctx)))
	}
	s, p, err := c.open(ctx, peers, "INSTREAM")
	if err != nil {
		return Finding{}, down(op, err)
	}
	defer s.close()
	f, err := s.instream(r)
	switch {
	case s.source != nil:
		return Finding{}, fault.Wrap(op, s.source)
	case err != nil:
		c.pause(ctx, p, err)
		return Finding{}, down(op, fmt.Errorf("clamd %s: %w", p.name, err))
	}
	return f, nil
}

// ask sends a short command to the first address that takes it.
func (c *Clamd) ask(ctx context.Context, command string) (string, error) {
	const op = "scan.Clamd"
	ctx, done := within(ctx, c.cfg.Clock, c.cfg.ScanTime)
	defer done()
	s, p, err := c.open(ctx, c.turn(), command)
	if err != nil {
		return "", down(op, err)
	}
	defer s.close()
	answer, err := s.reply()
	if err != nil {
		return "", down(op, fmt.Errorf("clamd %s: %w", p.name, err))
	}
	return answer, nil
}

// open connects to the first of peers that can be reached and sends it a command.
func (c *Clamd) open(ctx context.Context, peers []*peer, command string) (*session, *peer, error) {
	var why []string
	for _, p := range peers {
		dctx, done := within(ctx, c.cfg.Clock, c.cfg.Connect)
		nc, err := (&net.Dialer{}).DialContext(dctx, p.network, p.addr)
		if dctx.Err() != nil {
			err = context.Cause(dctx)
			if nc != nil {
				_ = nc.Close()
			}
		}
		done()
		if err == nil {
			s := newSession(ctx, c.cfg.Clock, nc, c.cfg.Idle)
			if err = s.write([]byte("z" + command + "\x00")); err == nil {
				return s, p, nil
			}
			err = s.why(err)
			s.close()
		}
		c.pause(ctx, p, err)
		if ctx.Err() != nil {
			return nil, nil, fmt.Errorf("clamd %s: %w", p.name, context.Cause(ctx))
		}
		why = append(why, fmt.Sprintf("clamd %s: %v", p.name, bare(err)))
	}
	return nil, nil, errors.New(strings.Join(why, "; "))
}

// turn returns the addresses in the order to try them: each begins in its turn,
// those that have failed lately come last.
func (c *Clamd) turn() []*peer {
	now := c.cfg.Clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	order := slices.Concat(c.peers[c.next:], c.peers[:c.next])
	c.next = (c.next + 1) % len(c.peers)
	slices.SortStableFunc(order, func(a, b *peer) int {
		switch x, y := a.pauseUntil.After(now), b.pauseUntil.After(now); {
		case x == y:
			return 0
		case x:
			return 1
		}
		return -1
	})
	return order
}

// pause puts an address last for a while, unless it is the caller who gave up,
// or clamd is well and says so.
func (c *Clamd) pause(ctx context.Context, p *peer, err error) {
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), os.ErrDeadlineExceeded) || errors.Is(err, errRefused) {
		return
	}
	until := c.cfg.Clock.Now().Add(clamdPause)
	c.mu.Lock()
	defer c.mu.Unlock()
	p.pauseUntil = until
}

func down(op string, err error) error {
	return &fault.Error{Op: op, Kind: fault.Temporary, Text: textDown, Err: err}
}

// bare leaves out the addresses of a connection, which change with every one:
// an alarm with the same text is logged once.
func bare(err error) error {
	var oe *net.OpError
	if errors.As(err, &oe) {
		return oe.Err
	}
	return err
}
