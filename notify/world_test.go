// SPDX-License-Identifier: EUPL-1.2

package notify_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"mime/quotedprintable"
	"net/mail"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"pecd/alarm"
	"pecd/clock"
	"pecd/directory"
	"pecd/fault"
	"pecd/notify"
	"pecd/pipeline"
	"pecd/storage"
	"pecd/storage/sqlite"
)

const (
	hash     = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"
	standard = "mario@pec.example"
	office   = "ufficio@pec.example"
	mass     = "massiva@pec.example"
	cell     = "+393331234567"
)

// world is a store with three mailboxes, a clock that is moved, and a gateway that
// the test plays.
type world struct {
	*testing.T
	ctx     context.Context
	clk     *clock.Manual
	store   *sqlite.Store
	users   *directory.Directory
	alarms  *alarm.Board
	service *notify.Service
	cfg     notify.Config // of service

	mu   sync.Mutex
	sms  []notify.SMS
	fail error // of the gateway

	step time.Duration // by which until moves the clock
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, step: time.Second, ctx: directory.As(t.Context(), "root"), clk: clock.NewManual(time.Date(2026, 11, 26, 9, 30, 0, 0, time.UTC))}
	log := slog.New(slog.DiscardHandler)
	var err error
	w.store, err = sqlite.Open(w.ctx, t.TempDir(), sqlite.Options{Clock: w.clk, Logger: log})
	w.ok(err)
	t.Cleanup(func() { w.store.Close() })
	w.users, w.alarms = directory.New(w.store, w.clk), alarm.NewBoard(w.clk, log)
	w.ok(w.users.Seed(w.ctx))
	w.ok(w.users.CreateDomain(w.ctx, "pec.example", storage.DomainCertified))
	for address, tier := range map[string]string{standard: "standard", office: "strutturata", mass: "xl"} {
		_, err := w.users.CreateMailbox(w.ctx, directory.NewMailbox{Address: address, Tier: tier, User: &directory.NewUser{Hash: hash}})
		w.ok(err)
	}
	for _, login := range []string{"anna", "bruno"} {
		w.ok(w.users.CreateUser(w.ctx, directory.NewUser{Login: login, Hash: hash}))
		w.ok(w.users.Grant(w.ctx, login, office, storage.MayRead))
		w.ok(w.users.Grant(w.ctx, login, mass, storage.MayRead))
	}
	rome, err := time.LoadLocation("Europe/Rome")
	w.ok(err)
	w.cfg = notify.Config{
		Store: w.store, Directory: w.users, Certified: func(domain string) bool { return domain == "altro.example" },
		Clock: w.clk, Logger: log, Alarms: w.alarms, Zone: rome, From: "avvisi@pec.example", SMS: w, Parallel: 2,
	}
	w.service = notify.New(w.cfg)
	return w
}

// onDisk has the service work on a store that can be full.
func (w *world) onDisk() *full {
	f := &full{Store: w.store}
	w.cfg.Store = f
	w.service = notify.New(w.cfg)
	return f
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) wants(what string, err error, k fault.Kind) {
	w.Helper()
	if !fault.Is(err, k) || fault.TextOf(err) == "" && k != fault.NotFound {
		w.Errorf("%s: %v, want %v with a text", what, err, k)
	}
}

// MayReach implements notify.Gateway.
func (w *world) MayReach(number string) error {
	if !strings.HasPrefix(number, "+39") {
		return fault.Say("test", fault.Denied, "no")
	}
	return nil
}

// Send implements notify.Gateway.
func (w *world) Send(_ context.Context, m notify.SMS) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sms = append(w.sms, m)
	return w.fail
}

// texts takes what the gateway was handed.
func (w *world) texts() []notify.SMS {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.sms
	w.sms = nil
	return out
}

func (w *world) playing(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fail = err
}

// letter is a notice that the relay is to take.
type letter struct{ to, subject, body string }

// mails takes what the relay is to take.
func (w *world) mails() (out []letter) {
	w.Helper()
	jobs, err := w.store.TakeDue(w.ctx, pipeline.JobRelay, w.clk.Now(), 1000, 0)
	w.ok(err)
	for _, j := range jobs {
		b, err := w.store.OpenBody(w.ctx, j.Body)
		w.ok(err)
		out = append(out, w.parse(io.NewSectionReader(b, 0, b.Size())))
		w.ok(b.Close())
		w.ok(w.store.Commit(w.ctx, new(storage.Step).Add(&storage.FinishJob{ID: j.ID})))
	}
	return out
}

func (w *world) parse(r io.Reader) letter {
	w.Helper()
	m, err := mail.ReadMessage(r)
	w.ok(err)
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	w.ok(err)
	return letter{m.Header.Get("To"), m.Header.Get("Subject"), string(body)}
}

var sixDigits = regexp.MustCompile(`\b\d{6}\b`)

// confirmed gives a user a confirmed contact.
func (w *world) confirmed(login, address string) storage.Contact {
	w.Helper()
	w.texts()
	w.mails()
	c, err := w.service.Add(w.ctx, login, address)
	w.ok(err)
	code := ""
	for _, m := range w.texts() {
		code += m.Text
	}
	for _, m := range w.mails() {
		code += m.body
	}
	w.ok(w.service.Confirm(w.ctx, login, c.ID, sixDigits.FindString(code)))
	return c
}

// arrives notes messages that arrive in a mailbox, with some time between.
func (w *world) arrives(address string, n int, between time.Duration) {
	w.Helper()
	box, err := w.store.Mailbox(w.ctx, address)
	w.ok(err)
	rules := storage.NoticeRules{OneByOne: 5, Interval: 5 * time.Minute, PerDay: 200}
	for step := new(storage.Step); n > 0; n-- {
		step.Add(&storage.NoteArrival{Mailbox: box.ID, At: w.clk.Now(), Rules: rules})
		w.clk.Advance(between)
		if len(step.Ops) == 50 || n == 1 {
			w.ok(w.store.Commit(w.ctx, step))
			step = new(storage.Step)
		}
	}
}

// running lets the service work until the test ends.
func (w *world) running() {
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { w.service.Run(ctx) })
	w.Cleanup(func() { stop(); wg.Wait() })
}

// moves moves the clock on, a second at a time, and lets the service keep up.
func (w *world) moves(d time.Duration) {
	w.Helper()
	for range int(d / time.Second) {
		w.clk.Advance(time.Second)
		time.Sleep(200 * time.Microsecond)
	}
}

// until moves the clock on until done says so.
func (w *world) until(what string, done func() (bool, string)) {
	w.Helper()
	state := ""
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		var is bool
		if is, state = done(); is {
			return
		}
		w.clk.Advance(w.step)
	}
	w.Fatalf("%s: %s", what, state)
}

// inbox lists the subjects in a mailbox.
func (w *world) inbox(address string) (subjects []string) {
	w.Helper()
	box, err := w.store.Mailbox(w.ctx, address)
	w.ok(err)
	in, err := w.store.Folder(w.ctx, box.ID, "INBOX")
	w.ok(err)
	w.ok(w.store.Messages(w.ctx, in.ID, 1, 0, func(m storage.Message) error {
		b, err := w.store.OpenBody(w.ctx, m.Body)
		if err != nil {
			return err
		}
		defer b.Close()
		if b.Size() < 10_000 {
			subjects = append(subjects, w.parse(io.NewSectionReader(b, 0, b.Size())).subject)
		}
		return nil
	}))
	return subjects
}

// events lists the records of a kind, as kind and detail.
func (w *world) events(kind string) (out []string) {
	w.Helper()
	w.ok(w.store.Records(w.ctx, 1, func(r storage.Record) error {
		if r.Event == kind {
			out = append(out, string(r.Data))
		}
		if strings.Contains(string(r.Data), cell) || strings.Contains(string(r.Data), "@posta.example") && strings.Contains(string(r.Data), "anna@") {
			w.Errorf("a contact is on record: %s", r.Data)
		}
		return nil
	}))
	return out
}

var count = regexp.MustCompile(`^(\d+) nuovi messaggi`)

// told is how many arrivals a text tells.
func told(text string) (n int) {
	if strings.HasPrefix(text, "Nuovo messaggio") {
		return 1
	}
	if m := count.FindStringSubmatch(text); m != nil {
		fmt.Sscan(m[1], &n)
	}
	return n
}
