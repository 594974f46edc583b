// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pecd/ledger"
	"pecd/pipeline"
	"pecd/signer/pki"
	"pecd/smtp"
)

// host is another server on a real socket that does as it is told.
type host struct {
	addr  string
	conns atomic.Int32
	taken atomic.Int32 // messages read to their dot

	mu    sync.Mutex
	rcpt  string      // answer to RCPT, 250 where empty
	mute  bool        // hangs up instead of the answer to the message
	chain *tls.Config // STARTTLS where not nil
}

func (h *host) set(change func(*host)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(h)
}

func newHost(t *testing.T) *host {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	h := &host{addr: l.Addr().String()}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			h.conns.Add(1)
			wg.Go(func() {
				defer nc.Close()
				_ = nc.SetDeadline(time.Now().Add(time.Minute))
				h.serve(nc)
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return h
}

func (h *host) serve(nc net.Conn) {
	r := bufio.NewReader(nc)
	fmt.Fprint(nc, "220 other.example\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		h.mu.Lock()
		rcpt, mute, chain := h.rcpt, h.mute, h.chain
		h.mu.Unlock()
		answer := "250 ok"
		switch verb := strings.ToUpper(strings.Fields(line + " x")[0]); verb {
		case "EHLO":
			if _, secured := nc.(*tls.Conn); chain != nil && !secured {
				answer = "250-other.example\r\n250 STARTTLS"
			}
		case "STARTTLS":
			fmt.Fprint(nc, "220 go\r\n")
			tc := tls.Server(nc, chain)
			if tc.Handshake() != nil {
				return
			}
			nc, r = tc, bufio.NewReader(tc)
			continue
		case "RCPT":
			if rcpt != "" {
				answer = rcpt
			}
		case "DATA":
			fmt.Fprint(nc, "354 go\r\n")
			for line != ".\r\n" {
				if line, err = r.ReadString('\n'); err != nil {
					return
				}
			}
			h.taken.Add(1)
			if mute {
				return
			}
		}
		fmt.Fprint(nc, answer+"\r\n")
	}
}

// wire has alfa's relay speak SMTP to h.
func (w *world) wire(h *host, change func(*smtp.RelayConfig)) *provider {
	cfg := smtp.RelayConfig{Hostname: "mail.alfa.example", Routes: map[string]string{"*": h.addr}, Clock: w.clock, MaxIdle: -1}
	if change != nil {
		change(&cfg)
	}
	client := smtp.NewRelay(cfg)
	w.t.Cleanup(func() { client.Close() })
	p := w.at(anna)
	p.relays = pipeline.NewRelayPoint(p.core, client)
	return p
}

// TestWire_PutOffForADay: a server that says 4xx all day long, to a certified
// and to an ordinary recipient.
func TestWire_PutOffForADay(t *testing.T) {
	w := newWorld(t)
	h := newHost(t)
	h.rcpt = "451 4.7.1 greylisted for ever"
	p := w.wire(h, nil)
	start := w.clock.Now()
	w.submit(anna, []string{bruno, dario}, message(anna, bruno+", "+dario, "", "x\r\n"))
	w.until(start.Add(25 * time.Hour))
	if got, want := w.story(anna, bruno, dario), "12h 24h, 5.4.7"; got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
	attempts := p.records(ledger.RelayAttempt)
	if n := len(attempts); n < 100 || n > 120 || int32(n) > h.conns.Load() || attempts[0].Detail != "451 4.7.1 greylisted for ever" {
		t.Errorf("%d attempts in the log, %d connections, %+v", n, h.conns.Load(), attempts[0])
	}
	failed := p.records(ledger.RelayFailed)
	if len(failed) != 2 || !strings.HasSuffix(failed[0].Detail, ": 451 4.7.1 greylisted for ever") {
		t.Errorf("%+v", failed)
	}
}

// TestWire_AnswerLost: the connection ends between the dot and the answer. The
// message goes again until it is answered, and is one transmission in the log.
func TestWire_AnswerLost(t *testing.T) {
	w := newWorld(t)
	h := newHost(t)
	h.mute = true
	p := w.wire(h, nil)
	w.send(1, dario)
	w.until(w.clock.Now().Add(10 * time.Second))
	if n := h.taken.Load(); n != 3 { // at once, after 2 s and after 7 s
		t.Errorf("%d transmissions", n)
	}
	h.set(func(h *host) { h.mute = false })
	w.until(w.clock.Now().Add(time.Minute))
	if h.taken.Load() != 4 || len(p.records(ledger.RelayOK)) != 1 || len(p.relayJobs()) != 0 {
		t.Errorf("%d transmissions, %d in the log, %d left", h.taken.Load(), len(p.records(ledger.RelayOK)), len(p.relayJobs()))
	}
	w.want(anna, "accettazione")
}

// TestWire_CertificateChanged: mail to a provider whose certificate is not to
// be trusted waits, the queue says why, and goes when it is mended.
func TestWire_CertificateChanged(t *testing.T) {
	w := newWorld(t)
	h := newHost(t)
	ours, err := pki.NewCA("CA", time.Now())
	check(t, err)
	good, err := ours.IssueTLS([]string{"127.0.0.1"})
	check(t, err)
	stranger, err := pki.NewCA("CA", time.Now())
	check(t, err)
	bad, err := stranger.IssueTLS([]string{"127.0.0.1"})
	check(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(ours.Certificate())
	h.chain = &tls.Config{Certificates: []tls.Certificate{bad}}
	p := w.wire(h, func(c *smtp.RelayConfig) { c.TLS, c.VerifyTLS = &tls.Config{RootCAs: roots}, smtp.VerifyPeer })
	p.core.RequireTLS = true
	w.send(2, bruno)
	w.settle()
	if es := p.list(pipeline.Filter{LastError: "certificato tls non valido per 127.0.0.1"}); len(es) != 1 || es[0].Paused.IsZero() {
		t.Errorf("%+v", p.list(pipeline.Filter{}))
	}
	if h.conns.Load() != 1 {
		t.Errorf("%d connections", h.conns.Load())
	}
	h.set(func(h *host) { h.chain = nil }) // not in clear either
	w.clock.Advance(30 * time.Second)
	w.settle()
	if h.taken.Load() != 0 || len(p.list(pipeline.Filter{LastError: "STARTTLS"})) != 1 {
		t.Errorf("%+v", p.list(pipeline.Filter{}))
	}
	h.set(func(h *host) { h.chain = &tls.Config{Certificates: []tls.Certificate{good}} })
	if n, err := p.queue().RetryNow(context.Background(), operator, numbers(p.list(pipeline.Filter{}))...); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	w.settle()
	if h.taken.Load() != 2 || len(p.relayJobs()) != 0 {
		t.Errorf("%d taken, %+v", h.taken.Load(), p.list(pipeline.Filter{}))
	}
}
