// SPDX-License-Identifier: EUPL-1.2

package notify_test

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"pecd/fault"
	"pecd/notify"
)

func gatewayConfig(address string) notify.HTTPConfig {
	return notify.HTTPConfig{
		URL: address, Method: "POST", ContentType: "application/json", Body: `{"to":"{to}","text":"{text}","id":"{id}"}`,
		Timeout: 5 * time.Second, Prefixes: []string{"+39"}, Secret: "Bearer segreto", Headers: map[string]string{"X-Client": "pec"},
	}
}

var hostile = notify.SMS{To: "+393331234567", Text: "a\"b\\c&d=e\n{to}{id} è", ID: "avviso-1"}

// TestGatewayEscapes: whatever a text has in it, the gateway reads three values.
func TestGatewayEscapes(t *testing.T) {
	var got map[string]string
	form := false
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = map[string]string{"secret": r.Header.Get("Authorization"), "client": r.Header.Get("X-Client"), "type": r.Header.Get("Content-Type")}
		if !form {
			json.Unmarshal(body, &got)
			return
		}
		values, _ := url.ParseQuery(string(body))
		for k := range values {
			got[k] = values.Get(k)
		}
		got["id"] = r.URL.Query().Get("id")
	}))
	defer server.Close()
	for _, c := range []notify.HTTPConfig{gatewayConfig(server.URL), gatewayConfig(server.URL + "/?id={id}")} {
		if form = strings.Contains(c.URL, "id"); form {
			c.ContentType, c.Body = "application/x-www-form-urlencoded", "to={to}&text={text}&from=PEC"
		}
		g, err := notify.NewHTTPGateway(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Send(t.Context(), hostile); err != nil {
			t.Fatal(err)
		}
		if got["to"] != hostile.To || got["text"] != hostile.Text || got["id"] != hostile.ID || got["secret"] != "Bearer segreto" || got["client"] != "pec" || got["type"] != c.ContentType {
			t.Errorf("%q", got)
		}
	}
}

// TestGatewayAnswers: what refuses a message, and what is to be tried again.
func TestGatewayAnswers(t *testing.T) {
	for _, c := range []struct {
		status       int
		body, accept string
		ok           bool
		kind         fault.Kind
	}{
		{200, "", "", true, 0}, {202, `{"status":"queued"}`, `"status":"(queued|sent)"`, true, 0},
		{200, `{"status":"error"}`, `"status":"queued"`, false, fault.Temporary},
		{400, "", "", false, fault.Denied}, {422, "", "", false, fault.Denied},
		{401, "", "", false, fault.Temporary}, {429, "", "", false, fault.Temporary}, {503, "", "", false, fault.Temporary},
		{302, "", "", false, fault.Temporary},
	} {
		asked := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked++
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(c.status)
			io.WriteString(w, c.body)
		}))
		cfg := gatewayConfig(server.URL)
		cfg.Accept = c.accept
		g, err := notify.NewHTTPGateway(cfg)
		if err != nil {
			t.Fatal(err)
		}
		err = g.Send(t.Context(), hostile)
		if (err == nil) != c.ok || err != nil && fault.KindOf(err) != c.kind || asked != 1 {
			t.Errorf("%d %q: %v, asked %d times", c.status, c.body, err, asked)
		}
		server.Close()
		if err := g.Send(t.Context(), hostile); !fault.Is(err, fault.Temporary) || strings.Contains(err.Error(), "333") {
			t.Errorf("closed: %v", err)
		}
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	g, err := notify.NewHTTPGateway(gatewayConfig(server.URL))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Send(t.Context(), hostile); !fault.Is(err, fault.Temporary) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown certificate: %v", err)
	}
	if err := g.MayReach("+882123456789"); !fault.Is(err, fault.Denied) || g.MayReach("+393331234567") != nil {
		t.Errorf("%v", err)
	}
}

func TestGatewayRefusesConfiguration(t *testing.T) {
	for name, change := range map[string]func(*notify.HTTPConfig){
		"cleartext":        func(c *notify.HTTPConfig) { c.URL = "http://sms.example/" },
		"no address":       func(c *notify.HTTPConfig) { c.URL = "sms" },
		"no text":          func(c *notify.HTTPConfig) { c.Body = `{"to":"{to}"}` },
		"no JSON":          func(c *notify.HTTPConfig) { c.Body = `{"to":{to},"text":"{text}"}` },
		"another type":     func(c *notify.HTTPConfig) { c.ContentType = "text/xml" },
		"no timeout":       func(c *notify.HTTPConfig) { c.Timeout = 0 },
		"no prefix":        func(c *notify.HTTPConfig) { c.Prefixes = nil },
		"method":           func(c *notify.HTTPConfig) { c.Method = "PO ST" },
		"broken condition": func(c *notify.HTTPConfig) { c.Accept = "(" },
	} {
		c := gatewayConfig("https://sms.example/")
		change(&c)
		if _, err := notify.NewHTTPGateway(c); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
