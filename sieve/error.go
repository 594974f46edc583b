// SPDX-License-Identifier: EUPL-1.2

package sieve

import (
	"errors"
	"fmt"
)

// Error is what is wrong with a script, and where.
type Error struct {
	Line             int // from 1
	Italian, English string
}

// Error implements error: both languages in one line.
func (e *Error) Error() string {
	return fmt.Sprintf("riga %d: %s / line %d: %s", e.Line, e.Italian, e.Line, e.English)
}

func wrong(line int, italian, english string) error { return &Error{line, italian, english} }

// wrongf is wrong about something of the script that both texts quote.
func wrongf(line int, italian, english, what string) error {
	const most = 60
	if r := []rune(what); len(r) > most {
		what = string(r[:most]) + "…"
	}
	return wrong(line, fmt.Sprintf(italian, what), fmt.Sprintf(english, what))
}

// Errors of a run.
var (
	ErrWork     = errors.New("sieve: the tests of the script look at too much")
	ErrForwards = errors.New("sieve: too many forwards")
	ErrFolders  = errors.New("sieve: too many folders")
	ErrFlags    = errors.New("sieve: too many flags")
)
