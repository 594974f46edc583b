// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// operation is one of the interface. Its name is its operationId and its line in
// roles.go.
type operation struct {
	name, method, path string
	summary            string        // Italian, then English
	status             int           // of success, 0: 200
	body               int64         // octets of the body at most, 0: maxBody
	time               time.Duration // at most, 0: requestTime
}

// register adds an operation. Its handler is called for who may do it, for
// its time at most; its errors are answered by their kind.
func register[I, O any](s *Server, op operation, handle func(context.Context, *I) (*O, error)) {
	h := huma.Operation{
		OperationID: op.name, Method: op.method, Path: op.path, Summary: op.summary, DefaultStatus: op.status,
		MaxBodyBytes: maxBody, BodyReadTimeout: bodyTime, Security: []map[string][]string{{tokenScheme: {}}},
	}
	if op.body > 0 {
		h.MaxBodyBytes, h.BodyReadTimeout = op.body, fileTime
	}
	limit := requestTime
	if op.time > 0 {
		limit = op.time
	}
	who := roles()[op.name]
	if who == anybody {
		h.Security = []map[string][]string{}
	}
	huma.Register(s.api, h, func(ctx context.Context, in *I) (*O, error) {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		out, err := handle(ctx, in)
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		return out, nil
	})
}

// nothing is the answer of an operation without one.
type nothing struct{}

// Change is what a changing request says of the state that it changes.
type Change struct {
	IfMatch string `header:"If-Match" maxLength:"100" doc:"ETag di ciò che si modifica, o * / ETag of what is changed, or *"`
}

const (
	get    = http.MethodGet
	put    = http.MethodPut
	post   = http.MethodPost
	remove = http.MethodDelete
)
