// SPDX-License-Identifier: EUPL-1.2

package oracle

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"pecd/directory"
	"pecd/fault"
	"pecd/pec"
	"pecd/pipeline"
	"pecd/signer"
	"pecd/storage"
	"pecd/storage/sqlite"
)

// locals are the mailboxes of every domain. Nobody has a mailbox "nessuno".
var locals = []string{"anna", "bruno", "carla", "dario", "chiusa", "spenta", "piena", "ricevute"}

// senders of them may send.
var senders = []string{"anna", "bruno", "carla", "dario", "chiusa"}

const tinyQuota = 60_000 // octets of the mailbox "piena"

// node is one provider: a store that stays, and the life of a process on it.
type node struct {
	w       *world
	index   int
	name    string
	domains []string
	dir     string
	random  io.Reader // of identifiers

	// The present life; nil while the node is down.
	store    *crashStore
	access   *pipeline.Access
	incoming *pipeline.Incoming
	do       map[string]func(context.Context, storage.Job) error
	queue    *pipeline.Queue
	sign     *flakySigner
	engine   *engine // outlives the process, as a daemon of its own does

	mode      crashMode // of the commit that comes when countdown is 0
	countdown int
	blind     bool                   // bodies cannot be read
	dirty     bool                   // something was committed since the oracle looked
	faults    atomic.Int64           // of the surroundings: commits and signatures that failed, crashes
	failures  int                    // jobs that failed in the present drain
	late      map[storage.JobID]bool // deadlines that failed, and are put off
	ran       []time.Time            // when everything due was done
	seen      seenStore
}

// boxes adds the grants to the directory, as the program's wiring does.
type boxes struct {
	*directory.Directory
	store storage.Store
}

func (b boxes) MaySend(ctx context.Context, login, address string) (bool, error) {
	g, err := b.store.Grants(ctx, login)
	return directory.Principal{Login: login, Grants: g}.MaySendAs(address), err
}

// flakySigner is a key whose hardware may be away.
type flakySigner struct {
	*signer.Signer
	n    *node
	away bool
}

func (f *flakySigner) Sign(ctx context.Context, sum [32]byte, at time.Time) ([]byte, error) {
	if f.away {
		f.n.faults.Add(1)
		return nil, fault.New("oracle.Sign", fault.Temporary, errors.New("the key is not at hand"))
	}
	return f.Signer.Sign(ctx, sum, at)
}

// randomReader gives the octets of a seeded generator.
type randomReader struct{ *rand.Rand }

func (r randomReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return len(p), nil
}

// start begins a life of the node on its directory.
func (n *node) start() {
	t := n.w.t
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	st, err := sqlite.Open(context.Background(), n.dir, sqlite.Options{Clock: n.w.clock, Logger: log, InlineLimit: 4096, SpoolMemory: 8192})
	if err != nil {
		t.Fatalf("%s does not start: %v", n.name, err)
	}
	n.store = &crashStore{Store: st, n: n}
	s, err := signer.New(n.w.authority.identities[n.index], n.name, serviceAddress(n.domains), n.w.clock)
	if err != nil {
		t.Fatal(err)
	}
	rome, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Fatal(err)
	}
	n.sign = &flakySigner{Signer: s, n: n}
	core := &pipeline.Core{
		Store: n.store, Mailboxes: boxes{directory.New(n.store, n.w.clock), n.store}, Providers: n.w.authority, Signer: n.sign,
		Verifier: signer.NewVerifier(signer.VerifierConfig{Roots: []*x509.Certificate{n.w.authority.ca.Certificate()}, Origins: n.w.authority.index}),
		Builder: pec.Builder{
			Provider: pec.Provider{Name: n.name, Domain: n.domains[0], ServiceAddress: serviceAddress(n.domains)},
			Location: rome, Secret: []byte("not foreseen by " + n.name),
		},
		Clock: n.w.clock, Logger: log, Hostname: "mail." + n.domains[0], MailReceipt: serviceMailbox(n.domains),
		MaxMessage: 1 << 20, Random: n.random, Scanner: n.engine, Vault: vault{},
	}
	delivery, relay := pipeline.NewDeliveryPoint(core), pipeline.NewRelayPoint(core, carrier{n})
	n.access, n.incoming = &pipeline.Access{Core: core, Delivery: delivery}, &pipeline.Incoming{Core: core}
	n.queue = pipeline.NewQueue(core, delivery, relay)
	n.do = map[string]func(context.Context, storage.Job) error{
		pipeline.JobDeliver: delivery.Deliver, pipeline.JobRelay: relay.Relay, pipeline.JobDeadline: (&pipeline.Deadlines{Core: core}).Deadline,
	}
	n.dirty = true
}

// stop ends the present life; whatever only it knew is gone.
func (n *node) stop() {
	n.w.t.Helper()
	if err := n.store.Store.Close(); err != nil {
		n.w.t.Fatalf("%s does not stop: %v", n.name, err)
	}
	n.store, n.access, n.incoming, n.do, n.queue, n.sign = nil, nil, nil, nil, nil, nil
	n.mode = noCrash
}

// furnish creates domains and mailboxes, once.
func (n *node) furnish() {
	t, ctx := n.w.t, context.Background()
	t.Helper()
	dir := directory.New(n.store, n.w.clock)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(dir.Seed(ctx))
	must(dir.SetTier(ctx, storage.Tier{Code: "tiny", Name: "Piccolissima", Figures: storage.Figures{
		QuotaBytes: tinyQuota, MaxPerDay: 100, MaxPerMinute: 10, MaxRecipients: 50, MaxMessage: 1 << 20, RecipientsPerMinute: 500, RecipientsPerDay: 5000,
	}}))
	for _, d := range n.domains {
		must(dir.CreateDomain(ctx, d, storage.DomainCertified))
		var all []directory.NewMailbox
		for _, local := range locals {
			tier := "standard"
			if local == "piena" {
				tier = "tiny"
			}
			all = append(all, directory.NewMailbox{
				Address: local + "@" + d, Tier: tier, Ordinary: local != "chiusa", Service: local+"@"+d == serviceMailbox(n.domains),
				User: &directory.NewUser{Hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"},
			})
		}
		must(dir.CreateMailboxes(ctx, all))
		must(dir.SetMailboxState(ctx, "spenta@"+d, storage.MailboxBlocked))
		for _, local := range locals {
			box, err := n.store.Mailbox(ctx, local+"@"+d)
			must(err)
			inbox, err := n.store.Folder(ctx, box.ID, "INBOX")
			must(err)
			n.seen.folders = append(n.seen.folders, &seenFolder{address: local + "@" + d, id: inbox.ID, next: 1})
		}
	}
}

// work does the due jobs of a kind as the program's worker would: n at most, in
// an order of chance. It reports whether there was any.
func (n *node) work(kind string, limit int) bool {
	ctx := context.Background()
	if n.store == nil {
		return false
	}
	jobs, err := n.store.TakeDue(ctx, kind, n.w.clock.Now(), limit, 0)
	if err != nil {
		n.w.fail("%s: TakeDue: %v", n.name, err)
	}
	n.w.rng.Shuffle(len(jobs), func(i, j int) { jobs[i], jobs[j] = jobs[j], jobs[i] })
	for _, j := range jobs {
		n.workOne(ctx, kind, j)
		n.w.reap()
		n.w.judge.look()
		if n.store == nil {
			break
		}
	}
	return len(jobs) > 0
}

func (n *node) workOne(ctx context.Context, kind string, j storage.Job) {
	st := n.store
	err := n.do[kind](ctx, j)
	n.w.judge.worked(err)
	if kind == pipeline.JobDeadline {
		n.late[j.ID] = err != nil
	}
	n.w.note("%s %s job %d lane %q attempt %d: %v", n.name, kind, j.ID, j.Lane, j.Attempts, err)
	switch {
	case err == nil || st.dead:
	case fault.Is(err, fault.NotFound) && !n.queued(ctx, j):
		st.Release(j.ID)
	default:
		n.failures++
		due := n.w.clock.Now().Add(min(15*time.Second<<min(j.Attempts, 10), 30*time.Minute))
		if n.w.clock.Now().Before(j.Expires) && j.Expires.Before(due) {
			due = j.Expires
		}
		if st.Commit(ctx, new(storage.Step).Add(&storage.RetryJob{ID: j.ID, Due: due, LastError: fault.KindOf(err).String()})) != nil {
			st.Release(j.ID)
		}
	}
}

func (n *node) queued(ctx context.Context, j storage.Job) (found bool) {
	err := n.store.Jobs(ctx, j.Kind, func(other storage.Job) error {
		found = found || other.ID == j.ID
		return nil
	})
	if err != nil {
		n.w.fail("%s: Jobs: %v", n.name, err)
	}
	return found
}

// drain does what is due until nothing is, and reports whether all of it was done.
func (n *node) drain() bool {
	n.failures = 0
	rounds := 0
	for busy := true; busy && n.store != nil; rounds++ {
		busy = false
		if rounds > 1000 {
			n.w.fail("%s is busy without end", n.name)
		}
		for _, kind := range n.w.kinds {
			busy = n.work(kind, 20) || busy
		}
	}
	return n.store != nil && n.failures == 0
}
