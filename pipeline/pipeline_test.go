// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"pecd/clock"
	"pecd/directory"
	"pecd/fault"
	"pecd/pec"
	"pecd/pipeline"
	"pecd/rfc822"
	"pecd/signer"
	"pecd/signer/pki"
	"pecd/storage"
	"pecd/storage/sqlite"
)

// world is two providers that hand each other messages without a network.
type world struct {
	t         *testing.T
	clock     *clock.Manual
	ca        *pki.CA
	providers map[string]*provider // by domain
	index     *directory.Index
	mu        sync.Mutex
	outside   []pipeline.Dispatch // what went to ordinary servers
	answers   map[string]error    // by ordinary recipient
	broken    map[string]bool     // domains that do not answer
}

type provider struct {
	w        *world
	domain   string
	store    *sqlite.Store
	dir      *directory.Directory
	core     *pipeline.Core
	access   *pipeline.Access
	incoming *pipeline.Incoming
	identity signer.Identity
}

const midnight = "2026-06-03T10:15:05+02:00"

func newWorld(t *testing.T) *world {
	t.Helper()
	start, err := time.Parse(time.RFC3339, midnight)
	check(t, err)
	w := &world{
		t: t, clock: clock.NewManual(start), providers: make(map[string]*provider),
		answers: make(map[string]error), broken: make(map[string]bool),
	}
	w.ca, err = pki.NewCA("test CA", start)
	check(t, err)
	var entries []directory.Provider
	for _, d := range []string{"alfa.example", "beta.example"} {
		p := &provider{w: w, domain: d}
		w.providers[d] = p
		p.identity, err = w.ca.IssueSigner("Gestore "+d, "posta-certificata@"+d)
		check(t, err)
		entries = append(entries, directory.Provider{
			Name: "Gestore " + d, MailReceipt: "ricevute@" + d,
			Certificates: [][]byte{p.identity.Certificate.Raw}, Domains: []string{d},
		})
	}
	var ldif bytes.Buffer
	check(t, directory.WriteLDIF(&ldif, directory.RootEntry{Description: "test"}, entries))
	w.index, err = directory.ReadLDIF(&ldif)
	check(t, err)
	for _, p := range w.providers {
		p.open(t)
	}
	return w
}

type certified struct{ *directory.Index }

func (c certified) Certified(domain string) bool {
	_, ok := c.ProviderOfDomain(domain)
	return ok
}

type boxes struct {
	*directory.Directory
	store storage.Store
}

func (b boxes) MaySend(ctx context.Context, login, address string) (bool, error) {
	g, err := b.store.Grants(ctx, login)
	return directory.Principal{Login: login, Grants: g}.MaySendAs(address), err
}

func (p *provider) open(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	log := slog.New(slog.DiscardHandler)
	st, err := sqlite.Open(ctx, t.TempDir(), sqlite.Options{Clock: p.w.clock, Logger: log})
	check(t, err)
	t.Cleanup(func() { check(t, st.Close()) })
	p.store, p.dir = st, directory.New(st, p.w.clock)
	check(t, p.dir.Seed(ctx))
	check(t, p.dir.CreateDomain(ctx, p.domain, storage.DomainCertified))
	var all []directory.NewMailbox
	for _, local := range []string{"anna", "bruno", "carla", "ricevute", "chiusa", "spenta"} {
		all = append(all, directory.NewMailbox{
			Address: local + "@" + p.domain, Tier: "standard", Ordinary: local != "chiusa", Service: local == "ricevute",
			User: &directory.NewUser{Hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"},
		})
	}
	check(t, p.dir.CreateMailboxes(ctx, all))
	check(t, p.dir.SetMailboxState(ctx, "spenta@"+p.domain, storage.MailboxBlocked))
	rome, err := time.LoadLocation("Europe/Rome")
	check(t, err)
	sign, err := signer.New(p.identity, "Gestore "+p.domain, "posta-certificata@"+p.domain, p.w.clock)
	check(t, err)
	p.core = &pipeline.Core{
		Store: st, Mailboxes: boxes{p.dir, st}, Providers: certified{p.w.index}, Signer: sign,
		Verifier: signer.NewVerifier(signer.VerifierConfig{Roots: []*x509.Certificate{p.w.ca.Certificate()}, Origins: p.w.index, AllowSHA1Digests: true}),
		Builder: pec.Builder{
			Provider: pec.Provider{Name: "Gestore " + p.domain, Domain: p.domain, ServiceAddress: "posta-certificata@" + p.domain},
			Location: rome,
		},
		Clock: p.w.clock, Logger: log, Hostname: "mail." + p.domain, MailReceipt: "ricevute@" + p.domain, MaxMessage: 104857600,
	}
	p.access, p.incoming = &pipeline.Access{Core: p.core}, &pipeline.Incoming{Core: p.core}
}

// Send implements pipeline.Carrier: straight into the other provider.
func (w *world) Send(ctx context.Context, d pipeline.Dispatch) []pipeline.RecipientResult {
	w.mu.Lock()
	broken := w.broken[d.Domain]
	w.mu.Unlock()
	var err error
	if p := w.providers[d.Domain]; broken {
		err = fault.Say("test", fault.Temporary, "no answer")
	} else if p != nil {
		_, err = p.incoming.Receive(ctx, pipeline.Arrival{
			Sender: d.Sender, Recipients: d.Recipients, Peer: pipeline.Peer{Helo: "mail.other.example", Remote: "192.0.2.1", TLS: "TLSv1.3"},
		}, io.NewSectionReader(d.Body, 0, d.Size))
	} else {
		w.mu.Lock()
		b := make([]byte, d.Size)
		d.Body.ReadAt(b, 0)
		d.Body = bytes.NewReader(b)
		w.outside = append(w.outside, d)
		err = w.answers[d.Recipients[0]]
		w.mu.Unlock()
	}
	out := make([]pipeline.RecipientResult, len(d.Recipients))
	for i, r := range d.Recipients {
		out[i] = pipeline.RecipientResult{Recipient: r, Err: err, Reply: "test"}
	}
	return out
}

// settle does every job that is due until none is left.
func (w *world) settle() {
	w.t.Helper()
	ctx := context.Background()
	for busy := true; busy; {
		busy = false
		for _, p := range w.providers {
			dp, rp := pipeline.NewDeliveryPoint(p.core), pipeline.NewRelayPoint(p.core, w)
			for kind, do := range map[string]func(context.Context, storage.Job) error{pipeline.JobDeliver: dp.Deliver, pipeline.JobRelay: rp.Relay} {
				jobs, err := p.store.TakeDue(ctx, kind, w.clock.Now(), 100, 0)
				check(w.t, err)
				for _, j := range jobs {
					busy = true
					check(w.t, do(ctx, j))
				}
			}
		}
	}
}

func (w *world) at(address string) *provider {
	return w.providers[address[strings.IndexByte(address, '@')+1:]]
}

// submit hands a message in as its sender would.
func (w *world) submit(from string, to []string, message string) string {
	w.t.Helper()
	text, err := w.at(from).access.Submit(context.Background(), pipeline.Submission{
		Login: from, Sender: from, Recipients: to, Peer: pipeline.Peer{Helo: "client", Remote: "192.0.2.9", TLS: "TLSv1.3"},
	}, strings.NewReader(message))
	check(w.t, err)
	return text
}

// got is a message in a mailbox, read as PEC message.
type got struct {
	raw []byte
	rec *pec.Recognised
	msg *rfc822.Message
}

func (g got) original() string {
	if g.rec.Original == nil {
		return ""
	}
	return string(g.raw[g.rec.Original.BodyOffset:g.rec.Original.End])
}

// inbox reads a mailbox; every message in it that is signed must verify.
func (w *world) inbox(address string) []got {
	w.t.Helper()
	ctx := context.Background()
	p := w.at(address)
	box, err := p.store.Mailbox(ctx, address)
	check(w.t, err)
	inbox, err := p.store.Folder(ctx, box.ID, "INBOX")
	check(w.t, err)
	var out []got
	check(w.t, p.store.Messages(ctx, inbox.ID, 1, 0, func(m storage.Message) error {
		b, err := p.store.OpenBody(ctx, m.Body)
		if err != nil {
			return err
		}
		defer b.Close()
		g := got{raw: make([]byte, b.Size())}
		if _, err := io.ReadFull(io.NewSectionReader(b, 0, b.Size()), g.raw); err != nil {
			return err
		}
		s := rfc822.NewScanner(rfc822.DefaultLimits())
		s.Write(g.raw)
		g.msg = s.Finish()
		g.rec, err = pec.Recognise(g.msg, bytes.NewReader(g.raw))
		if err == nil && g.rec.Signed != nil {
			v := p.core.Verifier.Verify(g.rec.Signature, bytes.NewReader(g.raw[g.rec.Signed.Offset:g.rec.Signed.End]), w.clock.Now(), g.rec.From)
			if !v.OK() {
				w.t.Errorf("%s: %v: signature: %s %s", address, g.rec.Kind, v.Failed, v.ReasonEN)
			}
		}
		out = append(out, g)
		return err
	}))
	return out
}

func (w *world) kinds(address string) string {
	w.t.Helper()
	var k []string
	for _, g := range w.inbox(address) {
		k = append(k, g.rec.Kind.String())
	}
	return strings.Join(k, " ")
}

func (w *world) want(address, kinds string) {
	w.t.Helper()
	if k := w.kinds(address); k != kinds {
		w.t.Errorf("%s has %q, want %q", address, k, kinds)
	}
}

func (w *world) clean() {
	w.t.Helper()
	for d, p := range w.providers {
		check(w.t, p.store.Check(context.Background(), func(pr storage.Problem) error {
			w.t.Errorf("%s: %s: %s", d, pr.Where, pr.What)
			return nil
		}))
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func message(from, to, extra, body string) string {
	return fmt.Sprintf("From: %s\r\nTo: %s\r\nSubject: =?UTF-8?Q?Citt=C3=A0?=\r\nDate: Wed, 03 Jun 2026 10:15:00 +0200\r\nMessage-ID: <m1@client.example>\r\n%s\r\n%s", from, to, extra, body)
}
