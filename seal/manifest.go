// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"bytes"
	"encoding/json"
	"time"

	"pecd/storage"
)

// Manifest belongs to an extract and says what proves it: the sum of the
// extract, and the sealed files that hold its records.
type Manifest struct {
	Format   int        `json:"format"` // 1
	Provider string     `json:"provider"`
	Holder   string     `json:"holder,omitempty"` // "": the extract has everything
	From     *time.Time `json:"from"`             // null does not restrict
	To       *time.Time `json:"to"`
	Made     time.Time  `json:"made"`
	Form     Form       `json:"form"`

	Records    int64 `json:"records"`    // in the extract
	Parts      int64 `json:"parts"`      // of these, those of which only the holder's part is shown
	Unreadable int64 `json:"unreadable"` // records that could not be read
	First      int64 `json:"first"`      // number of the first record, 0 without any
	Last       int64 `json:"last"`
	Bytes      int64 `json:"bytes"` // of the extract
	Sum        Hash  `json:"sha256"`

	LogLast  int64   `json:"log_last"` // the log's last record when the extract was begun, and its hash
	LogHead  Hash    `json:"log_head"`
	Seals    []Cover `json:"seals"`    // that hold records of the extract, in order
	Unsealed int64   `json:"unsealed"` // records of days that are not closed yet
}

// Cover is a seal that holds records of an extract.
type Cover struct {
	Number  int64      `json:"number"`
	Day     string     `json:"day"`
	File    string     `json:"file"`
	Sum     Hash       `json:"sha256"`
	First   int64      `json:"first"`
	Last    int64      `json:"last"`
	Before  Hash       `json:"before"`
	Head    Hash       `json:"head"`
	Stamped *time.Time `json:"stamped"` // null: not yet
}

func newManifest(req Request, state storage.LogState, now time.Time) Manifest {
	return Manifest{
		Format: format, Provider: req.Provider, Holder: req.Holder, From: given(req.From), To: given(req.To), Made: now.UTC(),
		Form: req.Form, LogLast: state.Last, LogHead: state.Head, Seals: []Cover{},
	}
}

func coverOf(s storage.Seal) Cover {
	return Cover{
		Number: s.Number, Day: s.Day, File: s.File, Sum: s.Sum, First: s.First, Last: s.Last,
		Before: s.Before, Head: s.Head, Stamped: given(s.StampedAt),
	}
}

// given is nil for the zero instant.
func given(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// Encode returns the manifest as JSON, indented, with a line end.
func (m Manifest) Encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(m)
	return b.Bytes(), err
}
