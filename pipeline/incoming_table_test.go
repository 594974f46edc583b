// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pecd/directory"
	"pecd/fault"
	"pecd/ledger"
	"pecd/pec"
	"pecd/pipeline"
	"pecd/signer"
	"pecd/signer/pki"
)

// third is a provider whose messages the test makes itself: gamma.example.
type third struct {
	w        *world
	identity signer.Identity
	provider *provider
}

// gamma issues a certificate for gamma.example and, where indexed, puts it into
// the index that beta uses.
func gamma(t *testing.T, w *world, indexed bool, opts ...pki.Option) third {
	t.Helper()
	const name, address = "Gestore gamma.example", "posta-certificata@gamma.example"
	id, err := w.ca.IssueSigner(name, address, opts...)
	check(t, err)
	sign, err := signer.New(id, name, address, w.clock)
	check(t, err)
	g := third{w: w, identity: id}
	core := *w.providers["alfa.example"].core
	core.Signer = sign
	core.Builder.Provider = pec.Provider{Name: name, Domain: "gamma.example", ServiceAddress: address}
	g.provider = &provider{w: w, domain: "gamma.example", core: &core}
	var entries []directory.Provider
	for d, p := range w.providers {
		entries = append(entries, directory.Provider{
			Name: "Gestore " + d, MailReceipt: "ricevute@" + d, Certificates: [][]byte{p.identity.Certificate.Raw}, Domains: []string{d},
		})
	}
	if indexed {
		entries = append(entries, directory.Provider{
			Name: name, MailReceipt: "ricevute@gamma.example", Certificates: [][]byte{id.Certificate.Raw}, Domains: []string{"gamma.example"},
		})
	}
	var ldif bytes.Buffer
	check(t, directory.WriteLDIF(&ldif, directory.RootEntry{Description: "test"}, entries))
	w.index, err = directory.ReadLDIF(&ldif)
	check(t, err)
	w.trust(nil, false)
	return g
}

// trust makes beta verify by the present index and the revocation lists given.
func (w *world) trust(crls signer.CRLSource, require bool) {
	cfg := signer.PECConfig(w.ca.Certificate())
	cfg.Origins, cfg.CRLs = w.index, crls
	if require {
		cfg.Revocation.Mode = signer.RevocationStrict
	}
	w.providers["beta.example"].core.Verifier = signer.NewVerifier(cfg)
}

func (g third) envelope(to ...string) []byte {
	m := pec.Message{ID: "x.1@gamma.example", Sender: "gino@gamma.example", Subject: "s", HasSubject: true}
	for _, r := range to {
		m.Recipients = append(m.Recipients, pec.Recipient{Address: r})
	}
	original := message(m.Sender, strings.Join(to, ", "), "", "ciao\r\n")
	return g.w.forge(g.provider, g.provider.core.Builder.TransportEnvelope(m, g.w.clock.Now(), headerOf(g.w.t, original), false), original)
}

func crlsWith(t testing.TB, ca *pki.CA, revoked ...*big.Int) signer.CRLSource {
	t.Helper()
	der, err := ca.CRL(revoked...)
	check(t, err)
	file := filepath.Join(t.TempDir(), "ca.crl")
	check(t, os.WriteFile(file, der, 0o600))
	lists, err := signer.LoadCRLs(file)
	check(t, err)
	return lists
}

// TestPec_1_5_Signers: tests 1 to 3 of the decision table by the certificate,
// and what is a matter of form only. A mailbox closed to ordinary mail parts
// what is treated as such from what must be propagated.
func TestPec_1_5_Signers(t *testing.T) {
	const closed = "chiusa@beta.example"
	for _, c := range []struct {
		name     string
		indexed  bool
		opts     []pki.Option
		change   func(*world, third, []byte) []byte
		open     string // what an open mailbox gets
		reason   string
		closed   fault.Kind // how a mailbox closed to ordinary mail answers; 0: it gets the same
		provider string     // in the log
	}{
		{name: "valid", indexed: true, open: "posta-certificata"},
		{name: "unknown signer", open: "anomalia", reason: "non è di un gestore presente nell'indice", closed: fault.Denied},
		{name: "revoked", indexed: true, open: "anomalia", reason: "era revocato", closed: fault.Denied,
			change: func(w *world, g third, raw []byte) []byte {
				w.trust(crlsWith(w.t, w.ca, g.identity.Certificate.SerialNumber), true)
				return raw
			}},
		{name: "expired leaf", indexed: true, open: "anomalia", reason: "scadut", closed: fault.Denied,
			opts: []pki.Option{pki.WithValidity(time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 6, 3, 9, 0, 0, 0, time.UTC))},
			change: func(w *world, _ third, raw []byte) []byte {
				w.clock.Advance(time.Hour)
				return raw
			}},
		{name: "signed content altered", indexed: true, open: "anomalia", reason: "firma", closed: fault.Denied,
			change: func(_ *world, _ third, raw []byte) []byte {
				return replace("\r\n\r\nciao\r\n", "\r\n\r\nciai\r\n")(raw)
			}},
		{name: "From is not the certificate's", indexed: true, open: "anomalia", reason: "non è per l'indirizzo del mittente", provider: "Gestore gamma.example",
			change: func(_ *world, _ third, raw []byte) []byte {
				return replace("<posta-certificata@gamma.example>", "<altro@gamma.example>")(raw)
			}},
		{name: "X-Trasporto and X-Ricevuta", indexed: true, open: "anomalia", reason: "contraddittori", provider: "Gestore gamma.example",
			change: func(_ *world, _ third, raw []byte) []byte {
				return append([]byte("X-Ricevuta: accettazione\r\n"), raw...)
			}},
		{name: "X-Trasporto twice", indexed: true, open: "anomalia", reason: "ripetuti", provider: "Gestore gamma.example",
			change: func(_ *world, _ third, raw []byte) []byte {
				return append([]byte("X-Trasporto: posta-certificata\r\n"), raw...)
			}},
		{name: "neither of both", indexed: true, open: "anomalia", reason: "X-Ricevuta e X-Trasporto assenti", provider: "Gestore gamma.example",
			change: func(_ *world, _ third, raw []byte) []byte {
				return replace("X-Trasporto: posta-certificata\r\n", "")(raw)
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			g := gamma(t, w, c.indexed, c.opts...)
			raw := g.envelope(bruno, closed)
			if c.change != nil {
				raw = c.change(w, g, raw)
			}
			check(t, w.receive("gino@gamma.example", []string{bruno}, raw))
			err := w.receive("gino@gamma.example", []string{closed}, raw)
			if (err != nil) != (c.closed != 0) || err != nil && !fault.Is(err, c.closed) {
				t.Fatalf("closed mailbox: %v", err)
			}
			w.broken["gamma.example"] = true
			w.settle()
			w.want(bruno, c.open)
			if c.closed == 0 {
				w.want(closed, c.open)
			}
			if c.open != "anomalia" {
				return
			}
			text := strings.ReplaceAll(string(w.inbox(bruno)[0].raw), "=\r\n", "")
			text = strings.NewReplacer("=E8", "è", "=20", " ").Replace(text)
			if !strings.Contains(text, c.reason) {
				t.Errorf("reason %q not told:\n%s", c.reason, text[:min(len(text), 4000)])
			}
			e := w.logged("beta.example")[0]
			want := ledger.OrdinaryReceived
			if c.provider != "" {
				want = ledger.AnomalyCreated
			}
			if e.Kind != want || e.Provider != c.provider {
				t.Errorf("%+v", e)
			}
			w.clean()
		})
	}
}

// TestPec_1_5_RevocationUnknown: without a current list nothing is said of the
// message, whatever else is wrong behind that; it is asked for again.
func TestPec_1_5_RevocationUnknown(t *testing.T) {
	w := newWorld(t)
	g := gamma(t, w, true)
	raw := g.envelope(bruno)
	w.trust(nil, true)
	wantKind(t, w.receive("gino@gamma.example", []string{bruno}, raw), fault.Temporary)
	w.want(bruno, "")
	w.wantLog("beta.example")
	w.trust(crlsWith(t, w.ca, big.NewInt(1)), true)
	check(t, w.receive("gino@gamma.example", []string{bruno}, raw))
	w.wantLog("beta.example", ledger.EnvelopeReceived, ledger.TakenInCharge)
}

// TestPec_1_4_UnknownTransaction: receipts about what we never accepted are
// passed on and change nothing.
func TestPec_1_4_UnknownTransaction(t *testing.T) {
	w := newWorld(t)
	beta := w.providers["beta.example"].core.Builder
	m := pec.Message{ID: "mai.visto@alfa.example", Sender: anna, Recipients: []pec.Recipient{{Address: bruno}}, Subject: "s", HasSubject: true}
	for _, d := range []pec.Draft{beta.Delivery(m, w.clock.Now(), bruno, pec.FormConcise, false), beta.NonDelivery(m, w.clock.Now(), bruno, pec.OtherError, "5.2.2 - x - y")} {
		check(t, w.receive("posta-certificata@beta.example", []string{anna}, w.forge(w.providers["beta.example"], d, "")))
	}
	for _, d := range []pec.Draft{beta.TakeCharge(m, w.clock.Now(), []string{bruno}, service), beta.VirusDetection(m, w.clock.Now(), bruno, "X", service)} {
		check(t, w.receive("posta-certificata@beta.example", []string{service}, w.forge(w.providers["beta.example"], d, "")))
	}
	w.settle()
	w.want(anna, "avvenuta-consegna errore-consegna")
	w.want(service, "presa-in-carico rilevazione-virus")
	if _, err := w.at(anna).store.Transaction(context.Background(), m.ID, true); !fault.Is(err, fault.NotFound) {
		t.Errorf("a transaction out of nothing: %v", err)
	}
	w.clean()
}

// TestPec_9_DetectionIsHeldAgainstTheTransaction: of a detection only the virus
// and the recipient are believed; one that names a recipient twice, or two
// recipients as older stacks did, gives one notice for each.
func TestPec_9_DetectionIsHeldAgainstTheTransaction(t *testing.T) {
	w := newWorld(t)
	beta := w.providers["beta.example"]
	w.broken["beta.example"] = true
	w.submit(anna, []string{bruno, carla}, message(anna, bruno+", "+carla, "", "x\r\n"))
	m := pec.MessageOf(*w.inbox(anna)[0].rec.CertData)
	certified := m
	m.Sender, m.MsgID, m.Subject, m.Recipients = "altri@alfa.example", "<altro@x>", "Altro", []pec.Recipient{{Address: bruno}}
	d := beta.core.Builder.VirusDetection(m, w.clock.Now(), bruno, "X", service)
	d.Before = withReceptions(t, d.Before, bruno, strings.ToUpper(bruno), carla, "dario@gamma.example")
	check(t, w.receive("posta-certificata@beta.example", []string{service}, w.forge(beta, d, "")))
	w.want(anna, "accettazione errore-consegna-virus errore-consegna-virus")
	for n, r := range []string{bruno, carla} {
		c := w.inbox(anna)[1+n].rec.CertData
		if c.Delivery != r || c.Sender != anna || c.MsgID != certified.MsgID || c.Subject != certified.Subject || len(c.Recipients) != 2 {
			t.Errorf("%+v", c)
		}
	}
	w.clean()
}

// TestIncoming_Postmaster: his mail reaches the service address, by the host's
// name and by that of a domain without such a mailbox.
func TestIncoming_Postmaster(t *testing.T) {
	w := newWorld(t)
	p := w.providers["beta.example"]
	ctx := context.Background()
	raw := []byte(message("x@mail.example", "postmaster@beta.example", "", "ciao\r\n"))
	wantKind(t, w.receive("x@mail.example", []string{"postmaster@beta.example"}, raw), fault.NotFound)
	_, err := directory.New(p.store, w.clock).CreateMailbox(ctx, directory.NewMailbox{Address: "posta-certificata@beta.example", Tier: "standard", Ordinary: true, Service: true})
	check(t, err)
	w.clock.Advance(time.Hour) // past the directory's cache
	for _, to := range []string{"postmaster@mail.beta.example", "Postmaster@beta.example"} {
		check(t, p.incoming.MayReceive(ctx, to))
		_, err := p.incoming.Receive(ctx, pipeline.Arrival{Sender: "x@mail.example", Recipients: []string{to}}, bytes.NewReader(raw))
		check(t, err)
	}
	w.want("posta-certificata@beta.example", "anomalia anomalia")
	wantKind(t, w.receive("x@mail.example", []string{"nessuno@beta.example"}, raw), fault.NotFound)
}

// TestIncoming_SeveralOrdinary: one envelope for all of them, with the null
// reverse path of a bounce.
func TestIncoming_SeveralOrdinary(t *testing.T) {
	w := newWorld(t)
	bounce := "From: MAILER-DAEMON@mail.example\r\nTo: " + bruno + "\r\nSubject: Undelivered Mail\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nno\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mail.example\r\n\r\n--b--\r\n"
	check(t, w.receive("", []string{bruno, carla, strings.ToUpper(bruno)}, []byte(bounce)))
	for _, a := range []string{bruno, carla} {
		w.want(a, "anomalia")
		g := w.inbox(a)[0]
		if g.original() != bounce || !strings.HasPrefix(string(g.raw), "Return-Path: <>\r\n") || g.msg.Root.Header.Get("X-Trasporto") != "errore" {
			t.Errorf("%s: %.300q", a, g.raw)
		}
	}
	if string(w.inbox(bruno)[0].raw) != string(w.inbox(carla)[0].raw) {
		t.Error("two envelopes for one message")
	}
	w.wantLog("beta.example", ledger.OrdinaryReceived, ledger.Delivered, ledger.Delivered)
	w.clean()
}

// withReceptions puts ricezione in the place of consegna in the daticert.xml of
// a draft's part.
func withReceptions(t *testing.T, entity []byte, recipients ...string) []byte {
	t.Helper()
	head, rest, found := bytes.Cut(entity, []byte("filename=\"daticert.xml\"\r\n\r\n"))
	if !found {
		t.Fatal("no daticert.xml")
	}
	xml, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(strings.TrimSpace(string(rest)), "\r\n", ""))
	check(t, err)
	before, after, _ := strings.Cut(string(xml), "<consegna>")
	_, after, found = strings.Cut(after, "</consegna>")
	if !found {
		t.Fatal("no consegna")
	}
	list := "<ricezione>" + strings.Join(recipients, "</ricezione><ricezione>") + "</ricezione>"
	out := append(slices.Clone(head), "filename=\"daticert.xml\"\r\n\r\n"...)
	for code := base64.StdEncoding.EncodeToString([]byte(before + list + after)); code != ""; {
		n := min(len(code), 76)
		out, code = append(append(out, code[:n]...), "\r\n"...), code[n:]
	}
	return out
}
