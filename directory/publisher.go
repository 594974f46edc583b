// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"pecd/clock"
	"pecd/fault"
)

// publishPoll is how often Run looks whether there is something new to publish.
const publishPoll = time.Minute

// PublisherConfig says what a provider publishes of itself.
type PublisherConfig struct {
	// Environments returns our records without their domains, the main
	// environment first: every certificate in use and the next one already (RFC
	// 6109 §4.5: renewals overlap), the address of the service mailbox, and for
	// the main environment where the file is published.
	Environments func(ctx context.Context) ([]Provider, error)
	// Domains returns the certified domains of an environment, "" for the main
	// one, in any order and case.
	Domains func(ctx context.Context, unit string) ([]string, error)
	// Sign writes content to w as an opaque CMS SignedData in DER with the
	// signer's certificate inside (RFC 6109 §4.5).
	Sign func(ctx context.Context, w io.Writer, content []byte) error

	Every time.Duration // after which an unchanged record is signed again, 0: a day
	// RequireClientCertificate refuses whoever did not show a certificate that
	// the listener verified (RFC 6109 §5.6).
	RequireClientCertificate bool

	Clock clock.Clock
	Log   *slog.Logger
}

// Publisher keeps our own record, signed, and serves it over HTTP (see
// ServeHTTP). Methods may be called concurrently.
type Publisher struct {
	cfg     PublisherConfig
	current atomic.Pointer[publication] // nil before the first

	mu sync.Mutex // one Refresh at a time
}

// publication is one signed version of our record.
type publication struct {
	records []Provider
	ldif    []byte
	p7m     []byte
	etag    string
	at      time.Time
}

// NewPublisher returns a publisher that has nothing to serve before Refresh or
// Run. An error, of kind Invalid, names what is missing.
func NewPublisher(cfg PublisherConfig) (*Publisher, error) {
	if cfg.Environments == nil || cfg.Domains == nil || cfg.Sign == nil || cfg.Clock == nil || cfg.Log == nil || cfg.Every < 0 {
		return nil, fault.New("directory.NewPublisher", fault.Invalid, errors.New("one of Environments, Domains, Sign, Clock, Log is missing, or Every is negative"))
	}
	if cfg.Every == 0 {
		cfg.Every = defaultEvery
	}
	return &Publisher{cfg: cfg}, nil
}

// Records returns our records as they are published, nil before the first time.
// They must not be changed.
func (p *Publisher) Records() []Provider {
	if now := p.current.Load(); now != nil {
		return now.records
	}
	return nil
}

// Refresh signs and publishes our record when it changed, or was signed long
// enough ago. On an error what was published before stays.
func (p *Publisher) Refresh(ctx context.Context) error {
	const op = "directory.Publish"
	p.mu.Lock()
	defer p.mu.Unlock()
	records, err := p.collect(ctx)
	if err != nil {
		return fault.Wrap(op, err)
	}
	ldif, err := ownLDIF(records)
	if err != nil {
		return &fault.Error{Op: op, Kind: fault.Invalid, Err: err, Text: fmt.Sprintf(
			"il nostro record dell'indice non è pubblicabile: %[1]v / our own index record cannot be published: %[1]v", err)}
	}
	now := p.cfg.Clock.Now()
	if old := p.current.Load(); old != nil && bytes.Equal(old.ldif, ldif) && now.Before(old.at.Add(p.cfg.Every)) && !now.Before(old.at) {
		return nil
	}
	var p7m bytes.Buffer
	if err := p.cfg.Sign(ctx, &p7m, ldif); err != nil {
		return fault.Wrap(op, err)
	}
	if p7m.Len() == 0 {
		return fault.New(op, fault.Internal, errors.New("the signature is empty"))
	}
	p.current.Store(&publication{records, ldif, p7m.Bytes(), `"` + digestOf(p7m.Bytes()) + `"`, now})
	p.cfg.Log.Info("own index record published", "environments", len(records), "domains", len(domainsOf(records)),
		"certificates", len(certificatesOf(records)), "octets", p7m.Len())
	return nil
}

// collect returns our records, domains included, in an order that does not
// change from one time to the next.
func (p *Publisher) collect(ctx context.Context) ([]Provider, error) {
	const op = "directory.collect"
	environments, err := p.cfg.Environments(ctx)
	if err != nil {
		return nil, fault.Wrap(op, err)
	}
	records := slices.Clone(environments)
	for i := range records {
		r := &records[i]
		names, err := p.cfg.Domains(ctx, r.Unit)
		if err != nil {
			return nil, fault.Wrap(op, err)
		}
		r.Domains = make([]string, 0, len(names))
		for _, name := range names {
			d, ok := indexDomain(name)
			if !ok {
				return nil, fault.New(op, fault.Invalid, fmt.Errorf("%.80q is no domain", name))
			}
			r.Domains = append(r.Domains, d)
		}
		slices.Sort(r.Domains)
		r.Domains = slices.Compact(r.Domains)
	}
	return records, nil
}

// ownLDIF writes our records, once they read as an index without any oddity:
// what ReadLDIF only warns of in the records of others is an error in our own.
func ownLDIF(records []Provider) ([]byte, error) {
	if len(records) == 0 || records[0].Unit != "" {
		return nil, errors.New("the main environment does not come first")
	}
	main := records[0]
	if !strings.HasPrefix(strings.ToLower(main.LDIFLocationURL), "https://") {
		return nil, fmt.Errorf("LDIFLocationURL %.200q is no https address", main.LDIFLocationURL)
	}
	for _, r := range records[1:] {
		switch {
		case nameKey(r.Name) != nameKey(main.Name):
			return nil, fmt.Errorf("environment %.80q is of another provider, %.80q", r.Unit, r.Name)
		case r.LDIFLocationURL != "":
			return nil, fmt.Errorf("secondary environment %.80q has an LDIFLocationURL (RFC 6109 §4.5.6)", r.Unit)
		}
	}
	var whole, own bytes.Buffer
	if err := WriteLDIF(&whole, RootEntry{LDIFLocationURL: main.LDIFLocationURL}, records); err != nil {
		return nil, err
	}
	x, err := ReadLDIF(&whole)
	if err != nil {
		return nil, err
	}
	if w := x.Warnings(); len(w) > 0 {
		return nil, errors.New(strings.Join(w, "; "))
	}
	if err := writeRecords(&own, records); err != nil {
		return nil, err
	}
	return own.Bytes(), nil
}

// Run publishes our record and keeps it fresh until ctx ends. An error is logged
// when it is news.
func (p *Publisher) Run(ctx context.Context) {
	told := ""
	for {
		text := ""
		if err := p.Refresh(ctx); err != nil && ctx.Err() == nil {
			if text = err.Error(); text != told {
				p.cfg.Log.Error("own index record not published, what was published before stays", "err", err)
			}
		}
		told = text
		tick, stop := p.cfg.Clock.After(publishPoll)
		select {
		case <-ctx.Done():
			stop()
			return
		case <-tick:
		}
	}
}
