// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"reflect"
)

// engine is the writing connection as the driver gives it. The writer runs some
// thirty statements for a message: database/sql in between, with its pool, its
// conversions by reflection and its goroutines, costs a quarter of them.
type engine struct {
	conn  driver.Conn
	stmts map[string]*statement
}

// statement is a prepared statement with room for its arguments and one row.
type statement struct {
	driver.Stmt
	args []driver.NamedValue
	row  []driver.Value
}

// openEngine opens a connection to the database named by a URI of the engine.
func openEngine(uri string) (*engine, error) {
	db, err := sql.Open("sqlite", uri) // opens nothing yet
	if err != nil {
		return nil, err
	}
	conn, err := db.Driver().Open(uri)
	if err := errors.Join(err, db.Close()); err != nil {
		return nil, err
	}
	return &engine{conn: conn, stmts: make(map[string]*statement)}, nil
}

// close closes the connection, its statements first: the engine would keep it
// open behind our back for them, with its transaction and its locks.
func (e *engine) close() error {
	var errs []error
	for _, st := range e.stmts {
		errs = append(errs, st.Close())
	}
	e.stmts = nil
	return errors.Join(append(errs, e.conn.Close())...)
}

// script runs several statements once.
func (e *engine) script(text string) error {
	st, err := e.conn.Prepare(text)
	if err != nil {
		return err
	}
	_, err = (&statement{Stmt: st}).exec()
	return errors.Join(err, st.Close())
}

func (e *engine) prepare(query string) (*statement, error) {
	if st := e.stmts[query]; st != nil {
		return st, nil
	}
	st, err := e.conn.Prepare(query)
	if err != nil {
		return nil, err
	}
	s := &statement{Stmt: st}
	e.stmts[query] = s
	return s, nil
}

// exec runs a statement that returns no rows.
func (e *engine) exec(query string, args ...any) (driver.Result, error) {
	st, err := e.prepare(query)
	if err != nil {
		return nil, err
	}
	if err := st.bind(args); err != nil {
		return nil, err
	}
	return st.exec()
}

func (s *statement) exec() (driver.Result, error) {
	x, ok := s.Stmt.(driver.StmtExecContext)
	if !ok {
		return nil, fmt.Errorf("statement %T", s.Stmt)
	}
	return x.ExecContext(context.Background(), s.args)
}

// oneRow is a query of one row, run by Scan.
type oneRow struct {
	e     *engine
	query string
	args  []any
}

// row prepares to run a query of one row.
func (e *engine) row(query string, args ...any) oneRow { return oneRow{e, query, args} }

// Scan implements scanner. Without a row it returns sql.ErrNoRows.
func (q oneRow) Scan(dest ...any) error {
	found := false
	err := q.e.query(func(row scanner) error {
		if found {
			return nil
		}
		found = true
		return row.Scan(dest...)
	}, q.query, q.args...)
	if err == nil && !found {
		err = sql.ErrNoRows
	}
	return err
}

// query runs a statement and hands its rows to each, until it returns an error.
func (e *engine) query(each func(row scanner) error, query string, args ...any) error {
	st, err := e.prepare(query)
	if err != nil {
		return err
	}
	if err := st.bind(args); err != nil {
		return err
	}
	q, ok := st.Stmt.(driver.StmtQueryContext)
	if !ok {
		return fmt.Errorf("statement %T", st.Stmt)
	}
	rows, err := q.QueryContext(context.Background(), st.args)
	if err != nil {
		return err
	}
	if n := len(rows.Columns()); len(st.row) != n {
		st.row = make([]driver.Value, n)
	}
	for err == nil {
		if err = rows.Next(st.row); err == nil {
			err = each(values(st.row))
		}
	}
	clear(st.row)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, rows.Close())
}

// bind turns arguments into what the driver takes.
func (s *statement) bind(args []any) error {
	s.args = s.args[:0]
	for i, a := range args {
		v, err := argument(a)
		if err != nil {
			return fmt.Errorf("argument %d: %w", i+1, err)
		}
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return nil
}

func argument(a any) (driver.Value, error) {
	switch a := a.(type) {
	case nil, int64, string, []byte, bool:
		return a, nil
	case int:
		return int64(a), nil
	case uint32:
		return int64(a), nil
	}
	return driver.DefaultParameterConverter.ConvertValue(a)
}

// values is a row as the driver returns it; its byte strings are the receiver's.
type values []driver.Value

// Scan implements scanner.
func (v values) Scan(dest ...any) error {
	if len(dest) != len(v) {
		return fmt.Errorf("%d columns into %d variables", len(v), len(dest))
	}
	for i, d := range dest {
		if err := assign(d, v[i]); err != nil {
			return fmt.Errorf("column %d: %w", i, err)
		}
	}
	return nil
}

func assign(dest any, v driver.Value) error {
	switch d := dest.(type) {
	case sql.Scanner:
		return d.Scan(v)
	case *[]byte:
		switch v := v.(type) {
		case nil:
			*d = nil
			return nil
		case []byte:
			*d = v
			return nil
		}
	case *string:
		if s, ok := v.(string); ok {
			*d = s
			return nil
		}
	case *int64:
		if n, ok := v.(int64); ok {
			*d = n
			return nil
		}
	}
	return assignKind(dest, v)
}

// assignKind assigns to named and smaller types.
func assignKind(dest any, v driver.Value) error {
	p := reflect.ValueOf(dest)
	if p.Kind() != reflect.Pointer {
		return fmt.Errorf("scan into %T", dest)
	}
	switch e := p.Elem(); v := v.(type) {
	case int64:
		switch {
		case e.CanInt() && !e.OverflowInt(v):
			e.SetInt(v)
			return nil
		case e.CanUint() && v >= 0 && !e.OverflowUint(uint64(v)):
			e.SetUint(uint64(v))
			return nil
		case e.Kind() == reflect.Bool:
			e.SetBool(v != 0)
			return nil
		}
	case string:
		if e.Kind() == reflect.String {
			e.SetString(v)
			return nil
		}
	}
	return fmt.Errorf("%T into %T", v, dest)
}
