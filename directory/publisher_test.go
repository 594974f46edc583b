// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pecd/clock"
	"pecd/fault"
)

// shop is a provider that publishes; what it publishes can be changed.
type shop struct {
	t       testing.TB
	clk     *clock.Manual
	mu      sync.Mutex
	records []Provider          // without domains
	domains map[string][]string // by unit
	signed  int
	fail    error // of the next signatures
	log     syncBuffer
	cfg     PublisherConfig
}

func newShop(t testing.TB) *shop {
	t.Helper()
	auth := theAuthority(t, ours)
	s := &shop{t: t, clk: clock.NewManual(time.Now()),
		records: []Provider{
			{Name: "Alfa – Società", MailReceipt: "ricevute@alfa.example", LDIFLocationURL: "https://alfa.example/alfa.ldif.p7m", Description: "prova",
				Certificates: [][]byte{testCertificate(t, "a"), testCertificate(t, "next")}},
			{Name: "Alfa – Società", Unit: "due", MailReceipt: "ricevute@due.example", Certificates: [][]byte{testCertificate(t, "due")}},
		},
		domains: map[string][]string{"": {"PEC.alfa.example", "comune.example", "città.example", "comune.example"}, "due": {"due.example"}},
	}
	s.cfg = PublisherConfig{
		Environments: func(context.Context) ([]Provider, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return slices.Clone(s.records), nil
		},
		Domains: func(_ context.Context, unit string) ([]string, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.domains[unit], nil
		},
		Sign: func(_ context.Context, w io.Writer, content []byte) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.fail != nil {
				return s.fail
			}
			s.signed++
			_, err := w.Write(auth.sign(t, content))
			return err
		},
		Clock: s.clk, Log: slog.New(slog.NewTextHandler(&s.log, nil)),
	}
	return s
}

func (s *shop) publisher() *Publisher {
	s.t.Helper()
	p, err := NewPublisher(s.cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (s *shop) refresh(p *Publisher) {
	s.t.Helper()
	if err := p.Refresh(context.Background()); err != nil {
		s.t.Fatal(err)
	}
}

func get(h http.Handler, method string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/alfa.ldif.p7m", nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestRFC6109_4_5_6_Publish: the published file is signed and holds the records
// of all our environments, readable by us and by OpenLDAP's tools.
func TestRFC6109_4_5_6_Publish(t *testing.T) {
	s := newShop(t)
	p := s.publisher()
	if w := get(p, "GET"); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || p.Records() != nil {
		t.Errorf("before the first: %d", w.Code)
	}
	s.refresh(p)
	w := get(p, "GET")
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/pkcs7-mime; smime-type=signed-data" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	got, err := theAuthority(t, ours).opener(s.clk)(w.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Clone(s.records)
	want[0].Domains, want[1].Domains = []string{"comune.example", "pec.alfa.example", "xn--citt-3na.example"}, []string{"due.example"}
	x := mustRead(t, slices.Concat([]byte(rootLDIF+"\n"), got.LDIF))
	sameIndex(t, x, mustRead(t, ldifOf(t, want)))
	if w := x.Warnings(); len(w) != 0 {
		t.Errorf("warnings %q", w)
	}
	if bytes.Contains(got.LDIF, []byte("dn: o=postacert")) || bytes.Count(got.LDIF, []byte("LDIFLocationURL:")) != 1 || !bytes.HasPrefix(got.LDIF, []byte("dn:")) {
		t.Errorf("%s", got.LDIF)
	}
	if _, err := ReadLDIF(bytes.NewReader(got.LDIF)); err != nil {
		t.Errorf("alone: %v", err)
	}
	if !slices.Equal(p.Records()[0].Domains, want[0].Domains) || len(p.Records()) != 2 {
		t.Errorf("%+v", p.Records())
	}

	l := newLDAP(t, "testdata/pec.schema")
	l.slapadd(got.LDIF, "-u") // a check of the syntax alone
	l.slapadd([]byte("dn: o=postacert\nobjectClass: top\nobjectClass: organization\no: postacert\n"))
	l.slapadd(got.LDIF)
	if out := run(t, l.dir, "slapcat", "-f", "slapd.conf"); bytes.Count(out, []byte("managedDomains:")) != 4 || !bytes.Contains(out, []byte("providerUnit: due\n")) {
		t.Errorf("%s", out)
	}
}

// TestPublishAgain: a change is published at the next look, an unchanged record
// is signed once a day, and what cannot be published leaves what there was.
func TestPublishAgain(t *testing.T) {
	s := newShop(t)
	p := s.publisher()
	s.refresh(p)
	tag := get(p, "GET").Header().Get("ETag")
	step := func(what string, signed int, changed bool) {
		t.Helper()
		now := get(p, "GET").Header().Get("ETag")
		if s.signed != signed || (now != tag) != changed || now == "" {
			t.Errorf("%s: %d signatures, ETag %s then %s", what, s.signed, tag, now)
		}
		tag = now
	}
	slices.Reverse(s.domains[""])
	s.refresh(p)
	step("other order", 1, false)
	s.clk.Advance(defaultEvery - time.Second)
	s.refresh(p)
	step("within the day", 1, false)
	time.Sleep(1100 * time.Millisecond) // openssl signs to the second
	s.clk.Advance(time.Second)
	s.refresh(p)
	step("the next day", 2, true)
	s.domains[""] = append(s.domains[""], "nuovo.example")
	s.refresh(p)
	step("a domain more", 3, true)
	s.records[0].Certificates = s.records[0].Certificates[1:]
	s.refresh(p)
	step("a certificate less", 4, true)

	broken := errors.New("the key is gone")
	s.domains[""] = append(s.domains[""], "altro.example")
	s.fail = fault.New("test", fault.Temporary, broken)
	if err := p.Refresh(context.Background()); !errors.Is(err, broken) || !fault.Is(err, fault.Temporary) {
		t.Errorf("%v", err)
	}
	step("no key", 4, false)
	s.fail = nil
	s.cfg.Sign = nil
	if _, err := NewPublisher(s.cfg); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
}

func TestPublisherRefusesItsRecord(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(s *shop)
		want string
	}{
		"nothing":        {func(s *shop) { s.records = nil }, "main environment does not come first"},
		"only a unit":    {func(s *shop) { s.records = s.records[1:] }, "main environment does not come first"},
		"two main":       {func(s *shop) { s.records[1].Unit = "" }, "is also on line"},
		"another name":   {func(s *shop) { s.records[1].Name = "Beta" }, `of another provider, "Beta"`},
		"no URL":         {func(s *shop) { s.records[0].LDIFLocationURL = "" }, "is no https address"},
		"http":           {func(s *shop) { s.records[0].LDIFLocationURL = "http://alfa.example/x" }, "is no https address"},
		"URL of a unit":  {func(s *shop) { s.records[1].LDIFLocationURL = "https://x.example" }, "secondary environment \"due\" has an LDIFLocationURL"},
		"no certificate": {func(s *shop) { s.records[1].Certificates = nil }, "no providerCertificate"},
		"certificate twice": {func(s *shop) {
			s.records[1].Certificates = append(s.records[1].Certificates, s.records[1].Certificates[0])
		}, "is listed twice"},
		"no certificate at all": {func(s *shop) { s.records[1].Certificates = [][]byte{[]byte("x")} }, "cannot be parsed"},
		"no mailReceipt":        {func(s *shop) { s.records[1].MailReceipt = "" }, "no mailReceipt"},
		"bad mailReceipt":       {func(s *shop) { s.records[1].MailReceipt = "<a@b.example>" }, "is not an address of dot-atoms"},
		"no domains":            {func(s *shop) { s.domains["due"] = nil }, "no managedDomains"},
		"domain of two":         {func(s *shop) { s.domains["due"] = []string{"COMUNE.example"} }, "is listed again"},
		"no domain":             {func(s *shop) { s.domains["due"] = []string{"a b"} }, `"a b" is no domain`},
	} {
		s := newShop(t)
		p := s.publisher()
		s.refresh(p)
		c.edit(s)
		if err := p.Refresh(context.Background()); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if s.signed != 1 || get(p, "GET").Code != http.StatusOK {
			t.Errorf("%s: %d signatures", name, s.signed)
		}
	}
	s := newShop(t)
	lost := fault.New("test", fault.Temporary, errors.New("store closed"))
	s.cfg.Domains = func(context.Context, string) ([]string, error) { return nil, lost }
	if err := s.publisher().Refresh(context.Background()); !errors.Is(err, lost) || !fault.Is(err, fault.Temporary) {
		t.Errorf("%v", err)
	}
}

func TestPublisherHTTP(t *testing.T) {
	s := newShop(t)
	p := s.publisher()
	s.refresh(p)
	tag := get(p, "GET").Header().Get("ETag")
	size := get(p, "GET").Body.Len()
	for name, c := range map[string]struct {
		method string
		header []string
		code   int
		body   int
	}{
		"GET":       {"GET", nil, http.StatusOK, size},
		"HEAD":      {"HEAD", nil, http.StatusOK, 0},
		"known":     {"GET", []string{"If-None-Match", tag}, http.StatusNotModified, 0},
		"unknown":   {"GET", []string{"If-None-Match", `"x"`}, http.StatusOK, size},
		"range":     {"GET", []string{"Range", "bytes=0-9"}, http.StatusPartialContent, 10},
		"POST":      {"POST", nil, http.StatusMethodNotAllowed, -1},
		"PUT":       {"PUT", nil, http.StatusMethodNotAllowed, -1},
		"DELETE":    {"DELETE", nil, http.StatusMethodNotAllowed, -1},
		"OPTIONS":   {"OPTIONS", nil, http.StatusMethodNotAllowed, -1},
		"PROPFIND":  {"PROPFIND", nil, http.StatusMethodNotAllowed, -1},
		"lowercase": {"get", nil, http.StatusMethodNotAllowed, -1},
	} {
		w := get(p, c.method, c.header...)
		if w.Code != c.code || c.body >= 0 && w.Body.Len() != c.body || (w.Header().Get("Allow") != "") != (c.code == http.StatusMethodNotAllowed) {
			t.Errorf("%s: %d, %d octets, %v", name, w.Code, w.Body.Len(), w.Header())
		}
	}
}

// TestRFC6109_5_6_OnlyLicensedProviders: over real TLS, who shows no certificate
// is refused where one is demanded, also when the listener only asks for it.
func TestRFC6109_5_6_OnlyLicensedProviders(t *testing.T) {
	s := newShop(t)
	s.cfg.RequireClientCertificate = true
	p := s.publisher()
	s.refresh(p)
	if w := get(p, "GET"); w.Code != http.StatusForbidden {
		t.Errorf("without TLS: %d", w.Code)
	}
	auth, other := theAuthority(t, ours), theAuthority(t, stranger)
	srv := httptest.NewUnstartedServer(p)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Listener = tls.NewListener(srv.Listener, &tls.Config{
		Certificates: []tls.Certificate{auth.server}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: auth.pool(),
	})
	srv.Start()
	defer srv.Close()
	for name, c := range map[string]struct {
		certs []tls.Certificate
		code  int // 0: no connection
	}{
		"licensed": {[]tls.Certificate{auth.client}, http.StatusOK},
		"nobody":   {nil, http.StatusForbidden},
		"stranger": {[]tls.Certificate{other.client}, 0},
	} {
		conf := &tls.Config{RootCAs: auth.pool(), GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(c.certs) == 0 {
				return &tls.Certificate{}, nil
			}
			return &c.certs[0], nil
		}}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: conf, DisableKeepAlives: true}}
		answer, err := client.Get("https://" + srv.Listener.Addr().String() + "/alfa.ldif.p7m")
		if err != nil {
			if c.code != 0 {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		answer.Body.Close()
		if answer.StatusCode != c.code {
			t.Errorf("%s: %d", name, answer.StatusCode)
		}
	}
}

// TestPublisherRun publishes at once, then what changes, and logs a lasting
// error once.
func TestPublisherRun(t *testing.T) {
	s := newShop(t)
	parked := make(chan struct{}, 1)
	s.cfg.Clock = stepClock{s.clk, parked}
	p := s.publisher()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { p.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	step := func(edit func()) {
		s.mu.Lock()
		edit()
		s.mu.Unlock()
		s.clk.Advance(publishPoll)
		<-parked
	}
	<-parked
	if len(p.Records()) != 2 {
		t.Fatal("not published at once")
	}
	step(func() { s.domains["due"] = []string{"due.example", "tre.example"} })
	if d := p.Records()[1].Domains; len(d) != 2 {
		t.Errorf("%q", d)
	}
	for range 3 {
		step(func() { s.domains["due"] = nil })
	}
	if n := s.log.count("level=ERROR"); n != 1 {
		t.Errorf("%d errors logged", n)
	}
	step(func() { s.domains["due"] = []string{"due.example"} })
	step(func() { s.domains["due"] = nil })
	if n := s.log.count("level=ERROR"); n != 2 || len(p.Records()[1].Domains) != 1 {
		t.Errorf("%d errors logged, %+v", n, p.Records()[1])
	}
}
