// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pecd/pipeline"
)

// A server that hangs up right after its 250 has the message.
func TestRelay_HangsUpAfterTheAnswer(t *testing.T) {
	for _, final := range []string{"250 ok", "250 ok\r\n221 bye"} {
		addr := listen(t, func(p *peer) {
			p.say("220 x")
			for line := p.hear(); line != ""; line = p.hear() {
				if line != "DATA" {
					p.say("250 ok")
					continue
				}
				p.say("354 go")
				p.message()
				p.say("%s", final)
				return
			}
		})
		r := relayTo(t, addr, nil)
		for range 2 { // the second one finds the first's connection dead
			a := attempt(t, r, dispatch("a\r\n", "x@beta.example"))
			wantKinds(t, a.Results, "ok")
			if a.Contact != pipeline.Answered {
				t.Errorf("%q: contact %d", final, a.Contact)
			}
		}
	}
}

// servers dials names of the fake DNS's addresses.
func servers(t testing.TB, dns fakeDNS, at map[string]string, change func(*RelayConfig)) *Relay {
	return relayTo(t, "", func(c *RelayConfig) {
		c.Routes, c.Resolver, c.Timeouts = nil, dns, shortTimeouts()
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			switch to := at[addr]; to {
			case "":
				return nil, errors.New("connection refused")
			case "black hole":
				<-ctx.Done()
				return nil, ctx.Err()
			default:
				return (&net.Dialer{}).DialContext(ctx, network, to)
			}
		}
		if change != nil {
			change(c)
		}
	})
}

func oneHost(addresses ...string) fakeDNS {
	return fakeDNS{mx: map[string][]*net.MX{"beta.example.": {{Host: "mx.beta.example.", Pref: 1}}}, host: map[string][]string{"mx.beta.example.": addresses}}
}

// What keeps a first contact from coming about is the destination's failure,
// and the next server or address gets its chance.
func TestRelay_FirstContact(t *testing.T) {
	good := &mailer{}
	goodAddr := listen(t, good.serve)
	silent := listen(t, func(p *peer) { _, _ = io.Copy(io.Discard, p) })
	secured := &mailer{}
	for name, tt := range map[string]struct {
		dns     fakeDNS
		at      map[string]string
		require bool
		want    string
		far     pipeline.Contact
	}{
		"nobody listens":           {oneHost("192.0.2.1"), nil, false, "temporary", pipeline.Unreached},
		"a black hole":             {oneHost("192.0.2.1"), map[string]string{"192.0.2.1:25": "black hole"}, false, "temporary", pipeline.Unreached},
		"accepts and says nothing": {oneHost("192.0.2.1"), map[string]string{"192.0.2.1:25": silent}, false, "temporary", pipeline.Unreached},
		"silent, then a good one": {oneHost("192.0.2.1", "192.0.2.2"),
			map[string]string{"192.0.2.1:25": silent, "192.0.2.2:25": goodAddr}, false, "ok", pipeline.Answered},
		"IPv6 refused, IPv4 good": {oneHost("2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4", "192.0.2.2"),
			map[string]string{"192.0.2.2:25": goodAddr}, false, "ok", pipeline.Answered},
		"IPv4 refused, IPv6 good": {oneHost("192.0.2.1", "2001:db8::1"), map[string]string{"[2001:db8::1]:25": goodAddr}, false, "ok", pipeline.Answered},
		"no DNS":                  {fakeDNS{down: true}, nil, false, "temporary", pipeline.Unreached},
		"no such domain":          {fakeDNS{}, nil, false, "not found", pipeline.Answered},
		"no TLS where it must be": {oneHost("192.0.2.1"), map[string]string{"192.0.2.1:25": listen(t, secured.serve)}, true, "temporary", pipeline.Unreached},
	} {
		t.Run(name, func(t *testing.T) {
			r := servers(t, tt.dns, tt.at, func(c *RelayConfig) { c.Timeouts.Connect = 100 * time.Millisecond })
			d := dispatch("a\r\n", "x@beta.example")
			d.RequireTLS = tt.require
			a := attempt(t, r, d)
			wantKinds(t, a.Results, tt.want)
			if a.Contact != tt.far {
				t.Errorf("contact %d, want %d", a.Contact, tt.far)
			}
		})
	}
	if n := len(secured.lines("MAIL")); n > 0 {
		t.Errorf("%d messages in clear to a PEC provider", n)
	}
}

// A destination with many servers, all of them silent, is not worth more than
// one with a single one.
func TestRelay_BudgetOfFirstContacts(t *testing.T) {
	dns := fakeDNS{mx: map[string][]*net.MX{"beta.example.": manyMX(10)}, host: map[string][]string{}}
	at := map[string]string{}
	for i := range 10 {
		addr := fmt.Sprintf("192.0.2.%d", i+1)
		dns.host[fmt.Sprintf("mx%d.many.example.", i)] = []string{addr}
		at[addr+":25"] = "black hole"
	}
	r := servers(t, dns, at, func(c *RelayConfig) {
		c.Timeouts.Connect, c.Timeouts.Contact = 100*time.Millisecond, 250*time.Millisecond
	})
	start := time.Now()
	a := attempt(t, r, dispatch("a\r\n", "x@beta.example"))
	wantKinds(t, a.Results, "temporary")
	if took := time.Since(start); took < 200*time.Millisecond || took > 800*time.Millisecond || a.Contact != pipeline.Unreached {
		t.Errorf("took %v, contact %d", took, a.Contact)
	}
	// A conversation that has begun is not bounded by it.
	slow := &mailer{rcpt: func(int, string) string { time.Sleep(150 * time.Millisecond); return "250 ok" }}
	r = relayTo(t, listen(t, slow.serve), func(c *RelayConfig) { c.Timeouts.Contact = 200 * time.Millisecond })
	wantKinds(t, send(t, r, dispatch("a\r\n", "x@beta.example", "y@beta.example", "z@beta.example")), "ok,ok,ok")
	// A greeting that does not come ends with the budget.
	r = relayTo(t, listen(t, func(p *peer) { _, _ = io.Copy(io.Discard, p) }), func(c *RelayConfig) {
		c.Timeouts.Contact, c.Timeouts.Greeting = 100*time.Millisecond, time.Minute
	})
	start = time.Now()
	res := send(t, r, dispatch("a\r\n", "x@beta.example"))
	wantKinds(t, res, "temporary")
	if took := time.Since(start); took > 5*time.Second || !strings.Contains(res[0].Reply, "non risponde") {
		t.Errorf("took %v, %q", took, res[0].Reply)
	}
}

// A provider's certificate that is not to be trusted any more keeps its mail
// back, says why, and lets it go when it is mended.
func TestRelay_CertificateChanged(t *testing.T) {
	var stranger atomic.Bool
	cert, _ := newCertificate()
	other := &tls.Config{Certificates: []tls.Certificate{cert}}
	m := &mailer{tls: true}
	m.with = func() *tls.Config {
		if stranger.Load() {
			return other
		}
		return serverTLS()
	}
	r := relayTo(t, listen(t, m.serve), func(c *RelayConfig) { c.VerifyTLS, c.MaxIdle = VerifyPeer, -1 })
	d := dispatch("a\r\n", "x@beta.example")
	d.RequireTLS = true
	wantKinds(t, send(t, r, d), "ok")
	stranger.Store(true)
	a := attempt(t, r, d)
	wantKinds(t, a.Results, "temporary")
	if want := "451 4.7.5 certificato TLS non valido per 127.0.0.1 "; !strings.HasPrefix(a.Results[0].Reply, want) || a.Contact != pipeline.Unreached {
		t.Errorf("reply %q, contact %d", a.Results[0].Reply, a.Contact)
	}
	d.RequireTLS = false // an ordinary destination is written to nevertheless
	wantKinds(t, send(t, r, d), "ok")
	stranger.Store(false)
	d.RequireTLS = true
	wantKinds(t, send(t, r, d), "ok")
	if m.secured.Load() != 3 || m.conns.Load() != 4 {
		t.Errorf("%d under TLS, %d connections", m.secured.Load(), m.conns.Load())
	}
}

// An attempt ends at its time, wherever it is: a server that is slow at each
// single step does not keep its visitor for the sum of all.
func TestRelay_AttemptEnds(t *testing.T) {
	slow := func(int, string) string { time.Sleep(50 * time.Millisecond); return "250 ok" }
	var many []string
	for i := range 200 {
		many = append(many, fmt.Sprintf("r%d@beta.example", i))
	}
	silent := func(verb string) *mailer { return &mailer{mute: verb} }
	for name, tt := range map[string]struct {
		server *mailer
		to     []string
		far    pipeline.Contact
	}{
		"recipients":    {&mailer{rcpt: slow}, many, pipeline.BrokeOff},
		"one refused":   {&mailer{rcpt: func(n int, l string) string { return or(map[int]string{0: "550 no"}[n], slow(n, l)) }}, many, pipeline.BrokeOff},
		"greeting":      {silent("EHLO"), many[:1], pipeline.Unreached},
		"after the dot": {silent("."), many[:1], pipeline.BrokeOff},
		"several rounds": {&mailer{rcpt: func(n int, l string) string {
			return or(map[bool]string{true: "452 4.5.3 more later"}[n > 0], slow(n, l))
		}}, many, pipeline.BrokeOff},
	} {
		t.Run(name, func(t *testing.T) {
			r := relayTo(t, listen(t, tt.server.serve), nil)
			d := dispatch("a\r\n", tt.to...)
			start := time.Now()
			d.Until = start.Add(400 * time.Millisecond)
			a := attempt(t, r, d)
			last := a.Results[len(a.Results)-1]
			if took := time.Since(start); took < 300*time.Millisecond || took > 3*time.Second || a.Contact != tt.far || kinds([]pipeline.RecipientResult{last}) != "temporary" {
				t.Errorf("took %v, contact %d, want %d; %+v", took, a.Contact, tt.far, last)
			}
		})
	}
	// What was answered in time stays answered.
	m := &mailer{}
	d := dispatch("a\r\n", "x@beta.example")
	d.Until = time.Now().Add(time.Minute)
	a := attempt(t, relayTo(t, listen(t, m.serve), nil), d)
	wantKinds(t, a.Results, "ok")
	if a.Contact != pipeline.Answered {
		t.Errorf("contact %d", a.Contact)
	}
}
