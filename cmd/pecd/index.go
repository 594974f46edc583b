// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"pecd/directory"
	"pecd/fault"
	"pecd/ledger"
	"pecd/signer"
	"pecd/storage"
)

// openIndexFunc verifies a signed index.
type openIndexFunc func(p7m []byte) (directory.SignedIndex, error)

// indexOpener verifies against the authorities of the index. Where the policy
// wants a revocation list that is not there, the directory decides (ADR 0008 §6).
func (n *node) indexOpener(authorities []*x509.Certificate) openIndexFunc {
	cfg := signer.VerifierConfig{Roots: authorities, CRLs: n.crls, AllowSHA1Digests: true, AllowSHA1: true}
	listsThere := signer.NewVerifier(cfg)
	cfg.Revocation = n.cfg.Trust.policy()
	listsWanted := signer.NewVerifier(cfg)
	return func(p7m []byte) (directory.SignedIndex, error) {
		now := n.clock.Now()
		var unknown error
		o, err := listsWanted.OpenSigned(p7m, maxIndex, now)
		if fault.Is(err, fault.Temporary) {
			unknown = err
			o, err = listsThere.OpenSigned(p7m, maxIndex, now)
		}
		if err != nil {
			return directory.SignedIndex{}, err
		}
		return directory.SignedIndex{LDIF: o.Content, SignedAt: o.SignedAt, By: o.By, Unknown: unknown}, nil
	}
}

// openIndex opens the provider index: the file, or what is fetched over HTTPS
// and kept in the file (ADR 0008 §3).
func (n *node) openIndex(ctx context.Context, open openIndexFunc) (err error) {
	if n.cfg.Index.URL == "" {
		n.index, err = directory.NewLiveIndex(n.cfg.path(n.cfg.Index.File), open, n.log, n.clock)
		return err
	}
	if err := n.openFetcher(open); err != nil {
		return err
	}
	n.index, err = n.fetcher.First(ctx)
	return err
}

// openFetcher makes what fetches the index.
func (n *node) openFetcher(open openIndexFunc) error {
	c := n.cfg.Index
	tlsConfig, err := n.indexTLS()
	if err != nil {
		return err
	}
	cfg := directory.FetcherConfig{
		URL: c.URL, File: n.cfg.path(c.File), TLS: tlsConfig, Open: open, Every: c.Refresh, StaleAfter: c.StaleAfter,
		MaxSignedAge: c.MaxSignedAge,
		Loaded:       n.indexLoaded, Alarms: n.alarms, Clock: n.clock, Log: n.log,
	}
	if !c.Unlisted {
		cfg.Own = n.cfg.Provider.Name
	}
	if n.cfg.Publish.Path != "" {
		cfg.OwnRecord = func() []directory.Provider {
			if n.publisher == nil {
				return nil // the store, and with it our domains, is not open yet
			}
			return n.publisher.Records()
		}
	}
	n.fetcher, err = directory.NewFetcher(cfg)
	return err
}

// indexTLS is how the index server is reached (RFC 6109 §5.6).
func (n *node) indexTLS() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if f := n.cfg.Index.TLSAuthorities; f != "" {
		pool, err := certPool(n.cfg.path(f))
		if err != nil {
			return nil, fmt.Errorf("index.tls_authorities: %w", err)
		}
		c.RootCAs = pool
	}
	if f := n.cfg.Index.ClientCertificate; f != "" {
		pair, err := tls.LoadX509KeyPair(n.cfg.path(f), n.cfg.path(n.cfg.Index.ClientKey))
		if err != nil {
			return nil, fmt.Errorf("index.client_certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// certPool reads the authorities of a TLS peer.
func certPool(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("no certificate in %s", file)
	}
	return pool, nil
}

// errNoStore is why a record cannot be written yet.
var errNoStore = errors.New("the store is not open")

// indexLoaded writes to the log that another index is in use. After an error it
// is called again.
func (n *node) indexLoaded(ctx context.Context, s directory.Summary) error {
	if n.store == nil {
		return errNoStore
	}
	e := ledger.Event{At: n.clock.Now(), Kind: ledger.IndexLoaded, Messages: int64(s.Providers), Detail: fmt.Sprintf(
		"%d gestori, %d domini, %d certificati; SHA-256 %s; a mano / by hand: %v", s.Providers, s.Domains, s.Certificates, s.SHA256, s.ByHand)}
	return n.store.Commit(ctx, new(storage.Step).Add(recordOf(e)))
}

// openPublisher makes our own record of the index (RFC 6109 §4.5.6).
func (n *node) openPublisher() (err error) {
	c := n.cfg.Publish
	if c.Path == "" {
		return nil
	}
	next, err := n.certificatesIn(c.NextCertificates)
	if err != nil {
		return fmt.Errorf("publish.next_certificates: %w", err)
	}
	main := directory.Provider{
		Name: n.cfg.Provider.Name, MailReceipt: n.cfg.Provider.MailReceipt, LDIFLocationURL: c.URL,
		Certificates: append([][]byte{n.signer.Certificate().Raw}, next...),
	}
	environments := []directory.Provider{main}
	domains := map[string][]string{}
	for _, u := range c.Units {
		certs, err := n.certificatesIn(u.Certificates)
		if err != nil || u.Name == "" {
			return fmt.Errorf("publish.units %q: %w", u.Name, errors.Join(err, errors.New("name, mail_receipt, certificates and domains are needed")))
		}
		environments = append(environments, directory.Provider{Name: main.Name, Unit: u.Name, MailReceipt: u.MailReceipt, Certificates: certs})
		domains[u.Name] = u.Domains
	}
	n.publisher, err = directory.NewPublisher(directory.PublisherConfig{
		Environments: func(context.Context) ([]directory.Provider, error) { return environments, nil },
		Domains: func(ctx context.Context, unit string) ([]string, error) {
			if unit != "" {
				return domains[unit], nil
			}
			return n.certifiedDomains(ctx, c.Units)
		},
		Sign: func(ctx context.Context, w io.Writer, content []byte) error {
			return n.signer.SignOpaque(ctx, w, bytes.NewReader(content), int64(len(content)), n.clock.Now())
		},
		RequireClientCertificate: c.ClientAuthority != "", Clock: n.clock, Log: n.log,
	})
	return err
}

func (n *node) certificatesIn(files []string) (all [][]byte, err error) {
	for _, f := range files {
		certs, err := signer.LoadCertificates(n.cfg.path(f))
		if err != nil {
			return nil, err
		}
		all = append(all, certs[0].Raw)
	}
	return all, nil
}

// certifiedDomains are those of the main environment: the store's, without what
// secondary ones manage, and the domain of the service address.
func (n *node) certifiedDomains(ctx context.Context, units []UnitConfig) ([]string, error) {
	all, err := n.store.Domains(ctx)
	if err != nil {
		return nil, err
	}
	elsewhere := make(map[string]bool)
	for _, u := range units {
		for _, d := range u.Domains {
			elsewhere[strings.ToLower(d)] = true
		}
	}
	service := strings.ToLower(n.cfg.Provider.Domain)
	out := []string{service}
	for _, d := range all {
		if d.State == storage.DomainCertified && d.Name != service && !elsewhere[d.Name] {
			out = append(out, d.Name)
		}
	}
	return out, nil
}
