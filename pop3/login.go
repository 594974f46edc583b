// SPDX-License-Identifier: EUPL-1.2

package pop3

import (
	"encoding/base64"
	"strings"
	"time"

	"pecd/directory"
	"pecd/fault"
	"pecd/guesses"
	"pecd/ledger"
	"pecd/sasl"
	"pecd/storage"
	"pecd/trail"
)

const (
	maxFailures = 3 // wrong passwords that one connection may try
	maxRounds   = 4 // challenges of one AUTH
)

const (
	tlsFirst        = "prima STLS / STLS first"
	tooManyGuesses  = "[SYS/TEMP] troppi tentativi, riprovare piu' tardi / too many attempts, try again later"
	wrongPassword   = "[AUTH] nome utente o password errati / wrong user name or password"
	noClients       = "[AUTH] accesso con programmi di posta non abilitato / access by mail clients is not enabled"
	tooManySessions = "[IN-USE] troppe sessioni aperte sulla casella / too many sessions of this mailbox"
	notActive       = "[AUTH] casella non attiva / mailbox disabled"
)

// userName is USER.
func (s *session) userName(args string) error {
	if !s.isSecure() {
		return s.mistake(tlsFirst)
	}
	if args == "" {
		return s.mistake("manca il nome utente / user name missing")
	}
	s.user = args
	return s.text("+OK\r\n")
}

// password is PASS. A password may have spaces, also at its ends (RFC 1939 §7).
func (s *session) password(args string) error {
	switch {
	case !s.isSecure():
		return s.mistake(tlsFirst)
	case s.user == "":
		return s.mistake("prima USER / USER first")
	}
	user := s.user
	s.user = ""
	p, err := s.byPassword(user, args)
	return s.enter(p, err)
}

// auth is AUTH (RFC 5034). Without a mechanism it lists them, as clients from
// before CAPA expect.
func (s *session) auth(args string) error {
	if !s.isSecure() {
		return s.mistake(tlsFirst)
	}
	if args == "" {
		return s.text("+OK\r\n" + strings.Join(s.mechanisms(), "\r\n") + "\r\n.\r\n")
	}
	name, initial, given := strings.Cut(args, " ")
	var who directory.Principal
	asked := false
	checks := sasl.Checks{Password: func(login, password string) (err error) {
		asked = true
		who, err = s.byPassword(login, password)
		return err
	}}
	if s.srv.cfg.Directory.TakesTokens() {
		checks.Token = func(login, token string) (err error) {
			asked = true
			who, err = s.byToken(login, token)
			return err
		}
	}
	server := checks.New(name)
	if server == nil {
		return s.mistake("meccanismo non disponibile / mechanism not supported")
	}
	var response []byte
	if given {
		var ok bool
		if response, ok = decoded(strings.TrimPrefix(initial, "=")); !ok {
			return s.mistake(malformed)
		}
	}
	for range maxRounds {
		challenge, done, err := server.Next(response)
		switch {
		case (done || err != nil) && asked:
			return s.enter(who, err)
		case done || err != nil:
			return s.mistake(malformed)
		}
		if err := s.text("+ " + base64.StdEncoding.EncodeToString(challenge) + "\r\n"); err != nil {
			return err
		}
		line, err := s.command()
		if err != nil {
			return err
		}
		if string(line) == "*" {
			return s.refuse("annullato / cancelled")
		}
		var ok bool
		if response, ok = decoded(string(line)); !ok {
			return s.mistake(malformed)
		}
	}
	return s.mistake("troppi passaggi / too many steps")
}

const malformed = "risposta non valida / malformed response"

// mechanisms are the SASL mechanisms offered.
func (s *session) mechanisms() []string { return sasl.Names(s.srv.cfg.Directory.TakesTokens()) }

// decoded undoes base64. An empty response is not nil: that would be none.
func decoded(s string) ([]byte, bool) {
	b := make([]byte, base64.StdEncoding.DecodedLen(len(s)))
	n, err := base64.StdEncoding.Strict().Decode(b, []byte(s))
	return b[:n], err == nil
}

// errGuessing refuses a client that has tried too many passwords before the next
// one is looked at, on every connection.
var errGuessing = fault.New("pop3.login", fault.TooMany, nil)

func (s *session) byPassword(login, password string) (directory.Principal, error) {
	if !s.allowed(login) {
		return directory.Principal{}, errGuessing
	}
	if err := s.flush(); err != nil { // answers to what came before must not wait for the hash
		return directory.Principal{}, err
	}
	return s.srv.cfg.Directory.Authenticate(directory.From(s.ctx, s.Raw.RemoteAddr()), login, password, storage.ByPOP3)
}

func (s *session) byToken(login, token string) (directory.Principal, error) {
	if !s.allowed(login) {
		return directory.Principal{}, errGuessing
	}
	return s.srv.cfg.Directory.AuthenticateToken(s.ctx, login, token, storage.ByPOP3)
}

// allowed reports whether a password for login may be looked at, which is what is
// tried from here on.
func (s *session) allowed(login string) bool {
	s.try = guesses.Try{Protocol: "pop3", From: s.network, Login: directory.LoginKey(login)}
	return s.srv.cfg.Guesses.Allowed(s.ctx, s.try)
}

// enter opens the maildrop of whoever was admitted, err nil, or answers why nobody
// was.
func (s *session) enter(p directory.Principal, err error) error {
	s.by = trail.Who{Login: p.Login, Program: p.Program, ID: p.ProgramID, Channel: ledger.POP3, Remote: s.remote.String()}
	if err != nil {
		return s.failed(err, wrongPassword)
	}
	grant, why := s.choose(p.Grants, p.Login)
	if why != "" {
		return s.failed(fault.New("pop3.login", fault.Disabled, nil), why)
	}
	m, err := s.srv.cfg.Store.MailboxByID(s.ctx, grant.Mailbox)
	if err != nil {
		return s.failed(err, "")
	}
	if !inUse(m) {
		return s.failed(fault.New("pop3.login", fault.Disabled, nil), notActive)
	}
	if !s.srv.cfg.Sessions.begin(m.ID) {
		s.log.Warn("pop3: too many sessions", "mailbox", m.Address)
		return s.refuse(tooManySessions)
	}
	defer func() {
		if s.drop == nil {
			s.srv.cfg.Sessions.end(m.ID)
		}
	}()
	drop, err := openMaildrop(s.ctx, s.srv.cfg.Store, m)
	if err == nil {
		err = s.srv.cfg.Trail.Access(s.ctx, s.by, m.Address)
	}
	if err != nil {
		return s.failed(err, "")
	}
	grant.Address = m.Address
	s.who, s.grant, s.drop, s.loginBy, s.recheckAt = p, grant, drop, 0, s.after(recheck)
	s.log = s.log.With("login", p.Login)
	s.log.Info("pop3: login", "mailbox", m.Address, "messages", len(drop.uids))
	s.srv.cfg.Counters.logins.Add(1)
	s.srv.cfg.Guesses.Passed(s.ctx, s.try, p.Login)
	return s.text("+OK " + m.Address + "\r\n")
}

// choose picks the mailbox that a login opens: the one whose address is the
// login, otherwise the first that may be read with a mail client. It does not turn
// to the next one where that is not in use: a program that deletes what it fetches
// must not find itself in another mailbox one day. Where it may not be opened, why
// says so.
func (s *session) choose(grants []storage.Grant, login string) (chosen storage.Grant, why string) {
	const needed = storage.MayRead | storage.MayUseClient
	for _, g := range grants {
		if strings.EqualFold(g.Address, login) {
			chosen = g
			break
		}
		if chosen.Mailbox == 0 && g.Permission&needed == needed {
			chosen = g
		}
	}
	if chosen.Permission&needed != needed {
		return storage.Grant{}, noClients
	}
	return chosen, ""
}

// inUse reports whether a mailbox is served.
func inUse(m storage.Mailbox) bool {
	return m.State != storage.MailboxDeactivated && m.State != storage.MailboxClosed
}

// failed answers a login that did not succeed: late, and only three times. What
// was given as login is not logged: people type their password there.
func (s *session) failed(err error, why string) error {
	kind := fault.KindOf(err)
	switch kind {
	case fault.TooMany:
		s.log.Info("pop3: login refused, too many wrong passwords")
		s.ended = true
		return s.refuse(tooManyGuesses)
	case fault.Denied, fault.NotFound, fault.Invalid:
		s.log.Info("pop3: login failed", "kind", kind.String())
		if directory.Guessed(err) {
			r := directory.RefusalOf(err)
			s.srv.cfg.Guesses.Failed(s.ctx, s.try, r != nil && r.Login != "")
		}
	case fault.Disabled:
		s.log.Info("pop3: login failed", "kind", kind.String())
	default:
		s.log.Error("pop3: login failed", "kind", kind.String(), "error", err)
		return s.refuse(tryAgain)
	}
	s.recordRefusal(err, why)
	s.failures++
	after, stop := s.srv.cfg.Clock.After(s.srv.timing.failDelay * time.Duration(s.failures))
	defer stop()
	select {
	case <-after:
	case <-s.ctx.Done():
	}
	s.ended = s.failures >= maxFailures
	return s.refuse(why)
}

// recordRefusal records a login that failed: by the name of a user there is, or
// by the address it came from alone.
func (s *session) recordRefusal(err error, why string) {
	r := directory.RefusalOf(err)
	if r == nil { // the password was right
		r = &directory.Refusal{Login: s.by.Login, Program: s.by.Program, ID: s.by.ID, Reason: strings.TrimPrefix(why, "[AUTH] ")}
	}
	s.srv.cfg.Trail.Denied(trail.Who{Login: r.Login, Program: r.Program, ID: r.ID, Channel: ledger.POP3, Remote: s.by.Remote}, r.Reason)
}
