// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"pecd/pec"
)

const anna, bruno, carla = "anna@alfa.example", "bruno@beta.example", "carla@beta.example"

// TestRFC6109_3_5_TwoProviders is the example of RFC 6109 §3.5: acceptance,
// take-charge, delivery, and the delivery receipt back with the sender.
func TestRFC6109_3_5_TwoProviders(t *testing.T) {
	w := newWorld(t)
	text := w.submit(anna, []string{bruno}, message(anna, bruno, "", "Buongiorno\r\n"))
	if !strings.HasPrefix(text, "2.0.0 accettato") {
		t.Errorf("answer %q", text)
	}
	w.want(anna, "accettazione")
	w.settle()
	w.want(anna, "accettazione avvenuta-consegna")
	w.want(bruno, "posta-certificata")
	w.want("ricevute@alfa.example", "presa-in-carico")

	envelope, receipt := w.inbox(bruno)[0], w.inbox(anna)[1]
	if envelope.original() != receipt.original() || envelope.original() == "" {
		t.Error("the complete receipt does not carry the delivered original")
	}
	if !strings.Contains(envelope.original(), "X-Riferimento-Message-ID: <m1@client.example>\r\n") ||
		!strings.HasSuffix(envelope.original(), "\r\n\r\nBuongiorno\r\n") {
		t.Errorf("original changed beyond the rules:\n%s", envelope.original())
	}
	d := receipt.rec.CertData
	if d.Delivery != bruno || d.Issuer != "Gestore beta.example" || d.MsgID != "<m1@client.example>" || d.Subject != "Città" {
		t.Errorf("certified data %+v", d)
	}
	w.clean()
}

// TestPec_1_4_SameProvider: a message inside one provider passes all points.
func TestPec_1_4_SameProvider(t *testing.T) {
	w := newWorld(t)
	to := "bruno@alfa.example"
	w.submit(anna, []string{to, anna}, message(anna, to+", "+anna, "", "x\r\n"))
	w.settle()
	w.want(to, "posta-certificata")
	w.want("ricevute@alfa.example", "")
	if k := w.kinds(anna); strings.Count(k, "avvenuta-consegna") != 2 || strings.Count(k, "posta-certificata") != 1 || strings.Count(k, "accettazione") != 1 {
		t.Errorf("sender to himself and another has %q", k)
	}
	w.clean()
}

// TestPec_2_3_ReceiptForms: what each recipient's receipt carries.
func TestPec_2_3_ReceiptForms(t *testing.T) {
	file := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("contenuto ", 40)))
	attachment := "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n"
	body := "--b\r\nContent-Type: text/plain\r\n\r\nciao\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		file + "\r\n--b--\r\n"
	sum := sha1.Sum([]byte(file))
	for _, c := range []struct {
		asked, to, cc string
	}{
		{"", "whole", ""}, {"completa", "whole", ""}, {"breve", "hashed", ""}, {"sintetica", "", ""}, {"Breve", "hashed", ""}, {"altro", "whole", ""},
	} {
		t.Run(c.asked, func(t *testing.T) {
			w := newWorld(t)
			extra := "Cc: " + carla + "\r\n" + attachment
			if c.asked != "" {
				extra += "X-TipoRicevuta: " + c.asked + "\r\n"
			}
			w.submit(anna, []string{bruno, carla, "dario@mail.example"}, message(anna, bruno+", dario@mail.example", extra, body))
			w.settle()
			for _, g := range w.inbox(anna) {
				if g.rec.Kind != pec.Delivery {
					continue
				}
				o, want := g.original(), c.to
				if g.rec.CertData.Delivery == carla {
					want = c.cc
				}
				has := ""
				switch {
				case strings.Contains(o, "\r\n\r\n"+hex.EncodeToString(sum[:])) && strings.Contains(o, "a.pdf.hash") && !strings.Contains(o, file):
					has = "hashed"
				case strings.Contains(o, file):
					has = "whole"
				case o != "":
					has = "?"
				}
				if has != want {
					t.Errorf("%s: receipt for %s carries %q, want %q", c.asked, g.rec.CertData.Delivery, has, want)
				}
			}
			acceptance := w.inbox(anna)[0].rec.CertData
			if r := acceptance.Recipients[2]; !r.External || r.Address != "dario@mail.example" {
				t.Errorf("ordinary recipient certified as %+v", r)
			}
			if len(w.outside) != 1 || w.outside[0].Sender != anna || w.outside[0].RequireTLS {
				t.Errorf("ordinary recipient: %d dispatches", len(w.outside))
			}
			if n := strings.Count(w.kinds(anna), "avvenuta-consegna"); n != 2 {
				t.Errorf("%d delivery receipts, want 2", n)
			}
			w.clean()
		})
	}
}

// TestRFC6109_3_1_1_NonAcceptance: a formal error is answered by the signed
// notice, and nothing goes anywhere.
func TestRFC6109_3_1_1_NonAcceptance(t *testing.T) {
	for name, m := range map[string]string{
		"rcpt not in To":  message(anna, "altro@beta.example", "", "x\r\n"),
		"Bcc":             message(anna, bruno, "Bcc: carla@beta.example\r\n", "x\r\n"),
		"other From":      message("bruno@alfa.example", bruno, "", "x\r\n"),
		"two From":        message(anna+", bruno@alfa.example", bruno, "", "x\r\n"),
		"no To":           strings.Replace(message(anna, bruno, "", "x\r\n"), "To: ", "X-To: ", 1),
		"no header":       "solo testo\r\n",
		"empty":           "",
		"NUL":             message(anna, bruno, "", "a\x00b\r\n"),
		"line of 100 kB":  message(anna, bruno, "", strings.Repeat("x", 100<<10)+"\r\n"),
		"10,000 headers":  message(anna, bruno, strings.Repeat("X-A: b\r\n", 10000), "x\r\n"),
		"a header of 1 M": message(anna, bruno, strings.Repeat("X-A: "+strings.Repeat("b", 900)+"\r\n", 1200), "x\r\n"),
		"200 deep":        deepMessage(200),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.submit(anna, []string{bruno}, m)
			w.settle()
			w.want(bruno, "")
			w.want(anna, "non-accettazione")
			if g := w.inbox(anna); len(g) == 1 {
				if d := g[0].rec.CertData; d.Error != pec.OtherError || d.ExtendedError == "" {
					t.Errorf("notice without reason: %+v", d)
				}
			}
			w.clean()
		})
	}
}

func deep(n int) (header, body string) {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString("--" + strings.Repeat("b", i) + "\r\nContent-Type: multipart/mixed; boundary=" + strings.Repeat("b", i+1) + "\r\n\r\n")
		}
	}
	return "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n", b.String()
}

// TestPec_3_3_NonDelivery: mailboxes that cannot take the envelope.
func TestPec_3_3_NonDelivery(t *testing.T) {
	for _, c := range []struct{ to, code, status string }{
		{"nessuno@alfa.example", "no-dest", "5.1.1 - Gestore alfa.example - indirizzo non valido"},
		{"spenta@alfa.example", "altro", "5.2.1 - Gestore alfa.example - casella disabilitata"},
		{"nessuno@beta.example", "no-dest", "5.1.1 - Gestore beta.example - indirizzo non valido"},
	} {
		w := newWorld(t)
		w.submit(anna, []string{c.to}, message(anna, c.to, "", "x\r\n"))
		w.settle()
		w.want(anna, "accettazione errore-consegna")
		if d := w.inbox(anna)[1].rec.CertData; string(d.Error) != c.code || d.ExtendedError != c.status || d.Delivery != c.to {
			t.Errorf("%s: %s %q", c.to, d.Error, d.ExtendedError)
		}
		w.clean()
	}
}

func deepMessage(n int) string {
	header, body := deep(n)
	return message(anna, bruno, header, body)
}
