// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// smsGateway is a gateway for text messages that takes everything, or nothing.
type smsGateway struct {
	mu   sync.Mutex
	got  []smsMessage
	all  []byte // every octet that it was sent
	down bool
}

type smsMessage struct{ To, Text, ID string }

func newSMSGateway(t testing.TB) (*smsGateway, string) {
	g := new(smsGateway)
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	return g, server.URL
}

// ServeHTTP implements http.Handler.
func (g *smsGateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var m smsMessage
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all = append(g.all, body...)
	g.all = fmt.Appendln(g.all, r.URL, r.Header)
	if err != nil || json.Unmarshal(body, &m) != nil || g.down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	g.got = append(g.got, m)
}

func (g *smsGateway) taken() []smsMessage {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]smsMessage(nil), g.got...)
}

func (g *smsGateway) goDown(down bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.down = down
}

var toldMany = regexp.MustCompile(`(\d+) nuovi messaggi PEC`)

// toldOf is how many arrivals a notice tells.
func toldOf(text string) (n int) {
	if m := toldMany.FindStringSubmatch(text); m != nil {
		fmt.Sscan(m[1], &n)
	} else if strings.Contains(text, "Nuovo messaggio PEC") {
		n = 1
	}
	return n
}

// noticed counts what arrived at the sink for an address and at the gateway, as
// notices and as arrivals that they tell.
func noticed(s *sink, address string, g *smsGateway) (mails, byMail, texts, bySMS int) {
	for _, m := range s.received(address) {
		if n := toldOf(strings.ReplaceAll(string(m.message), "=\r\n", "")); n > 0 {
			mails, byMail = mails+1, byMail+n
		}
	}
	for _, m := range g.taken() {
		if n := toldOf(m.Text); n > 0 {
			texts, bySMS = texts+1, bySMS+n
		}
	}
	return mails, byMail, texts, bySMS
}

// TestS4_014_S4_015_Notices: two users of a mailbox are told of what arrives, one by
// mail and one by SMS, once each, and nobody learns a word of it; many arrivals are
// told together; none is lost over a kill; the mail does not mind a dead gateway.
func TestS4_014_S4_015_Notices(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--quiet")
	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	s := newSink(t)
	g, address := newSMSGateway(t)
	config := filepath.Join(d.dir, "alfa.toml")
	addRoute(t, config, "mail.example", s.addr)
	b, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	b = fmt.Appendf(b, "\n[notices]\ntogether = \"1s\"\n\n[notices.sms]\nurl = %q\n", address)
	if err := os.WriteFile(config, b, 0o600); err != nil {
		t.Fatal(err)
	}
	node := startServe(t, d, "alfa.toml")
	p := people{t, d, config}
	office, sender := d.box(t, "ALFA", "strutturata003"), d.box(t, "ALFA", "xl001")
	const anna, cell = "anna@mail.example", "+393331234567"
	for _, login := range []string{"anna", "bruno"} {
		p.do("user", "add", login)
		p.do("user", "grant", login, office.address, "--may", "read")
	}
	p.do("user", "grant", "anna", d.get(t, "ALFA_SMALL"), "--may", "read")

	// Contacts: none in certified domains, none without its code.
	p.refused("posta certificata", "contact", "add", "anna", "anna@beta.example")
	p.refused("posta certificata", "contact", "add", "anna", office.address)
	p.do("contact", "add", "anna", anna)
	p.do("contact", "add", "bruno", "333 123 4567")
	p.do("contact", "add", "bruno", "bruno@mail.example") // never confirmed
	until(t, minute, "codes", func() (bool, string) { return len(s.received(anna)) == 1 && len(g.taken()) == 1, "" })
	digits := regexp.MustCompile(`: (\d{6})\.`)
	mailCode, smsCode := digits.FindStringSubmatch(strings.ReplaceAll(string(s.received(anna)[0].message), "=\r\n", ""))[1], digits.FindStringSubmatch(g.taken()[0].Text)[1]
	p.refused("non è confermato", "notice", "on", "anna", office.address, "1")
	wrong := strings.Map(func(r rune) rune { return '0' + (r-'0'+1)%10 }, mailCode)
	p.refused("codice errato", "contact", "confirm", "anna", "1", wrong)
	p.do("contact", "confirm", "anna", "1", mailCode)
	p.do("contact", "confirm", "bruno", "2", smsCode)
	for range 5 {
		p.refused("codice errato", "contact", "confirm", "bruno", "3", "12345")
	}
	p.refused("troppi tentativi", "contact", "confirm", "bruno", "3", "123456")
	p.refused("non sono compresi", "notice", "on", "anna", d.get(t, "ALFA_SMALL"), "1")
	p.do("notice", "on", "anna", office.address, "1")
	p.do("notice", "on", "bruno", office.address, "2")
	if out := p.do("notice", "list", "bruno", office.address); out != office.address+" 2 sms "+cell+" confirmed" {
		t.Errorf("notice list: %s", out)
	}

	letter := func(n int) []byte {
		return []byte(fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: Segretissimo %d\r\n\r\nRiservatezza assoluta.\r\n", sender.address, office.address, n))
	}
	told := func(what string, want, atMost int) {
		t.Helper()
		until(t, minute, what, func() (bool, string) {
			_, byMail, _, bySMS := noticed(s, anna, g)
			return byMail >= want && bySMS >= want, fmt.Sprint(byMail, bySMS)
		})
		if mails, byMail, texts, bySMS := noticed(s, anna, g); byMail != want || bySMS != want || mails > atMost || texts > atMost {
			t.Errorf("%s: %d by %d mails, %d by %d text messages; want %d by at most %d", what, byMail, mails, bySMS, texts, want, atMost)
		}
	}
	d.submit(t, sender, []string{office.address}, letter(0))
	told("one each", 1, 1)
	if from := s.received(anna)[1].from; from != "" {
		t.Errorf("a notice comes from %q", from)
	}

	many := 60
	if long() {
		many = 500
	}
	session := d.submission(t, sender)
	for n := range many {
		if r := session.envelope(sender.address, []string{office.address}); r.code != 250 {
			t.Fatalf("%d: %v", n, r)
		}
		if r := session.data(strings.NewReader(string(letter(n)))); r.code != 250 {
			t.Fatalf("%d: %v", n, r)
		}
	}
	told("many", 1+many, 5+1+many/4)

	// Killed between an arrival and its notice, which waits to be told together.
	in := d.openInbox(t, office)
	d.submit(t, sender, []string{office.address}, letter(many))
	until(t, minute, "the delivery", func() (bool, string) { n := len(in.refresh()); return n == 2+many, fmt.Sprint(n) })
	node.kill()
	startServe(t, d, "alfa.toml")
	told("after the kill", 2+many, 7+many/4)

	g.goDown(true)
	d.submit(t, sender, []string{office.address}, letter(many+1))
	in = d.openInbox(t, office)
	until(t, minute, "the delivery beside a dead gateway", func() (bool, string) { n := len(in.refresh()); return n == 3+many, fmt.Sprint(n) })
	until(t, minute, "the notice by mail beside it", func() (bool, string) {
		_, byMail, _, _ := noticed(s, anna, g)
		return byMail == 3+many, fmt.Sprint(byMail)
	})
	figures := func() string {
		return string(run(t, "curl", "--silent", "http://"+d.get(t, "ALFA_METRICS")+"/metrics"))
	}
	until(t, minute, "the retry in the metrics", func() (bool, string) {
		out := figures()
		return strings.Contains(out, `pecd_notices_total{kind="sms",result="retried"} 1`) && strings.Contains(out, `pecd_notices_total{kind="mail",result="sent"} 2`), out
	})

	octets := string(g.all)
	for _, m := range s.everything() {
		octets += m.from + string(m.message)
	}
	for _, secret := range []string{"egretissimo", "iservatezza", sender.address, "xl001"} {
		if strings.Contains(octets, secret) {
			t.Errorf("%q has left certified mail", secret)
		}
	}
	if len(s.received("bruno@mail.example")) != 1 {
		t.Errorf("%d messages to a contact that was not confirmed", len(s.received("bruno@mail.example")))
	}
	log := p.do("ledger", "search", "--json")
	for _, secret := range []string{"3331234567", anna, mailCode, smsCode} {
		if strings.Contains(log, secret) {
			t.Errorf("on record: %s", secret)
		}
	}
	if !strings.Contains(log, `"notice.sent"`) || !strings.Contains(log, "sms …567") || !strings.Contains(log, "mail …@mail.example") {
		t.Error("the notices are not on record")
	}
	verifyClean(t, config)
}
