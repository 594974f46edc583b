// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/pec"
	"pecd/storage"
)

// TestRFC6109_3_2_3_InfectedEnvelope: nobody gets it; one detection for each
// certified recipient, none for one whom the certified data call ordinary; the
// quarantine, the transaction and the log know.
func TestRFC6109_3_2_3_InfectedEnvelope(t *testing.T) {
	w, _, scanner := guarded(t)
	alfa, silent := w.providers["alfa.example"], "anna@beta.example"
	m := pec.Message{
		ID: "x.1@alfa.example", MsgID: "<m7@client.example>", Sender: anna, ReplyTo: anna, Subject: "Città", HasSubject: true,
		Recipients: []pec.Recipient{{Address: bruno}, {Address: silent, External: true}, {Address: carla}, {Address: "dario@mail.example", External: true}},
	}
	original := message(anna, bruno+", "+carla, "", virusMark+"\r\n")
	raw := w.forge(alfa, alfa.core.Builder.TransportEnvelope(m, w.clock.Now(), headerOf(t, original), false), original)
	w.clock.Advance(time.Minute)
	at := w.clock.Now()
	check(t, w.receive(anna, []string{bruno, silent, carla}, raw))
	if string(scanner.last) != "Received: by pecd\r\n"+string(raw) || scanner.scans != 1 { // a trace line first: encoded.go
		t.Errorf("%d scans, the last of %.300q", scanner.scans, scanner.last)
	}
	w.wantLog("beta.example", ledger.EnvelopeReceived, ledger.InterceptVirus, ledger.ReceiptEmitted, ledger.ReceiptEmitted)
	w.settle()
	for _, a := range []string{bruno, silent, carla} {
		w.want(a, "")
	}
	w.want(service, "rilevazione-virus rilevazione-virus")
	w.want(anna, "") // no transaction of ours: nothing to tell
	for n, r := range []string{bruno, carla} {
		g := w.inbox(service)[n]
		h, d := g.msg.Root.Header, g.rec.CertData
		for name, want := range map[string]string{
			"X-Ricevuta": "rilevazione-virus", "X-Mittente": anna, "X-VerificaSicurezza": "", "From": "posta-certificata@beta.example", "To": service,
			"X-Riferimento-Message-ID": "<m7@client.example>", "Return-Path": "<posta-certificata@beta.example>",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if !strings.HasPrefix(g.rec.Subject, "PROBLEMA DI SICUREZZA: Citt") || g.original() != "" || strings.Contains(string(g.raw), virusMark) {
			t.Errorf("subject %q", g.rec.Subject)
		}
		if d.Type != "rilevazione-virus" || d.Error != pec.Virus || d.Delivery != r || len(d.Receptions) != 0 || d.ExtendedError != virusName ||
			d.ID != m.ID || d.Sender != anna || !slices.Equal(d.Recipients, m.Recipients) || !d.At.Equal(at) || d.Issuer != "Gestore beta.example" {
			t.Errorf("certified data %+v", d)
		}
	}

	q := w.wantQuarantine("beta.example", 1)[0]
	if q.clear != string(raw) || q.Size != int64(len(raw)) {
		t.Error("the quarantine does not hold the envelope")
	}
	if q.Point != "incoming" || q.Message != m.ID || q.Provider != "Gestore alfa.example" || q.Sender != anna || q.Virus != virusName ||
		!slices.Equal(q.Recipients, []string{bruno, silent, carla}) || !q.At.Equal(at) {
		t.Errorf("%+v", q.Quarantined)
	}
	tx, err := w.at(bruno).store.Transaction(context.Background(), m.ID+" Gestore alfa.example", false)
	check(t, err)
	if len(tx.Recipients) != 2 {
		t.Fatalf("%+v", tx.Recipients)
	}
	for n, r := range tx.Recipients {
		id := w.inbox(service)[n].msg.Root.Header.Get("Message-ID")
		if r.Outcome != storage.Failed || !r.OutcomeAt.Equal(at) || "<"+r.OutcomeRef+">" != id || !r.TakenAt.IsZero() {
			t.Errorf("%+v, want %s", r, id)
		}
	}
	log := w.logged("beta.example", ledger.InterceptVirus, ledger.ReceiptEmitted)
	if e := log[0]; e.Virus != virusName || len(e.Recipients) != 3 || e.ID != m.ID || e.Side != ledger.Foreign || e.Provider != "Gestore alfa.example" {
		t.Errorf("%+v", e)
	}
	for n, e := range log[1:] {
		if e.Mailbox != tx.Recipients[n].Address || e.Receipt != "rilevazione-virus" || e.Error != "virus" || e.Virus != virusName || e.Related[0] != tx.Recipients[n].OutcomeRef {
			t.Errorf("%+v", e)
		}
	}
	w.clean()
}

// TestPec_9_InfectedForOrdinaryNamed: of a recipient whom the certified data
// call ordinary nobody is told anything.
func TestPec_9_InfectedForOrdinaryNamed(t *testing.T) {
	w, _, _ := guarded(t)
	alfa := w.providers["alfa.example"]
	m := pec.Message{ID: "x.1@alfa.example", Sender: anna, Recipients: []pec.Recipient{{Address: bruno, External: true}}, Subject: "s", HasSubject: true}
	original := message(anna, bruno, "", virusMark+"\r\n")
	raw := w.forge(alfa, alfa.core.Builder.TransportEnvelope(m, w.clock.Now(), headerOf(t, original), false), original)
	check(t, w.receive(anna, []string{bruno}, raw))
	w.settle()
	w.want(bruno, "")
	w.want(service, "")
	w.wantQuarantine("beta.example", 1)
	w.wantLog("beta.example", ledger.EnvelopeReceived, ledger.InterceptVirus)
	w.clean()
}

// TestPec_9_RoundTrip: alfa's antivirus misses what beta's finds. Alfa's user
// gets one notice for each recipient, and no other later.
func TestPec_9_RoundTrip(t *testing.T) {
	w, missing, _ := guarded(t)
	alfa := w.at(anna).core
	alfa.Scanner = nil
	in := message(anna, bruno+", "+carla, "Reply-To: altra@alfa.example\r\n", virusMark+"\r\n")
	w.submit(anna, []string{bruno, carla}, in)
	alfa.Scanner = missing
	w.settle()
	w.want(anna, "accettazione errore-consegna-virus errore-consegna-virus")
	w.want(service, "rilevazione-virus rilevazione-virus")
	w.want(bruno, "")
	w.want(carla, "")
	if missing.scans != 0 {
		t.Error("a valid notice was scanned")
	}
	inbox := w.inbox(anna)
	accepted := inbox[0].rec.CertData
	told := make(map[string]int)
	for _, g := range inbox[1:] {
		h, d := g.msg.Root.Header, g.rec.CertData
		for name, want := range map[string]string{
			"X-Ricevuta": "errore-consegna", "X-VerificaSicurezza": "errore", "From": "posta-certificata@alfa.example", "To": anna,
			"X-Riferimento-Message-ID": "<m1@client.example>",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if !strings.HasPrefix(g.rec.Subject, "AVVISO DI MANCATA CONSEGNA PER VIRUS: Citt") || g.original() != "" {
			t.Errorf("subject %q", g.rec.Subject)
		}
		if d.Type != "errore-consegna" || d.Error != pec.Virus || d.ExtendedError != virusName || d.Issuer != "Gestore alfa.example" ||
			d.ID != accepted.ID || d.Sender != anna || !slices.Equal(d.Recipients, accepted.Recipients) || d.Subject != "Città" || d.ReplyTo != "altra@alfa.example" {
			t.Errorf("certified data %+v", d)
		}
		told[d.Delivery]++
	}
	if told[bruno] != 1 || told[carla] != 1 {
		t.Errorf("told of %v", told)
	}
	tx, err := w.at(anna).store.Transaction(context.Background(), accepted.ID, true)
	check(t, err)
	for n, r := range tx.Recipients {
		if r.Outcome != storage.Failed || "<"+r.OutcomeRef+">" != inbox[1+n].msg.Root.Header.Get("Message-ID") {
			t.Errorf("%+v", r)
		}
	}
	for _, e := range w.logged("alfa.example", ledger.ReceiptEmitted) {
		if e.Provider != "Gestore alfa.example" || e.Peer != "" || e.Size != 0 { // ours, not the detection's
			t.Errorf("%+v", e)
		}
	}
	for _, e := range w.logged("alfa.example", ledger.ReceiptReceived, ledger.ReceiptEmitted) {
		if e.Virus != virusName || e.Error != "virus" || e.ID != accepted.ID || e.Side != ledger.Own {
			t.Errorf("%+v", e)
		}
	}
	w.wantQuarantine("alfa.example", 0)
	w.wantQuarantine("beta.example", 1)
	for range 30 { // past both deadlines
		w.clock.Advance(time.Hour)
		w.settle()
	}
	w.want(anna, "accettazione errore-consegna-virus errore-consegna-virus")
	w.want(service, "rilevazione-virus rilevazione-virus")
	w.clean()
}

// TestPec_1_7_InfectedRepetition: what was told or taken in charge stays.
func TestPec_1_7_InfectedRepetition(t *testing.T) {
	w, _, scanner := guarded(t)
	raw := infectedEnvelope(t, w, bruno, carla)
	check(t, w.receive(anna, []string{bruno}, raw))
	check(t, w.receive(anna, []string{bruno}, raw))
	if scanner.scans != 1 {
		t.Errorf("%d scans: a known envelope was looked at again", scanner.scans)
	}
	scanner.down = true // a known envelope needs no antivirus
	check(t, w.receive(anna, []string{bruno}, raw))
	scanner.down = false
	check(t, w.receive(anna, []string{carla, bruno}, raw))
	w.settle()
	w.want(service, "rilevazione-virus rilevazione-virus")
	w.want(anna, "accettazione errore-consegna-virus errore-consegna-virus")
	if q := w.wantQuarantine("beta.example", 2); !slices.Equal(q[0].Recipients, []string{bruno}) || !slices.Equal(q[1].Recipients, []string{carla}) {
		t.Errorf("%v, %v", q[0].Recipients, q[1].Recipients)
	}
	w.clean()

	// Taken in charge for one recipient before the virus was known.
	w, _, scanner = guarded(t)
	raw = infectedEnvelope(t, w, bruno, carla)
	w.broken["beta.example"] = true
	beta := w.at(bruno).core
	beta.Scanner = nil
	check(t, w.receive(anna, []string{bruno}, raw))
	beta.Scanner = scanner
	check(t, w.receive(anna, []string{bruno}, raw))
	w.wantQuarantine("beta.example", 0)
	check(t, w.receive(anna, []string{bruno, carla}, raw))
	w.settle()
	w.want(bruno, "posta-certificata")
	w.want(carla, "")
	w.want(service, "presa-in-carico rilevazione-virus")
	k := strings.Fields(w.kinds(anna))
	slices.Sort(k)
	if !slices.Equal(k, []string{"accettazione", "avvenuta-consegna", "errore-consegna-virus"}) {
		t.Errorf("sender has %q", k)
	}
	tx, err := w.at(bruno).store.Transaction(context.Background(), w.inbox(anna)[0].rec.CertData.ID+" Gestore alfa.example", false)
	check(t, err)
	if len(tx.Recipients) != 2 || tx.Recipients[0].Outcome != storage.Delivered || tx.Recipients[1].Outcome != storage.Failed {
		t.Errorf("%+v", tx.Recipients)
	}
	w.clean()
}

// TestIncoming_InfectedToMany: the notices of many recipients take several
// commits; each has the row that names its recipients, and one ciphertext
// serves all of them. What a failure cuts short goes on at the next attempt.
func TestIncoming_InfectedToMany(t *testing.T) {
	w, _, _ := guarded(t)
	alfa, beta := w.providers["alfa.example"], w.providers["beta.example"]
	store := &failingStore{Store: beta.core.Store}
	beta.core.Store = store
	m := pec.Message{ID: "x.1@alfa.example", Sender: anna, Subject: strings.Repeat("s", 900), HasSubject: true}
	var to []string
	for n := range 100 {
		to = append(to, fmt.Sprintf("casella.numero.%d@beta.example", n))
		m.Recipients = append(m.Recipients, pec.Recipient{Address: to[n]})
	}
	for n := range 3000 { // other providers' holders: the data of each notice grow
		m.Recipients = append(m.Recipients, pec.Recipient{Address: fmt.Sprintf("%s.%d@gamma.example", strings.Repeat("x", 40), n)})
	}
	original := message(anna, to[0], "", virusMark+"\r\n")
	raw := w.forge(alfa, alfa.core.Builder.TransportEnvelope(m, w.clock.Now(), headerOf(t, original), false), original)
	commits := 0
	store.fail = func(s *storage.Step) bool { commits++; return commits == 2 }
	wantKind(t, w.receive(anna, to, raw), fault.Temporary)
	first := w.wantQuarantine("beta.example", 1)[0]
	if n := len(first.Recipients); n < 10 || n > 90 || w.relayed("beta.example") != n {
		t.Fatalf("%d recipients in the first row, %d notices", n, w.relayed("beta.example"))
	}
	commits = 10
	check(t, w.receive(anna, to, raw))
	var named []string
	bodies := make(map[storage.BodyID]bool)
	for _, q := range w.quarantine("beta.example") {
		named = append(named, q.Recipients...)
		bodies[q.Body] = true
		if q.clear != string(raw) {
			t.Errorf("item %d does not hold the envelope", q.ID)
		}
	}
	if !slices.Equal(named, to) || w.relayed("beta.example") != len(to) || len(bodies) != 2 {
		t.Errorf("%d recipients, %d notices, %d ciphertexts", len(named), w.relayed("beta.example"), len(bodies))
	}
	if n := len(w.logged("beta.example", ledger.InterceptVirus)); n != 2 {
		t.Errorf("%d interceptions, want one for each attempt", n)
	}
	tx, err := beta.store.Transaction(context.Background(), m.ID+" Gestore alfa.example", false)
	check(t, err)
	if len(tx.Recipients) != len(to) {
		t.Errorf("%d recipients", len(tx.Recipients))
	}
	w.clean()
}

// TestIncoming_NothingKeptWhereItFails: at each kind of message, without a
// verdict or a commit the other server is to come again, nothing is there, and
// its next attempt goes through.
func TestIncoming_NothingKeptWhereItFails(t *testing.T) {
	ordinary := message("x@mail.example", bruno, "", "ciao\r\n")
	infected := message("x@mail.example", bruno, "", virusMark+"\r\n")
	bend := replace("X-Trasporto: posta-certificata\r\n", "X-Trasporto: altro\r\n")
	w, _, scanner := guarded(t)
	core := w.at(bruno).core
	real := core.Store
	store := &failingStore{Store: real}
	core.Store = store
	down := [2]func(){func() { scanner.down = true }, func() { scanner.down = false }}
	stuck := [2]func(){func() { store.fail = func(*storage.Step) bool { return true } }, func() { store.fail = nil }}
	noVault := [2]func(){func() { core.Vault = nil }, func() { core.Vault = xorVault{} }}
	for _, c := range []struct {
		name  string
		from  string
		raw   []byte
		spoil [2]func()
		kind  fault.Kind
		then  fault.Kind // of the retry
		items int        // in the quarantine after it
	}{
		{"engine down, clean envelope", anna, envelopeFor(t, w, bruno), down, fault.Temporary, 0, 0},
		{"engine down, infected envelope", anna, infectedEnvelope(t, w, bruno), down, fault.Temporary, 0, 1},
		{"engine down, ordinary", "x@mail.example", []byte(ordinary), down, fault.Temporary, 0, 0},
		{"engine down, ordinary with virus", "x@mail.example", []byte(infected), down, fault.Temporary, fault.Infected, 0},
		{"engine down, malformed", anna, bend(envelopeFor(t, w, bruno)), down, fault.Temporary, 0, 0},
		{"engine down, malformed with virus", anna, bend(infectedEnvelope(t, w, bruno)), down, fault.Temporary, fault.Infected, 1},
		{"no commit, infected envelope", anna, infectedEnvelope(t, w, bruno), stuck, fault.Temporary, 0, 1},
		{"no commit, ordinary with virus", "x@mail.example", []byte(infected), stuck, fault.Temporary, fault.Infected, 0},
		{"no commit, malformed with virus", anna, bend(infectedEnvelope(t, w, bruno)), stuck, fault.Temporary, fault.Infected, 1},
		{"no vault, infected envelope", anna, infectedEnvelope(t, w, bruno), noVault, fault.Internal, 0, 1},
		{"no vault, malformed with virus", anna, bend(infectedEnvelope(t, w, bruno)), noVault, fault.Internal, fault.Infected, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			inbox, log, items, relayed := w.kinds(bruno), len(w.logged("beta.example")), len(w.quarantine("beta.example")), w.relayed("beta.example")
			c.spoil[0]()
			err := w.receive(c.from, []string{bruno}, c.raw)
			wantKind(t, err, c.kind)
			if codes := fault.CodesOf(err); codes.SMTP != 451 {
				t.Errorf("answer %d", codes.SMTP)
			}
			w.want(bruno, inbox)
			w.wantQuarantine("beta.example", items)
			if n, m := len(w.logged("beta.example")), w.relayed("beta.example"); n != log || m != relayed {
				t.Errorf("log %d, before %d; queue %d, before %d", n, log, m, relayed)
			}
			c.spoil[1]()
			err = w.receive(c.from, []string{bruno}, c.raw)
			if err != nil != (c.then != 0) || err != nil && fault.KindOf(err) != c.then {
				t.Errorf("then %v, want kind %v", err, c.then)
			}
			if c.then == fault.Infected {
				if codes := fault.CodesOf(err); codes.SMTP != 554 || codes.Enhanced != [3]int{5, 7, 1} || !strings.Contains(codes.Text, virusName) {
					t.Errorf("%+v", codes)
				}
			}
			w.wantQuarantine("beta.example", items+c.items)
			if len(w.logged("beta.example")) == log {
				t.Error("the retry left no trace in the log")
			}
			if strings.Contains(w.kinds(bruno), "posta-certificata") {
				t.Error("delivered without a delivery job")
			}
		})
	}
	core.Store = real
	w.clean()
}
