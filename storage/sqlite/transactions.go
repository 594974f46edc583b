// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"pecd/fault"
	"pecd/storage"
)

func once(op *storage.Once) (change, error) {
	for _, k := range op.Keys {
		if k == "" {
			return nil, invalid("sqlite.Once", "empty key")
		}
	}
	return func(r *run) error {
		for _, k := range op.Keys {
			n, err := r.affected("INSERT INTO once (key, at) VALUES (?, ?) ON CONFLICT DO NOTHING", k, nanos(op.At))
			if err != nil {
				return err
			}
			if n == 0 && !r.once[k] {
				return fault.New("sqlite.Once", fault.Exists, fmt.Errorf("key %q was claimed before", k))
			}
			if r.once == nil {
				r.once = make(map[string]bool)
			}
			r.once[k] = true
		}
		return nil
	}, nil
}

// Done implements storage.Transactions.
func (s *Store) Done(ctx context.Context, keys []string) ([]string, error) {
	var out []string
	for _, k := range keys {
		var n int
		err := s.read.row(ctx, "SELECT 1 FROM once WHERE key = ?", []any{k}, &n)
		if noRows(err) {
			continue
		}
		if err != nil {
			return nil, failed("sqlite.Done", err)
		}
		out = append(out, k)
	}
	return out, nil
}

func putTransaction(op *storage.PutTransaction) (change, error) {
	t := op.Transaction
	if t.ID == "" {
		return nil, invalid("sqlite.PutTransaction", "transaction without identifier")
	}
	return func(r *run) error {
		// The first of two messages with one identifier is the one on record.
		res, err := r.exec(`INSERT INTO transactions (id, own, sender, msgid, subject, reply_to, provider, receipt, at, size)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			t.ID, t.Own, t.Sender, t.MsgID, t.Subject, t.ReplyTo, t.Provider, t.Receipt, nanos(t.At), t.Size)
		if err != nil {
			return err
		}
		num, seq, err := r.transactionOf(t, res)
		if err != nil {
			return err
		}
		for _, rc := range t.Recipients {
			seq++
			_, err := r.exec(`INSERT INTO recipients (tx, seq, address, key, external, taken, outcome, outcome_at, outcome_ref, first_notice, second_notice)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
				num, seq, rc.Address, address(rc.Address), rc.External, nanos(rc.TakenAt),
				string(rc.Outcome), nanos(rc.OutcomeAt), rc.OutcomeRef, nanos(rc.FirstNoticeAt), nanos(rc.SecondNoticeAt))
			if err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// transactionOf returns the number of a transaction after its INSERT, and that
// of its last recipient.
func (r *run) transactionOf(t storage.Transaction, inserted driver.Result) (num, seq int64, err error) {
	if n, err := inserted.RowsAffected(); err != nil || n == 1 {
		num, last := inserted.LastInsertId()
		return num, 0, errors.Join(err, last)
	}
	err = r.row(`SELECT num, (SELECT coalesce(max(seq), 0) FROM recipients WHERE tx = num)
		FROM transactions WHERE id = ? AND own = ?`, t.ID, t.Own).Scan(&num, &seq)
	return num, seq, err
}

func markRecipient(op *storage.MarkRecipient) change {
	return func(r *run) error {
		_, err := r.exec(`UPDATE recipients SET
			taken = coalesce(nullif(?, 0), taken), outcome = coalesce(nullif(outcome, ''), ?),
			outcome_at = coalesce(nullif(outcome_at, 0), ?), outcome_ref = coalesce(nullif(outcome_ref, ''), ?),
			first_notice = coalesce(nullif(first_notice, 0), ?), second_notice = coalesce(nullif(second_notice, 0), ?)
			WHERE tx = (SELECT num FROM transactions WHERE id = ? AND own = ?) AND key = ? AND NOT (? AND external)`,
			nanos(op.TakenAt), string(op.Outcome), nanos(op.OutcomeAt), op.OutcomeRef,
			nanos(op.FirstNoticeAt), nanos(op.SecondNoticeAt), op.ID, op.Own, address(op.Address), op.Certified)
		return err
	}
}

func expectPending(op *storage.ExpectPending) change {
	return func(r *run) error {
		var taken int64
		var outcome storage.Outcome
		err := r.row(`SELECT taken, outcome FROM recipients
			WHERE tx = (SELECT num FROM transactions WHERE id = ? AND own = ?) AND key = ?`,
			op.ID, op.Own, address(op.Address)).Scan(&taken, &outcome)
		switch {
		case noRows(err):
			return absent("sqlite.ExpectPending", "recipient %s of transaction %q", op.Address, op.ID)
		case err != nil:
			return err
		case outcome != storage.Pending:
			return fault.New("sqlite.ExpectPending", fault.Exists, fmt.Errorf("recipient %s of %q has an outcome", op.Address, op.ID))
		case op.NotTaken && taken != 0:
			return fault.New("sqlite.ExpectPending", fault.Exists, fmt.Errorf("recipient %s of %q was taken in charge", op.Address, op.ID))
		}
		return nil
	}
}

// transaction is a row of transactions with its number.
type transaction struct {
	num, at int64
	storage.Transaction
}

const transactionColumns = "num, id, own, sender, msgid, subject, reply_to, provider, receipt, at, size"

func scanTransaction(row scanner) (t transaction, err error) {
	err = row.Scan(&t.num, &t.ID, &t.Own, &t.Sender, &t.MsgID, &t.Subject, &t.ReplyTo, &t.Provider, &t.Receipt, &t.at, &t.Size)
	t.At = instant(t.at)
	return t, err
}

func scanRecipient(row scanner) (rc storage.TxRecipient, err error) {
	var taken, at, first, second int64
	err = row.Scan(&rc.Address, &rc.External, &taken, &rc.Outcome, &at, &rc.OutcomeRef, &first, &second)
	rc.TakenAt, rc.OutcomeAt = instant(taken), instant(at)
	rc.FirstNoticeAt, rc.SecondNoticeAt = instant(first), instant(second)
	return rc, err
}

func (s *Store) recipients(ctx context.Context, t *transaction) (err error) {
	t.Recipients, err = all(ctx, s.read, scanRecipient,
		"SELECT address, external, taken, outcome, outcome_at, outcome_ref, first_notice, second_notice FROM recipients WHERE tx = ? ORDER BY seq", t.num)
	return err
}

// Transaction implements storage.Transactions.
func (s *Store) Transaction(ctx context.Context, id string, own bool) (storage.Transaction, error) {
	const op = "sqlite.Transaction"
	st, err := s.read.stmt(ctx, "SELECT "+transactionColumns+" FROM transactions WHERE id = ? AND own = ?")
	if err != nil {
		return storage.Transaction{}, failed(op, err)
	}
	t, err := scanTransaction(st.QueryRowContext(ctx, id, own))
	if noRows(err) {
		return storage.Transaction{}, absent(op, "transaction %q", id)
	}
	if err == nil {
		err = s.recipients(ctx, &t)
	}
	return t.Transaction, failed(op, err)
}

// SentAs implements storage.Transactions.
func (s *Store) SentAs(ctx context.Context, sender, msgID string, limit int) ([]storage.Transaction, error) {
	const op = "sqlite.SentAs"
	if msgID == "" {
		return nil, nil
	}
	ts, err := all(ctx, s.read, scanTransaction, "SELECT "+transactionColumns+
		" FROM transactions WHERE own = 1 AND msgid <> '' AND msgid = ? AND lower(sender) = ? ORDER BY num DESC LIMIT ?", msgID, address(sender), limit)
	if err != nil {
		return nil, failed(op, err)
	}
	sent := make([]storage.Transaction, 0, len(ts))
	for i := range ts {
		if err := s.recipients(ctx, &ts[i]); err != nil {
			return nil, failed(op, err)
		}
		sent = append(sent, ts[i].Transaction)
	}
	return sent, nil
}

// EachTransaction implements storage.Transactions, in the order of At.
func (s *Store) EachTransaction(ctx context.Context, from time.Time, fn func(storage.Transaction) error) error {
	const op = "sqlite.EachTransaction"
	at, num := nanos(from), int64(0)
	for {
		ts, err := all(ctx, s.read, scanTransaction, "SELECT "+transactionColumns+
			" FROM transactions WHERE (at, num) > (?, ?) ORDER BY at, num LIMIT ?", at, num, chunk)
		if err != nil {
			return failed(op, err)
		}
		for i := range ts {
			t := &ts[i]
			if err := s.recipients(ctx, t); err != nil {
				return failed(op, err)
			}
			if err := fn(t.Transaction); err != nil {
				return err
			}
			at, num = t.at, t.num
			t.Recipients = nil // done with: a chunk may carry half a million
		}
		if len(ts) < chunk {
			return nil
		}
	}
}
