// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	modernc "modernc.org/sqlite"

	"pecd/fault"
)

// Primary result codes of SQLite (sqlite.org/rescode.html) that pass with time.
const (
	codeBusy      = 5
	codeLocked    = 6
	codeNoMem     = 7
	codeReadOnly  = 8
	codeInterrupt = 9
	codeIOErr     = 10
	codeFull      = 13
	codeCantOpen  = 14
	codeProtocol  = 15
)

// errClosed is the cause of whatever is asked of a closed store.
var errClosed = errors.New("store is closed")

// errBlobGone says that a blob found while a step was prepared was deleted
// before the step's turn came: the step must be prepared again with its bytes.
var errBlobGone = errors.New("blob deleted meanwhile")

// failed classifies an error of the engine, of the file system or of a context.
// An error that is a fault already keeps its kind.
func failed(op string, err error) error {
	if err == nil {
		return nil
	}
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	return fault.New(op, kindOf(err), err)
}

// ioFailed is failed for the file system, where every failure of a write, a
// sync or an open may pass: a full disk, too many open files, a device error.
func ioFailed(op string, err error) error {
	if err == nil {
		return nil
	}
	return fault.New(op, fault.Temporary, err)
}

func kindOf(err error) fault.Kind {
	var e *modernc.Error
	if errors.As(err, &e) {
		switch e.Code() & 0xff {
		case codeBusy, codeLocked, codeNoMem, codeReadOnly, codeInterrupt, codeIOErr, codeFull, codeCantOpen, codeProtocol:
			return fault.Temporary
		}
		return fault.Internal
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, errClosed), errors.Is(err, sql.ErrConnDone):
		return fault.Temporary
	case err.Error() == "sql: database is closed": // database/sql does not export it
		return fault.Temporary
	}
	return fault.Internal
}

// absent is a NotFound error that says what is not there.
func absent(op, format string, args ...any) error {
	return fault.New(op, fault.NotFound, fmt.Errorf("no "+format, args...))
}

// invalid is an Invalid error that says what is wrong with an operation.
func invalid(op, format string, args ...any) error {
	return fault.New(op, fault.Invalid, fmt.Errorf(format, args...))
}

func noRows(err error) bool { return errors.Is(err, sql.ErrNoRows) }
