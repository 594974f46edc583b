// SPDX-License-Identifier: EUPL-1.2

package crash

import (
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// impatience is how long a client waits for one answer.
const impatience = time.Minute

// dial opens a connection that ends with the process it leads to, or when
// nothing moves any more.
func dial(addr string) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", addr, 2*time.Second)
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Now().Add(impatience))
}

// submission opens an authenticated session of a mailbox.
func (n *node) openSubmission(login string) (*smtp.Client, error) {
	conn, err := dial(n.submission)
	if err != nil {
		return nil, err
	}
	c, err := smtp.NewClientStartTLS(conn, n.site.tls())
	if err != nil {
		conn.Close()
		return nil, err
	}
	c.CommandTimeout, c.SubmissionTimeout = impatience, impatience
	if err := c.Auth(sasl.NewPlainClient("", login, n.site.password)); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// openMX opens a session with the incoming point, in clear where cfg is nil.
func (n *node) openMX(cfg *tls.Config) (*smtp.Client, error) {
	conn, err := dial(n.mx)
	if err != nil {
		return nil, err
	}
	if cfg == nil {
		c := smtp.NewClient(conn)
		c.CommandTimeout, c.SubmissionTimeout = impatience, impatience
		return c, nil
	}
	return smtp.NewClientStartTLS(conn, cfg)
}

// send hands s in and enters into the books what it was told. The error is that
// of the connection; a refusal is none.
func (b *books) send(c *smtp.Client, s *sending, message []byte) error {
	b.open(s)
	if err := c.Mail(s.from, nil); err != nil {
		return lost(c, err)
	}
	for _, r := range s.to {
		if err := c.Rcpt(r.address, nil); err != nil {
			return lost(c, err)
		}
	}
	w, err := c.Data()
	if err != nil {
		return lost(c, err)
	}
	// The last octets of the message and the final dot are in the writer's
	// buffer until Close.
	if _, err := w.Write(message); err != nil {
		w.Close() // may have had the final dot out
		b.tell(s, unknown, time.Now(), time.Time{})
		return err
	}
	begun := time.Now()
	b.tell(s, unknown, begun, time.Time{})
	err = w.Close()
	ended := time.Now()
	var said *smtp.SMTPError
	switch {
	case err == nil:
		b.tell(s, accepted, begun, ended)
	case errors.As(err, &said):
		b.tell(s, refused, begun, ended)
	default:
		return err
	}
	return nil
}

// lost tells a refusal, after which the session goes on, from a lost connection.
func lost(c *smtp.Client, err error) error {
	var said *smtp.SMTPError
	if errors.As(err, &said) && said.Code != 421 {
		return c.Reset()
	}
	return err
}
