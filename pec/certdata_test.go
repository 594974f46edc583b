// SPDX-License-Identifier: EUPL-1.2

package pec_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pecd/pec"
)

// fullCertData has every element of the grammar.
func fullCertData() pec.CertData {
	return pec.CertData{
		Type: "avvenuta-consegna", Error: pec.NoError,
		Sender: "anna@pec.alfa.example",
		Recipients: []pec.Recipient{
			{Address: "bruno@pec.beta.example"},
			{Address: "carla@mail.example", External: true},
		},
		ReplyTo: "anna@pec.alfa.example", Subject: "Ordine n. 7 <urgente> & \"perché\"", HasSubject: true,
		Issuer: "Beta PEC S.p.A.", At: time.Date(2026, 6, 3, 10, 15, 7, 0, time.FixedZone("", 7200)),
		ID:    "pec1.20260603101505.4711.1@gestore-alfa.example",
		MsgID: "<abc.1@client.example>", Receipt: pec.ReceiptComplete, Delivery: "bruno@pec.beta.example",
		Receptions: []string{"bruno@pec.beta.example"}, ExtendedError: "5.1.1 - Beta - no",
	}
}

// validate holds a daticert.xml against the DTD of RFC 6109 §4.4.
func validate(t testing.TB, xml []byte) {
	t.Helper()
	tool, err := exec.LookPath("xmllint")
	if err != nil {
		t.Fatal("xmllint is missing: apt-get install -y libxml2-utils")
	}
	file := filepath.Join(t.TempDir(), "daticert.xml")
	if err := os.WriteFile(file, xml, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(tool, "--nonet", "--noout", "--dtdvalid", "testdata/postacert.dtd", file).CombinedOutput(); err != nil {
		t.Fatalf("not valid: %v\n%s\n%s", err, out, xml)
	}
}

// sameCertData compares with times by instant and offset.
func sameCertData(a, b pec.CertData) bool {
	_, za := a.At.Zone()
	_, zb := b.At.Zone()
	if za != zb || !a.At.Equal(b.At) {
		return false
	}
	a.At, b.At = time.Time{}, time.Time{}
	return reflect.DeepEqual(a, b)
}

func TestCertDataFull(t *testing.T) {
	c := fullCertData()
	xml := c.Encode()
	validate(t, xml)
	got, err := pec.ReadCertData(xml)
	if err != nil {
		t.Fatal(err)
	}
	if !sameCertData(got, c) {
		t.Errorf("got  %+v\nwant %+v", got, c)
	}
	if bytes.Contains(xml, []byte("\r")) || bytes.Contains(xml, []byte("DOCTYPE")) {
		t.Error("line ends other than LF, or a DOCTYPE")
	}
}

func TestCertDataMinimal(t *testing.T) {
	c := pec.CertData{Type: "accettazione", Sender: "a@b.example", Recipients: []pec.Recipient{{Address: "c@d.example"}},
		ID: "x@y.example", At: time.Date(2026, 1, 2, 3, 4, 5, 999, time.UTC)}
	xml := c.Encode()
	validate(t, xml)
	got, err := pec.ReadCertData(xml)
	if err != nil {
		t.Fatal(err)
	}
	c.Error, c.At = pec.NoError, c.At.Truncate(time.Second)
	if !sameCertData(got, c) {
		t.Errorf("got  %+v\nwant %+v", got, c)
	}
	for _, absent := range []string{"oggetto", "msgid", "ricevuta", "consegna", "ricezione", "errore-esteso"} {
		if bytes.Contains(xml, []byte("<"+absent)) {
			t.Errorf("%s is there", absent)
		}
	}
	validate(t, pec.CertData{Type: "accettazione"}.Encode()) // even of nothing at all
}

func TestCertDataHostileText(t *testing.T) {
	for name, text := range map[string]struct{ in, out string }{
		"CDATA end":    {"a]]>b", "a]]>b"},
		"markup":       {`</oggetto><consegna>x@y</consegna>`, `</oggetto><consegna>x@y</consegna>`},
		"entity":       {"&amp; &#0; &lol;", "&amp; &#0; &lol;"},
		"quotes":       {`"'`, `"'`},
		"NUL":          {"a\x00b", "a\uFFFDb"},
		"controls":     {"a\x01\x0b\x1fb", "a\uFFFD\uFFFD\uFFFDb"},
		"CR LF tab":    {"a\r\nb\tc", "a  b c"},
		"U+FFFE":       {"a\uFFFEb\uFFFFc", "a\uFFFDb\uFFFDc"},
		"no UTF-8":     {"a\xff\xc0\xafb", "a\uFFFD\uFFFD\uFFFDb"},
		"surrogate":    {"a\xed\xa0\x80b", "a\uFFFD\uFFFD\uFFFDb"},
		"emoji":        {"ok 👍🏽", "ok 👍🏽"},
		"RTL":          {"a\u202Egpj.exe", "a\u202Egpj.exe"},
		"comment":      {"<!-- x --><?php ?>", "<!-- x --><?php ?>"},
		"noncharacter": {"a\U0001FFFEb", "a\U0001FFFEb"},
	} {
		t.Run(name, func(t *testing.T) {
			c := fullCertData()
			c.Subject, c.ExtendedError, c.Issuer = text.in, text.in, text.in
			xml := c.Encode()
			validate(t, xml)
			got, err := pec.ReadCertData(xml)
			if err != nil {
				t.Fatalf("%v\n%s", err, xml)
			}
			if got.Subject != text.out || got.ExtendedError != text.out || got.Issuer != text.out {
				t.Errorf("%q became %q", text.in, got.Subject)
			}
		})
	}
}

func TestCertDataRoundTrip(t *testing.T) {
	line := rapid.Custom(func(t *rapid.T) string {
		s := rapid.StringOfN(rapid.RuneFrom([]rune(`<>&"'];é€👍 #x0-`)), 0, 30, -1).Draw(t, "s")
		return strings.Trim(s, " ")
	})
	word := rapid.StringMatching(`[a-zA-Z0-9.<>&"' +_-]{0,20}[a-z]@[a-z]{1,10}\.example`)
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.Map(word, strings.TrimSpace)
		c := pec.CertData{
			Type:       rapid.SampledFrom([]string{"accettazione", "posta-certificata", "errore-consegna"}).Draw(t, "type"),
			Error:      rapid.SampledFrom([]pec.ErrorCode{pec.NoError, pec.NoDest, pec.NoDomain, pec.Virus, pec.OtherError}).Draw(t, "error"),
			Sender:     word.Draw(t, "sender"),
			ReplyTo:    line.Draw(t, "reply"),
			HasSubject: rapid.Bool().Draw(t, "has"),
			Issuer:     line.Draw(t, "issuer"),
			At: time.Unix(rapid.Int64Range(-2000000000, 4000000000).Draw(t, "at"), 0).
				In(time.FixedZone("", 60*rapid.IntRange(-900, 900).Draw(t, "zone"))),
			ID:            word.Draw(t, "id"),
			MsgID:         rapid.OneOf(word, rapid.Just("")).Draw(t, "msgid"),
			Receipt:       rapid.SampledFrom([]pec.ReceiptType{"", pec.ReceiptComplete, pec.ReceiptBrief, pec.ReceiptConcise}).Draw(t, "receipt"),
			Delivery:      rapid.OneOf(word, rapid.Just("")).Draw(t, "delivery"),
			ExtendedError: line.Draw(t, "extended"),
		}
		for _, a := range rapid.SliceOfN(word, 1, 5).Draw(t, "recipients") {
			c.Recipients = append(c.Recipients, pec.Recipient{Address: a, External: rapid.Bool().Draw(t, "external")})
		}
		c.Receptions = append(c.Receptions, rapid.SliceOfN(word, 0, 5).Draw(t, "receptions")...)
		if c.HasSubject {
			c.Subject = line.Draw(t, "subject")
		}
		got, err := pec.ReadCertData(c.Encode())
		if err != nil {
			t.Fatalf("%v\n%s", err, c.Encode())
		}
		if !sameCertData(got, c) {
			t.Fatalf("got  %+v\nwant %+v", got, c)
		}
	})
}

func TestReadCertDataAccepts(t *testing.T) {
	base := string(fullCertData().Encode())
	for name, doc := range map[string]string{
		"CRLF":                 strings.ReplaceAll(base, "\n", "\r\n"),
		"byte order mark":      "\xef\xbb\xbf" + base,
		"open and close":       strings.Replace(base, `<ricevuta tipo="completa"/>`, `<ricevuta tipo="completa"></ricevuta>`, 1),
		"open, blank, close":   strings.Replace(base, `<ricevuta tipo="completa"/>`, "<ricevuta tipo='completa' >\n</ricevuta >", 1),
		"comments":             strings.Replace(base, "<dati>", "<!-- x --><dati><!-- y -->", 1),
		"no declaration":       base[strings.Index(base, "<postacert"):],
		"encoding in lower":    strings.Replace(base, "UTF-8", "utf-8", 1),
		"blanks around values": strings.NewReplacer("<mittente>", "<mittente>\r\n\t ", "</identificativo>", "\n</identificativo>").Replace(base),
		"brackets around id":   strings.NewReplacer("<identificativo>", "<identificativo>&lt;", "</identificativo>", "&gt;</identificativo>").Replace(base),
		"CDATA":                strings.Replace(base, "<mittente>anna@pec.alfa.example", "<mittente><![CDATA[anna@pec.alfa.example]]>", 1),
		"character references": strings.Replace(base, "anna@", "&#97;nn&#x61;@", 1),
		"no indentation":       regexp.MustCompile(`\n *`).ReplaceAllString(base, ""),
		"default tipo":         strings.Replace(base, ` tipo="certificato"`, "", 1),
		"default errore":       strings.Replace(base, ` errore="nessuno"`, "", 1),
		"attributes swapped":   strings.Replace(base, `tipo="avvenuta-consegna" errore="nessuno"`, `errore="nessuno" tipo="avvenuta-consegna"`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := pec.ReadCertData([]byte(doc))
			if err != nil {
				t.Fatal(err)
			}
			if !sameCertData(got, fullCertData()) {
				t.Errorf("got %+v", got)
			}
		})
	}

	got, err := pec.ReadCertData([]byte(strings.Replace(base, "10:15:07", "23:59:60", 1)))
	if err != nil || !got.At.Equal(time.Date(2026, 6, 3, 22, 0, 0, 0, time.UTC)) {
		t.Errorf("leap second: %v %v", got.At, err)
	}
	got, err = pec.ReadCertData([]byte(strings.Replace(base, "Ordine n. 7", "a\r\nb\tc", 1)))
	if err != nil || !strings.HasPrefix(got.Subject, "a b c") {
		t.Errorf("line break in the subject: %q %v", got.Subject, err)
	}
}

func TestReadCertDataRefuses(t *testing.T) {
	base := string(fullCertData().Encode())
	replace := func(old, new string) string {
		if !strings.Contains(base, old) {
			t.Fatalf("no %q in the document", old)
		}
		return strings.Replace(base, old, new, 1)
	}
	cut := func(element string) string {
		return regexp.MustCompile(`(?s) *<`+element+`[ >/].*?</`+element+`>\n`).ReplaceAllString(base, "")
	}
	for name, doc := range map[string]string{
		"empty":                       "",
		"blank":                       " \n",
		"declaration alone":           `<?xml version="1.0"?>`,
		"text":                        "ciao",
		"truncated":                   base[:len(base)-20],
		"truncated in a tag":          base[:len(base)-3],
		"DOCTYPE":                     replace("<postacert", "<!DOCTYPE postacert>\n<postacert"),
		"DOCTYPE with entity":         replace("<postacert", `<!DOCTYPE postacert [<!ENTITY x "y">]>`+"\n<postacert"),
		"entity":                      replace("anna@", "&x;@"),
		"HTML entity":                 replace("anna@", "&egrave;@"),
		"entity without end":          replace("anna@", "&lt@"),
		"NUL reference":               replace("anna@", "&#0;@"),
		"NUL":                         replace("anna@", "\x00@"),
		"no UTF-8":                    replace("anna@", "\xff@"),
		"other encoding":              replace("UTF-8", "ISO-8859-1"),
		"UTF-16 encoding":             replace("UTF-8", "UTF-16"),
		"XML 1.1":                     replace(`version="1.0"`, `version="1.1"`),
		"processing instruction":      replace("<postacert", "<?x y?><postacert"),
		"second declaration":          replace("<dati>", `<?xml version="1.0"?><dati>`),
		"default namespace":           replace(`<postacert `, `<postacert xmlns="urn:x" `),
		"prefixed namespace":          replace(`<postacert `, `<postacert xmlns:x="urn:x" `),
		"prefixed element":            strings.ReplaceAll(base, "mittente>", "x:mittente>"),
		"prefixed attribute":          replace(`zona=`, `x:zona=`),
		"other root":                  strings.ReplaceAll(base, "postacert", "daticert"),
		"case of a name":              strings.ReplaceAll(base, "mittente>", "Mittente>"),
		"trailing text":               base + "x",
		"trailing element":            base + "<x/>",
		"trailing root":               base + base[strings.Index(base, "<postacert"):],
		"leading text":                "x" + base,
		"missing intestazione":        cut("intestazione"),
		"missing dati":                cut("dati"),
		"missing mittente":            cut("mittente"),
		"missing destinatari":         cut("destinatari"),
		"missing risposte":            cut("risposte"),
		"missing gestore":             cut("gestore-emittente"),
		"missing data":                cut("data"),
		"missing giorno":              cut("giorno"),
		"missing ora":                 cut("ora"),
		"missing identificativo":      cut("identificativo"),
		"twice mittente":              replace("<mittente>", "<mittente>a@b.example</mittente><mittente>"),
		"twice risposte":              replace("<risposte>", "<risposte>x</risposte><risposte>"),
		"twice oggetto":               replace("<oggetto>", "<oggetto>x</oggetto><oggetto>"),
		"twice msgid":                 replace("<msgid>", "<msgid>x</msgid><msgid>"),
		"twice consegna":              replace("<consegna>", "<consegna>x@y.example</consegna><consegna>"),
		"twice ricevuta":              replace("<ricevuta", `<ricevuta tipo="breve"/><ricevuta`),
		"twice errore-esteso":         replace("<errore-esteso>", "<errore-esteso>x</errore-esteso><errore-esteso>"),
		"twice data":                  replace("<data ", `<data zona="+0200"><giorno>03/06/2026</giorno><ora>10:15:07</ora></data><data `),
		"twice dati":                  replace("</postacert>", "<dati></dati></postacert>"),
		"twice giorno":                replace("<giorno>", "<giorno>03/06/2026</giorno><giorno>"),
		"order of risposte, oggetto":  replace("<risposte>anna@pec.alfa.example</risposte>", "<oggetto>x</oggetto><risposte>y</risposte>"),
		"order of mittente":           replace("<mittente>anna@pec.alfa.example</mittente>", `<destinatari>x@y.example</destinatari><mittente>a@b.example</mittente>`),
		"destinatari apart":           replace("<oggetto>", "<destinatari>x@y.example</destinatari><oggetto>"),
		"order of ora, giorno":        replace("<giorno>03/06/2026</giorno>", "<ora>10:15:07</ora><giorno>03/06/2026</giorno>"),
		"consegna before ricevuta":    replace("<ricevuta", "<consegna>x@y.example</consegna><ricevuta"),
		"unknown element":             replace("<dati>", "<dati><altro/>"),
		"element in text":             replace("<mittente>", "<mittente><b/>"),
		"element in ricevuta":         replace(`<ricevuta tipo="completa"/>`, `<ricevuta tipo="completa"><b/></ricevuta>`),
		"text in ricevuta":            replace(`<ricevuta tipo="completa"/>`, `<ricevuta tipo="completa">x</ricevuta>`),
		"text between elements":       replace("<dati>", "x<dati>"),
		"crossed tags":                replace("</intestazione>\n    <dati>", "<dati></intestazione>"),
		"wrong end tag":               replace("</mittente>", "</risposte>"),
		"no tipo":                     replace(` tipo="avvenuta-consegna"`, ""),
		"unknown tipo":                replace(`tipo="avvenuta-consegna"`, `tipo="anomalia"`),
		"tipo in capitals":            replace(`tipo="avvenuta-consegna"`, `tipo="Avvenuta-Consegna"`),
		"empty tipo":                  replace(`tipo="avvenuta-consegna"`, `tipo=""`),
		"unknown errore":              replace(`errore="nessuno"`, `errore="boh"`),
		"empty errore":                replace(`errore="nessuno"`, `errore=""`),
		"unknown destinatari tipo":    replace(`tipo="esterno"`, `tipo="interno"`),
		"no ricevuta tipo":            replace(`<ricevuta tipo="completa"/>`, `<ricevuta/>`),
		"unknown ricevuta tipo":       replace(`<ricevuta tipo="completa"/>`, `<ricevuta tipo="lunga"/>`),
		"no zona":                     replace(` zona="+0200"`, ""),
		"unknown attribute":           replace(`<mittente>`, `<mittente id="1">`),
		"unknown postacert attribute": replace(`<postacert `, `<postacert id="1" `),
		"attribute twice":             replace(`zona="+0200"`, `zona="+0200" zona="+0200"`),
		"xml:space":                   replace(`<mittente>`, `<mittente xml:space="preserve">`),
		"zona with colon":             replace(`"+0200"`, `"+02:00"`),
		"zona without sign":           replace(`"+0200"`, `"0200"`),
		"zona of 99 hours":            replace(`"+0200"`, `"+9900"`),
		"zona of 60 minutes":          replace(`"+0200"`, `"+0060"`),
		"31 June":                     replace("03/06/2026", "31/06/2026"),
		"29 February 2027":            replace("03/06/2026", "29/02/2027"),
		"month 13":                    replace("03/06/2026", "03/13/2026"),
		"day 0":                       replace("03/06/2026", "00/06/2026"),
		"year of two digits":          replace("03/06/2026", "03/06/26"),
		"ISO day":                     replace("03/06/2026", "2026-06-03"),
		"day with sign":               replace("03/06/2026", "+3/06/2026"),
		"hour 24":                     replace("10:15:07", "24:15:07"),
		"minute 60":                   replace("10:15:07", "10:60:07"),
		"second 61":                   replace("10:15:07", "10:15:61"),
		"hour of one digit":           replace("10:15:07", "9:15:07"),
		"fraction of a second":        replace("10:15:07", "10:15:07.0"),
		"empty mittente":              replace("<mittente>anna@pec.alfa.example", "<mittente>"),
		"empty destinatari":           replace(">carla@mail.example<", "><"),
		"empty identificativo":        regexp.MustCompile(`<identificativo>.*</identificativo>`).ReplaceAllString(base, "<identificativo/>"),
		"empty consegna":              replace("<consegna>bruno@pec.beta.example", "<consegna>"),
		"sender on two lines":         replace("<mittente>anna@", "<mittente>anna\r\n@"),
		"sender with reference to LF": replace("<mittente>anna@", "<mittente>anna&#10;@"),
		"recipient on two lines":      replace(">carla@", ">carla\n@"),
		"id on two lines":             replace("<identificativo>pec1", "<identificativo>pec1\n"),
		"msgid with reference to CR":  replace("abc.1@", "abc&#13;.1@"),
		"consegna on two lines":       replace("<consegna>bruno", "<consegna>bru\tno"),
		"ricezione on two lines":      replace("<ricezione>bruno", "<ricezione>bru\nno"),
		"too large":                   base + strings.Repeat(" ", 4<<20),
		"long text":                   replace("Ordine", strings.Repeat("x", 65<<10)),
		"long text in pieces":         replace("Ordine", strings.Repeat(strings.Repeat("x", 1000)+"<!---->", 66)),
		"too many recipients":         replace("<risposte>", strings.Repeat("<destinatari>a@b.it</destinatari>", 9999)+"<risposte>"),
		"too many receptions":         replace("<ricezione>", strings.Repeat("<ricezione>a@b.it</ricezione>", 10000)+"<ricezione>"),
		"deep":                        strings.Repeat("<postacert>", 100000),
		"CDATA end in text":           replace("Ordine", "]]>"),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := pec.ReadCertData([]byte(doc))
			var known *pec.CertDataError
			if !errors.As(err, &known) {
				t.Fatalf("accepted as %+v (error %v)", got, err)
			}
			if known.Reason == "" || known.ReasonEN == "" || known.Error() == "" {
				t.Errorf("error without words: %+v", known)
			}
			if !reflect.DeepEqual(got, pec.CertData{}) {
				t.Error("data returned with the error")
			}
		})
	}
}

// sampleCertData takes the daticert.xml out of a real message with simple means.
func sampleCertData(t *testing.T, message []byte) []byte {
	t.Helper()
	message = bytes.ReplaceAll(message, []byte("\r\n"), []byte("\n"))
	for _, part := range bytes.Split(message, []byte("\n--")) {
		header, body, ok := bytes.Cut(part, []byte("\n\n"))
		if !ok || !bytes.Contains(header, []byte("application/xml")) {
			continue
		}
		if !bytes.Contains(header, []byte("base64")) {
			return body
		}
		xml, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(body)), ""))
		if err != nil {
			t.Fatal(err)
		}
		return xml
	}
	t.Fatal("no daticert.xml")
	return nil
}

func TestReadCertDataSamples(t *testing.T) {
	files, _ := filepath.Glob("../../shared/samples/pec/*.eml")
	if len(files) == 0 {
		t.Skip("samples of real messages are not redistributed")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			message, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			xml := sampleCertData(t, message)
			c, err := pec.ReadCertData(xml)
			if err != nil {
				t.Fatalf("%v\n%s", err, xml)
			}
			if c.Sender == "" || c.ID == "" || !c.HasSubject || c.At.Year() < 2015 {
				t.Errorf("read as %+v", c)
			}
			validate(t, c.Encode())
			again, err := pec.ReadCertData(c.Encode())
			if err != nil || !sameCertData(again, c) {
				t.Errorf("written and read again: %+v, %v", again, err)
			}
		})
	}
}

func FuzzReadCertData(f *testing.F) {
	f.Add(fullCertData().Encode())
	f.Add([]byte(`<?xml version="1.0"?><postacert tipo="accettazione"><intestazione>`))
	f.Add([]byte("\xef\xbb\xbf<postacert tipo='rilevazione-virus' errore='virus'><intestazione><mittente>a</mittente>" +
		"<destinatari>b</destinatari><risposte/></intestazione><dati><gestore-emittente/><data zona='-0130'>" +
		"<giorno>29/02/2028</giorno><ora>23:59:60</ora></data><identificativo>&lt;c&gt;</identificativo></dati></postacert>"))
	f.Add([]byte("<!DOCTYPE a><a/>"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		c, err := pec.ReadCertData(doc)
		if err != nil {
			return
		}
		again, err := pec.ReadCertData(c.Encode())
		if err != nil {
			t.Fatalf("%v\n%s", err, c.Encode())
		}
		if !sameCertData(again, c) {
			t.Fatalf("got  %+v\nwant %+v", again, c)
		}
	})
}
