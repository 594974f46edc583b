// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"errors"
	"io"
	"strings"

	imaplib "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// plainCapabilities is all that is offered before TLS.
const plainCapabilities = "IMAP4rev1 LITERAL- ID STARTTLS LOGINDISABLED"

// newSession runs on the connection's goroutine before the library's greeting.
// It brings TLS up, and only then is the library let at the connection.
func (s *Server) newSession(ic *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
	c, ok := ic.NetConn().(*conn)
	if !ok {
		return nil, nil, errors.New("imap: foreign connection")
	}
	err := c.begin()
	if err != nil {
		if c.stage != ended {
			c.failed(err)
		}
		s.log.Debug("imap: no TLS", "remote", c.remote.String(), "error", err)
		return nil, nil, &imaplib.Error{Type: imaplib.StatusResponseTypeBye, Text: "closing"}
	}
	c.session = newSession(c)
	return c.session, nil, nil
}

// begin secures the connection.
func (c *conn) begin() error {
	c.ReadBy.Store(c.loginBy)
	defer c.ReadBy.Store(0)
	if !c.implicitTLS {
		if err := c.plainDialog(); err != nil {
			return err
		}
		c.skip = true // the greeting was given already
	}
	if err := c.secure(); err != nil {
		c.stop()
		return err
	}
	return nil
}

// plainDialog speaks with a client until STARTTLS (RFC 9051 §6.2.1). Nothing
// that comes before TLS reaches the library, and nothing a client sent before
// the handshake is kept.
func (c *conn) plainDialog() error {
	err := c.put([]byte("* OK [CAPABILITY " + plainCapabilities + "] IMAP server ready\r\n"))
	for err == nil {
		c.now = command{}
		if c.farewell != "" {
			c.bye(c.farewell)
			return io.EOF
		}
		var line []byte
		if err = c.awaitCommand(); err != nil {
			break
		}
		if line, err = c.readLine(maxLiteral); err != nil {
			break
		}
		if len(line) == 0 {
			continue
		}
		if _, ok := c.parse(line); !ok {
			err = c.refuse(line, "comando non valido / invalid command")
			continue
		}
		if _, _, announced := literalAt(line); announced {
			// LOGIN with literals: it must not be sent in the clear.
			c.farewell = "[PRIVACYREQUIRED] usare STARTTLS / use STARTTLS"
		}
		switch c.now.verb {
		case "STARTTLS":
			if c.in.Buffered() > 0 {
				return errors.New("octets after STARTTLS")
			}
			if err = c.answer("OK Begin TLS negotiation now"); err == nil {
				err = c.flush()
			}
			return err
		case "CAPABILITY":
			err = c.put([]byte("* CAPABILITY " + plainCapabilities + "\r\n"))
		case "NOOP":
		case "ID":
			err = c.put([]byte("* ID NIL\r\n"))
		case "LOGOUT":
			_ = c.put([]byte("* BYE Logging out\r\n"))
			_ = c.answer("OK LOGOUT completed")
			_ = c.flush()
			c.stop()
			return io.EOF
		case "LOGIN", "AUTHENTICATE":
			err = c.answer("NO [PRIVACYREQUIRED] usare STARTTLS / use STARTTLS")
			continue
		default:
			err = c.refuse(line, "comando non ammesso prima di STARTTLS / not before STARTTLS")
			continue
		}
		if err == nil {
			err = c.answer("OK " + strings.ToUpper(c.now.verb) + " completed")
		}
	}
	return err
}
