// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	gosasl "github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"

	"pecd/directory"
	"pecd/fault"
	"pecd/pipeline"
)

// envelope is one SMTP transaction.
type envelope struct {
	who        directory.Principal
	sender     string
	recipients []string
	peer       pipeline.Peer
	allowed    pipeline.Allowance // as it was asked for last
}

// door is where messages go in: the access point or the incoming point.
type door interface {
	// mail checks MAIL FROM, and tells what the message may be.
	mail(ctx context.Context, e envelope) (pipeline.Allowance, error)
	// rcpt checks RCPT TO of one more recipient, and tells what the message may be.
	rcpt(ctx context.Context, e envelope, recipient string) (pipeline.Allowance, error)
	// deliver reads the message to its end.
	deliver(ctx context.Context, e envelope, r io.Reader) (text string, err error)
}

// submission is the access point.
type submission struct {
	pipeline.Acceptor
	dir Directory
}

func (d submission) mail(ctx context.Context, e envelope) (pipeline.Allowance, error) {
	if err := d.may(ctx, e); err != nil {
		return pipeline.Allowance{}, err
	}
	return d.Allowance(ctx, e.submission(), 1)
}

func (d submission) may(ctx context.Context, e envelope) error {
	if e.sender == "" {
		return fault.Say("smtp.Mail", fault.Denied, "mittente vuoto non ammesso / null sender not allowed here")
	}
	if err := d.dir.MaySubmit(ctx, e.who, e.sender); err != nil {
		return err
	}
	return d.MaySend(ctx, e.who.Login, e.sender)
}

// rcpt asks anew only where there was no room for one more: a limit may have
// opened meanwhile.
func (d submission) rcpt(ctx context.Context, e envelope, _ string) (pipeline.Allowance, error) {
	n := len(e.recipients) + 1
	if n <= e.allowed.Recipients {
		return e.allowed, nil
	}
	allowed, err := d.Allowance(ctx, e.submission(), n)
	if fault.Is(err, fault.Limited) {
		// The others are served: the client sends this one in another transaction.
		err = &fault.Error{Op: "smtp.Rcpt", Kind: fault.TooMany, Text: fault.TextOf(err), Err: err}
	}
	return allowed, err
}

// deliver asks once more what mail asked, before the message and at its end: a
// client may keep a transaction open for as long as it likes, and what was taken
// away meanwhile must not send (S0-44).
func (d submission) deliver(ctx context.Context, e envelope, r io.Reader) (string, error) {
	may := func() error { return d.may(ctx, e) }
	if err := may(); err != nil {
		return "", err
	}
	return d.Submit(ctx, e.submission(), atEnd{r, may})
}

// atEnd is a reader that ends only if check agrees, and with its error otherwise.
type atEnd struct {
	io.Reader
	check func() error
}

// Read implements io.Reader.
func (r atEnd) Read(p []byte) (n int, err error) {
	if n, err = r.Reader.Read(p); err == io.EOF {
		if no := r.check(); no != nil {
			return 0, no
		}
	}
	return n, err
}

func (e envelope) submission() pipeline.Submission {
	return pipeline.Submission{Login: e.who.Login, Program: e.who.Program, ProgramID: e.who.ProgramID, Sender: e.sender, Recipients: e.recipients, Peer: e.peer}
}

// exchanger is the incoming point.
type exchanger struct{ pipeline.Receiver }

func (exchanger) mail(context.Context, envelope) (pipeline.Allowance, error) {
	return pipeline.Allowance{}, nil
}

func (d exchanger) rcpt(ctx context.Context, e envelope, recipient string) (pipeline.Allowance, error) {
	return e.allowed, d.MayReceive(ctx, recipient)
}

func (d exchanger) deliver(ctx context.Context, e envelope, r io.Reader) (string, error) {
	return d.Receive(ctx, pipeline.Arrival{Sender: e.sender, Recipients: e.recipients, Peer: e.peer}, r)
}

// session implements gosmtp.AuthSession for both doors.
type session struct {
	lib *gosmtp.Conn
	c   *conn
	srv *Server
	who directory.Principal // who authenticated; zero: nobody yet

	open       bool // MAIL was accepted
	sender     string
	recipients []string
	allowed    pipeline.Allowance
	seen       map[string]struct{}
	repeated   int
}

func (s *Server) newSession(lib *gosmtp.Conn) (gosmtp.Session, error) {
	v, ok := lib.Conn().(*view)
	if !ok {
		return nil, fault.New("smtp.Session", fault.Internal, nil)
	}
	return &session{lib: lib, c: v.conn, srv: s}, nil
}

// Reset implements gosmtp.Session.
func (s *session) Reset() {
	s.open, s.sender, s.recipients, s.seen, s.repeated, s.allowed = false, "", nil, nil, 0, pipeline.Allowance{}
	s.c.boxes = 0
}

// Logout implements gosmtp.Session.
func (s *session) Logout() error { return nil }

// AuthMechanisms implements gosmtp.AuthSession. The filter announces them.
func (s *session) AuthMechanisms() []string { return nil }

// Auth implements gosmtp.AuthSession.
func (s *session) Auth(name string) (gosasl.Server, error) {
	switch {
	case s.srv.logins == nil:
		return nil, gosmtp.ErrAuthUnknownMechanism
	case !s.c.secured:
		return nil, authNeedsTLS().err()
	case s.open:
		return nil, badSequence().err()
	}
	accept := func(p directory.Principal) { s.who, s.c.client, s.c.loginBy = p, p.Login, time.Time{} }
	if m := s.srv.logins.mechanism(name, s.c, accept); m != nil {
		return m, nil
	}
	return nil, authMechanism().err()
}

// Mail implements gosmtp.Session. The path and the size are the filter's: the
// library loses the quotes of the one and has no room for the other.
func (s *session) Mail(string, *gosmtp.MailOptions) error {
	switch {
	case s.srv.logins != nil && !s.c.secured:
		return tlsRequired().err()
	case s.srv.logins != nil && s.who.Login == "":
		return authRequired().err()
	case s.open:
		return badSequence().err()
	case s.c.declared > s.srv.cfg.MaxMessage:
		return answerTo(tooLarge("smtp.Mail", s.srv.cfg.MaxMessage)).err()
	}
	if err := s.c.hope(); err != nil {
		return s.refuse("MAIL", err)
	}
	s.sender = s.c.path
	allowed, err := s.srv.door.mail(s.c.ctx, s.envelope())
	if s.allowed = allowed; err == nil && s.c.declared > s.maxMessage() {
		err = tooLarge("smtp.Mail", s.maxMessage())
	}
	if err != nil {
		return s.refuse("MAIL", err)
	}
	s.open, s.seen = true, make(map[string]struct{})
	return nil
}

// Rcpt implements gosmtp.Session. A recipient named twice gets one message.
func (s *session) Rcpt(string, *gosmtp.RcptOptions) error {
	key := strings.ToLower(s.c.path)
	if _, ok := s.seen[key]; ok {
		if s.repeated++; s.repeated > s.srv.cfg.MaxRecipients {
			return tooManyRecipients().err()
		}
		return nil
	}
	if len(s.recipients) >= s.srv.cfg.MaxRecipients {
		return tooManyRecipients().err()
	}
	allowed, err := s.srv.door.rcpt(s.c.ctx, s.envelope(), s.c.path)
	if err != nil {
		return s.refuse("RCPT", err)
	}
	s.allowed = allowed
	s.seen[key] = struct{}{}
	s.recipients = append(s.recipients, s.c.path)
	s.c.boxes = len(s.recipients)
	return nil
}

// Data implements gosmtp.Session.
func (s *session) Data(r io.Reader) error {
	b := &body{c: s.c, r: r, max: s.maxMessage()}
	defer b.yield()
	text, err := s.srv.door.deliver(s.c.ctx, s.envelope(), b)
	switch {
	case b.err != nil:
		err = b.err
	case err == nil && !b.ended:
		err = fault.New("smtp.Data", fault.Internal, errors.New("message not read to its end"))
	}
	if err != nil {
		switch {
		case errors.Is(s.c.failure, errDraining), s.c.ctx.Err() != nil:
			return closingDown().err()
		case s.c.failure != nil && timedOut(s.c.failure):
			return idleTooLong().err()
		}
		return s.refuse("DATA", err)
	}
	s.srv.cfg.Logger.Info("smtp: message taken", "remote", s.c.remote(), "login", s.who.Login,
		"recipients", len(s.recipients), "octets", b.n, "tls", s.c.secured)
	a := answer{250, [3]int{2, 0, 0}, text}
	if e, rest, ok := splitEnhanced(text); ok && e[0] == 2 {
		a.enhanced, a.text = e, rest
	}
	return a.err()
}

func (s *session) envelope() envelope {
	return envelope{
		who: s.who, sender: s.sender, recipients: s.recipients, allowed: s.allowed,
		peer: pipeline.Peer{Helo: s.lib.Hostname(), Remote: s.c.remoteIP(), TLS: s.c.tlsName()},
	}
}

// maxMessage is how many octets the message may have: the node's bound, or the
// mailbox's where that is less.
func (s *session) maxMessage() int64 {
	if own := s.allowed.MessageBytes; own > 0 {
		return min(own, s.srv.cfg.MaxMessage)
	}
	return s.srv.cfg.MaxMessage
}

func (c *conn) remoteIP() string {
	host, _, err := net.SplitHostPort(c.remote())
	if err != nil {
		return c.remote()
	}
	return host
}

func (s *session) refuse(command string, err error) error {
	a := answerTo(err)
	level := s.srv.cfg.Logger.Info
	switch fault.KindOf(err) {
	case fault.Internal, fault.Temporary:
		level = s.srv.cfg.Logger.Warn
	case fault.Busy, fault.NoSpace: // of many, and the gate has said it
		level = s.srv.cfg.Logger.Debug
	}
	level("smtp: refused", "command", command, "remote", s.c.remote(), "login", s.who.Login, "code", a.code, "err", err)
	return a.err()
}

// body is the message as the pipeline reads it: exact octets, or an error when
// the message must not be kept. Once it has failed it stays failed.
type body struct {
	c     *conn
	r     io.Reader
	n     int64
	max   int64
	ended bool
	err   error
	turn  bool // this message is being worked on
}

// yield lets other messages be worked on.
func (b *body) yield() {
	if b.turn {
		b.c.srv.cfg.Turns.give()
		b.turn = false
	}
}

// Read implements io.Reader. Its errors are *fault.Error, or io.EOF where the
// client ended the message.
func (b *body) Read(p []byte) (int, error) {
	const op = "smtp.Data"
	if b.err != nil {
		return 0, b.err
	}
	b.yield()
	n, err := b.r.Read(p)
	b.n += int64(n)
	if n > 0 && err == nil {
		b.c.srv.cfg.Turns.take()
		b.turn = true
	}
	switch {
	case b.n > b.max, errors.Is(err, errFlood):
		b.err = tooLarge(op, b.max)
	case b.c.scan.tainted:
		b.err = bareInMessage()
	case err == io.EOF:
		b.ended = true
		return n, io.EOF
	case err != nil:
		b.err = fault.New(op, fault.Temporary, err)
	default:
		return n, nil
	}
	return 0, b.err
}
