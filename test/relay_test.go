// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bufio"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// plainServer speaks RFC 821 and nothing newer: no 8BITMIME, no TLS.
type plainServer struct {
	addr string
	mu   sync.Mutex
	got  []string
}

func newPlainServer(t testing.TB) *plainServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &plainServer{addr: l.Addr().String()}
	var sessions sync.WaitGroup
	sessions.Add(1)
	go func() {
		defer sessions.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			sessions.Add(1)
			go func() {
				defer sessions.Done()
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(time.Minute))
				p.serve(c)
			}()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		sessions.Wait()
	})
	return p
}

func (p *plainServer) serve(c net.Conn) {
	r := bufio.NewReader(c)
	say := func(s string) { _, _ = fmt.Fprint(c, s+"\r\n") }
	say("220 old.example")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(strings.Fields(line + " x")[0]); verb {
		case "DATA":
			say("354 go on")
			var b strings.Builder
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				b.WriteString(line)
			}
			p.mu.Lock()
			p.got = append(p.got, b.String())
			p.mu.Unlock()
			say("250 taken")
		case "QUIT":
			say("221 bye")
			return
		case "EHLO", "HELO", "MAIL", "RCPT", "RSET", "NOOP":
			say("250 old.example")
		default:
			say("500 unknown")
		}
	}
}

// TestEightBit: an original with 8-bit content travels as it is, and to no
// server that does not announce 8BITMIME; its sender is told by a notice.
func TestEightBit(t *testing.T) {
	d := newDemo(t, "--quiet")
	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	old, modern := newPlainServer(t), newSink(t)
	addRoute(t, filepath.Join(d.dir, "alfa.toml"), "old.example", old.addr)
	addRoute(t, filepath.Join(d.dir, "alfa.toml"), "mail.example", modern.addr)
	startServe(t, d, "alfa.toml")
	a := d.standard(t, "ALFA", 1)
	const unable = "vecchio@old.example"
	send := func(text string) letter {
		l := letter{id: newMsgID(), from: a.address, to: []string{unable, ordinary}, subject: "Otto bit", text: text,
			extra: []string{"MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit"}}
		d.submit(t, a, l.to, l.bytes())
		return l
	}
	eight := send("Perché è così.\r\n")
	in := d.openInbox(t, a)
	in.one(time.Minute, "acceptance", about(eight.id, "accettazione"))
	n := mustReadPEC(t, in.body(in.one(time.Minute, "notice of non-delivery", about(eight.id, "errore-consegna")).uid))
	n.check(t, d)
	if n.cert.Delivery != unable || !strings.HasPrefix(n.cert.Extended, "5.6.3") {
		t.Errorf("daticert.xml: %s", n.certXML)
	}
	until(t, time.Minute, "envelope at the server with 8BITMIME", func() (bool, string) { return len(modern.received(ordinary)) == 1, "" })
	p := mustReadPEC(t, modern.received(ordinary)[0].message)
	p.check(t, d)
	sameOriginal(t, eight.bytes(), p.original)

	seven := send("Sette bit bastano.\r\n")
	until(t, time.Minute, "7-bit envelope at the old server", func() (bool, string) {
		old.mu.Lock()
		defer old.mu.Unlock()
		return len(old.got) == 1 && strings.Contains(old.got[0], seven.id), fmt.Sprintf("%d messages", len(old.got))
	})
	old.mu.Lock()
	defer old.mu.Unlock()
	p = mustReadPEC(t, []byte(old.got[0]))
	p.check(t, d)
}

// TestQueueSurvives: what waits for the other provider is still there after
// kill -9, and goes out when that provider answers again.
func TestQueueSurvives(t *testing.T) {
	t.Parallel() // it waits for a retry
	d := newDemo(t, "--quiet")
	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	alfa := startServe(t, d, "alfa.toml")
	a, to := d.standard(t, "ALFA", 1), d.standard(t, "BETA", 1)
	l := letter{id: newMsgID(), from: a.address, to: []string{to.address}, subject: "In coda", attached: []attachment{pdf(200_000)}}
	d.submit(t, a, l.to, l.bytes())
	time.Sleep(time.Second)
	alfa.kill()
	startServe(t, d, "alfa.toml")
	in := d.openInbox(t, a)
	in.one(time.Minute, "acceptance", about(l.id, "accettazione"))
	if got := in.find(about(l.id, "errore-consegna")); got != nil {
		t.Error("a provider that does not answer for seconds is no failure")
	}
	startServe(t, d, "beta.toml")
	p := mustReadPEC(t, in.body(in.one(2*minute, "delivery receipt", about(l.id, "avvenuta-consegna")).uid))
	p.check(t, d)
	sameOriginal(t, l.bytes(), p.original)
}
