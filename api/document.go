// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"pecd/fault"
)

// document is the OpenAPI document in its two spellings.
type document struct{ json, yaml []byte }

const tokenScheme = "token"

// settings are those of the library: the document's head, JSON alone, no pages and
// links of its own.
func (s *Server) settings() huma.Config {
	const schemas = "#/components/schemas/"
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "pecd", Version: "1",
				Description: "Amministrazione di domini, caselle e utenti di un gestore PEC, e stato dei messaggi per le applicazioni. / " +
					"Administration of domains, mailboxes and users of a PEC provider, and the state of messages for applications.",
				License: &huma.License{Name: "EUPL-1.2", Identifier: "EUPL-1.2"},
			},
			Servers: []*huma.Server{{URL: Prefix}},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry(schemas, huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					tokenScheme: {Type: "http", Scheme: "bearer", Description: "Token creato con `pecd token add` o POST /tokens. / Token made by `pecd token add` or POST /tokens."},
				},
			},
		},
		Formats:                      map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{translate},
	}
}

// serveDocument writes the document once all operations are known, and serves it.
func (s *Server) serveDocument() (err error) {
	const op = "api.serveDocument"
	if s.spec.json, err = json.Marshal(s.api.OpenAPI()); err != nil {
		return fault.New(op, fault.Internal, err)
	}
	if s.spec.yaml, err = s.api.OpenAPI().YAML(); err != nil {
		return fault.New(op, fault.Internal, err)
	}
	for path, doc := range map[string]struct {
		kind string
		text []byte
	}{"/openapi.json": {"application/openapi+json", s.spec.json}, "/openapi.yaml": {"application/openapi+yaml", s.spec.yaml}} {
		s.mux.HandleFunc("GET "+Prefix+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", doc.kind)
			w.Write(doc.text)
		})
	}
	return nil
}
