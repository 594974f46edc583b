// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"pecd/conduct"
	"pecd/fault"
	"pecd/pec"
	"pecd/pipeline"
	"pecd/storage"
)

// nobodies are addresses of a domain that do not exist there.
func nobodies(domain string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("nessuno%d@%s", i, domain)
	}
	return all
}

// slowed reports whether anna is slowed down: of six messages of a minute five go.
func slowed(w *world) bool {
	a := w.at(anna).access
	for range 6 {
		if err := a.Conduct.MaySend(anna, true, func() (int, error) { return 50, nil }); err != nil {
			if !fault.Is(err, fault.Limited) {
				w.t.Errorf("slowed down: %v", err)
			}
			return true
		}
	}
	return false
}

// TestConduct: that recipients do not exist is learnt from our own delivery, from
// other providers' notices and from servers of ordinary mail; what was delivered
// counts against it.
func TestConduct(t *testing.T) {
	mail := nobodies("mail.example", 12)
	for _, c := range []struct {
		name    string
		to      []string
		answers error // of mail.example
		want    bool
	}{
		{"own", nobodies("alfa.example", 10), nil, true},
		{"own, fewer", nobodies("alfa.example", 9), nil, false},
		{"another provider's", nobodies("beta.example", 10), nil, true},
		{"another provider's, fewer", nobodies("beta.example", 9), nil, false},
		{"ordinary", mail, fault.New("test", fault.NotFound, nil), true},
		{"ordinary that are full", mail, fault.New("test", fault.Quota, nil), false},
		{"ordinary that are there", mail, nil, false},
		{"there", []string{bruno, bettina}, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			lim := conduct.DefaultLimits()
			lim.Unknown = 10
			w.at(anna).core.Conduct = conduct.New(w.clock, lim)
			for _, to := range c.to {
				w.answers[to] = c.answers
			}
			w.submit(anna, c.to, message(anna, strings.Join(c.to, ",\r\n "), "", "x\r\n"))
			w.settle()
			if got := slowed(w); got != c.want {
				t.Errorf("slowed down: %v", got)
			}
		})
	}
}

// TestConductForged: another provider's notices about messages that were never
// sent, or of recipients whose outcome is known, do not count.
func TestConductForged(t *testing.T) {
	w := newWorld(t)
	lim := conduct.DefaultLimits()
	lim.Unknown = 2
	w.at(anna).core.Conduct = conduct.New(w.clock, lim)
	w.submit(anna, []string{bruno}, message(anna, bruno, "", "x\r\n"))
	w.settle()
	sent := pec.MessageOf(*w.inbox(anna)[0].rec.CertData)
	for _, to := range append(nobodies("beta.example", 3), bruno) {
		w.receiptAbout(pec.Message{ID: "altro@alfa.example", Sender: anna, Subject: "x", Recipients: []pec.Recipient{{Address: to}}}, pec.NonDelivery, to)
		w.receiptAbout(sent, pec.NonDelivery, to)
	}
	if slowed(w) {
		t.Error("slowed down by what another provider says")
	}
}

// TestConductAtTheAccessPoint: who is slowed down is told to wait at MAIL FROM and
// at the end of the message, and nothing of it is kept; who is blocked may not
// send by whatever way.
func TestConductAtTheAccessPoint(t *testing.T) {
	w := newWorld(t)
	p := w.at(anna)
	lim := conduct.DefaultLimits()
	p.core.Conduct = conduct.New(w.clock, lim)
	for range lim.Intercepts {
		p.core.Conduct.Intercepted(anna)
	}
	ctx := context.Background()
	f, err := p.users.Figures(ctx, w.box(anna))
	check(t, err)
	submit := func() error {
		_, err := p.access.Submit(ctx, pipeline.Submission{Login: anna, Sender: anna, Recipients: []string{bruno}}, strings.NewReader(message(anna, bruno, "", "x\r\n")))
		return err
	}
	for n := range f.MaxPerMinute / 10 {
		check(t, p.access.MaySend(ctx, anna, anna))
		if err := submit(); err != nil {
			t.Fatalf("message %d of a minute: %v", n+1, err)
		}
	}
	receipts := len(w.inbox(anna))
	for _, err := range []error{p.access.MaySend(ctx, anna, anna), submit()} {
		if !fault.Is(err, fault.Limited) || !strings.HasPrefix(fault.TextOf(err), "invio rallentato") {
			t.Errorf("%v", err)
		}
	}
	w.clock.Advance(time.Minute)
	check(t, submit())

	check(t, p.users.BlockSending(ctx, anna, "prova / test"))
	for _, err := range []error{p.access.MaySend(ctx, anna, anna), submit()} {
		if !fault.Is(err, fault.Denied) || !strings.Contains(fault.TextOf(err), "prova / test") {
			t.Errorf("%v", err)
		}
	}
	if n := len(w.inbox(anna)); n != receipts+1 {
		t.Errorf("%d receipts, want %d", n, receipts+1)
	}
	w.settle() // accepted is accepted
	if n := strings.Count(w.kinds(bruno), pec.TransportEnvelope.String()); n != receipts+1 {
		t.Errorf("%d messages arrived, want %d: %s", n, receipts+1, w.kinds(bruno))
	}
	w.clean()
}

// meanwhile runs a function at the end of a message, before its client ends it.
type meanwhile struct {
	io.Reader
	do func()
}

// Read implements io.Reader.
func (l *meanwhile) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	if err == io.EOF && l.do != nil {
		l.do()
		l.do = nil
	}
	return n, err
}

// TestS0_44_DecidedDuringDATA: what is decided about a mailbox while its client
// sends a message holds for that message: the client may take as long as it likes.
func TestS0_44_DecidedDuringDATA(t *testing.T) {
	for _, c := range []struct {
		name   string
		decide func(p *provider) error
		want   fault.Kind
	}{
		{"blocked", func(p *provider) error { return p.users.BlockSending(context.Background(), anna, "prova / test") }, fault.Denied},
		{"deactivated", func(p *provider) error {
			return p.users.SetMailboxState(context.Background(), anna, storage.MailboxDeactivated)
		}, fault.Disabled},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			p := w.at(anna)
			p.core.Conduct = conduct.New(w.clock, conduct.DefaultLimits())
			r := &meanwhile{strings.NewReader(message(anna, bruno, "", "x\r\n")), func() { check(t, c.decide(p)) }}
			_, err := p.access.Submit(context.Background(), pipeline.Submission{Login: anna, Sender: anna, Recipients: []string{bruno}}, r)
			if !fault.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			w.settle()
			if k := w.kinds(anna); k != "" {
				t.Errorf("accepted: %s", k)
			}
			w.clean()
		})
	}
}

// box reads a mailbox.
func (w *world) box(address string) storage.Mailbox {
	w.t.Helper()
	m, err := w.at(address).store.Mailbox(context.Background(), address)
	check(w.t, err)
	return m
}
