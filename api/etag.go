// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// etag is the version of something: of what can be changed in it, not of what
// changes by itself, such as how full a mailbox is.
func etag(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "" // of types of ours that always encode
	}
	sum := sha256.Sum256(b)
	return `"` + hex.EncodeToString(sum[:12]) + `"`
}

// matches checks the precondition of a change (RFC 9110 §13.1.1), so that two
// administrators do not undo each other's work: 428 without If-Match (RFC 6585
// §3), 412 where what is there has another version.
func matches(ctx context.Context, c Change, now string) error {
	given := strings.TrimSpace(c.IfMatch)
	switch {
	case given == "":
		return refusal(ctx, http.StatusPreconditionRequired, "serve If-Match con l'ETag di ciò che si modifica, o * / If-Match is needed with the ETag of what is changed, or *")
	case given == "*":
		return nil
	}
	for tag := range strings.SplitSeq(given, ",") {
		if strings.TrimSpace(tag) == now {
			return nil
		}
	}
	return refusal(ctx, http.StatusPreconditionFailed, "modificato da altri nel frattempo: rileggere e riprovare / changed by somebody else meanwhile: read again and retry")
}

// Paging selects a part of a list.
type Paging struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"Quanti al massimo / how many at most"`
	Cursor string `query:"cursor" maxLength:"400" doc:"Da next della pagina precedente / from next of the page before"`
}

// page is a part of a list of what has a key, by key.
type page[T any] struct {
	Items []T    `json:"items" nullable:"false"`
	Next  string `json:"next,omitempty" doc:"Cursore della pagina seguente, assente nell'ultima / cursor of the next page, absent in the last"`
}

// paged cuts a page out of a whole list, sorted by key.
func paged[T any](all []T, key func(T) string, p Paging) page[T] {
	slices.SortFunc(all, func(a, b T) int { return strings.Compare(key(a), key(b)) })
	from, _ := slices.BinarySearchFunc(all, p.Cursor, func(v T, cursor string) int {
		if key(v) <= cursor {
			return -1
		}
		return 1
	})
	if p.Cursor == "" {
		from = 0
	}
	out := page[T]{Items: all[from:min(len(all), from+p.Limit)]}
	if len(out.Items) == p.Limit && from+p.Limit < len(all) {
		out.Next = key(out.Items[p.Limit-1])
	}
	if out.Items == nil {
		out.Items = []T{}
	}
	return out
}
