// SPDX-License-Identifier: EUPL-1.2

package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"pecd/fault"
)

// SMS is one text message. ID is the same each time it is handed over, so that a
// gateway that knows it sends it once.
type SMS struct{ To, Text, ID string }

// Gateway hands text messages to whoever sends them.
type Gateway interface {
	// MayReach fails with Denied for a number that no messages are sent to.
	MayReach(number string) error
	// Send returns nil once the gateway took the message. Denied: it refused this
	// number or message for good; Temporary: try again.
	Send(ctx context.Context, m SMS) error
}

// HTTPConfig describes a gateway that takes text messages by HTTP.
type HTTPConfig struct {
	URL    string // https; http on the loopback only. May have the three placeholders
	Method string
	// ContentType is application/json or application/x-www-form-urlencoded; Body has
	// the placeholders {to}, {text} and {id}, inside the quotes of JSON or as values
	// of a form, and each is escaped for where it stands.
	ContentType string
	Body        string
	Headers     map[string]string // further ones, without placeholders
	Secret      string            // of Authorization; "" for none
	Timeout     time.Duration
	Accept      string         // regular expression that the answer must match beside 2xx; "" for none
	Prefixes    []string       // of numbers that may be reached: "+39"
	Authorities *x509.CertPool // nil: the system's
}

// maxAnswer is how much of a gateway's answer is looked at, in octets.
const maxAnswer = 4 << 10

type httpGateway struct {
	cfg    HTTPConfig
	accept *regexp.Regexp
	client *http.Client
}

// NewHTTPGateway checks a description and returns its gateway.
func NewHTTPGateway(c HTTPConfig) (Gateway, error) {
	g := &httpGateway{cfg: c}
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "":
		return nil, fmt.Errorf("url: not an address") // it may hold a secret: not told
	case u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())):
		return nil, fmt.Errorf("url: https is needed, but for the loopback")
	case c.Timeout <= 0:
		return nil, fmt.Errorf("timeout must be positive")
	case len(c.Prefixes) == 0:
		return nil, fmt.Errorf("prefixes: none is allowed")
	case !strings.Contains(c.URL+c.Body, "{to}") || !strings.Contains(c.URL+c.Body, "{text}"):
		return nil, fmt.Errorf("url or body must have {to} and {text}")
	case c.Body != "" && c.ContentType != jsonType && c.ContentType != formType:
		return nil, fmt.Errorf("content_type is %s or %s", jsonType, formType)
	}
	if g.accept, err = regexp.Compile(c.Accept); err != nil {
		return nil, fmt.Errorf("accept: %w", err)
	}
	if r, err := g.request(context.Background(), SMS{To: "+39", Text: "\"\\\n{to}&=", ID: "x"}); err != nil {
		return nil, err
	} else if b, _ := io.ReadAll(r.Body); c.ContentType == jsonType && c.Body != "" && !json.Valid(b) {
		return nil, fmt.Errorf("body: no JSON once the placeholders are filled in")
	}
	g.client = &http.Client{
		Timeout: c.Timeout,
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.Authorities},
			MaxIdleConns:    8, MaxResponseHeaderBytes: 64 << 10, IdleConnTimeout: time.Minute, Proxy: http.ProxyFromEnvironment,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // numbers go nowhere else
	}
	return g, nil
}

const (
	jsonType = "application/json"
	formType = "application/x-www-form-urlencoded"
)

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// MayReach implements Gateway.
func (g *httpGateway) MayReach(number string) error {
	for _, p := range g.cfg.Prefixes {
		if strings.HasPrefix(number, p) {
			return nil
		}
	}
	return say("MayReach", fault.Denied, "non si inviano SMS in questo paese / no text messages are sent to this country")
}

// filled puts a message into a template. Values are put in at once, so that none
// can bring a placeholder along.
func filled(template string, m SMS, escape func(string) string) string {
	return strings.NewReplacer("{to}", escape(m.To), "{text}", escape(m.Text), "{id}", escape(m.ID)).Replace(template)
}

func (g *httpGateway) request(ctx context.Context, m SMS) (*http.Request, error) {
	escape := url.QueryEscape
	if g.cfg.ContentType == jsonType {
		escape = func(s string) string {
			b, _ := json.Marshal(s) // a string always encodes
			return string(b[1 : len(b)-1])
		}
	}
	body := filled(g.cfg.Body, m, escape)
	r, err := http.NewRequestWithContext(ctx, g.cfg.Method, filled(g.cfg.URL, m, url.QueryEscape), bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, fmt.Errorf("no request can be made of url and method")
	}
	if body != "" {
		r.Header.Set("Content-Type", g.cfg.ContentType)
	}
	if g.cfg.Secret != "" {
		r.Header.Set("Authorization", g.cfg.Secret)
	}
	for k, v := range g.cfg.Headers {
		r.Header.Set(k, v)
	}
	return r, nil
}

// Send implements Gateway. Errors name neither the number nor the text, nor the
// address of the gateway, which may hold both.
func (g *httpGateway) Send(ctx context.Context, m SMS) error {
	const op = "notify.Send"
	r, err := g.request(ctx, m)
	if err != nil {
		return fault.New(op, fault.Internal, err)
	}
	resp, err := g.client.Do(r)
	if err != nil {
		if u, ok := err.(*url.Error); ok {
			err = u.Err
		}
		return fault.New(op, fault.Temporary, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch c := resp.StatusCode; {
	case c == http.StatusBadRequest, c == http.StatusNotFound, c == http.StatusGone, c == http.StatusUnprocessableEntity:
		return fault.New(op, fault.Denied, fmt.Errorf("the gateway answers %d", c))
	case c < 200 || c > 299:
		return fault.New(op, fault.Temporary, fmt.Errorf("the gateway answers %d", c))
	case err != nil:
		return fault.New(op, fault.Temporary, err)
	case !g.accept.Match(answer):
		return fault.New(op, fault.Temporary, fmt.Errorf("the gateway's answer does not match"))
	}
	return nil
}
