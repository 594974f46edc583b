// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"pecd/clock"
	"pecd/fault"
	"pecd/pipeline"
)

// TLSVerify says what the certificate of another server is worth.
type TLSVerify uint8

const (
	// VerifyNone encrypts to whoever answers: the practice between providers,
	// where the signature on the message proves who sent it (pec-rules §1.8).
	VerifyNone TLSVerify = iota
	// VerifyPeer demands a certificate for the server's name under the roots
	// where TLS is required. Elsewhere a stranger in between could have hidden
	// STARTTLS just as well, and many servers have a certificate of their own.
	VerifyPeer
)

// Timeouts of the relay client. Zero fields take RFC 5321 §4.5.3.2's figures
// for everything about a message, whose attempt would be lost; the first
// contact, before MAIL, gets less: nothing is lost by coming again half a minute
// later, and a worker that waits for a silent server is missed elsewhere.
type Timeouts struct {
	DNS      time.Duration // one question; 30 s
	Connect  time.Duration // TCP; 15 s, four SYNs
	Greeting time.Duration // 1 min, of RFC 5321's 5
	Hello    time.Duration // EHLO, STARTTLS and its handshake, each; 1 min, of RFC 5321's 5
	// Contact bounds what one Send spends on first contacts, over all servers
	// and addresses of the destination, questions to the DNS included; 2 min.
	Contact time.Duration
	Command time.Duration // MAIL, RCPT, DATA
	Block   time.Duration // 64 KiB of message
	Final   time.Duration // the reply after the final dot
	Reset   time.Duration // RSET on a pooled connection, QUIT
}

func (t Timeouts) withDefaults() Timeouts {
	for _, f := range []struct {
		d     *time.Duration
		value time.Duration
	}{
		{&t.DNS, 30 * time.Second}, {&t.Connect, 15 * time.Second}, {&t.Greeting, time.Minute}, {&t.Hello, time.Minute},
		{&t.Contact, 2 * time.Minute}, {&t.Command, 5 * time.Minute}, {&t.Block, 3 * time.Minute},
		{&t.Final, 10 * time.Minute}, {&t.Reset, 5 * time.Second},
	} {
		if *f.d <= 0 {
			*f.d = f.value
		}
	}
	return t
}

// DefaultMaxIdle is how many idle connections are kept for reuse.
const DefaultMaxIdle = 256

// RelayConfig is what the relay client needs.
type RelayConfig struct {
	Hostname string      // in EHLO; a name of ours in an MX list ends the list there
	TLS      *tls.Config // roots and versions; may be nil
	// Routes overrides the DNS: domain (lower case) or "*" to host:port.
	Routes   map[string]string
	Resolver Resolver // net.DefaultResolver by default
	// Dial opens connections, net.Dialer's by default.
	Dial      func(ctx context.Context, network, addr string) (net.Conn, error)
	Clock     clock.Clock
	Logger    *slog.Logger
	Timeouts  Timeouts
	MaxIdle   int // idle connections kept in all; negative: none
	VerifyTLS TLSVerify
}

func (c RelayConfig) withDefaults() RelayConfig {
	if !validDomain(c.Hostname) {
		c.Hostname = "localhost"
	}
	if c.Resolver == nil {
		c.Resolver = net.DefaultResolver
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.MaxIdle == 0 {
		c.MaxIdle = DefaultMaxIdle
	}
	c.Timeouts = c.Timeouts.withDefaults()
	return c
}

// Relay takes messages to other servers. It implements pipeline.Carrier; Send
// may be called from many goroutines.
//
// A server that drops the connection between the final dot and its reply may
// or may not have the message: the result is Temporary, and the next attempt
// may bring it a second copy with the same identifiers.
type Relay struct {
	cfg  RelayConfig
	pool *pool
	busy sync.WaitGroup
}

var _ pipeline.Carrier = (*Relay)(nil)

// NewRelay returns a relay client. Close ends it.
func NewRelay(cfg RelayConfig) *Relay {
	cfg = cfg.withDefaults()
	return &Relay{cfg: cfg, pool: newPool(cfg.Clock, cfg.MaxIdle)}
}

// Close closes the idle connections and waits for the Sends under way, which
// end with their contexts.
func (r *Relay) Close() error {
	r.pool.close()
	r.busy.Wait()
	return nil
}

// job is one Send.
type job struct {
	pipeline.Dispatch
	results []pipeline.RecipientResult
	left    []int // recipients without result
	why     *sendError
	tls     bool
	contact pipeline.Contact // the best so far
	budget  time.Duration    // left of Timeouts.Contact
}

// reached notes how far this Send has got.
func (j *job) reached(c pipeline.Contact) { j.contact = max(j.contact, c) }

// Send implements pipeline.Carrier. Where a server fails before it has the
// message, the next one is tried; answers about recipients are final for this
// Send. Results carry *fault.Error.
func (r *Relay) Send(ctx context.Context, d pipeline.Dispatch) pipeline.Attempt {
	r.busy.Add(1)
	defer r.busy.Done()
	j := &job{Dispatch: d, results: make([]pipeline.RecipientResult, len(d.Recipients)), budget: r.cfg.Timeouts.Contact}
	j.tls = d.RequireTLS
	for i, rcpt := range d.Recipients {
		j.results[i].Recipient = rcpt
		j.left = append(j.left, i)
		if !validMailbox(rcpt) {
			j.settle(i, &sendError{kind: fault.NotFound, reply: "553 5.1.3 indirizzo non valido / invalid address"})
		}
	}
	if d.Sender != "" && !validMailbox(d.Sender) {
		j.settleAll(&sendError{kind: fault.Invalid, reply: "553 5.1.7 mittente non valido / invalid sender address"})
	}
	late := false
	if len(j.left) > 0 {
		late = r.attemptUntil(ctx, j)
	}
	switch {
	case ctx.Err() != nil:
		j.note(failed("451 4.4.2 invio interrotto / sending was interrupted", ctx.Err()))
		if j.contact != pipeline.Answered {
			j.contact = pipeline.NotAsked // it was we who went away
		}
	case late:
		j.note(failed("451 4.4.2 tempo per l'invio esaurito / the time for sending is over", os.ErrDeadlineExceeded))
		j.contact = min(j.contact, pipeline.BrokeOff)
	case len(j.left) > 0 && j.why != nil && j.why.kind != fault.Temporary:
		// No such domain, or a server that takes no mail at all: an answer, too.
		j.reached(pipeline.Answered)
	}
	j.settleAll(j.why)
	return pipeline.Attempt{Results: j.results, Contact: j.contact}
}

// attemptUntil is attempt within the dispatch's time. It reports whether that ran out.
func (r *Relay) attemptUntil(ctx context.Context, j *job) (late bool) {
	if j.Until.IsZero() {
		r.attempt(ctx, j)
		return false
	}
	bounded, done := within(ctx, r.cfg.Clock, j.Until.Sub(r.cfg.Clock.Now()))
	defer done()
	r.attempt(bounded, j)
	return bounded.Err() != nil
}

func (r *Relay) attempt(ctx context.Context, j *job) {
	j.reached(pipeline.Unreached)
	rctx, done := r.first(ctx, j)
	targets, err := r.resolve(rctx, j.Domain)
	done()
	if err != nil {
		j.note(err)
		return
	}
	for _, t := range targets {
		if len(j.left) == 0 || ctx.Err() != nil {
			return
		}
		r.try(ctx, t, j)
	}
}

// first bounds one step towards a server by what is left of the budget for
// first contacts. The returned function takes off what was used.
func (r *Relay) first(ctx context.Context, j *job) (context.Context, func()) {
	start := r.cfg.Clock.Now()
	ctx, done := within(ctx, r.cfg.Clock, j.budget)
	return ctx, func() {
		done()
		j.budget -= r.cfg.Clock.Now().Sub(start)
	}
}

// try brings the message to one server. A pooled connection that turns out
// dead is replaced by a new one.
func (r *Relay) try(ctx context.Context, t target, j *job) {
	if c := r.reuse(ctx, t, j.tls); c != nil {
		if r.deliver(ctx, c, j) == nil {
			return
		}
	}
	if len(j.left) == 0 || j.budget <= 0 {
		return
	}
	actx, done := r.first(ctx, j)
	addrs, err := r.addresses(actx, t)
	done()
	if err != nil {
		j.note(err)
		return
	}
	for _, addr := range addrs {
		if len(j.left) == 0 || ctx.Err() != nil || j.budget <= 0 {
			return
		}
		octx, done := r.first(ctx, j)
		c, err := r.open(octx, t, addr, j.tls)
		done()
		if err == nil {
			err = r.deliver(ctx, c, j)
		}
		if err != nil {
			r.cfg.Logger.Info("smtp: relay attempt failed", "host", t.host, "addr", addr, "err", err)
			j.note(err)
		}
	}
}

func (r *Relay) reuse(ctx context.Context, t target, requireTLS bool) *remote {
	for {
		c := r.pool.get(t.key(), requireTLS)
		if c == nil {
			return nil
		}
		release := c.bind(ctx)
		err := c.reset()
		release()
		if err == nil {
			return c
		}
		c.close()
		if ctx.Err() != nil {
			return nil
		}
	}
}

// deliver runs the transactions that the message needs over c and pools or
// closes it. An error leaves recipients for the next server.
func (r *Relay) deliver(ctx context.Context, c *remote, j *job) error {
	release := c.bind(ctx)
	var err error
	for len(j.left) > 0 && err == nil {
		err = c.transact(j)
	}
	release()
	if err != nil || c.broken || ctx.Err() != nil {
		c.quit()
		return err
	}
	r.pool.put(c)
	return nil
}

// note remembers why a server could not be used. A failure that may pass
// outweighs one that will not: another attempt may find the other server.
func (j *job) note(err error) {
	var e *sendError
	if !errors.As(err, &e) {
		e = &sendError{kind: fault.Temporary, reply: "451 4.3.0 errore interno / internal error", cause: err}
	}
	if j.why == nil || j.why.kind != fault.Temporary || e.kind == fault.Temporary {
		j.why = e
	}
}

// settle gives recipient i its result; nil: the server has the message.
func (j *job) settle(i int, e *sendError) {
	for k, l := range j.left {
		if l == i {
			j.left = append(j.left[:k], j.left[k+1:]...)
			break
		}
	}
	if e != nil {
		j.results[i].Err, j.results[i].Reply = fault.New("smtp.Send", e.kind, e), e.reply
	}
}

func (j *job) settleAll(e *sendError) {
	if e == nil {
		e = &sendError{kind: fault.Temporary, reply: "451 4.3.0 nessun server raggiunto / no server reached"}
	}
	for len(j.left) > 0 {
		j.settle(j.left[0], e)
	}
}
