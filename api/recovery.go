// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"context"
	"net/http"
	"time"

	"pecd/fault"
)

const (
	recoveryPath = "/recupero"
	recoveryKey  = "k"
	// refusalTime is how long after the request what does not set a password is
	// refused: a code that was sent is counted in the store before it is looked at, and
	// the time of that would tell whom one was sent.
	refusalTime = 500 * time.Millisecond
)

// Recovery is a new password with what its user was sent.
type Recovery struct {
	Secret   string `json:"secret" writeOnly:"true" minLength:"1" maxLength:"200" doc:"Dal collegamento, o il codice / from the link, or the code"`
	Login    string `json:"login,omitempty" maxLength:"320" doc:"Con un codice / with a code"`
	Password string `json:"password" writeOnly:"true" minLength:"8" maxLength:"1024"`
}

func (s *Server) registerRecovery() {
	register(s, operation{name: "confirm-recovery", method: post, path: "/recovery/confirm", status: http.StatusNoContent,
		summary: "Imposta la nuova password con un collegamento o un codice / Sets the new password with a link or a code"},
		func(ctx context.Context, in *struct{ Body Recovery }) (*nothing, error) {
			return nil, s.recover(ctx, in.Body)
		})
	s.mux.HandleFunc("GET "+recoveryPath, s.showRecovery)
	s.mux.HandleFunc("POST "+recoveryPath, s.postRecovery)
}

// recover sets a new password. What is refused counts as a guess of its client, so
// that nobody tries codes of many users.
func (s *Server) recover(ctx context.Context, r Recovery) error {
	began := s.Clock.Now()
	remote := addrOf(requestOf(ctx).remote)
	if !s.Guesses.Allowed(ctx, tryFrom(remote)) {
		return fault.Say("api.recover", fault.TooMany, "troppi tentativi falliti, riprovare più tardi / too many failed attempts, try later")
	}
	u, err := s.Directory.Recover(ctx, r.Login, r.Secret, r.Password)
	if err == nil && s.Contacts != nil {
		s.warn(u.Login)
	}
	if fault.Is(err, fault.Denied) {
		s.Guesses.Failed(ctx, tryFrom(remote), false)
		s.waitUntil(ctx, began.Add(s.refusalTime))
	}
	return err
}

// waitUntil waits for a time, while somebody waits for the answer.
func (s *Server) waitUntil(ctx context.Context, at time.Time) {
	rest := at.Sub(s.Clock.Now())
	if rest <= 0 {
		return
	}
	over, stop := s.Clock.After(rest)
	defer stop()
	select {
	case <-over:
	case <-ctx.Done():
	}
}
