// SPDX-License-Identifier: EUPL-1.2

// Package rspamd asks rspamd whether a message is spam, by its HTTP interface
// (POST /checkv2). It reports a score and what rspamd would do; what is done is
// decided elsewhere.
package rspamd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"pecd/clock"
	"pecd/fault"
)

// The defaults of Config.
const (
	DefaultTimeout  = 20 * time.Second
	DefaultWait     = 5 * time.Second
	DefaultPlaces   = 8
	DefaultMaxBytes = 20 << 20
	// pausePeer is how long an address that failed is tried last.
	pausePeer = 10 * time.Second
	// maxAnswer bounds an answer: one with every symbol of rspamd has some 60 kB.
	maxAnswer = 1 << 20
	connect   = 3 * time.Second
)

// Config is what a Client needs. Zero fields take the defaults.
type Config struct {
	// Addresses are "http://host:port", used in turn.
	Addresses []string
	Timeout   time.Duration // for one message at one address
	Wait      time.Duration // for a place
	Places    int           // messages under way at once, over all addresses
	MaxBytes  int64         // longer messages are not asked about: they are no spam
	Clock     clock.Clock
}

// Client asks one or several rspamd. It is safe for concurrent use.
type Client struct {
	cfg    Config
	http   *http.Client
	places chan struct{}

	mu    sync.Mutex
	peers []peer
	next  int
}

type peer struct {
	url        string
	pauseUntil time.Time
}

// Message is what rspamd is told of a message besides its octets. Empty fields are
// left out.
type Message struct {
	From       string // reverse path
	Recipients []string
	IP, Helo   string // of the client or server that brought it
	User       string // login of a submission
	ID         string // names the message in rspamd's log
}

// Verdict is what rspamd says of a message.
type Verdict struct {
	Spam     bool
	Score    float64
	Required float64 // from which score on rspamd would refuse
	Action   string  // rspamd's word: "no action", "add header", "reject" …
	// Skipped says that no verdict was made, and why: the message is too long, or
	// rspamd does not want to look at it.
	Skipped string
}

// New returns a client of the rspamd at the configured addresses, which need not
// run yet. A malformed address, or none, is Invalid.
func New(cfg Config) (*Client, error) {
	c := &Client{cfg: cfg}
	for _, a := range cfg.Addresses {
		u, err := url.Parse(a)
		if err != nil || u.Scheme != "http" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			return nil, fault.Say("rspamd.New", fault.Invalid, fmt.Sprintf("indirizzo di rspamd %q: http://host:porta / rspamd address %q: http://host:port", a, a))
		}
		c.peers = append(c.peers, peer{url: "http://" + u.Host + "/checkv2"})
	}
	if len(c.peers) == 0 {
		return nil, fault.Say("rspamd.New", fault.Invalid, "nessun indirizzo di rspamd / no address of rspamd")
	}
	for _, d := range []struct {
		to    *time.Duration
		value time.Duration
	}{{&c.cfg.Timeout, DefaultTimeout}, {&c.cfg.Wait, DefaultWait}} {
		if *d.to <= 0 {
			*d.to = d.value
		}
	}
	if c.cfg.Places <= 0 {
		c.cfg.Places = DefaultPlaces
	}
	if c.cfg.MaxBytes <= 0 {
		c.cfg.MaxBytes = DefaultMaxBytes
	}
	if c.cfg.Clock == nil {
		c.cfg.Clock = clock.System{}
	}
	c.places = make(chan struct{}, c.cfg.Places)
	c.http = &http.Client{
		Transport: &http.Transport{
			DialContext: (&net.Dialer{Timeout: connect}).DialContext, DisableCompression: true,
			MaxIdleConnsPerHost: c.cfg.Places, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Check asks about a message of size octets. An address that fails is passed over
// for the next one. Where none answers, or all places stay taken, the error is
// Temporary and says nothing about the message.
func (c *Client) Check(ctx context.Context, m Message, r io.ReaderAt, size int64) (Verdict, error) {
	const op = "rspamd.Check"
	if size > c.cfg.MaxBytes {
		return Verdict{Skipped: "too long"}, nil
	}
	if err := c.enter(ctx); err != nil {
		return Verdict{}, fault.New(op, fault.Temporary, err)
	}
	defer func() { <-c.places }()
	var why []string
	for _, i := range c.turn() {
		v, err := c.ask(ctx, c.peers[i].url, m, io.NewSectionReader(r, 0, size), size)
		if err == nil {
			return v, nil
		}
		if ctx.Err() != nil {
			return Verdict{}, fault.New(op, fault.Temporary, ctx.Err())
		}
		c.pause(i)
		why = append(why, fmt.Sprintf("rspamd %s: %v", c.cfg.Addresses[i], bare(err)))
	}
	return Verdict{}, fault.New(op, fault.Temporary, errors.New(strings.Join(why, "; ")))
}

// enter takes a place.
func (c *Client) enter(ctx context.Context) error {
	fire, release := c.cfg.Clock.After(c.cfg.Wait)
	defer release()
	select {
	case c.places <- struct{}{}:
		return nil
	default:
	}
	select {
	case c.places <- struct{}{}:
		return nil
	case <-fire:
		return fmt.Errorf("all %d places are taken", cap(c.places))
	case <-ctx.Done():
		return ctx.Err()
	}
}

// turn returns the addresses in the order to try them: each begins in its turn,
// those that failed lately come last.
func (c *Client) turn() []int {
	now := c.cfg.Clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	order := make([]int, len(c.peers))
	for n := range order {
		order[n] = (c.next + n) % len(c.peers)
	}
	c.next = (c.next + 1) % len(c.peers)
	late := func(i int) int {
		if c.peers[i].pauseUntil.After(now) {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(order, func(a, b int) int { return late(a) - late(b) })
	return order
}

func (c *Client) pause(i int) {
	until := c.cfg.Clock.Now().Add(pausePeer)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peers[i].pauseUntil = until
}

// bare leaves out the address of a request: an alarm with the same text is logged
// once.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var n *net.OpError
	if errors.As(err, &n) {
		return n.Err
	}
	return err
}
