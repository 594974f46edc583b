// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"database/sql"
	"math"
	"time"

	"pecd/storage"
)

const (
	flagChunk = 4096    // rows of flags read at a time
	listRoom  = 1 << 20 // octets of summaries held at a time, but for the last one
)

// Messages implements storage.Mail. Messages that arrive or go while it runs
// may or may not be seen; none is seen twice.
func (s *Store) Messages(ctx context.Context, id storage.FolderID, from, to uint32, fn func(storage.Message) error) error {
	shared := make(flagLists)
	read := func(c cells) (storage.Message, int) { return c.message(id, shared), 0 }
	return list(ctx, s, "sqlite.Messages", listedColumns, "messages", chunk, read, id, from, to,
		func(m storage.Message) uint32 { return m.UID }, fn)
}

// Summaries implements storage.Mail, with the promises of Messages.
func (s *Store) Summaries(ctx context.Context, id storage.FolderID, from, to uint32, fn func(storage.Message, []byte) error) error {
	type row struct {
		m       storage.Message
		summary []byte
	}
	shared := make(flagLists)
	read := func(c cells) (row, int) {
		summary, _ := c[8].([]byte)
		return row{c.message(id, shared), summary}, len(summary)
	}
	return list(ctx, s, "sqlite.Summaries", listedColumns+", data", "messages LEFT JOIN summaries ON summaries.body = messages.body",
		chunk, read, id, from, to,
		func(r row) uint32 { return r.m.UID }, func(r row) error { return fn(r.m, r.summary) })
}

// Flags implements storage.Mail, with the promises of Messages.
func (s *Store) Flags(ctx context.Context, id storage.FolderID, from, to uint32, fn func(uint32, []string) error) error {
	type row struct {
		uid   uint32
		flags []string
	}
	shared := make(flagLists)
	read := func(c cells) (row, int) { return row{uint32(c.int(0)), shared.list(c.int(1), c.text(2))}, 0 }
	return list(ctx, s, "sqlite.Flags", "uid, flags, keywords", "messages", flagChunk, read, id, from, to,
		func(r row) uint32 { return r.uid }, func(r row) error { return fn(r.uid, r.flags) })
}

const listedColumns = "uid, flags, keywords, messages.body, size, modseq, date, saved"

// cells are the columns of a row as the driver gives them. That costs half of a
// Scan into typed variables, and the tables are STRICT.
type cells []any

func (c cells) int(i int) int64 {
	n, _ := c[i].(int64)
	return n
}

func (c cells) text(i int) string {
	s, _ := c[i].(string)
	return s
}

// message makes a message of listedColumns.
func (c cells) message(id storage.FolderID, shared flagLists) storage.Message {
	return storage.Message{
		Folder: id, UID: uint32(c.int(0)), Flags: shared.list(c.int(1), c.text(2)),
		Body: storage.BodyID(c.int(3)), Size: c.int(4), ModSeq: uint64(c.int(5)),
		InternalDate: time.Unix(c.int(6), 0).UTC(), SavedDate: time.Unix(c.int(7), 0).UTC(),
	}
}

// list calls fn for the rows of a folder from UID from to UID to (0: no end).
// They are read in chunks, so that no read is open while fn takes its time. read
// makes a T of a row and tells how many octets there are to it.
func list[T any](ctx context.Context, s *Store, op, columns, tables string, chunk int, read func(cells) (T, int),
	id storage.FolderID, from, to uint32, uid func(T) uint32, fn func(T) error) error {
	if _, err := s.FolderByID(ctx, id); err != nil {
		return err
	}
	st, err := s.read.stmt(ctx, "SELECT "+columns+" FROM "+tables+" WHERE folder = ? AND uid BETWEEN ? AND ? ORDER BY uid LIMIT ?")
	if err != nil {
		return failed(op, err)
	}
	if to == 0 {
		to = math.MaxUint32
	}
	var rows []T
	for more := true; more && from <= to; {
		if rows, more, err = readCells(ctx, st, read, rows[:0], id, from, to, chunk); err != nil {
			return failed(op, err)
		}
		for _, r := range rows {
			if err := fn(r); err != nil {
				return err
			}
		}
		if more = more || len(rows) == chunk; more {
			from = uid(rows[len(rows)-1]) + 1 // below MaxUint32, see receive
		}
	}
	return nil
}

// readCells appends what read makes of the rows of a query, until listRoom is
// used up: more is true then.
func readCells[T any](ctx context.Context, st *sql.Stmt, read func(cells) (T, int), out []T, args ...any) (all []T, more bool, err error) {
	rows, err := st.QueryContext(ctx, args...)
	if err != nil {
		return out, false, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return out, false, err
	}
	c, dest := make(cells, len(columns)), make([]any, len(columns))
	for i := range c {
		dest[i] = &c[i]
	}
	for room := listRoom; rows.Next(); {
		if err := rows.Scan(dest...); err != nil {
			return out, false, err
		}
		row, octets := read(c)
		out = append(out, row)
		if room -= octets; room <= 0 {
			return out, true, nil
		}
	}
	return out, false, rows.Err()
}

// flagLists shares the lists of flags among messages: a folder has few
// different ones.
type flagLists map[string]*[1 << len(systemFlags)][]string // by keywords, then by system flags

// maxFlagLists bounds what is kept where every message has keywords of its own.
const maxFlagLists = 256

func (f flagLists) list(system int64, keywords string) []string {
	lists := f[keywords]
	if lists == nil {
		if len(f) >= maxFlagLists {
			clear(f)
		}
		lists = new([1 << len(systemFlags)][]string)
		f[keywords] = lists
	}
	l := &lists[system&int64(len(lists)-1)]
	if *l == nil {
		*l = flagSet{system: uint8(system), keywords: splitKeywords(keywords)}.list()
	}
	return *l
}
