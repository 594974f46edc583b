// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"pecd/fault"
	"pecd/ledger"
	"pecd/pec"
	"pecd/pipeline"
	"pecd/storage"
)

func (w *world) trySubmit(from string, to []string, message string) (string, error) {
	return w.at(from).access.Submit(context.Background(), pipeline.Submission{
		Login: from, Sender: from, Recipients: to, Peer: pipeline.Peer{Helo: "client", Remote: "192.0.2.9", TLS: "TLSv1.3"},
	}, strings.NewReader(message))
}

// TestRFC6109_3_1_3_InfectedSubmission: the notice, the quarantine and the log;
// nothing goes anywhere.
func TestRFC6109_3_1_3_InfectedSubmission(t *testing.T) {
	w, scanner, _ := guarded(t)
	own := "bruno@alfa.example"
	in := message(anna, bruno+", "+own, "Reply-To: altra@alfa.example\r\n", "ciao "+virusMark+"\r\n")
	text := w.submit(anna, []string{bruno, own}, in)
	if !strings.HasPrefix(text, "2.0.0 messaggio non accettato per virus, avviso nella casella / ") {
		t.Errorf("answer %q", text)
	}
	w.settle()
	w.want(anna, "non-accettazione-virus")
	w.want(own, "")
	w.want(bruno, "")
	if scanner.scans != 1 || !strings.Contains(string(scanner.last), "Received: ") || !strings.HasSuffix(string(scanner.last), virusMark+"\r\n") {
		t.Errorf("%d scans, the last of %q", scanner.scans, scanner.last)
	}

	notice := w.inbox(anna)[0]
	h := notice.msg.Root.Header
	for name, want := range map[string]string{
		"X-Ricevuta": "non-accettazione", "X-VerificaSicurezza": "errore", "X-Trasporto": "", "From": "posta-certificata@alfa.example",
		"To": anna, "X-Riferimento-Message-ID": "<m1@client.example>", "Return-Path": "<posta-certificata@alfa.example>", "Reply-To": "",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if !strings.HasPrefix(notice.rec.Subject, "AVVISO DI NON ACCETTAZIONE PER VIRUS: Citt") || notice.original() != "" || strings.Contains(string(notice.raw), virusMark) {
		t.Errorf("subject %q, original %q", notice.rec.Subject, notice.original())
	}
	d := notice.rec.CertData
	if d.Type != "non-accettazione" || d.Error != pec.Virus || d.ExtendedError != virusName || d.Sender != anna || len(d.Recipients) != 2 ||
		d.MsgID != "<m1@client.example>" || d.ReplyTo != "altra@alfa.example" || d.Issuer != "Gestore alfa.example" || d.Delivery != "" {
		t.Errorf("certified data %+v", d)
	}
	if !strings.HasSuffix(text, d.ID) {
		t.Errorf("answer %q without identifier %q", text, d.ID)
	}

	q := w.wantQuarantine("alfa.example", 1)[0]
	if q.clear != in || q.Size != int64(len(in)) {
		t.Errorf("kept %q", q.clear)
	}
	if q.Point != "access" || q.Message != d.ID || q.Provider != "" || q.Sender != anna || len(q.Recipients) != 2 || q.Virus != virusName || !q.At.Equal(d.At) {
		t.Errorf("%+v", q.Quarantined)
	}
	w.wantLog("alfa.example", ledger.InterceptVirus, ledger.SubmissionRefused)
	for _, e := range w.logged("alfa.example") {
		if e.ID != d.ID || e.Side != ledger.Own || e.Mailbox != anna || e.User != anna || e.Virus != virusName || len(e.Recipients) != 2 {
			t.Errorf("%+v", e)
		}
	}
	if e := w.logged("alfa.example", ledger.SubmissionRefused)[0]; e.Receipt != "non-accettazione" || e.Error != "virus" || len(e.Related) != 1 || h.Get("Message-ID") != "<"+e.Related[0]+">" {
		t.Errorf("%+v", e)
	}
	if _, err := w.at(anna).store.Transaction(context.Background(), d.ID, true); !fault.Is(err, fault.NotFound) {
		t.Errorf("a transaction of a refused message: %v", err)
	}
	w.clean()
}

// TestRFC6109_3_1_1_FormBeforeVirus: what is wrong in its form is refused for
// that, looked into or not, with one notice.
func TestRFC6109_3_1_1_FormBeforeVirus(t *testing.T) {
	w, scanner, _ := guarded(t)
	scanner.down = true
	w.submit(anna, []string{bruno}, message(anna, "altro@beta.example", "", virusMark+"\r\n"))
	w.want(anna, "non-accettazione")
	if scanner.scans != 0 {
		t.Errorf("%d scans", scanner.scans)
	}
	w.wantQuarantine("alfa.example", 0)
	w.wantLog("alfa.example", ledger.SubmissionRefused)
}

// TestAccess_ScanReported: what cannot be looked into is accepted, and the log
// says so.
func TestAccess_ScanReported(t *testing.T) {
	w, _, _ := guarded(t)
	w.submit(anna, []string{bruno}, message(anna, bruno, "", closedMark+"\r\n"))
	w.settle()
	w.want(anna, "accettazione avvenuta-consegna")
	w.want(bruno, "posta-certificata")
	id := w.inbox(anna)[0].rec.CertData.ID
	for d, side := range map[string]ledger.Side{"alfa.example": ledger.Own, "beta.example": ledger.Foreign} {
		e := w.logged(d, ledger.ScanReported)
		if len(e) != 1 || e[0].Detail != closedName || e[0].ID != id || e[0].Side != side || e[0].Virus != "" {
			t.Errorf("%s: %+v", d, e)
		}
		w.wantQuarantine(d, 0)
	}
	w.submit(anna, []string{bruno}, message(anna, bruno, "", "in chiaro\r\n"))
	if n := len(w.logged("alfa.example", ledger.ScanReported)); n != 1 {
		t.Errorf("%d reports", n)
	}
}

// TestAccess_NothingKeptWhereItFails: without a verdict, without a vault, and
// without a commit the client is to come again, and nothing is there.
func TestAccess_NothingKeptWhereItFails(t *testing.T) {
	w, scanner, _ := guarded(t)
	core := w.at(anna).core
	real := core.Store
	store := &failingStore{Store: real}
	core.Store = store
	infected := message(anna, bruno, "", virusMark+"\r\n")
	for _, c := range []struct {
		name    string
		message string
		break_  func()
		mend    func()
		kind    fault.Kind
	}{
		{"engine down, clean", message(anna, bruno, "", "ciao\r\n"), func() { scanner.down = true }, func() { scanner.down = false }, fault.Temporary},
		{"engine down, infected", infected, func() { scanner.down = true }, func() { scanner.down = false }, fault.Temporary},
		{"no vault", infected, func() { core.Vault = nil }, func() { core.Vault = xorVault{} }, fault.Internal},
		{"vault without key", infected, func() { core.Vault = xorVault{broken: true} }, func() { core.Vault = xorVault{} }, fault.Temporary},
		{"no commit", infected, func() { store.fail = holds[*storage.PutQuarantined] }, func() { store.fail = nil }, fault.Temporary},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, log := w.kinds(anna), len(w.logged("alfa.example"))
			items := len(w.quarantine("alfa.example"))
			c.break_()
			_, err := w.trySubmit(anna, []string{bruno}, c.message)
			wantKind(t, err, c.kind)
			if codes := fault.CodesOf(err); codes.SMTP != 451 {
				t.Errorf("answer %d", codes.SMTP)
			}
			w.want(anna, before)
			w.wantQuarantine("alfa.example", items)
			if n := len(w.logged("alfa.example")); n != log || w.relayed("alfa.example") != 0 {
				t.Errorf("%d log records, %d before", n, log)
			}
			c.mend()
			w.submit(anna, []string{bruno}, c.message)
			w.settle()
			if k := w.kinds(anna); k == before {
				t.Error("the retry changed nothing")
			}
			w.clean()
		})
	}
	core.Store = real
	w.want(bruno, "posta-certificata")
	if k := w.kinds(anna); strings.Count(k, "non-accettazione-virus") != 4 || strings.Count(k, "avvenuta-consegna") != 1 {
		t.Errorf("sender has %q", k)
	}
	w.wantQuarantine("alfa.example", 4)
}

// TestScan_HostileNames: what an engine calls its finding harms nobody, and a
// finding without a name has one in the notice.
func TestScan_HostileNames(t *testing.T) {
	for in, want := range map[string]string{
		"Evil\r\nBcc: x@y\x1b[31m": "EvilBcc: x@y[31m",
		"":                         "contenuto non ammesso",
		strings.Repeat("x", 5000):  strings.Repeat("x", 255),
	} {
		w, _, _ := guarded(t)
		w.at(anna).core.Scanner = finds(in)
		w.submit(anna, []string{bruno}, message(anna, bruno, "", "x\r\n"))
		w.want(anna, "non-accettazione-virus")
		if got := w.inbox(anna)[0].rec.CertData.ExtendedError; got != want {
			t.Errorf("errore-esteso %q, want %q", got, want)
		}
		if q := w.wantQuarantine("alfa.example", 1)[0]; q.Virus != want {
			t.Errorf("virus %q, want %q", q.Virus, want)
		}
	}
}

type finds string

func (f finds) Scan(context.Context, io.Reader) (pipeline.Finding, error) {
	return pipeline.Finding{Name: string(f), Refuse: true}, nil
}
