// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pecd/clock"
	"pecd/pipeline"
)

func TestRelay_ReplyDecides(t *testing.T) {
	m := func(change func(*mailer)) *mailer {
		x := &mailer{caps: []string{"PIPELINING", "8BITMIME", "SIZE 1000"}}
		change(x)
		return x
	}
	always := func(s string) func(int, string) string { return func(int, string) string { return s } }
	for _, tt := range []struct {
		name string
		peer *mailer
		want string
		far  pipeline.Contact
	}{
		{"all well", m(func(x *mailer) {}), "ok,ok", pipeline.Answered},
		{"greeting 4xx", m(func(x *mailer) { x.greeting = "421 busy" }), "temporary,temporary", pipeline.Unreached},
		{"greeting 5xx", m(func(x *mailer) { x.greeting = "554 no mail here" }), "denied,denied", pipeline.Answered},
		{"greeting nonsense", m(func(x *mailer) { x.greeting = "SSH-2.0-OpenSSH" }), "temporary,temporary", pipeline.Unreached},
		{"EHLO 4xx", m(func(x *mailer) { x.ehlo = "450 later" }), "temporary,temporary", pipeline.Unreached},
		{"EHLO unknown, HELO", m(func(x *mailer) { x.ehlo = "502 what" }), "ok,ok", pipeline.Answered},
		{"MAIL 4xx", m(func(x *mailer) { x.mail = func(string) string { return "451 4.7.1 greylisted" } }), "temporary,temporary", pipeline.Answered},
		{"MAIL 5xx", m(func(x *mailer) { x.mail = func(string) string { return "550 5.7.1 no" } }), "denied,denied", pipeline.Answered},
		{"sender unknown there", m(func(x *mailer) { x.mail = func(string) string { return "550 5.1.8 no" } }), "denied,denied", pipeline.Answered},
		{"RCPT 5.1.1", m(func(x *mailer) { x.rcpt = always("550 5.1.1 no") }), "not found,not found", pipeline.Answered},
		{"RCPT bare 550", m(func(x *mailer) { x.rcpt = always("550 unknown") }), "not found,not found", pipeline.Answered},
		{"RCPT 5.2.1", m(func(x *mailer) { x.rcpt = always("550 5.2.1 no") }), "disabled,disabled", pipeline.Answered},
		{"RCPT 5.2.2", m(func(x *mailer) { x.rcpt = always("552 5.2.2 full") }), "quota,quota", pipeline.Answered},
		{"RCPT 4.2.2", m(func(x *mailer) { x.rcpt = always("452 4.2.2 full") }), "temporary,temporary", pipeline.Answered},
		{"RCPT relay denied", m(func(x *mailer) { x.rcpt = always("554 5.7.1 relay") }), "denied,denied", pipeline.Answered},
		{"RCPT 452 at once", m(func(x *mailer) { x.rcpt = always("452 4.5.3 no") }), "temporary,temporary", pipeline.Answered},
		{"RCPT 421", m(func(x *mailer) { x.rcpt = always("421 bye") }), "temporary,temporary", pipeline.Answered},
		{"one of two", m(func(x *mailer) {
			x.rcpt = func(n int, _ string) string { return []string{"550 5.1.1 no", "250 ok"}[n] }
		}), "not found,ok", pipeline.Answered},
		{"DATA 4xx", m(func(x *mailer) { x.data = "451 no" }), "temporary,temporary", pipeline.Answered},
		{"DATA 5xx", m(func(x *mailer) { x.data = "554 no" }), "denied,denied", pipeline.Answered},
		{"DATA 250", m(func(x *mailer) { x.data = "250 what?" }), "temporary,temporary", pipeline.Answered},
		{"final 5.6.0", m(func(x *mailer) { x.final = "550 5.6.0 bad" }), "invalid,invalid", pipeline.Answered},
		{"final 5.6.3", m(func(x *mailer) { x.final = "554 5.6.3 8 bit" }), "unsupported,unsupported", pipeline.Answered},
		{"final 552", m(func(x *mailer) { x.final = "552 too big" }), "too large,too large", pipeline.Answered},
		{"final 5.3.4", m(func(x *mailer) { x.final = "554 5.3.4 too big" }), "too large,too large", pipeline.Answered},
		{"final bare 550", m(func(x *mailer) { x.final = "550 spam" }), "denied,denied", pipeline.Answered},
		{"final 501", m(func(x *mailer) { x.final = "501 syntax" }), "invalid,invalid", pipeline.Answered},
		{"final 451", m(func(x *mailer) { x.final = "451 later" }), "temporary,temporary", pipeline.Answered},
		{"drops after EHLO", m(func(x *mailer) { x.drop = "EHLO" }), "temporary,temporary", pipeline.Unreached},
		{"drops after MAIL", m(func(x *mailer) { x.drop = "MAIL" }), "temporary,temporary", pipeline.Unreached},
		{"drops after DATA", m(func(x *mailer) { x.drop = "DATA" }), "temporary,temporary", pipeline.BrokeOff},
		{"drops after the dot", m(func(x *mailer) { x.drop = "." }), "temporary,temporary", pipeline.BrokeOff},
		{"mute after EHLO", m(func(x *mailer) { x.mute = "EHLO" }), "temporary,temporary", pipeline.Unreached},
		{"mute after RCPT", m(func(x *mailer) { x.mute = "RCPT" }), "temporary,temporary", pipeline.BrokeOff},
		{"mute after the dot", m(func(x *mailer) { x.mute = "." }), "temporary,temporary", pipeline.BrokeOff},
		{"reply without end", m(func(x *mailer) { x.final = strings.Repeat("x", 1<<20) }), "temporary,temporary", pipeline.BrokeOff},
		{"reply of a thousand lines", m(func(x *mailer) { x.final = strings.Repeat("250-x\r\n", 1000) + "250 x" }), "temporary,temporary", pipeline.BrokeOff},
		{"reply of another code in the middle", m(func(x *mailer) { x.final = "250-x\r\n550 y" }), "temporary,temporary", pipeline.BrokeOff},
		{"hostile text", m(func(x *mailer) { x.final = "550 5.7.1 \x1b[31mred\x00\xff" }), "denied,denied", pipeline.Answered},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := relayTo(t, listen(t, tt.peer.serve), func(c *RelayConfig) { c.Timeouts = shortTimeouts() })
			a := attempt(t, r, dispatch("a\r\n", "x@beta.example", "y@beta.example"))
			wantKinds(t, a.Results, tt.want)
			if a.Contact != tt.far {
				t.Errorf("contact %d, want %d", a.Contact, tt.far)
			}
			if tt.peer.conns.Load() > 2 {
				t.Errorf("%d connections", tt.peer.conns.Load())
			}
		})
	}
}

func TestRelay_CommandsOnTheWire(t *testing.T) {
	m := &mailer{caps: []string{"PIPELINING", "8BITMIME", "SIZE 1000"}}
	r := relayTo(t, listen(t, m.serve), nil)
	d := dispatch("a\r\n.b\r\n", `"a b"@beta.example`, "y@beta.example")
	d.EightBit = true
	wantKinds(t, send(t, r, d), "ok,ok")
	want := []string{"EHLO mx.alfa.example", "MAIL FROM:<rossi@alfa.example> SIZE=7 BODY=8BITMIME", `RCPT TO:<"a b"@beta.example>`, "RCPT TO:<y@beta.example>", "DATA"}
	if got := m.lines(""); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("heard %q", got)
	}
	if got := m.bodies(); len(got) != 1 || string(got[0]) != "a\r\n..b\r\n" {
		t.Errorf("bodies %q", got)
	}
}

func TestRelay_WithoutPipeliningOneByOne(t *testing.T) {
	var early atomic.Bool
	addr := listen(t, func(p *peer) {
		p.say("220 x")
		for {
			line := p.hear()
			if line == "" {
				return
			}
			time.Sleep(5 * time.Millisecond)
			if p.br.Buffered() > 0 {
				early.Store(true)
			}
			switch {
			case strings.HasPrefix(line, "DATA"):
				p.say("354 go")
				p.message()
				p.say("250 ok")
			default:
				p.say("250 ok")
			}
		}
	})
	r := relayTo(t, addr, nil)
	d := dispatch("a\r\n", "x@beta.example", "y@beta.example")
	d.Sender = ""
	wantKinds(t, send(t, r, d), "ok,ok")
	if early.Load() {
		t.Error("a command came before the reply to the one before")
	}
}

func TestRelay_RestOfTheRecipientsOnTheSameConnection(t *testing.T) {
	m := &mailer{caps: []string{"PIPELINING"}, rcpt: func(n int, _ string) string {
		if n >= 100 {
			return "452 4.5.3 too many"
		}
		return "250 ok"
	}}
	r := relayTo(t, listen(t, m.serve), nil)
	var to []string
	for i := range 1000 {
		to = append(to, fmt.Sprintf("r%04d@beta.example", i))
	}
	for i, res := range send(t, r, dispatch("a\r\n", to...)) {
		if res.Err != nil {
			t.Fatalf("recipient %d: %v", i, res.Err)
		}
	}
	if m.conns.Load() != 1 || len(m.bodies()) != 10 || len(m.lines("RSET")) != 9 {
		t.Errorf("%d connections, %d messages, %d RSETs", m.conns.Load(), len(m.bodies()), len(m.lines("RSET")))
	}
}

func TestRelay_LimitsAnnounced(t *testing.T) {
	m := &mailer{caps: []string{"SIZE 10"}}
	r := relayTo(t, listen(t, m.serve), nil)
	wantKinds(t, send(t, r, dispatch("12345678\r\n\r\n", "x@beta.example")), "too large")
	d := dispatch("12345\r\n", "x@beta.example")
	d.EightBit = true
	res := send(t, r, d)
	wantKinds(t, res, "unsupported")
	if !strings.Contains(res[0].Reply, "8BITMIME") {
		t.Errorf("reply %q", res[0].Reply)
	}
	if len(m.lines("MAIL")) != 0 {
		t.Error("tried nevertheless")
	}
}

func TestRelay_TLS(t *testing.T) {
	for _, tt := range []struct {
		name    string
		offered bool
		change  func(*RelayConfig)
		require bool
		want    string
		secured bool
	}{
		{"offered and used", true, nil, false, "ok", true},
		{"not offered", false, nil, false, "ok", false},
		{"not offered, required", false, nil, true, "temporary", false},
		{"offered, required", true, nil, true, "ok", true},
		{"verified", true, func(c *RelayConfig) { c.VerifyTLS = VerifyPeer }, true, "ok", true},
		{"not to be verified, required", true, func(c *RelayConfig) { c.VerifyTLS = VerifyPeer; c.TLS = nil }, true, "temporary", false},
		{"self-signed, ordinary", true, func(c *RelayConfig) { c.VerifyTLS = VerifyPeer; c.TLS = nil }, false, "ok", true},
		{"certificate of another name, required", true, func(c *RelayConfig) {
			addr := c.Routes["*"]
			c.VerifyTLS, c.Routes = VerifyPeer, map[string]string{"*": "other.example:25"}
			c.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, addr)
			}
		}, true, "temporary", false},
		{"nobody looks", true, func(c *RelayConfig) { c.TLS = nil }, true, "ok", true},
		{"no common version", true, func(c *RelayConfig) { c.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10} }, true, "temporary", false},
		{"no common version, ordinary", true, func(c *RelayConfig) { c.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10} }, false, "ok", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &mailer{tls: tt.offered}
			r := relayTo(t, listen(t, m.serve), tt.change)
			d := dispatch("a\r\n", "x@beta.example")
			d.RequireTLS = tt.require
			wantKinds(t, send(t, r, d), tt.want)
			if n := m.secured.Load(); (n == 1) != tt.secured {
				t.Errorf("%d under TLS", n)
			}
			if tt.want != "ok" && len(m.lines("MAIL")) > 0 {
				t.Error("MAIL was sent")
			}
		})
	}
}

// A server that offers STARTTLS and cannot do it gets mail in clear on one more
// connection, but where TLS is required.
func TestRelay_BrokenSTARTTLS(t *testing.T) {
	for name, broken := range map[string]func(*peer){
		"refused":  func(p *peer) { p.say("454 4.7.0 TLS not available") },
		"hangs up": func(*peer) {},
		"no handshake": func(p *peer) {
			p.say("220 go")
			_, _ = p.br.Peek(1)
			p.say("500 what?")
		},
		"wants a certificate of ours": func(p *peer) {
			p.say("220 go")
			cfg := serverTLS()
			cfg.ClientAuth = tls.RequireAnyClientCert
			_ = tls.Server(p.Conn, cfg).Handshake()
		},
		"silent": func(p *peer) {
			p.say("220 go")
			_, _ = io.Copy(io.Discard, p)
		},
	} {
		for _, required := range []bool{false, true} {
			m := &mailer{tls: true, breakTLS: broken}
			r := relayTo(t, listen(t, m.serve), func(c *RelayConfig) {
				c.Timeouts = shortTimeouts()
				c.Timeouts.Hello = 300 * time.Millisecond
			})
			d := dispatch("a\r\n", "x@beta.example")
			d.RequireTLS = required
			want, conns, mails := "ok", int32(2), 1
			if required {
				want, conns, mails = "temporary", 1, 0
			}
			res := send(t, r, d)
			wantKinds(t, res, want)
			if m.conns.Load() != conns || len(m.lines("MAIL")) != mails || m.secured.Load() != 0 {
				t.Errorf("%s, required %v: %d connections, heard %q", name, required, m.conns.Load(), m.lines(""))
			}
			if required && !strings.Contains(res[0].Reply, "STARTTLS") && !strings.Contains(res[0].Reply, "TLS") {
				t.Errorf("%s: reply %q", name, res[0].Reply)
			}
		}
	}
}

// What was opened without a look at the certificate is not used where it
// matters, nor the other way round.
func TestRelay_VerifiedConnectionsAreKeptApart(t *testing.T) {
	m := &mailer{tls: true}
	r := relayTo(t, listen(t, m.serve), func(c *RelayConfig) { c.VerifyTLS = VerifyPeer })
	ordinary, certified := dispatch("a\r\n", "x@beta.example"), dispatch("a\r\n", "x@beta.example")
	certified.RequireTLS = true
	for i, d := range []pipeline.Dispatch{ordinary, certified, ordinary, certified} {
		wantKinds(t, send(t, r, d), "ok")
		if want := int32(min(i+1, 2)); m.conns.Load() != want {
			t.Errorf("after %d: %d connections, want %d", i+1, m.conns.Load(), want)
		}
	}
	if m.secured.Load() != 4 {
		t.Errorf("%d under TLS", m.secured.Load())
	}
}

func TestRelay_STARTTLSInjection(t *testing.T) {
	addr := listen(t, func(p *peer) {
		p.say("220 x")
		p.hear()
		p.say("250-x\r\n250 STARTTLS")
		p.hear()
		p.say("220 go\r\n250-x\r\n250 AUTH")
		p.hear()
	})
	r := relayTo(t, addr, nil)
	res := send(t, r, dispatch("a\r\n", "x@beta.example"))
	wantKinds(t, res, "temporary")
	if !strings.Contains(res[0].Reply, "STARTTLS") {
		t.Errorf("reply %q", res[0].Reply)
	}
}

func TestRelay_ConnectionsAreReused(t *testing.T) {
	m := &mailer{caps: []string{"PIPELINING"}, tls: true}
	clk := clock.NewManual(time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC))
	r := relayTo(t, listen(t, m.serve), func(c *RelayConfig) { c.Clock = clk })
	for range 3 {
		wantKinds(t, send(t, r, dispatch("a\r\n", "x@beta.example")), "ok")
	}
	if m.conns.Load() != 1 || len(m.lines("RSET")) != 2 {
		t.Errorf("%d connections, %d RSETs", m.conns.Load(), len(m.lines("RSET")))
	}
	waitFor(t, func() bool { r.pool.mu.Lock(); defer r.pool.mu.Unlock(); return len(r.pool.idle) == 1 })
	waitFor(t, func() bool {
		clk.Advance(idleTime)
		return len(m.lines("QUIT")) == 1
	})
	wantKinds(t, send(t, r, dispatch("a\r\n", "x@beta.example")), "ok")
	if m.conns.Load() != 2 {
		t.Errorf("%d connections", m.conns.Load())
	}
}

func TestRelay_DeadPooledConnectionIsReplaced(t *testing.T) {
	for _, last := range []string{"drop", "421"} {
		var n atomic.Int32
		addr := listen(t, func(p *peer) {
			m := &mailer{}
			if n.Add(1) == 1 {
				p.say("220 x")
				for _, a := range []string{"250 x", "250 ok", "250 ok"} {
					p.hear()
					p.say("%s", a)
				}
				p.hear()
				p.say("354 go")
				p.message()
				p.say("250 ok")
				if last == "421" {
					p.say("421 idle")
				}
				return
			}
			m.serve(p)
		})
		r := relayTo(t, addr, nil)
		for range 2 {
			wantKinds(t, send(t, r, dispatch("a\r\n", "x@beta.example")), "ok")
		}
		if n.Load() != 2 {
			t.Errorf("%s: %d connections", last, n.Load())
		}
	}
}

func TestRelay_ClearConnectionIsNotReusedWhereTLSIsRequired(t *testing.T) {
	m := &mailer{}
	r := relayTo(t, listen(t, m.serve), nil)
	d := dispatch("a\r\n", "x@beta.example")
	wantKinds(t, send(t, r, d), "ok")
	d.RequireTLS = true
	wantKinds(t, send(t, r, d), "temporary")
	if len(m.lines("MAIL")) != 1 {
		t.Error("sent in clear")
	}
}

func TestRelay_ContextEndsIt(t *testing.T) {
	m := &mailer{mute: "."}
	r := relayTo(t, listen(t, m.serve), nil)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	a := r.Send(ctx, dispatch("a\r\n", "x@beta.example"))
	wantKinds(t, a.Results, "temporary")
	if a.Contact != pipeline.NotAsked {
		t.Errorf("contact %d: the end of our own patience counts against the server", a.Contact)
	}
	if time.Since(start) > 5*time.Second {
		t.Error("waited on")
	}
	wantKinds(t, r.Send(ctx, dispatch("a\r\n", "x@beta.example")).Results, "temporary")
}

func TestRelay_RefusedConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	wantKinds(t, send(t, relayTo(t, l.Addr().String(), nil), dispatch("a\r\n", "x@beta.example")), "temporary")
}
