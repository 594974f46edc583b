// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"pecd/fault"
)

const problemType = "application/problem+json"

// titles are the summaries of problems, Italian then English, by status.
func titles() map[int]string {
	return map[int]string{
		http.StatusBadRequest:            "Richiesta non valida / Bad request",
		http.StatusUnauthorized:          "Autenticazione necessaria / Authentication needed",
		http.StatusForbidden:             "Operazione non consentita / Not permitted",
		http.StatusNotFound:              "Non trovato / Not found",
		http.StatusMethodNotAllowed:      "Metodo non ammesso / Method not allowed",
		http.StatusNotAcceptable:         "Formato non disponibile / Not acceptable",
		http.StatusRequestTimeout:        "Tempo scaduto / Request timeout",
		http.StatusConflict:              "In conflitto con lo stato attuale / Conflict",
		http.StatusPreconditionFailed:    "Modificato da altri nel frattempo / Changed by somebody else meanwhile",
		http.StatusRequestEntityTooLarge: "Richiesta troppo grande / Request too large",
		http.StatusUnsupportedMediaType:  "Formato non supportato / Unsupported media type",
		http.StatusUnprocessableEntity:   "Dati non validi / Invalid data",
		http.StatusPreconditionRequired:  "Manca If-Match / If-Match is missing",
		http.StatusTooManyRequests:       "Troppe richieste / Too many requests",
		http.StatusInternalServerError:   "Errore interno / Internal error",
		http.StatusNotImplemented:        "Non disponibile / Not available",
		http.StatusServiceUnavailable:    "Momentaneamente non disponibile / Temporarily unavailable",
		http.StatusInsufficientStorage:   "Spazio esaurito / No room",
	}
}

// refusal returns a problem of a status.
func refusal(ctx context.Context, status int, detail string) *huma.ErrorModel {
	title, ok := titles()[status]
	if !ok {
		title = http.StatusText(status)
	}
	p := &huma.ErrorModel{Status: status, Title: title, Detail: detail}
	if id := requestOf(ctx).id; id != "" {
		p.Instance = "urn:pecd:request:" + id
	}
	return p
}

// problem is the answer to an error of a handler: what its kind says, with the text
// meant for people. What is ours to mend is logged.
func (s *Server) problem(ctx context.Context, err error) error {
	var known huma.StatusError
	if errors.As(err, &known) {
		return known
	}
	codes := fault.CodesOf(err)
	if codes.HTTP >= http.StatusInternalServerError {
		s.Logger.Error("api: request failed", "request", requestOf(ctx).id, "error", err)
	}
	return refusal(ctx, codes.HTTP, codes.Text)
}

// translate gives the library's own problems our titles, and takes out what was
// sent: a password that is too short must not come back in an answer.
func translate(ctx huma.Context, _ string, v any) (any, error) {
	p, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	clean := *p
	if title, ok := titles()[p.Status]; ok {
		clean.Title = title
	}
	if clean.Instance == "" {
		clean.Instance = refusal(ctx.Context(), p.Status, "").Instance
	}
	clean.Errors = make([]*huma.ErrorDetail, 0, len(p.Errors))
	for _, e := range p.Errors {
		if e != nil {
			clean.Errors = append(clean.Errors, &huma.ErrorDetail{Message: messageOf(e), Location: e.Location})
		}
	}
	if !strings.Contains(clean.Detail, " / ") {
		clean.Detail = "richiesta non valida: si vedano gli errori / invalid request: see errors"
		if len(clean.Errors) == 0 {
			clean.Detail = "richiesta non valida: " + p.Detail + " / invalid request: " + p.Detail
		}
	}
	return &clean, nil
}

// messageOf is what a detail says, without what was sent: a parser's message
// quotes it.
func messageOf(e *huma.ErrorDetail) string {
	if e.Location == "" || e.Location == "body" {
		if strings.Contains(e.Message, "invalid character") || strings.Contains(e.Message, "cannot unmarshal") || strings.Contains(e.Message, "unexpected end") {
			return "JSON non valido / invalid JSON"
		}
	}
	if strings.Contains(e.Message, " / ") {
		return e.Message // ours
	}
	return "valore non ammesso / " + e.Message
}

// writeProblem answers where no operation was reached.
func writeProblem(w http.ResponseWriter, r *http.Request, status int, detail string) {
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(status)
	// What cannot be sent any more is nobody's to read.
	_ = json.NewEncoder(w).Encode(refusal(r.Context(), status, detail))
}
