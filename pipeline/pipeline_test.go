// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
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
	t         testing.TB
	clock     *clock.Manual
	ca        *pki.CA
	providers map[string]*provider // by domain
	index     *directory.Index
	mu        sync.Mutex
	outside   []pipeline.Dispatch // what went to ordinary servers
	answers   map[string]error    // by ordinary recipient
	broken    map[string]bool     // domains that cannot be reached
	replies   map[string]error    // domains that answer, and do not take the message
	attempts  map[string]int      // by domain
	stuck     map[string]bool     // kinds of jobs that nobody does, as "alfa.example deliver"
	broke     map[string]bool     // own mailboxes that cannot be looked up
	end       ending
	ended     map[string]bool   // jobs whose end was disturbed
	reads     map[string]string // the folder that inbox reads, by address; INBOX where there is none
}

type provider struct {
	w        *world
	domain   string
	dir      string // of the store
	store    *sqlite.Store
	shaky    *shaky // what the points see of it
	users    *directory.Directory
	core     *pipeline.Core
	access   *pipeline.Access
	incoming *pipeline.Incoming
	identity signer.Identity

	deliveries *pipeline.DeliveryPoint
	relays     *pipeline.RelayPoint
	deadlines  *pipeline.Deadlines
	forwards   *pipeline.ForwardPoint

	dress func(*pipeline.Core) // a test's own, at each start; nil: nothing
}

const midnight = "2026-06-03T10:15:05+02:00"

func newWorld(t testing.TB) *world {
	t.Helper()
	start, err := time.Parse(time.RFC3339, midnight)
	check(t, err)
	w := &world{
		t: t, clock: clock.NewManual(start), providers: make(map[string]*provider),
		answers: make(map[string]error), broken: make(map[string]bool), replies: make(map[string]error),
		attempts: make(map[string]int), stuck: make(map[string]bool), broke: make(map[string]bool), ended: make(map[string]bool),
		reads: make(map[string]string),
	}
	keys, err := identities()
	check(t, err)
	w.ca = keys.ca
	var entries []directory.Provider
	for _, d := range []string{"alfa.example", "beta.example"} {
		p := &provider{w: w, domain: d, dir: t.TempDir(), identity: keys.of[d]}
		w.providers[d] = p
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
		p.settle(t)
		t.Cleanup(func() { check(t, p.store.Close()) })
	}
	return w
}

// settled are the stores of providers with their mailboxes, as files: to make
// one takes longer than most tests.
var settled = struct {
	mu    sync.Mutex
	files map[string]map[string][]byte // by domain
}{files: make(map[string]map[string][]byte)}

// settle opens the provider's store with its domain and mailboxes in it.
func (p *provider) settle(t testing.TB) {
	t.Helper()
	settled.mu.Lock()
	defer settled.mu.Unlock()
	files := settled.files[p.domain]
	if files == nil {
		p.open(t)
		p.populate(t)
		check(t, p.store.Close())
		files = make(map[string][]byte)
		check(t, fs.WalkDir(os.DirFS(p.dir), ".", func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				files[path], err = os.ReadFile(filepath.Join(p.dir, path))
			}
			return err
		}))
		settled.files[p.domain] = files
		p.dir = t.TempDir()
	}
	for path, data := range files {
		to := filepath.Join(p.dir, path)
		check(t, os.MkdirAll(filepath.Dir(to), 0o700))
		check(t, os.WriteFile(to, data, 0o600))
	}
	p.open(t)
}

// keyring is the keys of all worlds: making them takes longer than most tests.
type keyring struct {
	ca *pki.CA
	of map[string]signer.Identity // by domain
}

var identities = sync.OnceValues(func() (k keyring, err error) {
	start, err := time.Parse(time.RFC3339, midnight)
	if err != nil {
		return k, err
	}
	k.of = make(map[string]signer.Identity)
	if k.ca, err = pki.NewCA("test CA", start); err != nil {
		return k, err
	}
	for _, d := range []string{"alfa.example", "beta.example"} {
		if k.of[d], err = k.ca.IssueSigner("Gestore "+d, "posta-certificata@"+d); err != nil {
			return k, err
		}
	}
	return k, nil
})

type certified struct{ *directory.Index }

func (c certified) Certified(domain string) bool {
	_, ok := c.ProviderOfDomain(domain)
	return ok
}

type boxes struct {
	*directory.Directory
	store storage.Store
	broke map[string]bool
}

func (b boxes) Mailbox(ctx context.Context, address string) (storage.Mailbox, error) {
	if b.broke[address] {
		return storage.Mailbox{}, fault.New("test", fault.Temporary, nil)
	}
	return b.Directory.Mailbox(ctx, address)
}

func (b boxes) MaySend(ctx context.Context, login, address string) (bool, error) {
	g, err := b.store.Grants(ctx, login)
	return directory.Principal{Login: login, Grants: g}.MaySendAs(address), err
}

// open opens the provider's store and builds its points, as a node that starts.
func (p *provider) open(t testing.TB) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	st, err := sqlite.Open(context.Background(), p.dir, sqlite.Options{Clock: p.w.clock, Logger: log})
	check(t, err)
	p.store, p.shaky, p.users = st, &shaky{Store: st}, directory.New(st, p.w.clock)
	rome, err := time.LoadLocation("Europe/Rome")
	check(t, err)
	sign, err := signer.New(p.identity, "Gestore "+p.domain, "posta-certificata@"+p.domain, p.w.clock)
	check(t, err)
	p.core = &pipeline.Core{
		Store: p.shaky, Mailboxes: boxes{p.users, st, p.w.broke}, Providers: certified{p.w.index}, Signer: sign,
		Verifier: signer.NewVerifier(signer.VerifierConfig{Roots: []*x509.Certificate{p.w.ca.Certificate()}, Origins: p.w.index, AllowSHA1Digests: true}),
		Builder: pec.Builder{
			Provider: pec.Provider{Name: "Gestore " + p.domain, Domain: p.domain, ServiceAddress: "posta-certificata@" + p.domain},
			Location: rome,
		},
		Clock: p.w.clock, Logger: log, Hostname: "mail." + p.domain, MailReceipt: "ricevute@" + p.domain, MaxMessage: 104857600,
		Scripts: p.users, NoticesFrom: "avvisi@" + p.domain,
	}
	if p.dress != nil {
		p.dress(p.core)
	}
	p.incoming = &pipeline.Incoming{Core: p.core}
	p.deliveries, p.relays, p.deadlines = pipeline.NewDeliveryPoint(p.core), pipeline.NewRelayPoint(p.core, p.w), &pipeline.Deadlines{Core: p.core}
	p.forwards = pipeline.NewForwardPoint(p.core)
	p.access = &pipeline.Access{Core: p.core, Delivery: p.deliveries}
}

// populate creates the domain and its mailboxes.
func (p *provider) populate(t testing.TB) {
	t.Helper()
	ctx := context.Background()
	check(t, p.users.Seed(ctx))
	check(t, p.users.CreateDomain(ctx, p.domain, storage.DomainCertified))
	var all []directory.NewMailbox
	for _, local := range []string{"anna", "bruno", "carla", "ricevute", "chiusa", "spenta"} {
		all = append(all, directory.NewMailbox{
			Address: local + "@" + p.domain, Tier: "standard", Ordinary: local != "chiusa", Service: local == "ricevute",
			User: &directory.NewUser{Hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"},
		})
	}
	check(t, p.users.CreateMailboxes(ctx, all))
	check(t, p.users.SetMailboxState(ctx, "spenta@"+p.domain, storage.MailboxBlocked))
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
	row storage.Message
	rec *pec.Recognised
	msg *rfc822.Message
}

func (g got) original() string {
	if g.rec.Original == nil {
		return ""
	}
	return string(g.raw[g.rec.Original.BodyOffset:g.rec.Original.End])
}

// inbox reads INBOX of a mailbox, or what is read in its place.
func (w *world) inbox(address string) []got {
	w.t.Helper()
	name, ok := w.reads[address]
	if !ok {
		name = "INBOX"
	}
	return w.folder(address, name)
}

// folder reads a folder; every message in it that is signed must verify. One that
// is not there is empty.
func (w *world) folder(address, name string) []got {
	w.t.Helper()
	ctx := context.Background()
	p := w.at(address)
	box, err := p.store.Mailbox(ctx, address)
	check(w.t, err)
	folder, err := p.store.Folder(ctx, box.ID, name)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	check(w.t, err)
	var out []got
	check(w.t, p.store.Messages(ctx, folder.ID, 1, 0, func(m storage.Message) error {
		b, err := p.store.OpenBody(ctx, m.Body)
		if err != nil {
			return err
		}
		defer b.Close()
		g := got{raw: make([]byte, b.Size()), row: m}
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

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func message(from, to, extra, body string) string {
	return fmt.Sprintf("From: %s\r\nTo: %s\r\nSubject: =?UTF-8?Q?Citt=C3=A0?=\r\nDate: Wed, 03 Jun 2026 10:15:00 +0200\r\nMessage-ID: <m1@client.example>\r\n%s\r\n%s", from, to, extra, body)
}
