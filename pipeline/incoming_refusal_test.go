// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/pec"
	"pecd/storage"
)

// TestRFC6109_2_3_OrdinaryRefused: every final refusal of what is not certified
// is one record of the log, or no final refusal.
func TestRFC6109_2_3_OrdinaryRefused(t *testing.T) {
	ordinary := message("x@mail.example", bruno, "", "ciao\r\n")
	w, _, _ := guarded(t)
	malformed := replace("X-Trasporto: posta-certificata\r\n", "X-Trasporto: altro\r\n")(envelopeFor(t, w, bruno))
	infected := replace("X-Trasporto: posta-certificata\r\n", "X-Trasporto: altro\r\n")(infectedEnvelope(t, w, bruno))
	core := w.at(bruno).core
	real := core.Store
	check(t, w.at(bruno).users.CloseToOrdinary(context.Background(), "anna@beta.example", "anna@altrove.example"))
	store := &failingStore{Store: real}
	core.Store = store
	for _, c := range []struct {
		name     string
		to       []string
		raw      string
		kind     fault.Kind
		detail   string
		mailbox  string
		provider string
		virus    bool
	}{
		{name: "unknown mailbox", to: []string{bruno, "nessuno@beta.example"}, raw: ordinary, kind: fault.NotFound, detail: "indirizzo non valido: nessuno@beta.example"},
		{name: "closed to ordinary mail", to: []string{"chiusa@beta.example"}, raw: ordinary, kind: fault.Denied, detail: "solo posta certificata", mailbox: "chiusa@beta.example"},
		{name: "closed, with another address", to: []string{bruno, "anna@beta.example"}, raw: ordinary, kind: fault.Denied, detail: "la casella anna@beta.example accetta solo posta certificata: scrivere a anna@altrove.example / ", mailbox: "anna@beta.example"},
		{name: "inactive", to: []string{bruno, "spenta@beta.example"}, raw: ordinary, kind: fault.Disabled, detail: "non attiva", mailbox: "spenta@beta.example"},
		{name: "NUL", to: []string{bruno}, raw: ordinary + "\x00\r\n", kind: fault.Invalid, detail: "NUL"},
		{name: "a loop", to: []string{bruno}, raw: strings.Repeat("Received: by x\r\n", 60) + ordinary, kind: fault.Invalid, detail: "troppi passaggi"},
		{name: "virus", to: []string{bruno}, raw: ordinary + virusMark + "\r\n", kind: fault.Infected, detail: virusName, mailbox: bruno, virus: true},
		{name: "virus for several", to: []string{bruno, carla}, raw: ordinary + virusMark + "\r\n", kind: fault.Infected, detail: virusName, virus: true},
		{name: "virus for an unknown mailbox", to: []string{"nessuno@beta.example"}, raw: ordinary + virusMark + "\r\n", kind: fault.NotFound, detail: "indirizzo non valido"},
		{name: "malformed, unknown mailbox", to: []string{"nessuno@beta.example"}, raw: string(malformed), kind: fault.NotFound, detail: "indirizzo non valido", provider: "Gestore alfa.example"},
		{name: "malformed with virus", to: []string{bruno}, raw: string(infected), kind: fault.Infected, detail: virusName, mailbox: bruno, provider: "Gestore alfa.example", virus: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, items := len(w.logged("beta.example")), len(w.quarantine("beta.example"))
			store.fail = func(*storage.Step) bool { return true }
			wantKind(t, w.receive("x@mail.example", c.to, []byte(c.raw)), fault.Temporary)
			store.fail = nil
			if n := len(w.logged("beta.example")); n != before {
				t.Errorf("%d records of a step that failed", n-before)
			}
			wantKind(t, w.receive("x@mail.example", c.to, []byte(c.raw)), c.kind)
			log := w.logged("beta.example")[before:]
			kinds := []ledger.Kind{ledger.OrdinaryRefused}
			if c.virus {
				kinds = []ledger.Kind{ledger.InterceptVirus, ledger.OrdinaryRefused}
			}
			if len(log) != len(kinds) {
				t.Fatalf("%+v", log)
			}
			for n, e := range log {
				if e.Kind != kinds[n] || e.MsgID != log[0].MsgID || e.MsgID == "" || e.Side != ledger.Foreign || e.Sender != "x@mail.example" ||
					len(e.Recipients) != len(c.to) || e.Peer != "192.0.2.1" || e.Size != int64(len(c.raw)) || e.Mailbox != c.mailbox || e.Provider != c.provider {
					t.Errorf("%+v", e)
				}
				if (e.Virus == virusName) != c.virus {
					t.Errorf("virus %q", e.Virus)
				}
			}
			if last := log[len(log)-1]; !strings.Contains(last.Detail, c.detail) {
				t.Errorf("detail %q", last.Detail)
			}
			q := w.quarantine("beta.example")[items:]
			if (len(q) == 1) != (c.virus && c.provider != "") {
				t.Fatalf("%d items in the quarantine", len(q))
			}
			if len(q) == 1 && (q[0].clear != c.raw || q[0].Provider != c.provider || q[0].Sender != "x@mail.example" || !slices.Equal(q[0].Recipients, c.to) ||
				q[0].Message != log[0].MsgID || q[0].Point != "incoming" || q[0].Virus != virusName) {
				t.Errorf("%+v", q[0].Quarantined)
			}
			w.want(bruno, "")
		})
	}
	core.Store = real
	if n := w.relayed("beta.example"); n != 0 {
		t.Errorf("%d notices about ordinary mail", n)
	}
	w.clean()
}

// TestIncoming_FullMailbox: a full mailbox takes ordinary mail later, if at
// all; the attempts are no events.
func TestIncoming_FullMailbox(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	p := w.at(bruno)
	tier, err := p.users.Tier(ctx, "standard")
	check(t, err)
	tier.QuotaBytes = 1000
	check(t, p.store.Commit(ctx, new(storage.Step).Add(&storage.PutTier{Tier: tier})))
	w.clock.Advance(time.Hour) // past the directory's cache
	before := len(w.logged("beta.example"))
	raw := []byte(message("x@mail.example", bruno, "", "ciao\r\n"))
	for range 3 {
		err := w.receive("x@mail.example", []string{bruno}, raw)
		wantKind(t, err, fault.Quota)
		if codes := fault.CodesOf(err); codes.SMTP != 452 {
			t.Errorf("answer %d", codes.SMTP)
		}
	}
	if n := len(w.logged("beta.example")); n != before {
		t.Errorf("%d records", n-before)
	}
	w.want(bruno, "")
}

// TestIncoming_ScanReportedInOrdinaryMail: it is let through in its anomaly
// envelope, and the log says so.
func TestIncoming_ScanReportedInOrdinaryMail(t *testing.T) {
	w, _, scanner := guarded(t)
	check(t, w.receive("x@mail.example", []string{bruno, carla}, []byte(message("x@mail.example", bruno, "", closedMark+"\r\n"))))
	w.want(bruno, "anomalia")
	w.wantLog("beta.example", ledger.OrdinaryReceived, ledger.ScanReported, ledger.Delivered, ledger.Delivered)
	if e := w.logged("beta.example", ledger.ScanReported)[0]; e.Detail != closedName || len(e.Recipients) != 2 || scanner.scans != 1 {
		t.Errorf("%d scans, %+v", scanner.scans, e)
	}
}

// TestIncoming_ReceiptForNobody: a receipt whose mailbox is gone is refused,
// and the log knows.
func TestIncoming_ReceiptForNobody(t *testing.T) {
	w, scanner, _ := guarded(t)
	beta := w.providers["beta.example"]
	m := pec.Message{ID: "x.1@alfa.example", Sender: "andato@alfa.example", Recipients: []pec.Recipient{{Address: bruno}}, Subject: "s", HasSubject: true}
	raw := w.forge(beta, beta.core.Builder.Delivery(m, w.clock.Now(), bruno, pec.FormConcise, false), "")
	wantKind(t, w.receive("posta-certificata@beta.example", []string{m.Sender}, raw), fault.NotFound)
	w.wantLog("alfa.example", ledger.DeliveryFailed)
	if e := w.logged("alfa.example")[0]; e.ID != m.ID || e.Class != ledger.ClassReceipt || e.Receipt != "" || len(e.Related) != 1 || scanner.scans != 0 {
		t.Errorf("%+v", e)
	}
}
