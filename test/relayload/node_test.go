// SPDX-License-Identifier: EUPL-1.2

package relayload

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pecd/pec"
	"pecd/pipeline"
	"pecd/smtp"
	"pecd/storage"
	"pecd/storage/sqlite"
)

// The node's own parameters: limits.relay_workers and limits.relay_per_domain.
const relayWorkers, relayPerDomain = 128, 16

// window is how many messages of the stream are in the queue: enough to have
// one ready for whichever worker is free.
const window = 288

// node is the relay of a provider as the daemon wires it: store, relay client,
// relay point and worker.
type node struct {
	t      *testing.T
	name   string
	dir    string
	clock  *leap
	store  *sqlite.Store
	client *smtp.Relay
	point  *pipeline.RelayPoint
	hosts  map[string]*host // by address
	// ordinary is what the destinations are; otherwise they are certified.
	ordinary bool

	number atomic.Int64 // of the last message
	live   atomic.Int64 // messages to live destinations that are delivered, and recorded
	handed atomic.Int64 // jobs of dead destinations that the queue has handed out
	busy   meter        // workers with jobs of live destinations
	// tokens are places in the stream that are free.
	tokens chan struct{}
}

func newNode(t *testing.T, clk *leap, name string) *node {
	t.Helper()
	n := &node{t: t, name: name, dir: t.TempDir(), clock: clk, tokens: make(chan struct{}, window)}
	t.Cleanup(func() {
		if n.store != nil {
			n.shut()
		}
	})
	return n
}

// start opens the node: a restart forgets what was known of destinations.
func (n *node) start(hosts ...*host) {
	n.t.Helper()
	if n.store != nil {
		n.shut()
	}
	var err error
	n.store, err = sqlite.Open(context.Background(), n.dir, sqlite.Options{Clock: n.clock})
	check(n.t, err)
	n.hosts = make(map[string]*host)
	routes := make(map[string]string)
	for _, h := range hosts {
		routes[h.domain], n.hosts[h.addr] = h.addr, h
	}
	n.client = smtp.NewRelay(smtp.RelayConfig{
		Hostname: "mail.alfa.example", TLS: &tls.Config{MinVersion: tls.VersionTLS12}, Routes: routes, Clock: n.clock,
		Dial: func(ctx context.Context, _, addr string) (net.Conn, error) { return n.hosts[addr].dial(ctx) },
	})
	n.point = pipeline.NewRelayPoint(&pipeline.Core{
		Store: n.store, Clock: n.clock, Logger: slog.New(slog.DiscardHandler), RequireTLS: true,
		Builder: pec.Builder{Provider: pec.Provider{Name: "alfa", Domain: "alfa.example"}, Location: time.UTC},
	}, n)
}

// sentKey leads from the context of a job to what became of it.
type sentKey struct{}

// Send implements pipeline.Carrier.
func (n *node) Send(ctx context.Context, d pipeline.Dispatch) pipeline.Attempt {
	a := n.client.Send(ctx, d)
	if sent, ok := ctx.Value(sentKey{}).(*bool); ok {
		*sent = a.Results[0].Err == nil
	}
	return a
}

func (n *node) shut() {
	n.t.Helper()
	n.client.Close()
	check(n.t, n.store.Close())
	n.store = nil
	n.live.Store(0)
	n.handed.Store(0)
}

// run starts the worker. The returned function stops it.
func (n *node) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	w := &pipeline.Worker{
		Kind: pipeline.JobRelay, Store: n.store, Clock: n.clock, Logger: slog.New(slog.DiscardHandler),
		Parallel: relayWorkers, PerLane: relayPerDomain, Do: n.do,
	}
	var wg sync.WaitGroup
	wg.Go(func() { w.Run(ctx, ctx) })
	return func() { cancel(); wg.Wait() }
}

func (n *node) do(ctx context.Context, j storage.Job) error {
	if !strings.HasPrefix(j.Lane, "live") {
		n.handed.Add(1)
		return n.point.Relay(ctx, j)
	}
	n.busy.add(1)
	defer n.busy.add(-1)
	sent := false
	err := n.point.Relay(context.WithValue(ctx, sentKey{}, &sent), j)
	if err == nil && sent {
		n.live.Add(1)
		n.tokens <- struct{}{}
	}
	return err
}

// meter is a number that goes up and down, and its mean.
type meter struct {
	mu  sync.Mutex
	n   int
	at  time.Time // of the last change
	sum time.Duration
}

func (m *meter) add(d int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.sum += time.Duration(m.n) * now.Sub(m.at)
	m.n, m.at = m.n+d, now
}

// total is the number times the time it lasted, up to now.
func (m *meter) total() time.Duration {
	m.add(0)
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sum
}

// job returns a message of 2 kB and its job, due now.
func (n *node) job(domain string) []storage.Op {
	now := n.clock.Now()
	number := n.number.Add(1)
	body := &storage.NewBody{Head: fmt.Appendf(nil, "From: anna@alfa.example\r\nX-Number: %s-%d\r\n\r\n%s", n.name, number, strings.Repeat(fmt.Sprintf("%062d\r\n", number), 32))}
	return []storage.Op{body, &storage.Enqueue{
		Job: storage.Job{
			Kind: pipeline.JobRelay, Lane: domain, Due: now, Created: now, Expires: now.Add(24 * time.Hour),
			Payload: fmt.Appendf(nil, `{"id":"%d.alfa.example","from":"anna@alfa.example","rcpt":["x@%s"],"env":true,"pec":%t}`, number, domain, !n.ordinary),
		},
		Body: storage.BodyRef{New: body},
	}}
}

// queue enqueues messages to one destination.
func (n *node) queue(domain string, count int) {
	n.t.Helper()
	for count > 0 {
		step := new(storage.Step)
		for range min(count, 250) {
			step.Add(n.job(domain)...)
		}
		count -= min(count, 250)
		check(n.t, n.store.Commit(context.Background(), step))
	}
}

// stream enqueues messages to the destinations in turn, one a commit, for as
// long as it lasts. The returned function ends it when the last one is
// delivered.
func (n *node) stream(to []*host) (stop func()) {
	for range window {
		n.tokens <- struct{}{}
	}
	end := make(chan struct{})
	var wg sync.WaitGroup
	var turn atomic.Int64
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-end:
					return
				case <-n.tokens:
				}
				h := to[turn.Add(1)%int64(len(to))]
				if err := n.store.Commit(context.Background(), new(storage.Step).Add(n.job(h.domain)...)); err != nil {
					n.t.Error(err)
					return
				}
			}
		})
	}
	return func() {
		n.t.Helper()
		close(end)
		wg.Wait()
		for range window {
			n.token("a message of the stream is delivered", time.Minute)
		}
	}
}

// token waits for the end of one message.
func (n *node) token(what string, limit time.Duration) {
	n.t.Helper()
	select {
	case <-n.tokens:
	case <-time.After(limit):
		n.t.Fatalf("waited %v until %s", limit, what)
	}
}

// prompt checks that a message to a live destination does not wait for older
// ones to dead destinations. The worker is running.
func (n *node) prompt(h *host) time.Duration {
	n.t.Helper()
	start := time.Now()
	n.queue(h.domain, 1)
	n.token("a message passed those to the dead destination", 2*time.Second)
	return time.Since(start)
}

// left counts the jobs in the queue.
func (n *node) left() (count int) {
	n.t.Helper()
	check(n.t, n.store.Jobs(context.Background(), pipeline.JobRelay, func(storage.Job) error { count++; return nil }))
	return count
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
