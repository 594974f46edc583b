// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// samplesDir holds real messages of Italian providers; they are not part of the project.
const samplesDir = "../../shared/samples"

// sample is what is known of one real message.
type sample struct {
	file, kind, provider string
	verdict              string // against the authorities of the samples
	intact               string // with nobody named to trust
	id, delivery         string
}

var samples = []sample{
	{"aruba2015-accettazione.eml", "accettazione", "ARUBA PEC S.p.A.", "valid", "intact", "opec275.20150520170810.24847.06.1.17@pec.aruba.it", ""},
	{"infocert2015-consegna-ber.eml", "avvenuta-consegna", "InfoCert S.p.A.", "valid", "intact", "opec275.20150520170810.24847.06.1.17@pec.aruba.it", "innoviu.test1@legalmail.it"},
	{"aruba2021-accettazione.eml", "accettazione", "ARUBA PEC S.p.A.", "valid", "intact", "opec296.20211214143608.11149.382.1.69@pec.aruba.it", ""},
	{"aruba2021-consegna-cc.eml", "avvenuta-consegna", "ARUBA PEC S.p.A.", "valid", "intact", "opec296.20211214143608.11149.382.1.69@pec.aruba.it", "test01@pec.flosslab.it"},
	{"aruba2021-errore-consegna.eml", "errore-consegna", "ARUBA PEC S.p.A.", "valid", "intact", "opec296.20211214145423.22932.377.1.68@pec.aruba.it", "provaprova@pec.flosslab.it"},
	// Its publisher changed the addresses, so the digest cannot match.
	{"aruba2026-errore-consegna-anonymised.eml", "errore-consegna", "ARUBA PEC S.p.A.", "broken", "broken", "jpec13216.20260919154120.06118.4003.1.1@pec.aruba.it", "collaudo-inesistente-7k2q9@pec.it"},
	// A transport envelope whose signature part was taken out is ordinary mail.
	{"aruba2026-busta-unsigned.eml", "nessuno", "", "absent", "absent", "", ""},
}

// sampleFiles skips the test where the samples are not at hand, and otherwise
// wants every message among them to be known here.
func sampleFiles(t *testing.T) string {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(samplesDir, "pec", "*.eml"))
	if len(files) == 0 {
		t.Skip("no " + samplesDir + "/pec here; it holds real messages that are not part of the project")
	}
	known := map[string]bool{}
	for _, s := range samples {
		known[s.file] = true
	}
	for _, f := range files {
		if !known[filepath.Base(f)] {
			t.Errorf("%s is not in the table of this test", f)
		}
	}
	dir, err := filepath.Abs(samplesDir)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// unwrapped is the part of `pecd unwrap --json` that the tests look at.
type unwrapped struct {
	Kind      string `json:"kind"`
	Provider  string `json:"provider"`
	Original  string `json:"original"`
	Signature struct {
		Verdict string `json:"verdict"`
		Text    string `json:"text"`
		Step    string `json:"failed_step"`
		Address string `json:"address"`
	} `json:"signature"`
	Data *struct {
		ID       string `json:"identificativo"`
		Delivery string `json:"consegna"`
	} `json:"data"`
}

func unwrap(t testing.TB, file string, args ...string) unwrapped {
	t.Helper()
	r := runIn(t, t.TempDir(), minute, pecd(t), append([]string{"unwrap", file, "--json"}, args...)...)
	var u unwrapped
	if err := json.Unmarshal(r.stdout, &u); err != nil || r.code != 0 {
		t.Fatalf("pecd unwrap %s %v: exit %d, %v\n%s%s", file, args, r.code, err, r.stdout, r.stderr)
	}
	return u
}

// TestUnwrapSamples is the first half of acceptance line 4.
func TestUnwrapSamples(t *testing.T) {
	dir := sampleFiles(t)
	for _, s := range samples {
		t.Run(s.file, func(t *testing.T) {
			file := filepath.Join(dir, "pec", s.file)
			for _, mode := range []struct {
				args    []string
				verdict string
			}{{[]string{"--ca", filepath.Join(dir, "certs", "_cas.pem")}, s.verdict}, {nil, s.intact}} {
				u := unwrap(t, file, mode.args...)
				if u.Kind != s.kind || u.Signature.Verdict != mode.verdict {
					t.Errorf("unwrap %v: kind %q, verdict %q (%s), want %q, %q", mode.args, u.Kind, u.Signature.Verdict, u.Signature.Text, s.kind, mode.verdict)
				}
				if s.provider != "" && !strings.EqualFold(u.Provider, s.provider) {
					t.Errorf("provider %q, want %q", u.Provider, s.provider)
				}
				if s.id != "" && (u.Data == nil || u.Data.ID != s.id || u.Data.Delivery != s.delivery) {
					t.Errorf("certification data %+v, want %s, %s", u.Data, s.id, s.delivery)
				}
			}
			text := runIn(t, t.TempDir(), minute, pecd(t), "unwrap", file)
			if text.code != 0 || (s.id != "" && !bytes.Contains(text.stdout, []byte(s.id))) {
				t.Errorf("as text: exit %d\n%s%s", text.code, text.stdout, text.stderr)
			}
		})
	}
}

// TestUnwrapOriginal takes the original out of a real complete receipt.
func TestUnwrapOriginal(t *testing.T) {
	dir := sampleFiles(t)
	out := filepath.Join(t.TempDir(), "original.eml")
	unwrap(t, filepath.Join(dir, "pec", "infocert2015-consegna-ber.eml"), "--out", out)
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "pec", "infocert2015-consegna-ber.eml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) < 200 || !bytes.Contains(raw, got) || !strings.Contains(string(got), "Message-ID: <opec275.20150520170810.24847.06.1.17@pec.aruba.it>") {
		t.Errorf("%d bytes that are not the enclosed message:\n%.400s", len(got), got)
	}
}

// TestSamplesAtTheIncomingPoint is the second half of line 4: none of the
// signers is in the demo's index, so every sample is ordinary mail and reaches
// the mailbox in an anomaly envelope (pec-rules §1.5).
func TestSamplesAtTheIncomingPoint(t *testing.T) {
	dir := sampleFiles(t)
	d := sharedDemo(t)
	to := d.standard(t, "BETA", 4)
	in := d.openInbox(t, to)
	for _, s := range samples {
		t.Run(s.file, func(t *testing.T) {
			raw, err := os.ReadFile(filepath.Join(dir, "pec", s.file))
			if err != nil {
				t.Fatal(err)
			}
			header, _, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
			h := parseHeader(header)
			from := strings.Trim(h.Get("Return-Path"), "<>")
			if r := d.swaks(t, d.get(t, "BETA_MX"), from, []string{to.address}, raw); r.code != 0 {
				t.Fatalf("swaks: exit %d\n%s%s", r.code, transcript(r.stdout), r.stderr)
			}
			m := in.one(time.Minute, "anomaly envelope", func(m stored) bool {
				return m.header.Get("Message-Id") == h.Get("Message-Id")
			})
			checkAnomaly(t, d, in.body(m.uid), raw, from, m)
		})
	}
	if got := d.openInbox(t, d.named(t, "ALFA_SERVICE")).find(func(m stored) bool { return strings.Contains(m.subject(), "bando startup") }); got != nil {
		t.Error("a take-charge receipt was issued for ordinary mail")
	}
}

// checkAnomaly wants an anomaly envelope around the whole message (RFC 6109 §3.2.2).
func checkAnomaly(t *testing.T, d *demo, raw, enclosed []byte, from string, m stored) {
	t.Helper()
	p := mustReadPEC(t, raw)
	p.verify(t, d)
	if m.header.Get("X-Trasporto") != "errore" || m.header.Get("X-Ricevuta") != "" {
		t.Errorf("X-Trasporto %q, X-Ricevuta %q", m.header.Get("X-Trasporto"), m.header.Get("X-Ricevuta"))
	}
	if !strings.HasPrefix(m.subject(), "ANOMALIA MESSAGGIO: ") {
		t.Errorf("subject %q", m.subject())
	}
	if f := p.header.Get("From"); !strings.Contains(f, "Per conto di: "+from) || !strings.Contains(f, "<posta-certificata@") {
		t.Errorf("From: %s", f)
	}
	if p.certXML != nil {
		t.Error("an anomaly envelope has no daticert.xml")
	}
	if !bytes.HasSuffix(p.original, enclosed) {
		t.Errorf("the enclosed message is not the one received: %d bytes, %d received; first difference at %d",
			len(p.original), len(enclosed), firstDifference(p.original, enclosed))
	}
	if !strings.Contains(p.text, "Anomalia") {
		t.Errorf("text:\n%s", p.text)
	}
}
