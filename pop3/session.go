// SPDX-License-Identifier: EUPL-1.2

package pop3

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"time"

	"pecd/directory"
	"pecd/fault"
	"pecd/guesses"
	"pecd/storage"
	"pecd/trail"
)

// maxMistakes is how many commands of a connection may be wrong before it ends.
const maxMistakes = 50

// session is what one client is doing.
type session struct {
	*conn
	log      *slog.Logger
	mistakes int
	failures int    // of logins
	user     string // named by USER
	who      directory.Principal
	by       trail.Who // the same, for the PEC log
	grant    storage.Grant
	drop     *maildrop // nil before login
	ended    bool
	try      guesses.Try // the last login

	recheckAt int64 // when to look whether the mailbox is in use
}

// serve speaks with the client until one of both ends it.
func (c *conn) serve(implicitTLS bool) {
	s := &session{conn: c, log: c.srv.log.With("remote", c.remote.String())}
	defer func() {
		if s.drop != nil {
			c.srv.cfg.Sessions.end(s.drop.folder.Mailbox)
		}
	}()
	if implicitTLS {
		if err := c.secure(); err != nil {
			c.dead = true
			s.log.Debug("pop3: no TLS", "error", err)
			return
		}
	}
	err := c.text("+OK pecd POP3\r\n")
	for err == nil && !s.ended {
		var line []byte
		if line, err = c.command(); err == nil {
			err = s.do(line)
		}
	}
	switch {
	case err == nil:
	case errors.Is(err, errTooLong):
		_ = c.text("-ERR riga troppo lunga / line too long\r\n")
	default:
		// RFC 1939 §3: whoever is logged out gets no answer, and nothing is deleted.
		s.log.Debug("pop3: connection ended", "error", err)
	}
}

// verb is a command: what it needs and what it does. An error ends the connection.
type verb struct {
	before, after bool // allowed before, after the login
	run           func(s *session, args string) error
}

// verbs are the commands served.
func verbs(name string) (verb, bool) {
	switch name {
	case "CAPA":
		return verb{true, true, (*session).capa}, true
	case "STLS":
		return verb{true, false, (*session).stls}, true
	case "USER":
		return verb{true, false, (*session).userName}, true
	case "PASS":
		return verb{true, false, (*session).password}, true
	case "AUTH":
		return verb{true, false, (*session).auth}, true
	case "UTF8": // Outlook sends it after the login
		return verb{true, true, (*session).utf8}, true
	case "QUIT":
		return verb{true, true, (*session).quit}, true
	case "NOOP":
		return verb{false, true, (*session).noop}, true
	case "STAT":
		return verb{false, true, (*session).stat}, true
	case "LIST":
		return verb{false, true, (*session).list}, true
	case "UIDL":
		return verb{false, true, (*session).uidl}, true
	case "RETR":
		return verb{false, true, (*session).retr}, true
	case "TOP":
		return verb{false, true, (*session).top}, true
	case "DELE":
		return verb{false, true, (*session).dele}, true
	case "RSET":
		return verb{false, true, (*session).rset}, true
	}
	return verb{}, false
}

// do runs one command.
func (s *session) do(line []byte) error {
	name, args, _ := bytes.Cut(line, []byte(" "))
	v, known := verbs(strings.ToUpper(string(name)))
	switch {
	case !known:
		return s.mistake("comando sconosciuto / unknown command")
	case s.drop == nil && !v.before:
		return s.mistake("prima l'accesso / log in first")
	case s.drop != nil && !v.after:
		return s.mistake("accesso gia' fatto / already logged in")
	}
	if s.drop != nil {
		if err := s.still(); err != nil {
			return s.revoked(err)
		}
	}
	return v.run(s, string(args))
}

// recheck is how often a session looks whether its mailbox is in use.
const recheck = 5 * time.Second

// still fails where the login is no longer good, or its mailbox no longer in use.
func (s *session) still() error {
	err := s.srv.cfg.Directory.Still(s.ctx, s.who)
	if err != nil || s.after(0) < s.recheckAt {
		return err
	}
	s.recheckAt = s.after(recheck)
	m, err := s.srv.cfg.Store.MailboxByID(s.ctx, s.grant.Mailbox)
	if err == nil && !inUse(m) {
		err = fault.New("pop3.still", fault.Disabled, nil)
	}
	return err
}

// revoked ends a session whose login is no longer good, or whose mailbox is no
// longer in use: what was marked stays.
func (s *session) revoked(err error) error {
	s.ended = true
	switch fault.KindOf(err) {
	case fault.Denied:
		s.log.Info("pop3: login is no longer good")
		return s.refuse("[AUTH] accesso revocato o modificato: collegarsi di nuovo / access was revoked or changed: log in again")
	case fault.Disabled:
		s.log.Info("pop3: mailbox is no longer in use", "mailbox", s.grant.Address)
		return s.refuse(notActive)
	}
	s.log.Error("pop3: login not checked", "error", err)
	return s.refuse(tryAgain)
}

// mistake answers a command that the client should not have sent.
func (s *session) mistake(text string) error {
	if s.mistakes++; s.mistakes >= maxMistakes {
		s.ended = true
		text = "troppi errori / too many errors"
	}
	return s.text("-ERR " + text + "\r\n")
}

// refuse answers a command that cannot be done. text begins with a response code
// of RFC 2449 §8 or RFC 3206, where one fits.
func (s *session) refuse(text string) error { return s.text("-ERR " + text + "\r\n") }

const tryAgain = "[SYS/TEMP] servizio momentaneamente non disponibile, riprovare / temporarily unavailable, try again"

// capa lists the capabilities (RFC 2449). EXPIRE NEVER: what a client leaves in
// the maildrop, the server does not delete.
func (s *session) capa(string) error {
	const always = "+OK\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nUTF8\r\nEXPIRE NEVER\r\nIMPLEMENTATION pecd\r\n"
	if err := s.text(always); err != nil {
		return err
	}
	switch {
	case !s.isSecure():
		return s.text("STLS\r\n.\r\n")
	default: // also after a login: clients compare both lists
		return s.text("USER\r\nSASL " + strings.Join(s.mechanisms(), " ") + "\r\n.\r\n")
	}
}

// stls begins TLS (RFC 2595 §4). What the client sent behind the command was not
// protected and ends the connection.
func (s *session) stls(string) error {
	if s.isSecure() {
		return s.mistake("TLS e' gia' attivo / TLS is active")
	}
	if s.in.Buffered() > 0 {
		s.ended = true
		return s.refuse("dati dopo STLS / octets after STLS")
	}
	if err := s.text("+OK\r\n"); err != nil {
		return err
	}
	if err := s.secure(); err != nil {
		s.dead = true
		return err
	}
	s.user = ""
	return nil
}

// utf8 changes nothing (RFC 6856): messages are sent as they are in any case.
func (s *session) utf8(string) error { return s.text("+OK\r\n") }

func (s *session) noop(string) error { return s.text("+OK\r\n") }
