// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"fmt"
	"strings"

	"pecd/fault"
	"pecd/storage"
)

func putTier(op *storage.PutTier) (change, error) {
	t := op.Tier
	if t.Code == "" {
		return nil, invalid("sqlite.PutTier", "tier without code")
	}
	return func(r *run) error {
		_, err := r.exec("INSERT OR REPLACE INTO tiers ("+tierColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			t.Code, t.Name, t.QuotaBytes, t.MaxPerDay, t.MaxPerMinute, t.MaxRecipients, t.MaxMessage, t.MultiUser, t.Application)
		return err
	}, nil
}

const tierColumns = "code, name, quota, max_per_day, max_per_minute, max_recipients, max_message, multi_user, application"

func scanTier(row scanner) (t storage.Tier, err error) {
	err = row.Scan(&t.Code, &t.Name, &t.QuotaBytes, &t.MaxPerDay, &t.MaxPerMinute, &t.MaxRecipients,
		&t.MaxMessage, &t.MultiUser, &t.Application)
	return t, err
}

// Tiers implements storage.Accounts, by code.
func (s *Store) Tiers(ctx context.Context) ([]storage.Tier, error) {
	ts, err := all(ctx, s.read, scanTier, "SELECT "+tierColumns+" FROM tiers ORDER BY code")
	return ts, failed("sqlite.Tiers", err)
}

func putDomain(op *storage.PutDomain) (change, error) {
	d := op.Domain
	d.Name = address(d.Name)
	if d.Name == "" {
		return nil, invalid("sqlite.PutDomain", "domain without name")
	}
	return func(r *run) error {
		_, err := r.exec(`INSERT INTO domains (name, state, created) VALUES (?1, ?2, coalesce(nullif(?3, 0), ?4))
			ON CONFLICT DO UPDATE SET state = ?2, created = coalesce(nullif(?3, 0), created)`,
			d.Name, string(d.State), nanos(d.Created), nanos(r.now))
		return err
	}, nil
}

// Domains implements storage.Accounts, by name.
func (s *Store) Domains(ctx context.Context) ([]storage.Domain, error) {
	ds, err := all(ctx, s.read, func(row scanner) (d storage.Domain, err error) {
		var created int64
		err = row.Scan(&d.Name, &d.State, &created)
		d.Created = instant(created)
		return d, err
	}, "SELECT name, state, created FROM domains ORDER BY name")
	return ds, failed("sqlite.Domains", err)
}

func (p *prepared) putMailbox(op *storage.PutMailbox) (change, error) {
	const opName = "sqlite.PutMailbox"
	m := op.Mailbox
	m.Address, m.Domain = address(m.Address), address(m.Domain)
	_, domain, ok := strings.Cut(m.Address, "@")
	if !ok || domain == "" || m.Address[0] == '@' {
		return nil, invalid(opName, "address %q", m.Address)
	}
	if m.Domain == "" {
		m.Domain = domain
	}
	if m.ID != 0 {
		return func(r *run) error {
			r.after(func() { op.ID = m.ID })
			return r.replaceMailbox(opName, m)
		}, nil
	}
	p.boxes[op] = true
	return func(r *run) error {
		id, err := r.makeMailbox(opName, m)
		if err != nil {
			return err
		}
		if r.made == nil {
			r.made = make(map[*storage.PutMailbox]storage.MailboxID)
		}
		r.made[op] = id
		r.after(func() { op.ID = id })
		_, err = r.makeFolder(opName, storage.Folder{Mailbox: id, Name: inbox, Subscribed: true})
		return err
	}, nil
}

func (r *run) makeMailbox(op string, m storage.Mailbox) (storage.MailboxID, error) {
	created := nanos(m.Created)
	if created == 0 {
		created = nanos(r.now)
	}
	var id storage.MailboxID
	err := r.row(`INSERT INTO mailboxes (address, domain, tier, state, holder, ordinary, service, created,
			personal_seen, file_sent, file_receipts)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id`,
		m.Address, m.Domain, m.Tier, string(m.State), m.Holder, m.Ordinary, m.Service, created,
		m.PersonalSeen, m.FileSent, m.FileReceipts).Scan(&id)
	if noRows(err) {
		return 0, fault.New(op, fault.Exists, fmt.Errorf("address %s is or was in use", m.Address))
	}
	return id, err
}

// replaceMailbox sets the attributes of a mailbox. Its address stays: what is
// on record under it belongs to it.
func (r *run) replaceMailbox(op string, m storage.Mailbox) error {
	n, err := r.affected(`UPDATE mailboxes SET tier = ?, state = ?, holder = ?, ordinary = ?, service = ?,
		personal_seen = ?, file_sent = ?, file_receipts = ?,
		created = coalesce(nullif(?, 0), created) WHERE id = ? AND address = ?`,
		m.Tier, string(m.State), m.Holder, m.Ordinary, m.Service, m.PersonalSeen, m.FileSent, m.FileReceipts,
		nanos(m.Created), m.ID, m.Address)
	if err == nil && n > 0 && !m.PersonalSeen {
		err = r.endPersonalSeen(m.ID)
	}
	if err != nil || n > 0 {
		return err
	}
	var present string
	err = r.row("SELECT address FROM mailboxes WHERE id = ?", m.ID).Scan(&present)
	if noRows(err) {
		return absent(op, "mailbox %d", m.ID)
	}
	if err != nil {
		return err
	}
	return invalid(op, "mailbox %d is %s: its address cannot become %s", m.ID, present, m.Address)
}

const mailboxColumns = "id, address, domain, tier, state, holder, ordinary, service, created, used, messages, personal_seen, file_sent, file_receipts"

func scanMailbox(row scanner) (m storage.Mailbox, err error) {
	var created int64
	err = row.Scan(&m.ID, &m.Address, &m.Domain, &m.Tier, &m.State, &m.Holder, &m.Ordinary, &m.Service,
		&created, &m.Used, &m.Messages, &m.PersonalSeen, &m.FileSent, &m.FileReceipts)
	m.Created = instant(created)
	return m, err
}

// Mailbox implements storage.Accounts.
func (s *Store) Mailbox(ctx context.Context, addr string) (storage.Mailbox, error) {
	return s.mailbox(ctx, "sqlite.Mailbox", "address = ?", address(addr))
}

// MailboxByID implements storage.Accounts.
func (s *Store) MailboxByID(ctx context.Context, id storage.MailboxID) (storage.Mailbox, error) {
	return s.mailbox(ctx, "sqlite.MailboxByID", "id = ?", id)
}

func (s *Store) mailbox(ctx context.Context, op, where string, key any) (storage.Mailbox, error) {
	st, err := s.read.stmt(ctx, "SELECT "+mailboxColumns+" FROM mailboxes WHERE "+where)
	if err != nil {
		return storage.Mailbox{}, failed(op, err)
	}
	m, err := scanMailbox(st.QueryRowContext(ctx, key))
	if noRows(err) {
		return m, absent(op, "mailbox %v", key)
	}
	return m, failed(op, err)
}

// Mailboxes implements storage.Accounts.
func (s *Store) Mailboxes(ctx context.Context, domain string, fn func(storage.Mailbox) error) error {
	query, after := "SELECT "+mailboxColumns+" FROM mailboxes WHERE address > ? ORDER BY address LIMIT ?", ""
	var args []any
	if domain != "" {
		query = "SELECT " + mailboxColumns + " FROM mailboxes WHERE domain = ? AND address > ? ORDER BY address LIMIT ?"
		args = append(args, address(domain))
	}
	for {
		ms, err := all(ctx, s.read, scanMailbox, query, append(args[:len(args):len(args)], after, chunk)...)
		if err != nil {
			return failed("sqlite.Mailboxes", err)
		}
		for _, m := range ms {
			if err := fn(m); err != nil {
				return err
			}
			after = m.Address
		}
		if len(ms) < chunk {
			return nil
		}
	}
}
