// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"pecd/admission"
	"pecd/alarm"
	"pecd/api"
	"pecd/autoconf"
	"pecd/clock"
	"pecd/conduct"
	"pecd/deviation"
	"pecd/directory"
	"pecd/guesses"
	"pecd/metrics"
	"pecd/notify"
	"pecd/pec"
	"pecd/pipeline"
	"pecd/pop3"
	"pecd/quarantine"
	"pecd/ratelimit"
	"pecd/scan"
	"pecd/scan/contents"
	"pecd/scan/rspamd"
	"pecd/seal"
	"pecd/signer"
	"pecd/smtp"
	"pecd/storage/sqlite"
	"pecd/summary"
	"pecd/trail"
)

// node is one provider's server: the rooms wired together.
type node struct {
	cfg     *Config
	log     *slog.Logger
	clock   clock.Clock
	zone    *time.Location
	store   *sqlite.Store
	users   *directory.Directory
	trail   *trail.Recorder
	conduct *conduct.Watcher // of what mailboxes send; nil as guard
	guard   *guesses.Guard   // against whoever tries passwords; nil where a command opened the store alone
	index   *directory.LiveIndex
	fetcher *directory.Fetcher // nil where the index is a file alone
	// publisher serves our own record of the index; nil where it is not published.
	publisher  *directory.Publisher
	crls       *signer.RevocationLists
	signer     *signer.Signer
	verifier   *signer.Verifier // judges what comes in
	tlsCert    *serverCertificate
	core       *pipeline.Core
	delivery   *pipeline.DeliveryPoint
	relaying   *pipeline.RelayPoint
	forwarding *pipeline.ForwardPoint
	queue      *pipeline.Queue
	notices    *notify.Service // to users' contacts; nil where a command opened the store alone
	gateway    notify.Gateway  // for text messages; nil: none
	relay      *smtp.Relay
	alarms     *alarm.Board
	operating  sync.WaitGroup      // operations of the admin socket
	scanner    *scan.Scanner       // nil without antivirus
	rspamd     *rspamd.Client      // nil without antispam
	contents   *contents.Inspector // nil where nothing is looked into
	// protections are the rules about what these find.
	protections *directory.Protections
	intercepted metrics.Interceptions
	daybook     *seal.Daybook
	stamper     seal.Stamper // nil: days are not stamped
	vault       *quarantine.Keeper
	site        autoconf.Site  // what mail clients are told
	clients     *x509.CertPool // who may fetch our own record; nil: anybody
	// deviation watches the clock; nil where no time server is configured.
	deviation *deviation.Monitor
	running   bool // serves; false where a command opened it
	// own judges what this provider signed itself, also with certificates that
	// have left the index since.
	own     *signer.Verifier
	sockets *sockets // nil: none are inherited
	// room is what is left on the disk above limits.free_bytes, in octets.
	room     atomic.Int64
	gates    struct{ submission, mx *admission.Gate }
	drops    pop3.Counters
	programs *api.Server // their interface; set once the node listens
	people   population
	// redis is what nodes share, nil where each is by itself; redisUp tells whether it answered last.
	redis        redis.UniversalClient
	redisUp      atomic.Bool
	sharedLimits *ratelimit.Shared // nil without redis
	limits       *pipeline.SendLimits
	limitCounts  *metrics.SendLimits
}

// openNode opens the store and reads keys, trust and index. It refuses to go
// on with a signing certificate that breaks the profile.
func openNode(ctx context.Context, cfg *Config, clk clock.Clock, log *slog.Logger) (_ *node, err error) {
	n := newNode(cfg, clk, log)
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	if err := n.prepare(ctx); err != nil {
		return nil, err
	}
	if err := n.openStore(ctx); err != nil {
		return nil, err
	}
	// MIME delimiters must not be foreseen by whoever chooses an identifier.
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	n.core = &pipeline.Core{
		Store: summary.Store{Store: n.store}, Mailboxes: mailboxes{n.users}, Providers: providers{n.index}, Signer: n.signer, Verifier: n.verifier,
		Builder: pec.Builder{Provider: n.provider(), Location: n.zone, Secret: secret},
		Clock:   clk, Logger: n.log, Hostname: cfg.Hostname, MailReceipt: cfg.Provider.MailReceipt,
		MaxMessage: cfg.Limits.MessageBytes, MaxProduct: cfg.Limits.ProductBytes, StrictRecipients: cfg.Limits.StrictRecipients,
		RequireTLS: cfg.Relay.RequireTLS, Scripts: n.users, NoticesFrom: cfg.noticesFrom(),
	}
	n.conduct = conduct.New(clk, cfg.Conduct.limits())
	n.core.Conduct = n.conduct
	n.guard = n.newGuard()
	n.useScanner()
	n.useProtection()
	if err := n.openLimits(ctx); err != nil {
		return nil, err
	}
	if err := n.openGates(); err != nil {
		return nil, errors.Join(err, n.store.Close())
	}
	n.delivery, n.relaying = pipeline.NewDeliveryPoint(n.core), pipeline.NewRelayPoint(n.core, n.relay)
	n.forwarding = pipeline.NewForwardPoint(n.core)
	// A worker lends as many places again to attempts that take long.
	workers := cfg.Limits.RelayWorkers
	n.relaying.MaxUnproven, n.relaying.MaxOrdinary = max(1, workers/2), max(1, 2*workers-workers/4)
	n.queue = pipeline.NewQueue(n.core, n.delivery, n.relaying)
	n.openNotices()
	if err := n.openDaybook(); err != nil {
		return nil, err
	}
	return n, nil
}

// prepare reads everything that a node needs beside its store: what is wrong
// with the configuration shows here, while a store may be in use by another
// process.
func (n *node) prepare(ctx context.Context) (err error) {
	if n.zone, err = time.LoadLocation(n.cfg.Zone); err != nil {
		return fmt.Errorf("zone: %w", err)
	}
	if n.signer, err = n.openSigner(); err != nil {
		return err
	}
	if n.verifier, err = n.openTrust(ctx); err != nil {
		return err
	}
	if n.tlsCert, err = loadServerCertificate(n.cfg.path(n.cfg.TLS.Certificate), n.cfg.path(n.cfg.TLS.Key)); err != nil {
		return err
	}
	if n.relay, err = n.openRelay(); err != nil {
		return err
	}
	if n.redis, err = n.openRedis(); err != nil {
		return err
	}
	if n.site, err = n.cfg.site(); err != nil {
		return err
	}
	if n.clients, err = n.openClients(); err != nil {
		return err
	}
	if t := n.cfg.Time; len(t.Servers) > 0 || !n.cfg.Demo {
		n.deviation = deviation.New(deviation.Config{
			Servers: t.Servers, Tolerance: t.Tolerance, Every: t.Every, Clock: n.clock, Alarms: n.alarms, Logger: n.log,
		})
	}
	return errors.Join(n.openScanner(), n.openProtection(), n.openStamper(), n.openPublisher(), n.openGateway())
}

func (n *node) provider() pec.Provider {
	p := n.cfg.Provider
	return pec.Provider{Name: p.Name, Domain: p.Domain, ServiceAddress: "posta-certificata@" + p.Domain}
}

func newNode(cfg *Config, clk clock.Clock, log *slog.Logger) *node {
	log = log.With("node", cfg.Node)
	return &node{cfg: cfg, log: log, clock: clk, alarms: alarm.NewBoard(clk, log)}
}

// openStore opens a node for commands that need its store alone: keys and index
// may still be missing.
func openStore(ctx context.Context, cfg *Config, clk clock.Clock, log *slog.Logger) (*node, error) {
	n := newNode(cfg, clk, log)
	return n, n.openStore(ctx)
}

func (n *node) openStore(ctx context.Context) (err error) {
	if n.store, err = sqlite.Open(ctx, n.cfg.path(n.cfg.Store.Dir), sqlite.Options{Clock: n.clock, Logger: n.log, Health: n.storeHealth}); err != nil {
		return err
	}
	n.users = directory.New(n.store, n.clock)
	n.users.Bound(n.cfg.Limits.MessageBytes, n.cfg.Limits.Recipients)
	n.protections = n.users.Protections(n.cfg.Protection.policy())
	n.trail = trail.New(trail.Config{Store: n.store, Clock: n.clock, Logger: n.log, Shared: n.users.Shared})
	if err := n.users.Seed(ctx); err != nil {
		err = errors.Join(err, n.store.Close())
		n.store = nil
		return err
	}
	return nil
}

func (n *node) openRelay() (*smtp.Relay, error) {
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12}
	verify := smtp.VerifyNone
	if f := n.cfg.Relay.Authorities; f != "" {
		pool, err := certPool(n.cfg.path(f))
		if err != nil {
			return nil, fmt.Errorf("relay.authorities: %w", err)
		}
		tlsConfig.RootCAs = pool
		verify = smtp.VerifyPeer
	}
	return smtp.NewRelay(smtp.RelayConfig{
		Hostname: n.cfg.Hostname, TLS: tlsConfig, VerifyTLS: verify, Routes: n.cfg.Relay.Routes, Clock: n.clock, Logger: n.log,
	}), nil
}

// close closes what was opened.
func (n *node) close() error {
	if n.relay != nil {
		n.relay.Close()
	}
	if n.rspamd != nil {
		n.rspamd.Close()
	}
	var err error
	if n.redis != nil {
		err = n.redis.Close()
	}
	if n.signer != nil {
		err = errors.Join(err, n.signer.Close())
	}
	if n.store != nil {
		err = errors.Join(err, n.store.Close())
	}
	return err
}

// server is a listener's protocol side.
type server interface {
	Serve(ctx context.Context, l net.Listener, implicitTLS bool) error
	Shutdown(ctx context.Context) error
}

// run serves until ctx ends, then stops listeners and workers and closes the
// node. ready is called once every listener is bound.
func (n *node) run(ctx context.Context, ready func()) (err error) {
	defer func() { err = errors.Join(err, n.close()) }()
	n.running = true
	work, stopWork := context.WithCancel(context.Background())
	take, stopTaking := context.WithCancel(work)
	accept, stopAccepting := context.WithCancel(work)
	defer stopAccepting()
	var wg, jobs, accepting sync.WaitGroup
	defer func() { stopWork(); jobs.Wait(); wg.Wait() }()
	defer stopTaking()

	if n.sharedLimits != nil {
		n.sharedLimits.Beat(ctx) // it should not begin alone
	}
	servers, err := n.listen()
	if err != nil {
		return err
	}
	failed := make(chan error, len(servers))
	for _, s := range servers {
		accepting.Go(func() {
			if err := s.proto.Serve(accept, s.listener, s.implicit); err != nil && ctx.Err() == nil {
				failed <- fmt.Errorf("%s: %w", s.name, err)
			}
		})
		n.log.Info("listening", "service", s.name, "address", s.listener.Addr().String())
	}
	for _, w := range n.workers() {
		jobs.Go(func() { w.Run(take, work) })
	}
	if n.publisher != nil { // before the index is fetched: it must know what we say of ourselves
		if err := n.publisher.Refresh(work); err != nil {
			n.log.Error("own record of the index not published yet", "error", err)
		}
	}
	for _, service := range n.services() {
		wg.Go(func() { service(work) })
	}
	if ready != nil {
		ready()
	}
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	stopTaking()
	grace, cancel := context.WithTimeout(context.Background(), patience(ctx))
	defer cancel()
	stopAccepting()
	accepting.Wait()
	n.endSessions(grace, servers)
	n.operating.Wait() // what is left of them has been cut off, and ends
	finished := make(chan struct{})
	wg.Go(func() {
		jobs.Wait()
		close(finished)
	})
	select {
	case <-finished:
	case <-grace.Done():
		n.log.Warn("jobs under way go back to the queue")
	}
	return err
}
