// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pecd/fault"
	"pecd/pipeline"
)

// peer is one connection of a scripted server.
type peer struct {
	net.Conn
	br *bufio.Reader
}

func (p *peer) say(format string, args ...any) { fmt.Fprintf(p, format+"\r\n", args...) }

// hear reads one line, "" at the end.
func (p *peer) hear() string {
	line, err := p.br.ReadString('\n')
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(line, "\r\n")
}

// message reads up to the final dot, still stuffed; false if that never came.
func (p *peer) message() ([]byte, bool) {
	var b bytes.Buffer
	for {
		line, err := p.br.ReadBytes('\n')
		if err != nil || string(line) == ".\r\n" {
			return b.Bytes(), err == nil
		}
		b.Write(line)
	}
}

// mailer is a scripted server that plays along but where it is told otherwise.
type mailer struct {
	greeting, ehlo, data, final string
	caps                        []string
	tls                         bool
	with                        func() *tls.Config              // certificate of the next connection; nil: serverTLS
	breakTLS                    func(p *peer)                   // instead of the handshake; then it hangs up
	rcpt                        func(n int, line string) string // n counts within a transaction
	mail                        func(line string) string
	drop                        string // the verb after which it hangs up
	mute                        string // the verb after which it says nothing more

	mu       sync.Mutex
	conns    atomic.Int32
	secured  atomic.Int32 // MAILs under TLS
	heard    []string
	messages [][]byte
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func (m *mailer) note(line string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heard = append(m.heard, line)
}

func (m *mailer) lines(prefix string) (out []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.heard {
		if strings.HasPrefix(l, prefix) {
			out = append(out, l)
		}
	}
	return out
}

func (m *mailer) bodies() [][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([][]byte(nil), m.messages...)
}

func (m *mailer) serve(p *peer) {
	m.conns.Add(1)
	p.say("%s", or(m.greeting, "220 peer.example ESMTP"))
	rcpts := 0
	for {
		line := p.hear()
		if line == "" {
			return
		}
		m.note(line)
		verb := strings.ToUpper(strings.SplitN(line, " ", 2)[0])
		if verb == m.drop {
			return
		}
		if verb == m.mute {
			_, _ = io.Copy(io.Discard, p)
			return
		}
		switch verb {
		case "EHLO":
			if m.ehlo != "" {
				p.say("%s", m.ehlo)
				continue
			}
			caps := append([]string{"peer.example"}, m.caps...)
			if _, secured := p.Conn.(*tls.Conn); m.tls && !secured {
				caps = append(caps, "STARTTLS")
			}
			for i, c := range caps {
				p.say("250%c%s", " -"[min(1, len(caps)-1-i)], c)
			}
		case "STARTTLS":
			if m.breakTLS != nil {
				m.breakTLS(p)
				return
			}
			p.say("220 go")
			cfg := serverTLS()
			if m.with != nil {
				cfg = m.with()
			}
			tc := tls.Server(p.Conn, cfg)
			if tc.Handshake() != nil {
				return
			}
			p.Conn, p.br = tc, bufio.NewReader(tc)
		case "MAIL":
			rcpts = 0
			if _, secured := p.Conn.(*tls.Conn); secured {
				m.secured.Add(1)
			}
			if m.mail != nil {
				p.say("%s", m.mail(line))
				continue
			}
			p.say("250 ok")
		case "RCPT":
			if m.rcpt != nil {
				p.say("%s", m.rcpt(rcpts, line))
			} else {
				p.say("250 ok")
			}
			rcpts++
		case "DATA":
			p.say("%s", or(m.data, "354 go"))
			if m.data != "" {
				continue
			}
			body, whole := p.message()
			if m.drop == "." || !whole {
				return
			}
			if m.mute == "." {
				_, _ = io.Copy(io.Discard, p)
				return
			}
			m.mu.Lock()
			m.messages = append(m.messages, body)
			m.mu.Unlock()
			p.say("%s", or(m.final, "250 2.0.0 queued"))
		case "QUIT":
			p.say("221 bye")
			return
		default:
			p.say("250 ok")
		}
	}
}

// listen runs serve for each connection and returns the address.
func listen(t testing.TB, serve func(*peer)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[nc] = true
			mu.Unlock()
			wg.Go(func() {
				defer nc.Close()
				serve(&peer{nc, bufio.NewReader(nc)})
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for nc := range open {
			nc.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return l.Addr().String()
}

// shortTimeouts make silence cheap to test.
func shortTimeouts() Timeouts {
	const d = 200 * time.Millisecond
	return Timeouts{DNS: d, Connect: 5 * time.Second, Greeting: d, Hello: d, Command: d, Block: d, Final: d, Reset: d}
}

func relayTo(t testing.TB, addr string, change func(*RelayConfig)) *Relay {
	t.Helper()
	_, pool := certificate()
	cfg := RelayConfig{Hostname: "mx.alfa.example", TLS: &tls.Config{RootCAs: pool}, Routes: map[string]string{"*": addr}}
	if change != nil {
		change(&cfg)
	}
	r := NewRelay(cfg)
	t.Cleanup(func() { r.Close() })
	return r
}

func dispatch(message string, to ...string) pipeline.Dispatch {
	return pipeline.Dispatch{
		Sender: "rossi@alfa.example", Recipients: to, Domain: "beta.example",
		Size: int64(len(message)), Body: strings.NewReader(message),
	}
}

func send(t testing.TB, r *Relay, d pipeline.Dispatch) []pipeline.RecipientResult {
	t.Helper()
	return attempt(t, r, d).Results
}

// attempt is send for who wants to know how far it got.
func attempt(t testing.TB, r *Relay, d pipeline.Dispatch) pipeline.Attempt {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	a := r.Send(ctx, d)
	res := a.Results
	if len(res) != len(d.Recipients) {
		t.Fatalf("%d results for %d recipients", len(res), len(d.Recipients))
	}
	for i, x := range res {
		if x.Recipient != d.Recipients[i] {
			t.Fatalf("result %d is about %s", i, x.Recipient)
		}
		for _, c := range []byte(x.Reply) {
			if c < ' ' || c > '~' {
				t.Errorf("reply not clean: %q", x.Reply)
			}
		}
		if x.Err != nil && x.Reply == "" {
			t.Errorf("%s: no reply beside %v", x.Recipient, x.Err)
		}
	}
	return a
}

// kinds returns "ok" or the kind of each result.
func kinds(res []pipeline.RecipientResult) string {
	var out []string
	for _, r := range res {
		if r.Err == nil {
			out = append(out, "ok")
		} else {
			out = append(out, fault.KindOf(r.Err).String())
		}
	}
	return strings.Join(out, ",")
}

func wantKinds(t testing.TB, res []pipeline.RecipientResult, want string) {
	t.Helper()
	if got := kinds(res); got != want {
		t.Errorf("results %s, want %s (%+v)", got, want, res)
	}
}
