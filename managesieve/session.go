// SPDX-License-Identifier: EUPL-1.2

package managesieve

import (
	"context"
	"net"
	"net/netip"
	"strings"

	wire "github.com/migadu/go-managesieve/managesieve"
	"github.com/migadu/go-managesieve/managesieveserver"

	"pecd/directory"
	"pecd/fault"
	"pecd/guesses"
	"pecd/ledger"
	"pecd/sieve"
	"pecd/storage"
	"pecd/trail"
)

// maxScripts mirrors the directory's bound for the question whether there is room.
const maxScripts = directory.MaxFilters

const (
	wrongPassword  = "nome utente o password errati / wrong user name or password"
	tooManyGuesses = "troppi tentativi, riprovare piu' tardi / too many attempts, try again later"
	noSettings     = "nessuna casella di cui cambiare le impostazioni / no mailbox whose settings may be changed"
	notActive      = "casella non attiva / mailbox disabled"
	tryAgain       = "errore temporaneo, riprovare / temporary failure, try again"
)

// session is one login and the mailbox whose scripts it edits.
type session struct {
	srv  *Server
	conn *conn

	who     directory.Principal
	mailbox string // address
}

var _ managesieveserver.Session = (*session)(nil)

// session begins one for a connection that was accepted.
func (s *Server) session(c *managesieveserver.Conn) (managesieveserver.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	accepted := s.accepted[c.NetConn()]
	if accepted == nil {
		return nil, managesieveserver.ErrSilentReject
	}
	return &session{srv: s, conn: accepted}, nil
}

// clientOf is the address of a client, and the network that it is counted by.
func clientOf(raw net.Conn) (netip.Addr, netip.Prefix) {
	ap, _ := netip.ParseAddrPort(raw.RemoteAddr().String())
	return ap.Addr().Unmap(), directory.ClientNetwork(raw.RemoteAddr())
}

// Close implements managesieveserver.Session.
func (*session) Close() error { return nil }

// AuthenticatePlain implements managesieveserver.Session. identity may name the
// mailbox, where the login has several.
func (s *session) AuthenticatePlain(ctx context.Context, identity, login, password string) error {
	try := guesses.Try{Protocol: "managesieve", From: s.conn.network, Login: directory.LoginKey(login)}
	if !s.srv.cfg.Guesses.Allowed(ctx, try) {
		return closing(tooManyGuesses)
	}
	p, err := s.srv.cfg.Directory.Authenticate(directory.From(ctx, s.conn.Raw.RemoteAddr()), login, password, storage.ByIMAP)
	if err != nil {
		return s.refused(ctx, try, err)
	}
	who := trail.Who{Login: p.Login, Program: p.Program, ID: p.ProgramID, Channel: ledger.Sieve, Remote: s.conn.remote.String()}
	address, ok := chosen(p, identity)
	if !ok {
		s.srv.cfg.Trail.Denied(who, noSettings)
		return said("", noSettings)
	}
	m, err := s.srv.cfg.Directory.Mailbox(ctx, address)
	if err == nil && (m.State == storage.MailboxDeactivated || m.State == storage.MailboxClosed) {
		s.srv.cfg.Trail.Denied(who, notActive)
		return said("", notActive)
	}
	if err == nil {
		err = s.srv.cfg.Trail.Access(ctx, who, m.Address)
	}
	if err != nil {
		return s.failed(err)
	}
	s.srv.cfg.Guesses.Passed(ctx, try, p.Login)
	s.who, s.mailbox = p, m.Address
	s.conn.ReadBy.Store(0)
	s.srv.log.Info("managesieve: login", "login", p.Login, "mailbox", m.Address)
	return nil
}

// refused answers a login that did not succeed. What was given as login is not
// logged: people type their password there.
func (s *session) refused(ctx context.Context, try guesses.Try, err error) error {
	switch fault.KindOf(err) {
	case fault.Denied, fault.NotFound, fault.Invalid:
	default:
		return s.failed(err)
	}
	r := directory.RefusalOf(err)
	if directory.Guessed(err) {
		s.srv.cfg.Guesses.Failed(ctx, try, r != nil && r.Login != "")
	}
	if r == nil {
		r = &directory.Refusal{Reason: wrongPassword}
	}
	s.srv.cfg.Trail.Denied(trail.Who{Login: r.Login, Program: r.Program, ID: r.ID, Channel: ledger.Sieve, Remote: s.conn.remote.String()}, r.Reason)
	s.srv.log.Info("managesieve: login failed", "kind", fault.KindOf(err).String())
	return said("", wrongPassword)
}

// chosen is the mailbox of a login: the one that identity names, else the one
// whose address the login is, else the first. Its settings must be the login's to
// change, with a mail client.
func chosen(p directory.Principal, identity string) (address string, ok bool) {
	const needed = storage.MayChangeSettings | storage.MayUseClient
	for _, g := range p.Grants {
		if g.Permission&needed != needed {
			continue
		}
		switch {
		case identity != "" && !strings.EqualFold(identity, p.Login):
			if strings.EqualFold(g.Address, identity) {
				return g.Address, true
			}
		case strings.EqualFold(g.Address, p.Login):
			return g.Address, true
		case address == "":
			address = g.Address
		}
	}
	return address, address != ""
}

// as is the context in which the login changes something, while it is still good.
func (s *session) as(ctx context.Context) (context.Context, error) {
	if err := s.srv.cfg.Directory.Still(ctx, s.who); err != nil {
		if fault.Is(err, fault.Denied) {
			return ctx, closing("accesso revocato / access revoked")
		}
		return ctx, s.failed(err)
	}
	return directory.As(ctx, s.who.Login), nil
}

// ListScripts implements managesieveserver.Session, as do the methods below.
func (s *session) ListScripts(ctx context.Context) ([]wire.ScriptInfo, error) {
	all, err := s.all(ctx)
	var list []wire.ScriptInfo
	for _, f := range all {
		list = append(list, wire.ScriptInfo{Name: f.Name, Active: f.Active})
	}
	return list, err
}

func (s *session) all(ctx context.Context) ([]storage.Filter, error) {
	ctx, err := s.as(ctx)
	if err != nil {
		return nil, err
	}
	all, err := s.srv.cfg.Directory.Filters(ctx, s.mailbox)
	return all, s.failed(err)
}

// GetScript returns a script.
func (s *session) GetScript(ctx context.Context, name string) (string, error) {
	ctx, err := s.as(ctx)
	if err != nil {
		return "", err
	}
	f, err := s.srv.cfg.Directory.Filter(ctx, s.mailbox, name)
	return f.Script, s.failed(err)
}

// PutScript stores a script, unless something is wrong with it.
func (s *session) PutScript(ctx context.Context, name, content string) (updated bool, err error) {
	if ctx, err = s.as(ctx); err != nil {
		return false, err
	}
	_, err = s.srv.cfg.Directory.Filter(ctx, s.mailbox, name)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return false, s.failed(err)
	}
	return err == nil, s.failed(s.srv.cfg.Directory.PutFilter(ctx, s.mailbox, name, content))
}

// CheckScript says what is wrong with a script.
func (s *session) CheckScript(_ context.Context, content string) (warnings string, err error) {
	if _, err := sieve.Compile(content); err != nil {
		return "", said("", err.Error())
	}
	return "", nil
}

// SetActive chooses the script that is run, none for "".
func (s *session) SetActive(ctx context.Context, name string) error {
	ctx, err := s.as(ctx)
	if err != nil {
		return err
	}
	return s.failed(s.srv.cfg.Directory.ActivateFilter(ctx, s.mailbox, name))
}

// DeleteScript removes a script, but not the active one (RFC 5804 §2.10).
func (s *session) DeleteScript(ctx context.Context, name string) error {
	ctx, err := s.as(ctx)
	if err != nil {
		return err
	}
	f, err := s.srv.cfg.Directory.Filter(ctx, s.mailbox, name)
	switch {
	case err != nil:
		return s.failed(err)
	case f.Active:
		return said("ACTIVE", "il filtro e' attivo / the script is active")
	}
	return s.failed(s.srv.cfg.Directory.RemoveFilter(ctx, s.mailbox, name))
}

// RenameScript gives a script another name; an active one stays active.
func (s *session) RenameScript(ctx context.Context, from, to string) error {
	ctx, err := s.as(ctx)
	if err != nil {
		return err
	}
	return s.failed(s.srv.cfg.Directory.RenameFilter(ctx, s.mailbox, from, to))
}

// HaveSpace says whether another script fits.
func (s *session) HaveSpace(ctx context.Context, name string, _ int64) error {
	all, err := s.all(ctx)
	if err != nil {
		return err
	}
	for _, f := range all {
		if f.Name == name {
			return nil
		}
	}
	if len(all) >= maxScripts {
		return said("QUOTA/MAXSCRIPTS", "troppi filtri / too many scripts")
	}
	return nil
}

// failed turns an error of the directory into an answer; nil for nil.
func (s *session) failed(err error) error {
	if err == nil {
		return nil
	}
	text := fault.CodesOf(err).Text
	switch fault.KindOf(err) {
	case fault.NotFound:
		return said("NONEXISTENT", text)
	case fault.Exists:
		return said("ALREADYEXISTS", text)
	case fault.TooMany:
		return said("QUOTA/MAXSCRIPTS", text)
	case fault.Invalid, fault.Denied, fault.Disabled:
		return said("", text)
	}
	s.srv.log.Error("managesieve: command failed", "error", err)
	return said("TRYLATER", tryAgain)
}

// said is an answer NO, its text quoted.
func said(code, text string) error {
	if code == "" { // the library writes it as it is
		text = wire.Quote(wire.SanitizeText(text))
	}
	return &managesieveserver.Error{Code: code, Message: text}
}

// closing is an answer NO that ends the connection.
func closing(text string) error {
	return &managesieveserver.Error{Message: wire.Quote(wire.SanitizeText(text)), Close: true}
}
