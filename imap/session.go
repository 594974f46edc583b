// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"context"
	"errors"
	"log/slog"
	"time"

	imaplib "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	gosasl "github.com/emersion/go-sasl"

	"pecd/directory"
	"pecd/fault"
	"pecd/guesses"
	"pecd/ledger"
	"pecd/sasl"
	"pecd/storage"
	"pecd/trail"
)

// maxFailures is how many wrong passwords one connection may try.
const maxFailures = 3

const tooManyGuesses = "troppi tentativi, riprovare piu' tardi / too many attempts"

// session is what one client is doing. All methods run on the connection's
// goroutine.
type session struct {
	srv   *Server
	c     *conn
	log   *slog.Logger
	store storage.Store
	ctx   context.Context

	failures  int
	who       trail.Who // who logged in, for the PEC log
	principal directory.Principal
	recheckAt int64         // as the connection's deadlines
	grant     storage.Grant // of the mailbox that is its own; Mailbox 0 before login
	others    []storage.Grant
	reached   map[storage.MailboxID]bool // further mailboxes of which a folder was opened
	view      *view                      // nil while no folder is selected
	learned   learned                    // to be stored beside messages
	code      string                     // for the tagged OK of the command at work (own.go)

	// What the client has enabled (RFC 5161), or shown to know.
	utf8names bool // UTF8=ACCEPT
	rev2      bool // IMAP4rev2
	condstore bool // wants to hear of modseqs
	qresync   bool // knows VANISHED
}

var (
	_ imapserver.SessionSASL         = (*session)(nil)
	_ imapserver.SessionAppendLimit  = (*session)(nil)
	_ imapserver.SessionCapabilities = (*session)(nil)
	_ imapserver.SessionID           = (*session)(nil)
)

func newSession(c *conn) *session {
	return &session{
		srv: c.srv, c: c, store: c.srv.cfg.Store, ctx: c.ctx,
		log: c.srv.log.With("remote", c.remote.String()),
	}
}

// open tells whether a login has succeeded.
func (s *session) open() bool { return s.grant.Mailbox != 0 }

// utf8 tells whether the client takes UTF-8 in quoted strings, and names folders
// in it (RFC 6855, RFC 9051 §5.1).
func (s *session) utf8() bool { return s.utf8names }

// Close implements imapserver.Session.
func (s *session) Close() error {
	s.view = nil
	return nil
}

// ID implements imapserver.SessionID (RFC 2971).
func (s *session) ID(*imaplib.IDData) *imaplib.IDData { return &imaplib.IDData{Name: "pecd"} }

// AppendLimit implements imapserver.SessionAppendLimit (RFC 7889).
func (s *session) AppendLimit() uint32 { return uint32(s.srv.cfg.AppendLimit) }

// Login implements imapserver.Session.
func (s *session) Login(login, password string) error {
	return s.enter(login, func() (directory.Principal, error) {
		return s.srv.cfg.Directory.Authenticate(directory.From(s.ctx, s.c.RemoteAddr()), login, password, storage.ByIMAP)
	})
}

func (s *session) loginByToken(login, token string) error {
	return s.enter(login, func() (directory.Principal, error) {
		return s.srv.cfg.Directory.AuthenticateToken(s.ctx, login, token, storage.ByIMAP)
	})
}

// enter logs in whoever ask admits. Who has guessed wrong too often is turned
// away before the password is looked at, on every connection.
func (s *session) enter(login string, ask func() (directory.Principal, error)) error {
	try := guesses.Try{Protocol: "imap", From: s.c.network, Login: directory.LoginKey(login)}
	if !s.srv.cfg.Guesses.Allowed(s.ctx, try) {
		s.log.Info("imap: login refused, too many wrong passwords")
		s.c.farewell = tooManyGuesses
		return no(imaplib.ResponseCodeLimit, tooManyGuesses+", try again later")
	}
	p, err := ask()
	if err == nil {
		s.who = trail.Who{Login: p.Login, Program: p.Program, ID: p.ProgramID, Channel: ledger.IMAP, Remote: s.c.remote.String()}
		err = s.admit(p)
	}
	if err == nil {
		err = s.srv.cfg.Trail.Access(s.ctx, s.who, s.grant.Address)
	}
	if err != nil {
		s.grant = storage.Grant{}
		return s.failed(try, err)
	}
	s.srv.cfg.Guesses.Passed(s.ctx, try, p.Login)
	s.log = s.log.With("login", p.Login)
	s.log.Info("imap: login", "mailbox", s.grant.Address)
	return nil
}

// failed answers a login that did not succeed: late, and only three times. What
// was given as login is not logged: people type their password there.
func (s *session) failed(try guesses.Try, err error) error {
	kind := fault.KindOf(err)
	s.log.Info("imap: login failed", "kind", kind.String())
	switch kind {
	case fault.Denied, fault.NotFound, fault.Invalid:
		if directory.Guessed(err) {
			r := directory.RefusalOf(err)
			s.srv.cfg.Guesses.Failed(s.ctx, try, r != nil && r.Login != "")
		}
	case fault.Disabled:
	default:
		return s.refuse(err)
	}
	s.recordRefusal(err)
	s.failures++
	after, stop := s.srv.cfg.Clock.After(s.srv.timing.failDelay * time.Duration(s.failures))
	defer stop()
	select {
	case <-after:
	case <-s.ctx.Done():
	}
	if s.failures >= maxFailures {
		s.c.farewell = tooManyGuesses
	}
	if kind == fault.Disabled {
		return no(imaplib.ResponseCodeAuthorizationFailed, fault.CodesOf(err).Text)
	}
	return no(imaplib.ResponseCodeAuthenticationFailed, "nome utente o password errati / wrong user name or password")
}

// recordRefusal records a login that failed: by the name of a user there is, or
// by the address it came from alone.
func (s *session) recordRefusal(err error) {
	r := directory.RefusalOf(err)
	if r == nil { // the password was right
		r = &directory.Refusal{Login: s.who.Login, Program: s.who.Program, ID: s.who.ID, Reason: fault.CodesOf(err).Text}
	}
	s.srv.cfg.Trail.Denied(trail.Who{Login: r.Login, Program: r.Program, ID: r.ID, Channel: ledger.IMAP, Remote: s.c.remote.String()}, r.Reason)
}

// AuthenticateMechanisms implements imapserver.SessionSASL.
func (s *session) AuthenticateMechanisms() []string {
	return sasl.Names(s.srv.cfg.Directory.TakesTokens())
}

// Authenticate implements imapserver.SessionSASL.
func (s *session) Authenticate(name string) (gosasl.Server, error) {
	checks := sasl.Checks{Password: s.Login}
	if s.srv.cfg.Directory.TakesTokens() {
		checks.Token = s.loginByToken
	}
	m := checks.New(name)
	if m == nil {
		return nil, no("", "meccanismo non disponibile / mechanism not supported")
	}
	return &mechanism{c: s.c, server: m}, nil
}

// mechanism tells the filter when an answer to a challenge is due. An empty
// challenge must be nil: the library writes "+ =" for others, where RFC 9051
// §6.2.2 wants nothing.
type mechanism struct {
	c      *conn
	server gosasl.Server
}

// Next implements sasl.Server.
func (m *mechanism) Next(response []byte) (challenge []byte, done bool, err error) {
	m.c.stage = atCommand
	challenge, done, err = m.server.Next(response)
	var refused *imaplib.Error
	if err != nil && !errors.As(err, &refused) {
		err = bad("risposta non valida / malformed response")
	}
	if err == nil && !done {
		m.c.stage = inSASL
	}
	if len(challenge) == 0 {
		challenge = nil
	}
	return challenge, done, err
}
