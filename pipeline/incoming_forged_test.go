// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"pecd/fault"
	"pecd/ledger"
	"pecd/pec"
	"pecd/pipeline"
	"pecd/storage"
)

// TestPec_1_3_SendersProviderAlone: what is for the sender's provider to say is
// believed from nobody else; what the recipient's says, is.
func TestPec_1_3_SendersProviderAlone(t *testing.T) {
	at := func(w *world) pec.Message { return pec.MessageOf(*w.inbox(anna)[0].rec.CertData) }
	for _, c := range []struct {
		name  string
		draft func(w *world, b pec.Builder, m pec.Message) pec.Draft
		alone bool
	}{
		{"accettazione", func(w *world, b pec.Builder, m pec.Message) pec.Draft { return b.Acceptance(m, w.clock.Now()) }, true},
		{"non-accettazione", func(w *world, b pec.Builder, m pec.Message) pec.Draft { return b.NonAcceptance(m, w.clock.Now(), "x") }, true},
		{"non-accettazione-virus", func(w *world, b pec.Builder, m pec.Message) pec.Draft {
			return b.NonAcceptanceVirus(m, w.clock.Now(), "X")
		}, true},
		{"preavviso-errore-consegna-12h", func(w *world, b pec.Builder, m pec.Message) pec.Draft {
			return b.Timeout(m, w.clock.Now(), bruno, false)
		}, true},
		{"preavviso-errore-consegna-12h", func(w *world, b pec.Builder, m pec.Message) pec.Draft {
			return b.Timeout(m, w.clock.Now(), bruno, true) // one form for both
		}, true},
		{"errore-consegna-virus", func(w *world, b pec.Builder, m pec.Message) pec.Draft {
			return b.NonDeliveryVirus(m, w.clock.Now(), bruno, "X")
		}, true},
		{"errore-consegna", func(w *world, b pec.Builder, m pec.Message) pec.Draft {
			return b.NonDelivery(m, w.clock.Now(), bruno, pec.NoDest, "5.1.1 - x - y")
		}, false},
		{"avvenuta-consegna", func(w *world, b pec.Builder, m pec.Message) pec.Draft {
			return b.Delivery(m, w.clock.Now(), bruno, pec.FormConcise, false)
		}, false},
	} {
		for _, signer := range []string{"beta.example", "alfa.example"} {
			t.Run(c.name+" of "+signer, func(t *testing.T) {
				w := newWorld(t)
				w.broken["beta.example"] = true
				w.submit(anna, []string{bruno}, message(anna, bruno, "", "x\r\n"))
				m, p := at(w), w.providers[signer]
				before := len(w.logged("alfa.example"))
				check(t, w.receive("posta-certificata@"+signer, []string{anna}, w.forge(p, c.draft(w, p.core.Builder, m), "")))
				forged := c.alone && signer != "alfa.example"
				kind, log := c.name, []ledger.Kind{ledger.ReceiptReceived}
				if forged {
					kind, log = "anomalia", []ledger.Kind{ledger.AnomalyCreated, ledger.Delivered}
				}
				w.want(anna, "accettazione "+kind)
				for n, e := range w.logged("alfa.example")[before:] {
					if n >= len(log) || e.Kind != log[n] || e.Provider != "Gestore "+signer {
						t.Errorf("%+v", e)
					}
				}
				closed := w.tx(t, m.ID).Recipients[0].Outcome != storage.Pending
				if want := !c.alone && signer == "beta.example"; closed != want {
					t.Errorf("outcome recorded: %v", closed)
				}
				w.clean()
			})
		}
	}
}

// nobodyCertified says of every other domain that it is an ordinary one.
type nobodyCertified struct{}

func (nobodyCertified) Certified(string) bool { return false }

// TestPec_1_4_ReceiptsAboutOrdinary: what a provider says of a recipient whom
// the transaction calls ordinary is passed on, and neither told nor believed.
func TestPec_1_4_ReceiptsAboutOrdinary(t *testing.T) {
	for _, k := range []pec.Kind{pec.VirusDetection, pec.TakeCharge, pec.Delivery, pec.NonDelivery} {
		t.Run(k.String(), func(t *testing.T) {
			w := newWorld(t)
			p := w.at(anna)
			providers := p.core.Providers
			p.core.Providers = nobodyCertified{}
			w.broken["beta.example"] = true
			w.submit(anna, []string{bruno}, message(anna, bruno, "", "x\r\n"))
			p.core.Providers = providers
			m := pec.MessageOf(*w.inbox(anna)[0].rec.CertData)
			if !m.Recipients[0].External {
				t.Fatalf("%+v", m.Recipients)
			}
			w.receiptAbout(m, k, bruno)
			toService, toAnna := k.String(), ""
			if k == pec.Delivery || k == pec.NonDelivery {
				toService, toAnna = "", " "+k.String()
			}
			w.want(service, toService)
			w.want(anna, "accettazione"+toAnna)
			if r := w.tx(t, m.ID).Recipients[0]; r.Outcome != storage.Pending || !r.TakenAt.IsZero() || r.OutcomeRef != "" {
				t.Errorf("%+v", r)
			}
			if n := len(w.logged("alfa.example", ledger.ReceiptReceived)); n != 1 {
				t.Errorf("%d receipts in the log", n)
			}
			w.clean()
		})
	}
}

// TestIncoming_NUL: no IMAP literal may carry it, so nothing with it is taken in,
// whoever signed it; the log knows of the refusal.
func TestIncoming_NUL(t *testing.T) {
	const null = "a\x00b"
	w, _, scanner := guarded(t)
	beta := w.providers["beta.example"]
	original := message(anna, bruno, "", null+"\r\n")
	m := pec.Message{ID: "x.1@alfa.example", Sender: anna, Recipients: []pec.Recipient{{Address: bruno}}, Subject: "s", HasSubject: true}
	alfa := w.providers["alfa.example"]
	envelope := w.forge(alfa, alfa.core.Builder.TransportEnvelope(m, w.clock.Now(), headerOf(t, original), false), original)
	n := pec.Message{ID: "x.2@beta.example", Sender: bruno, Recipients: []pec.Recipient{{Address: anna}}, Subject: "s", HasSubject: true}
	receipt := w.forge(alfa, alfa.core.Builder.Delivery(n, w.clock.Now(), anna, pec.FormComplete, false), original)
	for _, c := range []struct {
		name, provider string
		raw            []byte
	}{
		{"ordinary", "", []byte(original)},
		{"ordinary, in the header", "", []byte(message("x@mail.example", bruno, "X-Campo: "+null+"\r\n", "x\r\n"))},
		{"envelope", "Gestore alfa.example", envelope},
		{"malformed", "Gestore alfa.example", replace("X-Trasporto: posta-certificata\r\n", "X-Trasporto: altro\r\n")(envelope)},
		{"receipt", "Gestore alfa.example", receipt},
		{"outside the signature", "Gestore alfa.example", append([]byte("X-Campo: "+null+"\r\n"), envelopeFor(t, w, bruno)...)},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(w.logged("beta.example"))
			err := w.receive(anna, []string{bruno}, c.raw)
			wantKind(t, err, fault.Invalid)
			if codes := fault.CodesOf(err); codes.SMTP != 550 || codes.Enhanced != [3]int{5, 6, 0} || !strings.Contains(codes.Text, "NUL") {
				t.Errorf("%+v", codes)
			}
			log := w.logged("beta.example")[before:]
			if len(log) != 1 || log[0].Kind != ledger.OrdinaryRefused || log[0].Provider != c.provider || !strings.Contains(log[0].Detail, "NUL") {
				t.Errorf("%+v", log)
			}
			w.want(bruno, "")
		})
	}
	if scanner.scans != 0 || w.relayed("beta.example") != 0 {
		t.Errorf("%d scans, %d messages queued", scanner.scans, w.relayed("beta.example"))
	}
	check(t, beta.store.Jobs(context.Background(), pipeline.JobDeliver, func(storage.Job) error { t.Error("a delivery"); return nil }))
	w.clean()
}

// TestRFC6109_2_3_AnomalyIsNamed: mail without Message-ID is known to the log by
// the identifier of its anomaly envelope.
func TestRFC6109_2_3_AnomalyIsNamed(t *testing.T) {
	w, _, _ := guarded(t)
	with := message("x@mail.example", bruno, "", closedMark+"\r\n")
	for n, raw := range []string{with, strings.Replace(with, "Message-ID: <m1@client.example>\r\n", "", 1)} {
		before := len(w.logged("beta.example"))
		check(t, w.receive("x@mail.example", []string{bruno}, []byte(raw)))
		id := strings.Trim(w.inbox(bruno)[n].msg.Root.Header.Get("Message-ID"), "<>")
		if id == "" || (id == "m1@client.example") != (n == 0) {
			t.Errorf("Message-ID %q", id)
		}
		log := w.logged("beta.example")[before:]
		if len(log) != 3 { // received, scan reported, delivered
			t.Fatalf("%+v", log)
		}
		for _, e := range log {
			if len(e.Related) != 1 || e.Related[0] != id || (e.MsgID == "") != (n == 1) {
				t.Errorf("%+v", e)
			}
		}
	}
}

// TestIncoming_InfectedAgain: a malformed message with a virus is kept once,
// however often, to whomever and in whatever wrapping it is sent again.
func TestIncoming_InfectedAgain(t *testing.T) {
	w, _, _ := guarded(t)
	raw := replace("X-Trasporto: posta-certificata\r\n", "X-Trasporto: altro\r\n")(infectedEnvelope(t, w, bruno, carla))
	sent := 0
	send := func(raw []byte, to ...string) {
		t.Helper()
		sent++
		wantKind(t, w.receive(anna, to, raw), fault.Infected)
	}
	send(raw, bruno)
	send(raw, bruno)
	send(raw, carla, bruno)
	send(append([]byte("X-Campo: "+strings.Repeat("x", 100)+"\r\n"), raw...), carla)
	send(append(bytes.Clone(raw), "epilogo\r\n"...), bruno)
	if q := w.wantQuarantine("beta.example", 1)[0]; q.clear != string(raw) || len(q.Recipients) != 1 {
		t.Errorf("%+v", q.Quarantined)
	}
	if n := len(w.logged("beta.example", ledger.InterceptVirus)); n != 1 {
		t.Errorf("%d interceptions", n)
	}
	refused := w.logged("beta.example", ledger.OrdinaryRefused)
	if len(refused) != sent {
		t.Errorf("%d refusals in the log, %d messages", len(refused), sent)
	}
	for _, e := range refused {
		if e.Virus != virusName || e.Provider != "Gestore alfa.example" {
			t.Errorf("%+v", e)
		}
	}

	// Another one, which comes in twice at the same moment: the second comes again.
	w, _, _ = guarded(t)
	raw = replace("X-Trasporto: posta-certificata\r\n", "X-Trasporto: altro\r\n")(infectedEnvelope(t, w, bruno))
	w.providers["beta.example"].before(func() { wantKind(t, w.receive(anna, []string{bruno}, raw), fault.Infected) })
	wantKind(t, w.receive(anna, []string{bruno}, raw), fault.Temporary)
	wantKind(t, w.receive(anna, []string{bruno}, raw), fault.Infected)
	w.wantQuarantine("beta.example", 1)
	w.wantLog("beta.example", ledger.InterceptVirus, ledger.OrdinaryRefused, ledger.OrdinaryRefused)
	w.clean()
}
