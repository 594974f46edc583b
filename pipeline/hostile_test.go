// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"strings"
	"testing"
	"time"

	"pecd/fault"
	"pecd/pec"
	"pecd/pipeline"
	"pecd/rfc822"
	"pecd/signer"
	"pecd/storage"
)

// forge returns a message that a provider really signs, whatever it says.
func (w *world) forge(p *provider, d pec.Draft, original string) []byte {
	w.t.Helper()
	if !d.WithOriginal {
		original = ""
	}
	h := sha256.New()
	check(w.t, d.WriteEntity(h, strings.NewReader(original)))
	der, err := p.core.Signer.Sign(context.Background(), [32]byte(h.Sum(nil)), w.clock.Now())
	check(w.t, err)
	head, tail := d.Seal(der, p.core.Signer.MicAlg())
	return append(append(head, original...), tail...)
}

func headerOf(t testing.TB, message string) rfc822.Header {
	t.Helper()
	h, err := rfc822.ParseHeader([]byte(message[:strings.Index(message, "\r\n\r\n")+4]), rfc822.DefaultLimits())
	check(t, err)
	return h
}

// withoutTrace is a delivered message as it came in.
func (g got) withoutTrace() []byte {
	trace := g.msg.Root.Header.Fields()[:2] // ours: Return-Path and Received
	return g.raw[len(trace[0].Raw)+len(trace[1].Raw):]
}

const service = "ricevute@alfa.example"

// TestIncoming_OwnEnvelopeReplayed: whoever has a copy of our envelope cannot
// have it delivered again by handing it to our MX.
func TestIncoming_OwnEnvelopeReplayed(t *testing.T) {
	w := newWorld(t)
	to := "bruno@alfa.example"
	w.submit(anna, []string{to, bruno}, message(anna, to+", "+bruno, "", "x\r\n"))
	w.settle()
	before := w.kinds(anna)
	check(t, w.receive(anna, []string{to}, w.inbox(bruno)[0].withoutTrace()))
	w.settle()
	w.want(to, "posta-certificata")
	w.want(anna, before)
	w.clean()
}

// TestIncoming_ForeignSigner: another provider cannot certify our holder as the
// sender, nor use up an identifier of a third.
func TestIncoming_ForeignSigner(t *testing.T) {
	w := newWorld(t)
	beta := w.providers["beta.example"]
	m := pec.Message{ID: "x.1@beta.example", Sender: "bruno@alfa.example", Recipients: []pec.Recipient{{Address: anna}}, Subject: "s", HasSubject: true}
	original := "From: bruno@alfa.example\r\nTo: " + anna + "\r\nSubject: s\r\n\r\nciao\r\n"
	check(t, w.receive("bruno@alfa.example", []string{anna}, w.forge(beta, beta.core.Builder.TransportEnvelope(m, w.clock.Now(), headerOf(t, original), false), original)))
	w.settle()
	w.want(anna, "anomalia")
	w.want("bruno@alfa.example", "")

	raw := envelopeFor(t, w, bruno) // alfa's real one, not yet arrived
	id := w.inbox(anna)[1].rec.CertData.ID
	gamma := w.providers["beta.example"] // signs under another name than alfa's
	m = pec.Message{ID: id, Sender: "x@gamma.example", Recipients: []pec.Recipient{{Address: bruno}}, Subject: "s", HasSubject: true}
	check(t, w.receive("x@gamma.example", []string{bruno}, w.forge(gamma, gamma.core.Builder.TransportEnvelope(m, w.clock.Now(), headerOf(t, original), false), original)))
	check(t, w.receive(anna, []string{bruno}, raw))
	w.broken = map[string]bool{"gamma.example": true}
	w.settle()
	w.want(bruno, "posta-certificata posta-certificata")
}

// TestIncoming_ReceiptReplayed: a receipt counts once, also with octets behind
// its signature, and only for whom it names.
func TestIncoming_ReceiptReplayed(t *testing.T) {
	w := newWorld(t)
	w.submit(anna, []string{bruno}, message(anna, bruno, "", "x\r\n"))
	w.settle()
	before := w.kinds(anna)
	raw := w.inbox(anna)[1].withoutTrace()
	end := bytes.LastIndex(raw, []byte("\r\n\r\n------"))
	if end < 0 {
		end = bytes.LastIndex(raw, []byte("\r\n------"))
	}
	for _, junk := range []string{"", "\r\nAAAA"} {
		changed := append(append(append([]byte{}, raw[:end]...), junk...), raw[end:]...)
		check(t, w.receive("posta-certificata@beta.example", []string{anna}, changed))
	}
	if k := w.kinds(anna); strings.Count(k, "avvenuta-consegna") != strings.Count(before, "avvenuta-consegna") {
		t.Errorf("sender now has %q", k)
	}
	check(t, w.receive("posta-certificata@beta.example", []string{"carla@alfa.example"}, raw))
	w.want("carla@alfa.example", "anomalia")
	w.clean()
}

// TestPec_9_VirusDetection: the notice for the user, once for each recipient,
// about messages of ours and from the provider concerned only.
func TestPec_9_VirusDetection(t *testing.T) {
	w := newWorld(t)
	beta := w.providers["beta.example"]
	w.broken["beta.example"] = true
	w.submit(anna, []string{bruno, carla}, message(anna, bruno+", "+carla, "", "x\r\n"))
	real := pec.MessageOf(*w.inbox(anna)[0].rec.CertData)
	invented := real
	invented.ID = "unknown.1@alfa.example"
	detect := func(m pec.Message, recipient string) {
		w.clock.Advance(time.Second)
		d := beta.core.Builder.VirusDetection(m, w.clock.Now(), recipient, "EICAR", service)
		check(t, w.receive("posta-certificata@beta.example", []string{service}, w.forge(beta, d, "")))
	}
	detect(invented, bruno)
	detect(real, "x@gamma.example")
	w.want(anna, "accettazione")
	detect(real, bruno)
	detect(real, bruno)
	detect(real, carla)
	w.want(anna, "accettazione errore-consegna-virus errore-consegna-virus")
	if d := w.inbox(anna)[1].rec.CertData; d.Delivery != bruno || d.Error != pec.Virus {
		t.Errorf("%+v", d)
	}
	tx, err := w.providers["alfa.example"].store.Transaction(context.Background(), real.ID, true)
	check(t, err)
	for _, r := range tx.Recipients {
		if r.Outcome != storage.Failed {
			t.Errorf("%+v", r)
		}
	}
}

// TestIncoming_FirstOutcomeStands, and the relay does not contradict a provider
// that took the message in charge.
func TestIncoming_FirstOutcomeStands(t *testing.T) {
	w := newWorld(t)
	beta := w.providers["beta.example"]
	w.submit(anna, []string{bruno}, message(anna, bruno, "", "x\r\n"))
	w.settle()
	m := pec.MessageOf(*w.inbox(anna)[0].rec.CertData)
	d := beta.core.Builder.NonDelivery(m, w.clock.Now(), bruno, pec.OtherError, "5.2.2 - x - y")
	check(t, w.receive("posta-certificata@beta.example", []string{anna}, w.forge(beta, d, "")))
	tx, err := w.providers["alfa.example"].store.Transaction(context.Background(), m.ID, true)
	check(t, err)
	if tx.Recipients[0].Outcome != storage.Delivered {
		t.Errorf("outcome now %q", tx.Recipients[0].Outcome)
	}
	if k := w.kinds(anna); !strings.HasSuffix(k, "errore-consegna") {
		t.Errorf("the late notice did not reach the sender: %q", k)
	}

	w = newWorld(t)
	raw := envelopeFor(t, w, bruno)
	check(t, w.receive(anna, []string{bruno}, raw)) // taken, but the 250 was lost
	w.broken["alfa.example"] = false
	for range 80 {
		w.settle()
		w.clock.Advance(20 * 60e9)
	}
	w.want(anna, "accettazione avvenuta-consegna")
}

// TestIncoming_Anomalies: what the envelope says and where bounces would go.
func TestIncoming_Anomalies(t *testing.T) {
	w := newWorld(t)
	in := message("x@mail.example", bruno, "", "ciao\r\n")
	alfa := w.providers["alfa.example"]
	d := alfa.core.Builder.Anomaly(pec.AnomalyInput{Header: headerOf(t, in), Sender: "x@mail.example", Recipients: []string{bruno}, Reason: "prova", FallbackID: "z@alfa.example"}, w.clock.Now())
	check(t, w.receive("x@mail.example", []string{bruno}, w.forge(alfa, d, in)))
	check(t, w.receive("", []string{bruno}, []byte(in)))
	check(t, w.receive(`"a b"@mail.example`, []string{bruno}, []byte(in)))
	got := w.inbox(bruno)
	for i, want := range []string{"busta di anomalia proveniente da un altro gestore", "Return-Path: <>\r\n", `Return-Path: <"a b"@mail.example>` + "\r\n"} {
		if !strings.Contains(strings.ReplaceAll(string(got[i].raw), "=\r\n", ""), want) {
			t.Errorf("message %d lacks %q", i, want)
		}
	}
}

// TestPec_1_4_ExternalNamed: an envelope that calls our recipient an ordinary
// one is delivered and answered by nothing.
func TestPec_1_4_ExternalNamed(t *testing.T) {
	w := newWorld(t)
	alfa := w.providers["alfa.example"]
	m := pec.Message{ID: "x.1@alfa.example", Sender: anna, Recipients: []pec.Recipient{{Address: bruno, External: true}, {Address: carla}}, Subject: "s", HasSubject: true}
	original := "From: " + anna + "\r\nTo: " + bruno + ", " + carla + "\r\nSubject: s\r\n\r\nciao\r\n"
	check(t, w.receive(anna, []string{bruno, carla}, w.forge(alfa, alfa.core.Builder.TransportEnvelope(m, w.clock.Now(), headerOf(t, original), false), original)))
	w.settle()
	w.want(bruno, "posta-certificata")
	w.want(carla, "posta-certificata")
	w.want(anna, "avvenuta-consegna")
	taken := w.inbox(service)
	if len(taken) != 1 || len(taken[0].rec.CertData.Receptions) != 1 || taken[0].rec.CertData.Receptions[0] != carla {
		t.Errorf("take-charge for %+v", taken[0].rec.CertData.Receptions)
	}
}

// TestIncoming_RevocationUnknown: a revocation list that is out of date says
// nothing about the message, so it is asked for again.
func TestIncoming_RevocationUnknown(t *testing.T) {
	w := newWorld(t)
	raw := envelopeFor(t, w, bruno)
	p := w.providers["beta.example"]
	cfg := signer.PECConfig(w.ca.Certificate())
	cfg.Origins, cfg.Revocation.Mode = w.index, signer.RevocationStrict
	p.core.Verifier = signer.NewVerifier(cfg)
	if err := w.receive(anna, []string{bruno}, raw); !fault.Is(err, fault.Temporary) {
		t.Errorf("answer %v, want a temporary one", err)
	}
	w.want(bruno, "")
}

// TestAccess_InstantIsTheLastOctets: a slow sender does not choose contents
// after the certified instant.
func TestAccess_InstantIsTheLastOctets(t *testing.T) {
	w := newWorld(t)
	_, err := w.at(anna).access.Submit(context.Background(), pipeline.Submission{Login: anna, Sender: anna, Recipients: []string{bruno}},
		&slowReader{w: w, r: strings.NewReader(message(anna, bruno, "", "x\r\n"))})
	check(t, err)
	if at := w.inbox(anna)[0].rec.CertData.At; !at.Equal(w.clock.Now()) {
		t.Errorf("accepted at %v, complete at %v", at, w.clock.Now())
	}
}

type slowReader struct {
	w *world
	r io.Reader
}

func (s *slowReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p[:min(len(p), 100)])
	if err == nil {
		s.w.clock.Advance(time.Minute)
	}
	return n, err
}

// TestAccess_Limits: a message of exactly the limit is accepted, one more octet
// is not; a header close to what can be read gets an answer that stays.
func TestAccess_Limits(t *testing.T) {
	exact := message(anna, bruno, "", "")
	exact += strings.Repeat(strings.Repeat("x", 70)+"\r\n", 130)
	for _, c := range []struct {
		name, message, kinds string
		max                  int64
	}{
		{"exactly the size", exact, "accettazione avvenuta-consegna", int64(len(exact))},
		{"one octet more", exact, "non-accettazione", int64(len(exact)) - 1},
		{"1,990 fields", message(anna, bruno, strings.Repeat("X-A: b\r\n", 1990), "x\r\n"), "non-accettazione", 1e8},
		{"1,900 fields", message(anna, bruno, strings.Repeat("X-A: b\r\n", 1900), "x\r\n"), "accettazione avvenuta-consegna", 1e8},
		{"header of 512 KiB less 100", message(anna, bruno, strings.Repeat("X-A: "+strings.Repeat("b", 990)+"\r\n", 523), "x\r\n"), "non-accettazione", 1e8},
		{"header of 440 KiB", message(anna, bruno, strings.Repeat("X-A: "+strings.Repeat("b", 990)+"\r\n", 450), "x\r\n"), "accettazione avvenuta-consegna", 1e8},
		{"a loop", message(anna, bruno, strings.Repeat("Received: by x\r\n", 60), "x\r\n"), "non-accettazione", 1e8},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.providers["alfa.example"].core.MaxMessage = c.max
			w.submit(anna, []string{bruno}, c.message)
			w.settle()
			w.want(anna, c.kinds)
			w.clean()
		})
	}
}

// TestDelivery_GivesUp: an envelope that cannot be read any more is answered
// after a day, from what the transaction knows.
func TestDelivery_GivesUp(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	to := "bruno@alfa.example"
	w.submit(anna, []string{to}, message(anna, to, "", "x\r\n"))
	p := w.at(anna)
	jobs, err := p.store.TakeDue(ctx, pipeline.JobDeliver, w.clock.Now(), 1, 0)
	check(t, err)
	jobs[0].Body = 1 << 40 // as if it were gone
	dp := pipeline.NewDeliveryPoint(p.core)
	if err := dp.Deliver(ctx, jobs[0]); err == nil {
		t.Fatal("a missing envelope was delivered")
	}
	w.want(anna, "accettazione")
	w.clock.Advance(25 * time.Hour)
	check(t, dp.Deliver(ctx, jobs[0]))
	w.want(anna, "accettazione errore-consegna")
	if d := w.inbox(anna)[1].rec.CertData; !strings.HasPrefix(d.ExtendedError, "5.3.0 - ") || d.Delivery != to {
		t.Errorf("%+v", d)
	}
	w.clean()
}
