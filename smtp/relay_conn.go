// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"pecd/fault"
)

// pipelined is how many commands go out before their replies are read. Their
// replies fit into any socket buffer, so the two sides cannot wait for each
// other (RFC 2920 §3.1).
const pipelined = 100

// remote is a connection to another server, greeted and ready for MAIL. One
// goroutine at a time has it.
type remote struct {
	cfg   *RelayConfig
	key   string // pool key
	host  string
	raw   net.Conn
	top   net.Conn
	br    *bufio.Reader
	guard *guard
	left  time.Duration // of the reply being read

	ext      map[string]string // EHLO keyword -> parameters
	required bool              // opened where TLS was required
	dirty    bool              // a transaction was begun since the last RSET
	broken   bool
	idle     time.Time // since when it is in the pool
}

// tlsUse is what a connection does about TLS.
type tlsUse uint8

const (
	useOffered  tlsUse = iota // use it where it is offered
	useRequired               // demand it, with the certificate RelayConfig asks for
	useNone                   // do without: it failed on the connection before
)

// errNoTLS is in the chain of an error that a connection in clear avoids.
var errNoTLS = errors.New("TLS failed")

func noTLS(reply string, err error) error {
	return failed(reply, fmt.Errorf("%w: %w", errNoTLS, err))
}

// open connects to addr. A server that offers STARTTLS and cannot do it gets
// the message in clear on a new connection, unless TLS is required.
func (r *Relay) open(ctx context.Context, t target, addr string, requireTLS bool) (*remote, error) {
	if requireTLS {
		return r.connect(ctx, t, addr, useRequired)
	}
	c, err := r.connect(ctx, t, addr, useOffered)
	if err == nil || !errors.Is(err, errNoTLS) || ctx.Err() != nil {
		return c, err
	}
	r.cfg.Logger.Info("smtp: relay goes on in clear", "host", t.host, "addr", addr, "err", err)
	return r.connect(ctx, t, addr, useNone)
}

// connect dials addr and brings the connection to where mail can be sent.
func (r *Relay) connect(ctx context.Context, t target, addr string, use tlsUse) (*remote, error) {
	dctx, done := within(ctx, r.cfg.Clock, r.cfg.Timeouts.Connect)
	nc, err := r.cfg.Dial(dctx, "tcp", addr)
	done()
	if err != nil {
		return nil, failed("451 4.4.1 connessione non riuscita / could not connect", err)
	}
	c := &remote{cfg: &r.cfg, key: t.key(), host: t.host, raw: nc, top: nc, guard: newGuard(r.cfg.Clock, nc), required: use == useRequired}
	c.br = bufio.NewReaderSize(c, 2*maxReplyLine)
	release := c.bind(ctx)
	defer release()
	if err := c.prepare(ctx, use); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// bind makes the end of ctx end whatever the connection is waiting for.
func (c *remote) bind(ctx context.Context) (release func()) {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		c.guard.abort()
	})
	return func() {
		if !stop() {
			<-done
		}
	}
}

func (c *remote) prepare(ctx context.Context, use tlsUse) error {
	greeting, err := c.read(c.cfg.Timeouts.Greeting)
	if err != nil {
		return err
	}
	if !greeting.ok() {
		return refusal(greeting, false)
	}
	if err := c.hello(); err != nil {
		return err
	}
	_, offered := c.ext["STARTTLS"]
	switch {
	case offered && use != useNone:
		if err := c.startTLS(ctx); err != nil {
			return err
		}
		// A server that does not like our side of the handshake (TLS 1.3)
		// hangs up only now.
		err := c.hello()
		if c.broken {
			err = noTLS("451 4.7.5 connessione caduta dopo STARTTLS / connection lost after STARTTLS", err)
		}
		return err
	case use == useRequired:
		return failed("451 4.7.4 il server non offre STARTTLS, richiesto / STARTTLS required but not offered", nil)
	}
	return nil
}

func (c *remote) hello() error {
	c.ext = make(map[string]string)
	rep, err := c.command("EHLO "+c.cfg.Hostname, c.cfg.Timeouts.Hello)
	if err != nil {
		return err
	}
	if rep.ok() {
		for _, line := range rep.lines[1:] {
			k, v, _ := strings.Cut(line, " ")
			c.ext[strings.ToUpper(k)] = v
		}
		return nil
	}
	if rep.code/100 == 5 {
		if rep, err = c.command("HELO "+c.cfg.Hostname, c.cfg.Timeouts.Hello); err != nil {
			return err
		}
	}
	if !rep.ok() {
		return refusal(rep, false)
	}
	return nil
}

func (c *remote) startTLS(ctx context.Context) error {
	rep, err := c.command("STARTTLS", c.cfg.Timeouts.Hello)
	if err != nil {
		return noTLS("451 4.7.5 connessione caduta dopo STARTTLS / connection lost after STARTTLS", err)
	}
	if rep.code != 220 {
		return failed("451 4.7.5 STARTTLS rifiutato / STARTTLS refused: "+rep.String(), errNoTLS)
	}
	// Somebody in between, not a server that cannot do better.
	if c.br.Buffered() > 0 {
		return failed("451 4.7.5 dati in chiaro dopo STARTTLS / cleartext after STARTTLS", nil)
	}
	cfg := &tls.Config{}
	if c.cfg.TLS != nil {
		cfg = c.cfg.TLS.Clone()
	}
	cfg.ServerName = c.host
	cfg.InsecureSkipVerify = !c.required || c.cfg.VerifyTLS == VerifyNone // see TLSVerify
	ctx, done := within(ctx, c.cfg.Clock, c.cfg.Timeouts.Hello)
	defer done()
	tc := tls.Client(c.raw, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		if bad := new(tls.CertificateVerificationError); errors.As(err, &bad) {
			return noTLS("451 4.7.5 certificato TLS non valido per "+cleanReply(c.host)+" / invalid TLS certificate", err)
		}
		return noTLS("451 4.7.5 cifratura TLS non riuscita / TLS handshake failed", err)
	}
	c.top = tc
	c.br.Reset(c)
	return nil
}

// command sends one command and reads its reply.
func (c *remote) command(line string, d time.Duration) (reply, error) {
	if err := c.write([]byte(line+"\r\n"), d); err != nil {
		return reply{}, err
	}
	return c.read(d)
}

// commands sends lines as one group and reads their replies, in as many rounds
// as needed; without PIPELINING one by one.
func (c *remote) commands(lines []string, d time.Duration, each func(i int, r reply)) error {
	group := 1
	if _, ok := c.ext["PIPELINING"]; ok {
		group = pipelined
	}
	for start := 0; start < len(lines); start += group {
		part := lines[start:min(start+group, len(lines))]
		if err := c.write([]byte(strings.Join(part, "\r\n")+"\r\n"), d); err != nil {
			return err
		}
		for i := range part {
			rep, err := c.read(d)
			if err != nil {
				return err
			}
			each(start+i, rep)
			if rep.code == 421 {
				c.broken = true
				return refusal(rep, false)
			}
		}
	}
	return nil
}

func (c *remote) write(p []byte, d time.Duration) error {
	if err := c.guard.write(c.top, p, d); err != nil {
		return c.lost(err)
	}
	return nil
}

// read reads one reply, which may take d in all.
func (c *remote) read(d time.Duration) (reply, error) {
	c.left = d
	rep, err := readReply(c.br)
	if err != nil {
		return reply{}, c.lost(err)
	}
	return rep, nil
}

// Read implements io.Reader for the reply reader.
func (c *remote) Read(p []byte) (int, error) {
	n, took, err := c.guard.read(c.top, p, c.left)
	c.left -= took
	return n, err
}

// lost is a connection that cannot be used any more.
func (c *remote) lost(err error) error {
	c.broken = true
	switch {
	case errors.Is(err, errReplySyntax), errors.Is(err, errReplySize):
		return failed("451 4.5.0 risposta SMTP incomprensibile / unintelligible SMTP reply", err)
	case timedOut(err):
		return failed("451 4.4.2 il server non risponde / server does not answer", os.ErrDeadlineExceeded)
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return failed("451 4.4.2 connessione caduta / connection lost", err)
}

// reset checks that a pooled connection is alive and clean.
func (c *remote) reset() error {
	rep, err := c.command("RSET", c.cfg.Timeouts.Reset)
	if err != nil {
		return err
	}
	if !rep.ok() {
		c.broken = true
		return refusal(rep, false)
	}
	c.dirty = false
	return nil
}

// quit says goodbye without waiting for an answer.
func (c *remote) quit() {
	if !c.broken {
		_ = c.guard.write(c.top, []byte("QUIT\r\n"), c.cfg.Timeouts.Reset)
	}
	c.close()
}

func (c *remote) close() {
	c.raw.Close()
	c.guard.stop()
}

func refusal(r reply, atRcpt bool) error {
	return &sendError{kind: r.kind(atRcpt), reply: r.String()}
}

// key is what connections are pooled by.
func (t target) key() string {
	if t.addr != "" {
		return t.addr
	}
	return t.host
}

// sized returns MAIL's parameters, or why the server cannot take the message.
func (c *remote) sized(size int64, eightBit bool) (params string, err error) {
	if limit, ok := c.ext["SIZE"]; ok {
		if n := decimal(strings.TrimSpace(limit)); digits(limit) && n > 0 && size > n {
			return "", &sendError{kind: fault.TooLarge, reply: fmt.Sprintf("552 5.3.4 il server accetta al massimo %d byte / message exceeds the size announced", n)}
		}
		params = fmt.Sprintf(" SIZE=%d", size)
	}
	if eightBit {
		if _, ok := c.ext["8BITMIME"]; !ok {
			return "", &sendError{kind: fault.Unsupported, reply: "554 5.6.3 il server non annuncia 8BITMIME / 8BITMIME not offered"}
		}
		params += " BODY=8BITMIME"
	}
	return params, nil
}

func digits(s string) bool {
	s = strings.TrimSpace(s)
	return s != "" && strings.Trim(s, "0123456789") == ""
}
