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
	"net/http"
	"os"
	"runtime"
	"sync"
	"time"

	"pecd/clock"
	"pecd/directory"
	"pecd/imap"
	"pecd/pec"
	"pecd/pipeline"
	"pecd/signer"
	"pecd/smtp"
	"pecd/storage"
	"pecd/storage/sqlite"
)

// shutdownWait is how long a stopping node lets running sessions finish.
const shutdownWait = 10 * time.Second

// node is one provider's server: the rooms wired together.
type node struct {
	cfg     *Config
	log     *slog.Logger
	clock   clock.Clock
	store   *sqlite.Store
	users   *directory.Directory
	index   *directory.LiveIndex
	crls    *signer.CRLs
	signer  *signer.Signer
	tlsCert *serverCertificate
	core    *pipeline.Core
	relay   *smtp.Relay
	// own judges what this provider signed itself, also with certificates that
	// have left the index since.
	own *signer.Verifier
}

// openNode opens the store and reads keys, trust and index. It refuses to go
// on with a signing certificate that breaks the profile.
func openNode(ctx context.Context, cfg *Config, clk clock.Clock, log *slog.Logger) (_ *node, err error) {
	n := &node{cfg: cfg, log: log.With("node", cfg.Node), clock: clk}
	zone, err := time.LoadLocation(cfg.Zone)
	if err != nil {
		return nil, fmt.Errorf("zone: %w", err)
	}
	provider := pec.Provider{Name: cfg.Provider.Name, Domain: cfg.Provider.Domain, ServiceAddress: "posta-certificata@" + cfg.Provider.Domain}
	if n.signer, err = openSigner(cfg, provider, clk); err != nil {
		return nil, err
	}
	verifier, err := n.openTrust()
	if err != nil {
		return nil, err
	}
	if n.tlsCert, err = loadServerCertificate(cfg.path(cfg.TLS.Certificate), cfg.path(cfg.TLS.Key)); err != nil {
		return nil, err
	}
	if n.relay, err = n.openRelay(); err != nil {
		return nil, err
	}
	if n.store, err = sqlite.Open(ctx, cfg.path(cfg.Store.Dir), sqlite.Options{Clock: clk, Logger: n.log}); err != nil {
		return nil, err
	}
	n.users = directory.New(n.store, clk)
	// MIME delimiters must not be foreseen by whoever chooses an identifier.
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return nil, errors.Join(err, n.store.Close())
	}
	n.core = &pipeline.Core{
		Store: n.store, Mailboxes: mailboxes{n.users, n.store}, Providers: providers{n.index},
		Signer: n.signer, Verifier: verifier, Builder: pec.Builder{Provider: provider, Location: zone, Secret: secret},
		Clock: clk, Logger: n.log, Hostname: cfg.Hostname, MailReceipt: cfg.Provider.MailReceipt,
		MaxMessage: cfg.Limits.MessageBytes, MaxProduct: cfg.Limits.ProductBytes, StrictRecipients: cfg.Limits.StrictRecipients,
		RequireTLS: cfg.Relay.RequireTLS,
	}
	return n, nil
}

func openSigner(cfg *Config, p pec.Provider, clk clock.Clock) (*signer.Signer, error) {
	pass, err := cfg.passphrase()
	if err != nil {
		return nil, err
	}
	key, err := signer.LoadKey(cfg.path(cfg.Signing.Key), pass)
	if err != nil {
		return nil, err
	}
	certs, err := signer.LoadCertificates(cfg.path(cfg.Signing.Certificate))
	if err != nil {
		return nil, err
	}
	return signer.New(signer.Identity{Certificate: certs[0], Chain: certs[1:], Key: key}, p.Name, p.ServiceAddress, clk)
}

// openTrust reads authorities, revocation lists and the provider index.
func (n *node) openTrust() (*signer.Verifier, error) {
	authorities, err := signer.LoadCertificates(n.cfg.path(n.cfg.Trust.Authorities))
	if err != nil {
		return nil, err
	}
	if n.crls, err = signer.LoadCRLs(n.cfg.paths(n.cfg.Trust.CRLs)...); err != nil {
		return nil, err
	}
	n.own = signer.NewVerifier(signer.PECConfig(authorities...))
	indexAuthorities := authorities
	if f := n.cfg.Index.Authorities; f != "" {
		if indexAuthorities, err = signer.LoadCertificates(n.cfg.path(f)); err != nil {
			return nil, err
		}
	}
	publisher := signer.NewVerifier(signer.VerifierConfig{Roots: indexAuthorities, CRLs: n.crls, AllowSHA1Digests: true, AllowSHA1: true})
	open := func(p7m []byte) ([]byte, error) {
		content, _, err := publisher.OpenSigned(p7m, maxIndex, n.clock.Now())
		return content, err
	}
	if n.index, err = directory.NewLiveIndex(n.cfg.path(n.cfg.Index.File), open, n.log, n.clock); err != nil {
		return nil, err
	}
	var revocation signer.RevocationPolicy
	if n.cfg.Trust.RequireCRL {
		revocation.Mode = signer.RevocationStrict
	}
	return signer.NewVerifier(signer.VerifierConfig{
		Roots: authorities, Origins: n.index, CRLs: n.crls, AllowSHA1Digests: true, AllowSHA1: true, Revocation: revocation,
	}), nil
}

const maxIndex = 256 << 20

func (n *node) openRelay() (*smtp.Relay, error) {
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12}
	verify := smtp.VerifyNone
	if f := n.cfg.Relay.Authorities; f != "" {
		pem, err := os.ReadFile(n.cfg.path(f))
		if err != nil {
			return nil, fmt.Errorf("relay.authorities: %w", err)
		}
		tlsConfig.RootCAs = x509.NewCertPool()
		if !tlsConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("relay.authorities: no certificate in %s", f)
		}
		verify = smtp.VerifyPeer
	}
	return smtp.NewRelay(smtp.RelayConfig{
		Hostname: n.cfg.Hostname, TLS: tlsConfig, VerifyTLS: verify, Routes: n.cfg.Relay.Routes, Clock: n.clock, Logger: n.log,
	}), nil
}

// close closes what openNode opened.
func (n *node) close() error {
	n.relay.Close()
	return n.store.Close()
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
	work, stopWork := context.WithCancel(context.Background())
	take, stopTaking := context.WithCancel(work)
	var wg, jobs sync.WaitGroup
	defer func() { stopWork(); jobs.Wait(); wg.Wait() }()
	defer stopTaking()

	servers, err := n.listen()
	if err != nil {
		return err
	}
	failed := make(chan error, len(servers))
	for _, s := range servers {
		wg.Go(func() {
			if err := s.proto.Serve(work, s.listener, s.implicit); err != nil && ctx.Err() == nil {
				failed <- fmt.Errorf("%s: %w", s.name, err)
			}
		})
		n.log.Info("listening", "service", s.name, "address", s.listener.Addr().String())
	}
	for _, w := range n.workers() {
		jobs.Go(func() { w.Run(take, work) })
	}
	wg.Go(func() { n.tlsCert.run(work, n.clock, n.log) })
	wg.Go(func() { n.index.Run(work) })
	wg.Go(func() { n.reloadCRLs(work) })
	if ready != nil {
		ready()
	}
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	stopTaking()
	grace, cancel := context.WithTimeout(context.Background(), shutdownWait)
	defer cancel()
	var closing sync.WaitGroup // ends with grace at the latest
	for _, s := range servers {
		closing.Go(func() {
			if serr := s.proto.Shutdown(grace); serr != nil {
				n.log.Warn("listener stopped hard", "service", s.name, "error", serr)
			}
		})
	}
	closing.Wait()
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

// crlPoll is how soon a newly published revocation list is used: the delay is
// to be small (RFC 6109 §2.2.2), reading the files is cheap.
const crlPoll = time.Minute

func (n *node) reloadCRLs(ctx context.Context) {
	for ctx.Err() == nil {
		timer, stop := n.clock.After(crlPoll)
		select {
		case <-ctx.Done():
		case <-timer:
			if err := n.crls.Reload(); err != nil {
				n.log.Error("revocation lists not reloaded, the old ones stay in use", "error", err)
			}
		}
		stop()
	}
}

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
	guesses := directory.NewGuesses(n.clock) // one count for whoever tries passwords, by whatever door
	mail := smtp.ServerConfig{
		Hostname: c.Hostname, TLS: n.tlsCert.config(), Clock: n.clock, Logger: n.log, MaxMessage: c.Limits.MessageBytes,
		MaxRecipients: c.Limits.Recipients, MaxConns: c.Limits.Connections, MaxConnsPerIP: c.Limits.ConnectionsPerIP,
		Guesses: guesses,
	}
	exchange := mail // another provider's users have our limit too, and their envelopes weigh more
	exchange.MaxMessage += envelopeAllowance
	box := imap.Config{
		Store: n.store, Directory: n.users, Clock: n.clock, Logger: n.log, TLS: n.tlsCert.config(),
		MaxConns: c.Limits.Connections, MaxConnsPerIP: c.Limits.ConnectionsPerIP, AppendLimit: c.Limits.MessageBytes,
		Guesses: guesses,
	}
	access := &pipeline.Access{Core: n.core}
	incoming := &pipeline.Incoming{Core: n.core}
	logins := submitters{n.users}
	for _, s := range []struct {
		name, address string
		implicit      bool
		proto         func() server
	}{
		{"submission", c.Listen.Submission, false, func() server { return smtp.NewSubmission(mail, logins, access) }},
		{"smtps", c.Listen.SMTPS, true, func() server { return smtp.NewSubmission(mail, logins, access) }},
		{"mx", c.Listen.MX, false, func() server { return smtp.NewMX(exchange, incoming) }},
		{"imap", c.Listen.IMAP, false, func() server { return imap.NewServer(box) }},
		{"imaps", c.Listen.IMAPS, true, func() server { return imap.NewServer(box) }},
		{"http", c.Listen.HTTP, false, func() server { return newHTTPServer(n.publicHandler()) }},
		{"metrics", c.Listen.Metrics, false, func() server { return newHTTPServer(n.metricsHandler()) }},
	} {
		if s.address == "" {
			continue
		}
		l, err := net.Listen("tcp", s.address)
		if err != nil {
			return out, fmt.Errorf("listen.%s: %w", s.name, err)
		}
		out = append(out, listening{s.name, s.proto(), l, s.implicit})
	}
	l, err := n.listenAdmin()
	if err != nil {
		return out, fmt.Errorf("admin socket: %w", err)
	}
	return append(out, listening{"admin", newHTTPServer(n.adminHandler()), l, false}), nil
}

func (n *node) workers() []*pipeline.Worker {
	deliver := n.cfg.Limits.DeliveryWorkers
	if deliver <= 0 {
		deliver = 2 * runtime.NumCPU()
	}
	dp := pipeline.NewDeliveryPoint(n.core)
	rp := pipeline.NewRelayPoint(n.core, n.relay)
	worker := func(kind string, parallel, perLane int, do func(context.Context, storage.Job) error) *pipeline.Worker {
		return &pipeline.Worker{Kind: kind, Store: n.store, Clock: n.clock, Logger: n.log, Parallel: parallel, PerLane: perLane, Do: do}
	}
	return []*pipeline.Worker{
		worker(pipeline.JobDeliver, deliver, 0, dp.Deliver),
		worker(pipeline.JobRelay, n.cfg.Limits.RelayWorkers, n.cfg.Limits.RelayPerDomain, rp.Relay),
	}
}

// httpServer lets net/http's server be one of the listeners.
type httpServer struct{ http.Server }

func newHTTPServer(h http.Handler) *httpServer {
	return &httpServer{http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: 5 * time.Minute, MaxHeaderBytes: 64 << 10,
	}}
}

// Serve implements server; these listeners speak cleartext.
func (s *httpServer) Serve(_ context.Context, l net.Listener, _ bool) error {
	if err := s.Server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
