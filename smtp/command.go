// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"math"
	"strings"

	"pecd/sasl"
)

// maxHelo bounds the name in EHLO (RFC 5321 §4.5.3.1.2).
const maxHelo = 255

// command looks at one command line before go-smtp does and returns the line
// that the library is to see, "" when the command was answered here.
func (c *conn) command(line string) (pass string) {
	line = strings.TrimRight(line, " ")
	verb, arg, _ := strings.Cut(line, " ")
	c.verb = strings.ToUpper(verb)
	arg = strings.TrimLeft(arg, " ")
	if line == "" || !printable(line) {
		c.say(answer{500, [3]int{5, 5, 2}, "comando vuoto o con caratteri non ammessi / empty command or characters not allowed"})
		return ""
	}
	switch c.verb {
	case "EHLO", "HELO", "NOOP", "RSET", "VRFY", "EXPN", "HELP":
		if c.junk++; c.junk > maxJunk {
			c.end(tooManyErrors())
			return ""
		}
		if len(arg) > maxHelo && strings.HasSuffix(c.verb, "LO") {
			c.say(answer{501, [3]int{5, 5, 4}, "parametro troppo lungo / parameter too long"})
			return ""
		}
	case "MAIL":
		return c.mail(arg)
	case "RCPT":
		return c.rcpt(arg)
	case "DATA":
		if c.w > c.r {
			// DATA ends a pipelined group (RFC 2920 §3.1). What follows it
			// unasked would run as commands if DATA were refused.
			c.end(answer{554, [3]int{5, 5, 1}, "dati inviati prima della risposta 354, chiudo / data sent before the 354 reply, closing"})
			return ""
		}
		if c.srv.flight.full() {
			c.srv.cfg.Logger.Warn("smtp: too many octets in flight", "remote", c.remote())
			c.say(tooMuchInFlight())
			return ""
		}
		if !c.enter() {
			return ""
		}
	case "GET", "POST", "PUT", "HEAD", "OPTIONS", "PATCH", "DELETE", "CONNECT":
		// A browser or proxy that was pointed here: its body must not run.
		c.end(answer{554, [3]int{5, 5, 1}, "questo non e' un server HTTP / this is not an HTTP server"})
		return ""
	case "BDAT":
		// Not offered; the chunk behind it must not run as commands.
		c.end(answer{502, [3]int{5, 5, 1}, "BDAT non disponibile, chiudo / BDAT not available, closing"})
		return ""
	}
	return line
}

func (c *conn) mail(arg string) string {
	addr, params, ok := pathArg(arg, "FROM:")
	if !ok || addr == postmaster {
		c.say(answer{501, [3]int{5, 1, 7}, "mittente non valido / invalid sender address"})
		return ""
	}
	c.path = addr
	params, c.declared = takeSize(params)
	return "MAIL FROM:<" + addr + ">" + params
}

func (c *conn) rcpt(arg string) string {
	addr, params, ok := pathArg(arg, "TO:")
	if !ok || addr == "" {
		c.say(answer{501, [3]int{5, 1, 3}, "destinatario non valido / invalid recipient address"})
		return ""
	}
	if addr == postmaster {
		addr += "@" + c.srv.cfg.Hostname
	}
	c.path = addr
	return "RCPT TO:<" + addr + ">" + params
}

func pathArg(arg, prefix string) (addr, params string, ok bool) {
	if len(arg) < len(prefix) || !strings.EqualFold(arg[:len(prefix)], prefix) {
		return "", "", false
	}
	return parsePath(strings.TrimLeft(arg[len(prefix):], " "))
}

// takeSize takes SIZE=n (RFC 1870) out of the parameters of MAIL: go-smtp calls
// a number above 2^32 a syntax error. A malformed one is left to the library.
func takeSize(params string) (rest string, size int64) {
	var b strings.Builder
	for _, f := range strings.Fields(params) {
		if len(f) > 5 && strings.EqualFold(f[:5], "SIZE=") && strings.Trim(f[5:], "0123456789") == "" {
			size = decimal(f[5:])
			continue
		}
		b.WriteByte(' ')
		b.WriteString(f)
	}
	return b.String(), size
}

// decimal reads digits; a number too large is the largest.
func decimal(digits string) int64 {
	var n int64
	for _, d := range []byte(digits) {
		if n > (math.MaxInt64-9)/10 {
			return math.MaxInt64
		}
		n = n*10 + int64(d-'0')
	}
	return n
}

func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isPrintable(s[i]) {
			return false
		}
	}
	return true
}

func isSTARTTLS(line []byte) bool {
	return len(line) >= 8 && bytes.EqualFold(line[:8], []byte("STARTTLS"))
}

// startTLS answers STARTTLS. It returns true when the connection is encrypted
// and everything known of the client is forgotten (RFC 3207 §4.2).
func (c *conn) startTLS(line []byte) bool {
	c.verb = "STARTTLS"
	switch {
	case len(bytes.TrimRight(line, " ")) > 8:
		c.say(answer{501, [3]int{5, 5, 4}, "STARTTLS non ha parametri / STARTTLS takes no parameters"})
		return false
	case c.secured:
		c.say(answer{503, [3]int{5, 5, 1}, "connessione gia' cifrata / already encrypted"})
		return false
	case c.srv.cfg.TLS == nil:
		c.say(answer{502, [3]int{5, 5, 1}, "STARTTLS non disponibile / STARTTLS not available"})
		return false
	case c.w > c.r:
		// Commands slipped in before the handshake would pass for encrypted ones.
		c.end(answer{554, [3]int{5, 5, 1}, "comandi inviati dopo STARTTLS, chiudo / commands sent after STARTTLS, closing"})
		return false
	}
	c.say(answer{220, [3]int{2, 0, 0}, "pronto per TLS / ready to start TLS"})
	if c.flush() != nil {
		c.ending = true
		return false
	}
	c.top, c.secured, c.shaken = tls.Server(c.raw, c.srv.cfg.TLS), true, false
	if c.handshake() != nil {
		return false
	}
	c.r, c.w, c.verb, c.path, c.declared = 0, 0, "", "", 0
	c.swallow = true
	return true
}

// line is the reply on the wire.
func (a answer) line() string {
	return fmt.Sprintf("%d %d.%d.%d %s\r\n", a.code, a.enhanced[0], a.enhanced[1], a.enhanced[2], wireText(a.text))
}

// say queues a reply of the filter's own.
func (c *conn) say(a answer) {
	c.out = append(c.out, a.line()...)
	c.count(a.code)
}

// end is the last reply of the connection.
func (c *conn) end(a answer) {
	c.out = append(c.out, a.line()...)
	c.ending = true
}

// count ends a connection that does nothing but earn refusals. As many as a
// full set of recipients are let pass.
func (c *conn) count(code int) {
	switch {
	case code == 421 || code == 521:
		c.ending = true
	case code >= 500:
		if c.refused++; c.refused > c.srv.cfg.MaxRecipients+maxJunk && !c.ending {
			c.end(tooManyErrors())
		}
	}
}

// replies takes what the library writes and queues what the client gets.
func (c *conn) replies(p []byte) {
	c.partial = append(c.partial, p...)
	for {
		i := bytes.Index(c.partial, []byte("\r\n"))
		if i < 0 {
			return
		}
		line := string(c.partial[:i])
		c.partial = c.partial[i+2:]
		if len(line) >= 4 {
			c.reply(int(decimal(line[:3])), line[3] == '-', line[4:])
		}
	}
}

func (c *conn) reply(code int, more bool, rest string) {
	switch {
	case code == 220 && c.swallow:
		c.swallow = false
		return
	case c.verb == "EHLO" && code == 250:
		if !more {
			c.capabilities()
		}
		return
	case c.verb == "HELO" && code == 250:
		c.out = fmt.Appendf(c.out, "250 %s\r\n", c.srv.cfg.Hostname)
		return
	case code == 354:
		c.beginData()
		c.out = append(c.out, "354 inviare il messaggio, fine con <CRLF>.<CRLF> / send the message, end with <CRLF>.<CRLF>\r\n"...)
		return
	case code == 334:
		c.phase = phaseSASL
		c.out = fmt.Appendf(c.out, "334 %s\r\n", rest)
		return
	}
	a, plain := answer{code: code, text: rest}, true
	if e, text, ok := splitEnhanced(rest); ok {
		a.enhanced, a.text, plain = e, text, false
	}
	if t, ok := translate(code, a.text); ok {
		a, plain = t, false
	}
	if plain {
		c.out = fmt.Appendf(c.out, "%d %s\r\n", code, wireText(rest))
	} else {
		c.out = append(c.out, a.line()...)
	}
	c.settle(a.code)
}

// settle draws the conclusions from a final reply.
func (c *conn) settle(code int) {
	if c.phase == phaseData {
		// The end of the message was never seen: what follows is no command.
		c.ending = true
	}
	c.phase = phaseCommand
	c.endData()
	if code == 250 && c.verb == "DATA" {
		c.junk, c.refused = 0, 0
	}
	c.count(code)
}

// capabilities is the answer to EHLO. What go-smtp would add (CHUNKING, LIMITS)
// is not offered: BDAT does not pass the filter's guard against bare line ends.
func (c *conn) capabilities() {
	caps := []string{c.srv.cfg.Hostname, "PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"}
	switch {
	case !c.secured && c.srv.cfg.TLS != nil:
		caps = append(caps, "STARTTLS")
	case c.secured && c.srv.logins != nil:
		caps = append(caps, "AUTH "+strings.Join(sasl.Names(c.srv.logins.dir.TakesTokens()), " "))
	}
	caps = append(caps, fmt.Sprintf("SIZE %d", c.srv.cfg.MaxMessage))
	for i, k := range caps {
		sep := '-'
		if i == len(caps)-1 {
			sep = ' '
		}
		c.out = fmt.Appendf(c.out, "250%c%s\r\n", sep, k)
	}
}
