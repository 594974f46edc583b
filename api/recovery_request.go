// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"pecd/clock"
	"pecd/directory"
	"pecd/fault"
	"pecd/notice"
	"pecd/storage"
)

// RecoveryRequest asks for a new password (S4-115).
type RecoveryRequest struct {
	Login string `json:"login" minLength:"1" maxLength:"320"`
	By    string `json:"by,omitempty" enum:"mail,sms" doc:"Dove riceverlo; assente: e-mail se confermata, altrimenti SMS / where to receive it; absent: e-mail where confirmed, else SMS"`
}

// errand is a request for a new password, done after the answer to who asked was
// given: the answer must not tell, by its time either, whether there is such a user.
type errand struct{ login, by string }

const (
	maxErrands = 256
	// A client network may ask for recoveryBurst passwords at once, then for one every recoveryEvery.
	recoveryBurst   = 10
	recoveryEvery   = time.Minute
	recoveryClients = 16384
)

// Run sends what users are to be told about their passwords, until ctx ends.
func (s *Server) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case login := <-s.warnings:
			s.sent(ctx, "api: users not told of a new password", s.tellSet(ctx, login))
		case e := <-s.errands:
			s.sent(ctx, "api: password recovery not sent", s.sendRecovery(ctx, e))
		}
	}
}

// sent logs what could not be sent. Neither login nor contact goes into the
// operating log.
func (s *Server) sent(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		s.Logger.Warn(what, "kind", fault.KindOf(err).String())
	}
}

// warn has a user told that his password was set. These wait apart from requests, so
// that nobody keeps them back by many of those.
func (s *Server) warn(login string) {
	select {
	case s.warnings <- login:
	default:
		s.Logger.Warn("api: too many new passwords at once, one was not told of")
	}
}

// later has something done after the answer. Beyond maxErrands it is not done: who
// asked asks again.
func (s *Server) later(e errand) {
	select {
	case s.errands <- e:
	default:
		s.Logger.Warn("api: too many password recoveries at once, one was left out")
	}
}

func (s *Server) registerRecoveryRequest() {
	register(s, operation{name: "request-recovery", method: post, path: "/recovery", status: http.StatusAccepted,
		summary: "Chiede una nuova password; la risposta è sempre la stessa / Asks for a new password; the answer is always the same"},
		func(ctx context.Context, in *struct{ Body RecoveryRequest }) (*nothing, error) {
			return nil, s.ask(ctx, in.Body)
		})
	s.mux.HandleFunc("POST "+recoveryPath+"/richiesta", s.postRecoveryRequest)
}

// ask takes a request. Each client is bounded: what is sent costs the provider, and
// bothers who did not ask.
func (s *Server) ask(ctx context.Context, r RecoveryRequest) error {
	if !s.asked.take(directory.ClientNetwork(addrOf(requestOf(ctx).remote))) {
		return fault.Say("api.ask", fault.TooMany, "troppe richieste, riprovare più tardi / too many requests, try later")
	}
	s.later(errand{r.Login, r.By})
	return nil
}

// sendRecovery sends the link or the code, where the user has a confirmed contact of
// that kind.
func (s *Server) sendRecovery(ctx context.Context, e errand) error {
	all, err := s.confirmed(ctx, e.login)
	if err != nil {
		return err
	}
	to, ok := choose(all, e.by)
	if !ok {
		return nil
	}
	kind, by := storage.RecoveryLink, "mail"
	if to.Kind == storage.ContactSMS {
		kind, by = storage.RecoveryCode, "sms"
	}
	secret, err := s.Directory.BeginRecovery(ctx, e.login, kind, by)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.TooMany) {
		return nil
	}
	if err != nil {
		return err
	}
	text := notice.Text{
		Italian: "Per scegliere una nuova password PEC, entro 15 minuti:\n" + s.recoveryLink(secret) + "\nSe non l'ha chiesta Lei, ignori questo messaggio: la password resta com'è.",
		English: "To choose a new PEC password, within 15 minutes:\n" + s.recoveryLink(secret) + "\nIf you did not ask for it, ignore this message: the password stays as it is.",
	}
	if to.Kind == storage.ContactSMS {
		text = notice.Text{
			Italian: "Codice per la nuova password PEC: " + secret + ". Vale 15 minuti. Se non l'ha chiesto, ignori questo messaggio.",
			English: "Code for the new PEC password: " + secret + ". Valid for 15 minutes.",
		}
	}
	return s.Contacts.SendCode(ctx, to, text)
}

// confirmed are the confirmed contacts of a user; none where there is no such user.
func (s *Server) confirmed(ctx context.Context, login string) ([]storage.Contact, error) {
	all, err := s.Contacts.List(ctx, login)
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	return slices.DeleteFunc(all, func(c storage.Contact) bool { return c.Confirmed.IsZero() }), err
}

// choose returns the contact that a recovery goes to: of the kind asked for, or mail
// before text messages.
func choose(all []storage.Contact, by string) (storage.Contact, bool) {
	for _, kind := range []storage.ContactKind{storage.ContactMail, storage.ContactSMS} {
		for _, c := range all {
			if c.Kind == kind && (by == "" || by == string(kind)) {
				return c, true
			}
		}
	}
	return storage.Contact{}, false
}

// tellSet tells all confirmed contacts that the password was set.
func (s *Server) tellSet(ctx context.Context, login string) error {
	all, err := s.confirmed(ctx, login)
	for _, to := range all {
		if sent := s.Contacts.SendWarning(ctx, to, notice.Text{Italian: "Posta certificata: password cambiata", English: "Certified mail: password changed"}, notice.Text{
			Italian: "La password della Sua PEC è stata cambiata. Se non è stato Lei, avvisi subito il Suo amministratore.",
			English: "The password of your PEC was changed. If it was not you, tell your administrator at once.",
		}); sent != nil {
			err = sent
		}
	}
	return err
}

func (s *Server) recoveryLink(secret string) string {
	return s.Site + recoveryPath + "?" + recoveryKey + "=" + secret
}

// postRecoveryRequest takes the request of the page, and shows the form for a code.
func (s *Server) postRecoveryRequest(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		s.recoveryPage(w, r, http.StatusBadRequest, recoveryView{Ask: true, Wrong: "richiesta non valida / invalid request"})
		return
	}
	in := RecoveryRequest{Login: strings.TrimSpace(r.PostForm.Get("login")), By: r.PostForm.Get("by")}
	if in.Login == "" || len(in.Login) > 320 || in.By != "mail" && in.By != "sms" {
		s.recoveryPage(w, r, http.StatusUnprocessableEntity, recoveryView{Ask: true, Login: in.Login, Wrong: "serve il nome utente / the user name is needed"})
		return
	}
	if err := s.ask(r.Context(), in); err != nil {
		s.recoveryPage(w, r, fault.CodesOf(err).HTTP, recoveryView{Ask: true, Login: in.Login, Wrong: fault.CodesOf(err).Text})
		return
	}
	s.recoveryPage(w, r, http.StatusAccepted, recoveryView{Login: in.Login, Asked: true, Mail: in.By == "mail"})
}

// askers counts the requests of each client network.
type askers struct {
	clk clock.Clock

	mu   sync.Mutex
	full map[netip.Prefix]time.Time // when a client's whole burst is back
}

func newAskers(clk clock.Clock) *askers {
	return &askers{clk: clk, full: make(map[netip.Prefix]time.Time)}
}

// take counts a request of a client, or reports false.
func (a *askers) take(client netip.Prefix) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clk.Now()
	full := a.full[client]
	if full.Before(now) {
		full = now
	}
	if full.Sub(now) > (recoveryBurst-1)*recoveryEvery {
		return false
	}
	if len(a.full) >= recoveryClients { // those whose burst is back, or else all: a bound of courtesy, not of safety
		for k, f := range a.full {
			if !f.After(now) {
				delete(a.full, k)
			}
		}
		if len(a.full) >= recoveryClients {
			clear(a.full)
		}
	}
	a.full[client] = full.Add(recoveryEvery)
	return true
}
