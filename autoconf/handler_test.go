// SPDX-License-Identifier: EUPL-1.2

package autoconf

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pecd/clock"
	"pecd/fault"
	"pecd/storage"
)

// domains are the provider's; "guasto.example" is one when the store fails.
type domains []string

func (d domains) Domain(_ context.Context, name string) (storage.Domain, error) {
	for _, n := range d {
		if n == name {
			return storage.Domain{Name: n}, nil
		}
	}
	if name == "guasto.example" {
		return storage.Domain{}, fault.New("test", fault.Temporary, errors.New("no store"))
	}
	return storage.Domain{}, fault.New("test", fault.NotFound, nil)
}

func testSite() Site {
	return Site{
		Provider: "Gestore <Uno> & Figli", MX: "mx.gestore.example", HTTPS: Endpoint{"mail.gestore.example", 443},
		IMAPS: Endpoint{"mail.gestore.example", 993}, IMAP: Endpoint{"mail.gestore.example", 143}, POP3S: Endpoint{"mail.gestore.example", 995},
		SMTPS: Endpoint{"mail.gestore.example", 465}, Submission: Endpoint{"mail.gestore.example", 587},
	}
}

func newTestHandler(s Site) *Handler {
	return NewHandler(Handler{
		Site: s, Domains: domains{"alfa.example", "comune.example"}, Clock: clock.NewManual(time.Date(2026, 6, 3, 10, 15, 5, 0, time.UTC)),
		Logger: slog.New(slog.DiscardHandler), Sign: func(p []byte) ([]byte, error) { return append([]byte("signed:"), p...), nil },
	})
}

func (h *Handler) ask(method, target, body string) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))
	return w.Result()
}

func body(t testing.TB, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func pox(address, schema string) string {
	var b bytes.Buffer
	b.WriteString(`<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"><Request><EMailAddress>`)
	xml.EscapeText(&b, []byte(address))
	b.WriteString("</EMailAddress><AcceptableResponseSchema>" + schema + "</AcceptableResponseSchema></Request></Autodiscover>")
	return b.String()
}

func TestAnswers(t *testing.T) {
	h := newTestHandler(testSite())
	for name, c := range map[string]struct {
		method, target, body string
		status               int
		want                 string // in the answer
	}{
		"autoconfig":                {"GET", "https://autoconfig.alfa.example/mail/config-v1.1.xml?emailaddress=x%40alfa.example", "", 200, `<emailProvider id="alfa.example">`},
		"well known":                {"GET", "https://alfa.example/.well-known/autoconfig/mail/config-v1.1.xml?emailaddress=x@alfa.example", "", 200, "<domain>alfa.example</domain>"},
		"by the name asked":         {"GET", "https://AUTOCONFIG.alfa.example:8443/mail/config-v1.1.xml", "", 200, "<domain>alfa.example</domain>"},
		"well known by the name":    {"GET", "https://comune.example/.well-known/autoconfig/mail/config-v1.1.xml", "", 200, "<domain>comune.example</domain>"},
		"after a redirection":       {"GET", "https://mail.gestore.example/mail/config-v1.1.xml?domain=comune.example", "", 200, "<domain>comune.example</domain>"},
		"of another domain of ours": {"GET", "https://autoconfig.alfa.example/mail/config-v1.1.xml?emailaddress=x@COMUNE.example", "", 200, "<domain>comune.example</domain>"},
		"name with characters":      {"GET", "https://autoconfig.alfa.example/mail/config-v1.1.xml", "", 200, "Gestore &lt;Uno&gt; &amp; Figli (posta certificata)"},
		"foreign domain":            {"GET", "https://autoconfig.alfa.example/mail/config-v1.1.xml?emailaddress=x@beta.example", "", 404, "non gestito"},
		"foreign name":              {"GET", "https://autoconfig.beta.example/mail/config-v1.1.xml", "", 404, "non gestito"},
		"malformed address":         {"GET", "https://autoconfig.alfa.example/mail/config-v1.1.xml?emailaddress=%22%3E%3Cx%3E@alfa.example", "", 400, "non valido"},
		"no store":                  {"GET", "https://autoconfig.alfa.example/mail/config-v1.1.xml?emailaddress=x@guasto.example", "", 503, "riprovare"},
		"posted":                    {"POST", "https://autoconfig.alfa.example/mail/config-v1.1.xml", "", 405, ""},
		"elsewhere":                 {"GET", "https://mail.gestore.example/", "", 404, ""},
		"up the tree":               {"GET", "https://mail.gestore.example/mail/../../etc/passwd", "", 404, ""},

		"autodiscover":         {"POST", "https://autodiscover.alfa.example/Autodiscover/Autodiscover.xml", pox("X@alfa.example", poxOutlook), 200, "<LoginName>x@alfa.example</LoginName>"},
		"autodiscover mobile":  {"POST", "https://a.example" + pathAutodiscover, pox("x@alfa.example", "http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/2006"), 200, "<ErrorCode>601</ErrorCode>"},
		"autodiscover foreign": {"POST", "https://a.example" + pathAutodiscover, pox("x@beta.example", poxOutlook), 404, "non gestito"},
		"autodiscover nothing": {"POST", "https://a.example" + pathAutodiscover, "", 200, "<ErrorCode>600</ErrorCode>"},
		"autodiscover no XML":  {"POST", "https://a.example" + pathAutodiscover, "emailaddress=x@alfa.example", 200, "<ErrorCode>600</ErrorCode>"},
		"autodiscover got":     {"GET", "https://a.example" + pathAutodiscover, "", 405, ""},
		"entities": {"POST", "https://a.example" + pathAutodiscover,
			`<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><Autodiscover><Request><EMailAddress>&b;@alfa.example</EMailAddress></Request></Autodiscover>`, 200, "<ErrorCode>600</ErrorCode>"},
		"endless": {"POST", "https://a.example" + pathAutodiscover, pox(strings.Repeat("x", maxRequest)+"@alfa.example", poxOutlook), 200, "<ErrorCode>600</ErrorCode>"},
		"deep":    {"POST", "https://a.example" + pathAutodiscover, strings.Repeat("<a>", maxRequest/3), 200, "<ErrorCode>600</ErrorCode>"},

		"discovery":          {"GET", "https://a.example/Autodiscover/Autodiscover.json?Email=x%40alfa.example&Protocol=Autodiscoverv1&RedirectCount=1", "", 200, `"Url":"https://mail.gestore.example/autodiscover/autodiscover.xml"`},
		"discovery by path":  {"GET", "https://a.example/autodiscover/autodiscover.json/v1.0/x@alfa.example?Protocol=AutodiscoverV1", "", 200, `"Protocol":"AutodiscoverV1"`},
		"discovery of EWS":   {"GET", "https://a.example/autodiscover/autodiscover.json?Email=x@alfa.example&Protocol=EWS", "", 400, `"ErrorCode":"InvalidProtocol"`},
		"discovery foreign":  {"GET", "https://a.example/autodiscover/autodiscover.json?Email=x@beta.example&Protocol=AutodiscoverV1", "", 404, ""},
		"discovery odd":      {"GET", "https://a.example/autodiscover/autodiscover.json/v1.0/%E2%84%AA?Protocol=AutodiscoverV1", "", 400, ""},
		"profile":            {"GET", "https://mail.gestore.example/mail.mobileconfig?emailaddress=a%26b@alfa.example", "", 200, "<string>a&amp;b@alfa.example</string>"},
		"profile of anybody": {"GET", "https://mail.gestore.example/mail.mobileconfig", "", 200, "signed:<?xml"},
		"page":               {"GET", "https://mail.gestore.example/client", "", 200, "<td>mail.gestore.example</td><td>993</td><td>SSL/TLS</td>"},
		"page by name":       {"GET", "https://mail.gestore.example/client", "", 200, "Gestore &lt;Uno&gt; &amp; Figli, posta"},
		"profile foreign":    {"GET", "https://mail.gestore.example/mail.mobileconfig?emailaddress=x@beta.example", "", 404, ""},
	} {
		r := h.ask(c.method, c.target, c.body)
		if b := body(t, r); r.StatusCode != c.status || !strings.Contains(b, c.want) {
			t.Errorf("%s: %d, want %d with %q\n%s", name, r.StatusCode, c.status, c.want, b)
		}
	}
}

func TestServicesInTheirOrder(t *testing.T) {
	h := newTestHandler(testSite())
	doc := body(t, h.ask("GET", "https://autoconfig.alfa.example/mail/config-v1.1.xml", ""))
	var got []string
	var d clientConfig
	if err := xml.Unmarshal([]byte(doc), &d); err != nil {
		t.Fatal(err)
	}
	for _, s := range append(d.Provider.Incoming, d.Provider.Outgoing...) {
		got = append(got, s.Type+" "+s.Socket)
		if s.User != "%EMAILADDRESS%" || s.Host != "mail.gestore.example" || (s.Type == "pop3") != (s.POP3 != nil && s.POP3.Leave) {
			t.Errorf("%+v", s)
		}
	}
	// testSite has no POP3 with STLS.
	if want := "imap SSL, imap STARTTLS, pop3 SSL, smtp SSL, smtp STARTTLS"; strings.Join(got, ", ") != want {
		t.Errorf("%v, want %s", got, want)
	}
	doc = body(t, h.ask("POST", "https://x.example"+pathAutodiscover, pox("x@alfa.example", poxOutlook)))
	i, p, s := strings.Index(doc, "<Type>IMAP</Type>"), strings.Index(doc, "<Type>POP3</Type>"), strings.Index(doc, "<Type>SMTP</Type>")
	if i < 0 || p < i || s < p || strings.Count(doc, "<Protocol>") != 3 || strings.Count(doc, "<Encryption>SSL</Encryption>") != 3 {
		t.Errorf("IMAP, POP3, SMTP once each over TLS, in that order:\n%s", doc)
	}
}

func TestProfileIsServedUnsignedWhereTheKeyCannotSign(t *testing.T) {
	h := newTestHandler(testSite())
	h.Sign = func([]byte) ([]byte, error) { return nil, errors.New("no such key") }
	r := h.ask("GET", "https://mail.gestore.example/mail.mobileconfig", "")
	if b := body(t, r); r.StatusCode != 200 || !strings.HasPrefix(b, "<?xml") {
		t.Errorf("%d %s", r.StatusCode, b)
	}
	s := testSite()
	s.IMAP, s.IMAPS = Endpoint{}, Endpoint{}
	if r := newTestHandler(s).ask("GET", "https://mail.gestore.example/mail.mobileconfig", ""); r.StatusCode != 404 {
		t.Errorf("without IMAP: %d", r.StatusCode)
	}
}

func TestProfilesAreSignedOneAtATime(t *testing.T) {
	h := newTestHandler(testSite())
	var atOnce, most atomic.Int32
	begun, goOn := make(chan struct{}, 3), make(chan struct{})
	h.Sign = func(p []byte) ([]byte, error) {
		most.Store(max(most.Load(), atOnce.Add(1)))
		begun <- struct{}{}
		<-goOn
		atOnce.Add(-1)
		return p, nil
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if r := h.ask("GET", "https://mail.gestore.example/mail.mobileconfig", ""); r.StatusCode != 200 || r.Header.Get("Connection") != "close" {
				t.Errorf("%d, the connection ends: %q", r.StatusCode, r.Header.Get("Connection"))
			}
		})
	}
	<-begun
	// Who gives up while others are signed for goes away with nothing.
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "https://mail.gestore.example/mail.mobileconfig", nil).WithContext(gone))
	if w.Body.Len() != 0 {
		t.Errorf("got %d octets", w.Body.Len())
	}
	close(goOn)
	wg.Wait()
	if most.Load() != 1 {
		t.Errorf("%d at once", most.Load())
	}
}

func TestProfileIsReplacedByItself(t *testing.T) {
	s := testSite()
	one, _, err := s.profile("a@alfa.example")
	if err != nil {
		t.Fatal(err)
	}
	s.IMAPS.Port = 1993
	again, _, _ := s.profile("a@alfa.example")
	other, _, _ := s.profile("b@alfa.example")
	id := func(b []byte) string {
		_, after, _ := strings.Cut(string(b), "<key>PayloadUUID</key>\n<string>")
		return after[:36]
	}
	if id(one) != id(again) || id(one) == id(other) || bytes.Equal(one, again) {
		t.Errorf("identifiers %s, %s and, of another mailbox, %s", id(one), id(again), id(other))
	}
}

func TestRedirect(t *testing.T) {
	s := testSite()
	s.HTTPS.Port = 8443
	for target, want := range map[string]string{
		"http://autoconfig.comune.example/mail/config-v1.1.xml?emailaddress=a%26b%40comune.example": "https://mail.gestore.example:8443/mail/config-v1.1.xml?emailaddress=a%26b%40comune.example",
		"http://autoconfig.comune.example/mail/config-v1.1.xml":                                     "https://mail.gestore.example:8443/mail/config-v1.1.xml?domain=comune.example",
		"http://comune.example/.well-known/autoconfig/mail/config-v1.1.xml":                         "https://mail.gestore.example:8443/.well-known/autoconfig/mail/config-v1.1.xml?domain=comune.example",
		"http://autodiscover.comune.example/Autodiscover/Autodiscover.xml":                          "https://mail.gestore.example:8443/autodiscover/autodiscover.xml",
		"http://mail.gestore.example/":                                                              "",
		"http://mail.gestore.example//evil.example/mail/config-v1.1.xml":                            "",
	} {
		w := httptest.NewRecorder()
		s.Redirect(w, httptest.NewRequest("GET", target, nil))
		if got := w.Header().Get("Location"); got != want || (w.Code == http.StatusFound) != (want != "") {
			t.Errorf("%s: %d to %q, want %q", target, w.Code, got, want)
		}
	}
	s.HTTPS = Endpoint{}
	w := httptest.NewRecorder()
	if s.Redirect(w, httptest.NewRequest("GET", "http://autoconfig.alfa.example/mail/config-v1.1.xml", nil)); w.Code != http.StatusNotFound {
		t.Errorf("without HTTPS: %d", w.Code)
	}
}

// FuzzHandler: whatever is asked, the answer is bounded and, where it is XML,
// well-formed, with nothing of the question but a canonical address.
func FuzzHandler(f *testing.F) {
	f.Add("emailaddress=x@alfa.example", pox("x@alfa.example", poxOutlook))
	f.Add("emailaddress=%3C!--@alfa.example", pox("<b>@alfa.example", poxOutlook))
	f.Add("domain=alfa.example", "<Autodiscover>")
	h := newTestHandler(testSite())
	h.Sign = func(p []byte) ([]byte, error) { return p, nil }
	f.Fuzz(func(t *testing.T, query, posted string) {
		for _, q := range []struct{ method, path, query, body string }{
			{"GET", pathAutoconfig, query, ""}, {"GET", pathProfile, query, ""}, {"POST", pathAutodiscover, "", posted}, {"GET", pathDiscovery, query, ""},
		} {
			req := httptest.NewRequest(q.method, "https://autoconfig.alfa.example"+q.path, strings.NewReader(q.body))
			req.URL = &url.URL{Path: q.path, RawQuery: q.query}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, req)
			answer := w.Body.Bytes()
			if len(answer) > 8<<10 {
				t.Fatalf("%s %s: %d octets", q.method, q.path, len(answer))
			}
			if w.Code != http.StatusOK || q.path == pathDiscovery {
				continue
			}
			for d := xml.NewDecoder(bytes.NewReader(answer)); ; {
				if _, err := d.Token(); err == io.EOF {
					break
				} else if err != nil {
					t.Fatalf("%s %s: %v\n%s", q.method, q.path, err, answer)
				}
			}
		}
	})
}
