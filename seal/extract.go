// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"time"

	"pecd/clock"
	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// Form is the form of an extract.
type Form string

// The forms.
const (
	// CSV is RFC 4180 in UTF-8 with a line of names, one row a record. A cell that
	// a spreadsheet would take for a formula begins with an apostrophe.
	CSV Form = "csv"
	// JSONLines is one JSON object a line. A record that is there whole stands as
	// in the sealed files, so that its hash can be computed from the line.
	JSONLines Form = "jsonl"
)

// Request says what is to be extracted, and for whom.
type Request struct {
	// Holder is the address of a mailbox: everything about the messages it sent
	// within the time, and of those it received what concerns it (Event.For). ""
	// is everything, for the supervising authority.
	Holder   string
	From, To time.Time // From ≤ At < To; zero does not restrict
	Form     Form
	Actor    string // who asks: the login of an administrator
	Provider string // name of the provider
}

// Extract writes an extract of the log to w and returns what proves it, which
// belongs beside the extract. That it was asked for is written to the log before
// the first octet; the record of it is not in the extract.
func Extract(ctx context.Context, store Store, clk clock.Clock, req Request, w io.Writer) (Manifest, error) {
	const op = "seal.Extract"
	if req.Actor == "" || req.Form != CSV && req.Form != JSONLines {
		return Manifest{}, fault.Say(op, fault.Invalid, "estratto senza richiedente o di forma sconosciuta / extract without actor or of unknown form")
	}
	state, err := store.LogState(ctx)
	if err != nil {
		return Manifest{}, fault.Wrap(op, err)
	}
	now := clk.Now()
	asked := ledger.Event{
		At: now, Kind: ledger.LedgerExtracted, Mailbox: req.Holder, Actor: req.Actor, Provider: req.Provider,
		Detail: fmt.Sprintf("%s, %s - %s", req.Form, limit(req.From), limit(req.To)),
	}
	if err := store.Commit(ctx, new(storage.Step).Add(event(asked))); err != nil {
		return Manifest{}, fault.Wrap(op, err)
	}
	x := &extract{req: req, m: newManifest(req, state, now)}
	err = store.Seals(ctx, 1, func(s storage.Seal) error {
		if s.Stamp = nil; !s.Purged {
			x.seals = append(x.seals, s)
		}
		return nil
	})
	if err != nil {
		return Manifest{}, fault.Wrap(op, err)
	}
	digest := sha256.New()
	x.out = bufio.NewWriterSize(io.MultiWriter(w, digest, &x.size), 64<<10)
	if req.Form == CSV {
		x.table = csv.NewWriter(x.out)
		x.table.UseCRLF = true
	}
	if err := x.write(ctx, store, state.Last); err != nil {
		return Manifest{}, temporary(op, err)
	}
	x.m.Bytes, x.m.Sum = int64(x.size), Hash(digest.Sum(nil))
	return x.m, nil
}

// limit is a bound of the time as text.
func limit(t time.Time) string {
	if t.IsZero() {
		return "…"
	}
	return t.UTC().Format(time.RFC3339)
}

// extract is one under way.
type extract struct {
	req   Request
	m     Manifest
	out   *bufio.Writer
	size  counter
	table *csv.Writer // of CSV, on out
	buf   []byte
	seals []storage.Seal // that are kept, from the one that may hold the next record
}

// write writes the records up to last that the request is for.
func (x *extract) write(ctx context.Context, log storage.Log, last int64) error {
	if x.table != nil {
		if err := x.table.Write(columnNames); err != nil {
			return err
		}
	}
	err := log.FindRecords(ctx, storage.RecordQuery{From: x.req.From, To: x.req.To}, func(r storage.Record) error {
		if r.Seq > last {
			return errStop
		}
		return x.record(r)
	})
	if err != nil && !errors.Is(err, errStop) {
		return err
	}
	if x.table != nil {
		x.table.Flush()
		if err := x.table.Error(); err != nil {
			return err
		}
	}
	return x.out.Flush()
}

// record writes one record, or the part of it that is for the holder.
func (x *extract) record(r storage.Record) error {
	e, err := ledger.Decode(r.Data)
	if err != nil {
		x.m.Unreadable++
		if x.req.Holder != "" {
			return nil // whose it is cannot be known
		}
		e = ledger.Event{At: r.At, Kind: ledger.Kind(r.Event), ID: r.ID, Mailbox: r.Mailbox, Detail: "registrazione illeggibile / unreadable record"}
	}
	share := ledger.Whole
	if x.req.Holder != "" {
		if e, share = e.For(x.req.Holder); share == ledger.Nothing {
			return nil
		}
	}
	x.count(r.Seq, share)
	if x.table != nil {
		return x.table.Write(row(r, e))
	}
	x.buf = x.buf[:0]
	if share == ledger.Whole {
		x.buf = appendLine(x.buf, r)
	} else {
		x.buf = appendPart(x.buf, r, e.Encode())
	}
	_, err = x.out.Write(x.buf)
	return err
}

// count notes a record in the manifest, with the seal that holds it.
func (x *extract) count(seq int64, share ledger.Share) {
	if x.m.Records++; x.m.Records == 1 {
		x.m.First = seq
	}
	x.m.Last = seq
	if share == ledger.Part {
		x.m.Parts++
	}
	for len(x.seals) > 0 && x.seals[0].Last < seq {
		x.seals = x.seals[1:]
	}
	if len(x.seals) == 0 || seq < x.seals[0].First {
		x.m.Unsealed++
		return
	}
	s := x.seals[0]
	if n := len(x.m.Seals); n == 0 || x.m.Seals[n-1].Number != s.Number {
		x.m.Seals = append(x.m.Seals, coverOf(s))
	}
}

// counter counts the octets that are written to it.
type counter int64

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
