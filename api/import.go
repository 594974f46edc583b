// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"pecd/directory"
	"pecd/fault"
	"pecd/roster"
)

const (
	// importTime is for the passwords of some thousand users: each is derived alone.
	importTime = 4 * time.Minute
	// maxObjections is how many lines are told at once.
	maxObjections = 200
)

type (
	importIn struct {
		CodeParam
		Name      string   `query:"name" maxLength:"200" doc:"L'ente è creato, o prende questo nome; solo il gestore / the body is created, or gets this name; the provider alone"`
		Domains   []string `query:"domain" maxItems:"20" doc:"Creati per l'ente se non ci sono, con virgole; solo il gestore / created for the body where they are not there, with commas; the provider alone"`
		DryRun    bool     `query:"dry_run" doc:"Controlla soltanto / only checks"`
		Passwords bool     `query:"passwords" doc:"Crea e restituisce le password iniziali; altrimenti gli utenti le scelgono con un collegamento / makes and returns initial passwords; otherwise users choose theirs by a link"`
		RawBody   []byte   `contentType:"text/csv"`
	}
	// FirstPassword is the initial password of a user, told this once.
	FirstPassword struct {
		Login    string `json:"login"`
		Name     string `json:"name"`
		Password string `json:"password"`
	}
	// Imported is what a file created, or would create.
	Imported struct {
		DryRun    bool            `json:"dry_run"`
		Mailboxes int             `json:"mailboxes"`
		Users     int             `json:"users" doc:"Nuovi / new ones"`
		Grants    int             `json:"grants"`
		Passwords []FirstPassword `json:"passwords,omitempty"`
	}
	importOut struct{ Body Imported }
)

func (s *Server) registerImport() {
	register(s, operation{
		name: "import-body", method: post, path: "/bodies/{code}/import", body: roster.MaxBytes + 1, time: importTime,
		summary: "Crea caselle e utenti di un ente da un file CSV, tutto o nulla / Creates mailboxes and users of a body from a CSV file, all or nothing",
	}, s.importBody)
}

func (s *Server) importBody(ctx context.Context, in *importIn) (*importOut, error) {
	if !s.importing.TryLock() {
		return nil, fault.Say("api.import", fault.TooMany, "è in corso un'altra importazione, riprovare più tardi / another import is under way, try later")
	}
	defer s.importing.Unlock()
	out := &importOut{Imported{DryRun: in.DryRun}}
	e := directory.Enrolment{Body: in.Code, Name: in.Name, Domains: in.Domains, DryRun: in.DryRun}
	if in.Passwords {
		e.Password = func(u directory.EnrolledUser, password string) error {
			out.Body.Passwords = append(out.Body.Passwords, FirstPassword{u.Login, u.Name, password})
			return nil
		}
	}
	done, objections, err := roster.Import(ctx, s.Directory, in.RawBody, e)
	if err != nil {
		return nil, err
	}
	if len(objections) > 0 {
		p := refusal(ctx, http.StatusUnprocessableEntity, "il file non è accettato, nulla è stato creato: si vedano gli errori / the file is not taken, nothing was created: see errors")
		for _, o := range objections[:min(len(objections), maxObjections)] {
			p.Errors = append(p.Errors, &huma.ErrorDetail{Message: o.Text, Location: fmt.Sprintf("body.line[%d]", o.Line)})
		}
		return nil, p
	}
	out.Body.Mailboxes, out.Body.Users, out.Body.Grants = done.Mailboxes, done.Users, done.Grants
	return out, nil
}
