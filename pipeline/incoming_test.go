// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"pecd/fault"
	"pecd/pec"
	"pecd/pipeline"
	"pecd/storage"
)

// envelopeFor returns a transport envelope of alfa as it travels to beta.
func envelopeFor(t *testing.T, w *world, to ...string) []byte {
	t.Helper()
	w.submit(anna, to, message(anna, strings.Join(to, ", "), "", "x\r\n"))
	w.mu.Lock()
	w.broken["beta.example"] = true
	w.mu.Unlock()
	var raw []byte
	p := w.providers["alfa.example"]
	check(t, p.store.Jobs(context.Background(), pipeline.JobRelay, func(j storage.Job) error {
		b, err := p.store.OpenBody(context.Background(), j.Body)
		if err != nil {
			return err
		}
		defer b.Close()
		raw = make([]byte, b.Size())
		_, err = b.ReadAt(raw, 0)
		return err
	}))
	if raw == nil {
		t.Fatal("no envelope on its way")
	}
	return raw
}

func (w *world) receive(from string, to []string, raw []byte) error {
	_, err := w.at(to[0]).incoming.Receive(context.Background(), pipeline.Arrival{
		Sender: from, Recipients: to, Peer: pipeline.Peer{Helo: "mx", Remote: "192.0.2.1"},
	}, bytes.NewReader(raw))
	return err
}

// TestPec_1_5_DecisionTable follows every row of the incoming point's table
// that a single message decides.
func TestPec_1_5_DecisionTable(t *testing.T) {
	ordinary := message("x@mail.example", bruno, "", "ciao\r\n")
	for _, c := range []struct {
		name   string
		change func([]byte) []byte
		to     string
		kinds  string
		reason string
		kind   fault.Kind
	}{
		{"valid envelope", func(b []byte) []byte { return b }, bruno, "posta-certificata", "", 0},
		{"content altered", replace("Subject: =?UTF-8?Q?Citt=C3=A0?=\r\nDate: Wed", "Subject: =?UTF-8?Q?Citt=C3=A1?=\r\nDate: Wed"), bruno, "anomalia", "firma", 0},
		{"form broken, signature good", replace("X-Trasporto: posta-certificata\r\n", "X-Trasporto: altro\r\n"), bruno, "anomalia", "", 0},
		{"ordinary mail", func([]byte) []byte { return []byte(ordinary) }, bruno, "anomalia", "posta elettronica ordinaria", 0},
		{"ordinary mail, closed mailbox", func([]byte) []byte { return []byte(ordinary) }, "chiusa@beta.example", "", "", fault.Denied},
		{"ordinary mail, unknown mailbox", func([]byte) []byte { return []byte(ordinary) }, "nessuno@beta.example", "", "", fault.NotFound},
		{"ordinary mail, blocked mailbox", func([]byte) []byte { return []byte(ordinary) }, "spenta@beta.example", "", "", fault.Disabled},
		{"stranger among the recipients", func(b []byte) []byte { return b }, "carla@beta.example", "anomalia", "non compreso", 0},
		{"loop", func([]byte) []byte { return []byte(strings.Repeat("Received: by x\r\n", 60) + ordinary) }, bruno, "", "", fault.Invalid},
		{"NUL in ordinary mail", func([]byte) []byte { return []byte(ordinary + "a\x00b\r\n") }, bruno, "", "", fault.Invalid},
		{"nothing at all", func([]byte) []byte { return nil }, bruno, "anomalia", "ordinaria", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			raw := c.change(envelopeFor(t, w, bruno))
			err := w.receive(anna, []string{c.to}, raw)
			if (err != nil) != (c.kind != 0) || err != nil && fault.KindOf(err) != c.kind {
				t.Fatalf("answer %v, want kind %v", err, c.kind)
			}
			p := w.at(c.to)
			dp := pipeline.NewDeliveryPoint(p.core)
			jobs, err := p.store.TakeDue(context.Background(), pipeline.JobDeliver, w.clock.Now(), 10, 0)
			check(t, err)
			for _, j := range jobs {
				check(t, dp.Deliver(context.Background(), j))
			}
			if c.to != "nessuno@beta.example" {
				w.want(c.to, c.kinds)
				if c.kinds == "anomalia" {
					g := w.inbox(c.to)[0]
					if g.original() != string(raw) {
						t.Error("the anomaly envelope does not carry the whole message")
					}
					if !bytes.Contains(g.raw, []byte(c.reason)) {
						t.Errorf("reason %q not told", c.reason)
					}
				}
			}
			w.clean()
		})
	}
}

func replace(old, new string) func([]byte) []byte {
	return func(b []byte) []byte {
		if !bytes.Contains(b, []byte(old)) {
			panic("nothing to replace: " + old)
		}
		return bytes.Replace(b, []byte(old), []byte(new), 1)
	}
}

// TestPec_1_7_Repetition: a peer that sends an envelope or a receipt again
// gets the same 250, and nothing happens twice.
func TestPec_1_7_Repetition(t *testing.T) {
	w := newWorld(t)
	raw := envelopeFor(t, w, bruno, carla)
	check(t, w.receive(anna, []string{bruno}, raw))
	check(t, w.receive(anna, []string{bruno, carla}, raw))
	check(t, w.receive(anna, []string{carla, bruno}, raw))
	w.broken = map[string]bool{}
	w.settle()
	w.want(bruno, "posta-certificata")
	w.want(carla, "posta-certificata")
	if k := w.kinds(anna); strings.Count(k, "avvenuta-consegna") != 2 {
		t.Errorf("sender has %q", k)
	}
	w.want("ricevute@alfa.example", "presa-in-carico presa-in-carico")

	receipt := w.inbox(anna)[1].withoutTrace()
	before := w.kinds(anna)
	check(t, w.receive("posta-certificata@beta.example", []string{anna}, receipt))
	w.want(anna, before)
	w.clean()
}

// TestPec_1_3_TransactionState: what the receipts say closes the transaction.
func TestPec_1_3_TransactionState(t *testing.T) {
	w := newWorld(t)
	w.submit(anna, []string{bruno, "nessuno@beta.example"}, message(anna, bruno+", nessuno@beta.example", "", "x\r\n"))
	w.settle()
	id := w.inbox(anna)[0].rec.CertData.ID
	for _, c := range []struct {
		p   string
		own bool
	}{{"alfa.example", true}, {"beta.example", false}} {
		name := id
		if !c.own {
			name += " Gestore alfa.example"
		}
		tx, err := w.providers[c.p].store.Transaction(context.Background(), name, c.own)
		check(t, err)
		for i, want := range []storage.Outcome{storage.Delivered, storage.Failed} {
			if r := tx.Recipients[i]; r.Outcome != want || r.TakenAt.IsZero() || r.OutcomeRef == "" {
				t.Errorf("%s: %+v, want %s", c.p, r, want)
			}
		}
	}
}

// TestRelay_FinalRefusal: another server's refusal is told by a signed notice.
func TestRelay_FinalRefusal(t *testing.T) {
	for _, c := range []struct {
		err    error
		status string
	}{
		{fault.New("test", fault.NotFound, nil), "5.1.1"},
		{fault.New("test", fault.Unsupported, nil), "5.6.3"},
		{fault.New("test", fault.Quota, nil), "5.2.2"},
		{fault.New("test", fault.Denied, pipeline.ErrNoDomain), "5.1.2"},
		{fault.New("test", fault.Denied, nil), "5.7.1"},
	} {
		w := newWorld(t)
		w.answers["dario@mail.example"] = c.err
		w.submit(anna, []string{"dario@mail.example"}, message(anna, "dario@mail.example", "", "x\r\n"))
		w.settle()
		w.want(anna, "accettazione errore-consegna")
		if d := w.inbox(anna)[1].rec.CertData; !strings.HasPrefix(d.ExtendedError, c.status+" - Gestore alfa.example - ") {
			t.Errorf("%q, want %s", d.ExtendedError, c.status)
		}
		w.clean()
	}
}

// TestD23_ReceiptsDoNotCountAgainstQuota: a full mailbox refuses envelopes with
// a notice, and still takes its own receipts.
func TestD23_ReceiptsDoNotCountAgainstQuota(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	p := w.providers["beta.example"]
	tier, err := p.users.Tier(ctx, "standard")
	check(t, err)
	tier.QuotaBytes = 3000
	check(t, p.store.Commit(ctx, new(storage.Step).Add(&storage.PutTier{Tier: tier})))
	w.clock.Advance(3600e9) // past the directory's cache
	w.submit(bruno, []string{carla}, message(bruno, carla, "", strings.Repeat("riga\r\n", 200)))
	w.settle()
	w.want(carla, "")
	w.want(bruno, "accettazione errore-consegna")
	if d := w.inbox(bruno)[1].rec.CertData; !strings.HasPrefix(d.ExtendedError, "5.2.2 - ") || d.Error != pec.OtherError {
		t.Errorf("%+v", d)
	}
	w.clean()
}

// TestPec_4_3_EightBit: an original with octets above 127 travels as it is.
func TestPec_4_3_EightBit(t *testing.T) {
	w := newWorld(t)
	m := message(anna, bruno, "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n", "perché no\r\n")
	w.submit(anna, []string{bruno, "dario@mail.example"}, strings.Replace(m, "To: "+bruno, "To: dario@mail.example, "+bruno, 1))
	w.settle()
	if len(w.outside) != 1 || !w.outside[0].EightBit {
		t.Error("relay was not told that the message needs 8BITMIME")
	}
	for _, a := range []string{bruno, anna} {
		for _, g := range w.inbox(a) {
			if o := g.original(); o != "" && !strings.HasSuffix(o, "\r\n\r\nperché no\r\n") {
				t.Errorf("%s: %v changed the text", a, g.rec.Kind)
			}
		}
	}
	w.clean()
}
