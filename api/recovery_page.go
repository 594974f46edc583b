// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"bytes"
	"context"
	_ "embed" // recovery_page.html
	"html/template"
	"net/http"

	"pecd/fault"
)

//go:embed recovery_page.html
var recoveryText string

// maxForm bounds a posted form, in octets.
const maxForm = 8 << 10

// recoveryView is what the page shows.
type recoveryView struct {
	Provider string
	Action   string
	Secret   string // of the link; "" asks for login and code
	Login    string
	Wrong    string // why the password was not set, Italian then English
	Done     bool
	Ask      bool // asks whose password it is
	Asked    bool // … and was told
	Mail     bool // asked for by mail
}

// showRecovery serves the form. Opening it uses nothing up: programs that look at
// the links of mails do that, too.
func (s *Server) showRecovery(w http.ResponseWriter, r *http.Request) {
	secret := r.URL.Query().Get(recoveryKey)
	if len(secret) > 200 {
		secret = ""
	}
	s.recoveryPage(w, r, http.StatusOK, recoveryView{Secret: secret, Ask: secret == "" && s.Contacts != nil})
}

// postRecovery sets the password.
func (s *Server) postRecovery(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), requestTime)
	defer cancel()
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		s.recoveryPage(w, r, http.StatusBadRequest, recoveryView{Wrong: "richiesta non valida / invalid request"})
		return
	}
	form := r.PostForm
	v := recoveryView{Secret: form.Get(recoveryKey), Login: form.Get("login")}
	in := Recovery{Secret: v.Secret, Password: form.Get("password")}
	if v.Secret == "" {
		in.Secret, in.Login = form.Get("code"), v.Login
	}
	switch {
	case in.Secret == "" || len(in.Secret) > 200 || len(in.Login) > 320 || v.Secret == "" && in.Login == "":
		v.Wrong = "servono nome utente e codice / user name and code are needed"
	case in.Password != form.Get("again"):
		v.Wrong = "le due password sono diverse / the two passwords differ"
	}
	status := http.StatusUnprocessableEntity
	if v.Wrong == "" {
		err := s.recover(ctx, in)
		if v.Done = err == nil; v.Done {
			status = http.StatusOK
		} else {
			status, v.Wrong = fault.CodesOf(err).HTTP, fault.CodesOf(err).Text
		}
		if status >= http.StatusInternalServerError {
			s.Logger.Error("api: password not set", "request", requestOf(ctx).id, "error", err)
		}
	}
	s.recoveryPage(w, r, status, v)
}

func (s *Server) recoveryPage(w http.ResponseWriter, r *http.Request, status int, v recoveryView) {
	v.Provider, v.Action = s.Provider, recoveryPath
	var b bytes.Buffer
	tmpl, err := template.New("recovery").Parse(recoveryText)
	if err == nil {
		err = tmpl.Execute(&b, v)
	}
	if err != nil {
		s.Logger.Error("api: page not made", "request", requestOf(r.Context()).id, "error", err)
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}
