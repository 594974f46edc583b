// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bytes"
	"encoding/hex"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// ordinary is a recipient outside PEC.
const ordinary = "carla@mail.example"

// demoWithSink is a stopped demo whose two providers run alone, each with its
// own configuration, in which alfa has a route to an ordinary mail server.
func demoWithSink(t testing.TB) (*demo, *sink) {
	t.Helper()
	d := newDemo(t, "--quiet")
	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	s := newSink(t)
	addRoute(t, filepath.Join(d.dir, "alfa.toml"), "mail.example", s.addr)
	startServe(t, d, "alfa.toml")
	startServe(t, d, "beta.toml")
	return d, s
}

// addRoute adds a line to the table [relay.routes] of a configuration.
func addRoute(t testing.TB, file, domain, addr string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	table := regexp.MustCompile(`(?m)^\[relay\.routes\][^\n]*\n`)
	line := `"` + domain + `" = "` + addr + "\"\n"
	if at := table.FindIndex(b); at != nil {
		b = slices.Insert(b, at[1], []byte(line)...)
	} else {
		b = append(b, "\n[relay.routes]\n"+line...)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestReceiptForms is acceptance line 3: one message to a primary recipient at
// beta, one at alfa itself, a copy recipient at beta and an ordinary recipient;
// everybody gets what pec-rules §2.3 says, for each value of X-TipoRicevuta.
func TestReceiptForms(t *testing.T) {
	d, s := demoWithSink(t)
	sender := d.standard(t, "ALFA", 2)
	primary, local, copied := d.standard(t, "BETA", 2), d.standard(t, "ALFA", 3), d.standard(t, "BETA", 3)
	for _, form := range []struct{ header, receipt, title string }{
		{"", "completa", "Ricevuta di avvenuta consegna"},
		{"completa", "completa", "Ricevuta di avvenuta consegna"},
		{"Breve", "breve", "Ricevuta breve di avvenuta consegna"},
		{"sintetica", "sintetica", "Ricevuta sintetica di avvenuta consegna"},
	} {
		t.Run("X-TipoRicevuta "+form.header, func(t *testing.T) {
			l := letter{id: newMsgID(), from: sender.address, to: []string{primary.address, local.address}, cc: []string{copied.address, ordinary},
				subject: "Forme di ricevuta " + form.receipt, receipt: form.header,
				attached: []attachment{pdf(30_000), {"tabella.csv", "text/csv", []byte("a;b\r\n1;2\r\n")}}}
			submitted := l.bytes()
			d.swaksSubmit(t, sender, append(slices.Clone(l.to), l.cc...), submitted)

			in := d.openInbox(t, sender)
			deliveries := in.wait(time.Minute, 3, "delivery receipts", about(l.id, "avvenuta-consegna"))
			acceptance := mustReadPEC(t, in.body(in.one(time.Minute, "acceptance", about(l.id, "accettazione")).uid))
			acceptance.check(t, d)
			checkClasses(t, acceptance, primary, local, copied)
			if !strings.Contains(acceptance.text, "posta ordinaria") {
				t.Errorf("the acceptance does not mark the ordinary recipient:\n%s", acceptance.text)
			}

			byRecipient := map[string]*pecMessage{}
			for _, m := range deliveries {
				p := mustReadPEC(t, in.body(m.uid))
				p.check(t, d)
				checkReceipt(t, p, "avvenuta-consegna", acceptance.cert.ID, sender)
				byRecipient[p.cert.Delivery] = p
				if p.cert.Receipt.Type != form.receipt {
					t.Errorf("<ricevuta tipo=%q>, want %q", p.cert.Receipt.Type, form.receipt)
				}
			}
			if len(deliveries) != 3 || len(byRecipient) != 3 {
				t.Fatalf("%d delivery receipts for %d recipients, want 3", len(deliveries), len(byRecipient))
			}
			for _, a := range []account{primary, local} {
				p := byRecipient[a.address]
				if p == nil {
					t.Fatalf("no delivery receipt for %s", a.address)
				}
				if !strings.Contains(p.text, form.title) {
					t.Errorf("the text for %s is not titled %q:\n%s", a.address, form.title, p.text)
				}
				switch form.receipt {
				case "completa":
					checkOriginal(t, submitted, p.original, l.id, acceptance.cert.ID)
				case "breve":
					checkBrief(t, p.original, l)
				case "sintetica":
					if p.original != nil {
						t.Errorf("the concise receipt for %s carries the original", a.address)
					}
				}
			}
			if p := byRecipient[copied.address]; p == nil || p.original != nil {
				t.Errorf("the copy recipient's receipt is missing or carries the original")
			}
			checkEnvelopes(t, d, s, l, submitted, acceptance.cert.ID, primary, local, copied)
			checkTakeCharge(t, d, l, primary, copied)
		})
	}
}

func checkClasses(t *testing.T, p *pecMessage, certified ...account) {
	t.Helper()
	got := p.cert.recipients()
	for _, a := range certified {
		if got[a.address] != "certificato" {
			t.Errorf("%s is %q in daticert.xml, want certificato", a.address, got[a.address])
		}
	}
	if got[ordinary] != "esterno" || len(got) != len(certified)+1 {
		t.Errorf("recipients in daticert.xml: %v", got)
	}
}

// checkEnvelopes wants one transport envelope for everybody, the ordinary
// recipient included.
func checkEnvelopes(t *testing.T, d *demo, s *sink, l letter, submitted []byte, id string, certified ...account) {
	t.Helper()
	check := func(who string, raw []byte) {
		p := mustReadPEC(t, raw)
		p.check(t, d)
		checkClasses(t, p, certified...)
		checkOriginal(t, submitted, p.original, l.id, id)
		if p.cert.Type != "posta-certificata" || p.header.Get("X-Trasporto") != "posta-certificata" {
			t.Errorf("%s got tipo %q, X-Trasporto %q", who, p.cert.Type, p.header.Get("X-Trasporto"))
		}
		if got := p.header.Get("X-TipoRicevuta"); !strings.EqualFold(got, l.receipt) {
			t.Errorf("%s: X-TipoRicevuta %q, the original has %q", who, got, l.receipt)
		}
	}
	for _, a := range certified {
		in := d.openInbox(t, a)
		check(a.address, in.body(in.one(time.Minute, "transport envelope", about(l.id, "posta-certificata")).uid))
		in.client.Close()
	}
	var got []sunk
	until(t, time.Minute, "envelope at the ordinary recipient", func() (bool, string) {
		got = slices.DeleteFunc(s.received(ordinary), func(m sunk) bool { return !bytes.Contains(m.message, []byte(l.id)) })
		return len(got) > 0, "nothing there"
	})
	if len(got) != 1 || !strings.EqualFold(got[0].from, l.from) {
		t.Errorf("the ordinary recipient got %d messages, MAIL FROM %q", len(got), got[0].from)
	}
	check(ordinary, got[0].message)
}

// checkTakeCharge wants every recipient at beta exactly once in the take-charge
// receipts that reached alfa's service mailbox (pec-rules §1.7).
func checkTakeCharge(t *testing.T, d *demo, l letter, at ...account) {
	t.Helper()
	service := d.openInbox(t, d.named(t, "ALFA_SERVICE"))
	defer service.client.Close()
	covered := map[string]int{}
	until(t, time.Minute, "take-charge receipts", func() (bool, string) {
		clear(covered)
		for _, m := range service.find(about(l.id, "presa-in-carico")) {
			p := mustReadPEC(t, service.body(m.uid))
			p.check(t, d)
			for _, r := range p.cert.Receptions {
				covered[r]++
			}
		}
		for _, a := range at {
			if covered[a.address] == 0 {
				return false, service.subjects()
			}
		}
		return true, ""
	})
	for _, a := range at {
		if covered[a.address] != 1 {
			t.Errorf("%s is covered by %d take-charge receipts", a.address, covered[a.address])
		}
	}
}

// checkBrief wants postacert.eml to be the original with every named part
// replaced by its SHA-1 (RFC 6109 §3.3.2.2).
func checkBrief(t *testing.T, original []byte, l letter) {
	t.Helper()
	if original == nil {
		t.Error("the brief receipt has no postacert.eml")
		return
	}
	m, err := mail.ReadMessage(bytes.NewReader(original))
	if err != nil {
		t.Fatal(err)
	}
	mediaType, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || mediaType != "multipart/mixed" {
		t.Fatalf("structure changed: %q, %v", mediaType, err)
	}
	r := multipart.NewReader(m.Body, params["boundary"])
	hashes := map[string]string{}
	var texts int
	for {
		part, err := r.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		name := part.FileName()
		if name == "" {
			texts++
			if rest := strings.SplitN(string(l.bytes()), "us-ascii\r\n\r\n", 2)[1]; len(body) < 10 || !strings.HasPrefix(rest, string(body)) {
				t.Errorf("the text part changed: %q", body)
			}
			continue
		}
		if mt, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type")); mt != "text/plain" {
			t.Errorf("%s is %s, want text/plain", name, mt)
		}
		decoded, err := decodePart(part.Header.Get("Content-Transfer-Encoding"), body)
		if err != nil {
			t.Fatal(err)
		}
		hashes[name] = strings.TrimSpace(string(decoded))
	}
	if texts != 1 || len(hashes) != len(l.attached) {
		t.Errorf("%d text parts, hashes %v", texts, hashes)
	}
	for _, a := range l.attached {
		got := hashes[a.name+".hash"]
		if _, err := hex.DecodeString(got); err != nil || len(got) != 40 || !strings.EqualFold(got, a.hash()) {
			t.Errorf("%s.hash says %q, sha1 of the encoded part is %s", a.name, got, a.hash())
		}
	}
}
