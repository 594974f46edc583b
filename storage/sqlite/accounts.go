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
		_, err := r.exec("INSERT OR REPLACE INTO tiers ("+tierColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			t.Code, t.Name, t.QuotaBytes, t.MaxPerDay, t.MaxPerMinute, t.MaxRecipients, t.MaxMessage,
			t.RecipientsPerMinute, t.RecipientsPerDay, t.MultiUser, t.Application, t.Notices)
		return err
	}, nil
}

const tierColumns = "code, name, quota, max_per_day, max_per_minute, max_recipients, max_message, recipients_per_minute, recipients_per_day, multi_user, application, notices"

func scanTier(row scanner) (t storage.Tier, err error) {
	err = row.Scan(&t.Code, &t.Name, &t.QuotaBytes, &t.MaxPerDay, &t.MaxPerMinute, &t.MaxRecipients,
		&t.MaxMessage, &t.RecipientsPerMinute, &t.RecipientsPerDay, &t.MultiUser, &t.Application, &t.Notices)
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
		_, err := r.exec(`INSERT INTO domains (name, state, created, customer) VALUES (?1, ?2, coalesce(nullif(?3, 0), ?4), ?5)
			ON CONFLICT DO UPDATE SET state = ?2, created = coalesce(nullif(?3, 0), created), customer = ?5`,
			d.Name, string(d.State), nanos(d.Created), nanos(r.now), d.Customer)
		return err
	}, nil
}

// Domains implements storage.Accounts, by name.
func (s *Store) Domains(ctx context.Context) ([]storage.Domain, error) {
	ds, err := all(ctx, s.read, func(row scanner) (d storage.Domain, err error) {
		var created int64
		err = row.Scan(&d.Name, &d.State, &d.Customer, &created)
		d.Created = instant(created)
		return d, err
	}, "SELECT name, state, customer, created FROM domains ORDER BY name")
	return ds, failed("sqlite.Domains", err)
}

func putCeiling(op *storage.PutCeiling) (change, error) {
	c := op.Ceiling
	if c.Customer == "" || c.Tier == "" {
		return nil, invalid("sqlite.PutCeiling", "ceiling without body or tier")
	}
	return func(r *run) error {
		if c.Mailboxes < 0 {
			_, err := r.exec("DELETE FROM ceilings WHERE customer = ? AND tier = ?", c.Customer, c.Tier)
			return err
		}
		n, err := r.affected("INSERT OR REPLACE INTO ceilings (customer, tier, mailboxes) SELECT code, ?2, ?3 FROM customers WHERE code = ?1",
			c.Customer, c.Tier, c.Mailboxes)
		if err == nil && n == 0 {
			return absent("sqlite.PutCeiling", "body %q", c.Customer)
		}
		return err
	}, nil
}

// Ceilings implements storage.Accounts.
func (s *Store) Ceilings(ctx context.Context, customer string) ([]storage.Ceiling, error) {
	cs, err := all(ctx, s.read, func(row scanner) (c storage.Ceiling, err error) {
		err = row.Scan(&c.Customer, &c.Tier, &c.Mailboxes)
		return c, err
	}, "SELECT customer, tier, mailboxes FROM ceilings WHERE customer = ? ORDER BY tier", customer)
	return cs, failed("sqlite.Ceilings", err)
}

// CountMailboxes implements storage.Accounts.
func (s *Store) CountMailboxes(ctx context.Context) ([]storage.MailboxCount, error) {
	cs, err := all(ctx, s.read, func(row scanner) (c storage.MailboxCount, err error) {
		err = row.Scan(&c.Domain, &c.Tier, &c.State, &c.Mailboxes, &c.Used)
		return c, err
	}, "SELECT domain, tier, state, count(*), sum(used) FROM mailboxes WHERE NOT service GROUP BY 1, 2, 3 ORDER BY 1, 2, 3")
	return cs, failed("sqlite.CountMailboxes", err)
}

func putCustomer(op *storage.PutCustomer) (change, error) {
	c := op.Customer
	if c.Code == "" {
		return nil, invalid("sqlite.PutCustomer", "customer without code")
	}
	return func(r *run) error {
		_, err := r.exec(`INSERT INTO customers (code, name, created) VALUES (?1, ?2, coalesce(nullif(?3, 0), ?4))
			ON CONFLICT DO UPDATE SET name = ?2, created = coalesce(nullif(?3, 0), created)`,
			c.Code, c.Name, nanos(c.Created), nanos(r.now))
		return err
	}, nil
}

// Customers implements storage.Accounts.
func (s *Store) Customers(ctx context.Context) ([]storage.Customer, error) {
	cs, err := all(ctx, s.read, func(row scanner) (c storage.Customer, err error) {
		var created int64
		err = row.Scan(&c.Code, &c.Name, &created)
		c.Created = instant(created)
		return c, err
	}, "SELECT code, name, created FROM customers ORDER BY code")
	return cs, failed("sqlite.Customers", err)
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
	err := r.row(`INSERT INTO mailboxes (address, domain, created, `+mailboxAttributes+`)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id`,
		append([]any{m.Address, m.Domain, created}, attributesOf(m)...)...).Scan(&id)
	if noRows(err) {
		return 0, fault.New(op, fault.Exists, fmt.Errorf("address %s is or was in use", m.Address))
	}
	return id, err
}

// replaceMailbox sets the attributes of a mailbox. Its address stays: what is
// on record under it belongs to it.
func (r *run) replaceMailbox(op string, m storage.Mailbox) error {
	n, err := r.affected(`UPDATE mailboxes SET (`+mailboxAttributes+`) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?),
		created = coalesce(nullif(?, 0), created) WHERE id = ? AND address = ?`,
		append(attributesOf(m), nanos(m.Created), m.ID, m.Address)...)
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

// mailboxAttributes are the columns that PutMailbox sets, attributesOf their values.
const mailboxAttributes = "tier, state, state_by, holder, ordinary, service, personal_seen, file_sent, file_receipts, redirect, block_since, block_by, block_reason, " +
	"raised_quota, raised_per_day, raised_per_minute, raised_recipients, raised_message, raised_recipients_per_minute, raised_recipients_per_day"

func attributesOf(m storage.Mailbox) []any {
	return []any{
		m.Tier, string(m.State), m.StateBy, m.Holder, m.Ordinary, m.Service, m.PersonalSeen, m.FileSent, m.FileReceipts,
		m.Redirect, nanos(m.Block.Since), m.Block.By, m.Block.Reason,
		m.Raised.QuotaBytes, m.Raised.MaxPerDay, m.Raised.MaxPerMinute, m.Raised.MaxRecipients, m.Raised.MaxMessage,
		m.Raised.RecipientsPerMinute, m.Raised.RecipientsPerDay,
	}
}

const mailboxColumns = "id, address, domain, created, used, messages, EXISTS (SELECT 1 " + targets + " AND n.mailbox = mailboxes.id), " + mailboxAttributes

func scanMailbox(row scanner) (m storage.Mailbox, err error) {
	var created, blocked int64
	err = row.Scan(&m.ID, &m.Address, &m.Domain, &created, &m.Used, &m.Messages, &m.Told,
		&m.Tier, &m.State, &m.StateBy, &m.Holder, &m.Ordinary, &m.Service, &m.PersonalSeen, &m.FileSent, &m.FileReceipts,
		&m.Redirect, &blocked, &m.Block.By, &m.Block.Reason,
		&m.Raised.QuotaBytes, &m.Raised.MaxPerDay, &m.Raised.MaxPerMinute, &m.Raised.MaxRecipients, &m.Raised.MaxMessage,
		&m.Raised.RecipientsPerMinute, &m.Raised.RecipientsPerDay)
	m.Created, m.Block.Since = instant(created), instant(blocked)
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
	return s.MailboxesAfter(ctx, domain, "", fn)
}

// MailboxesAfter implements storage.Accounts.
func (s *Store) MailboxesAfter(ctx context.Context, domain, after string, fn func(storage.Mailbox) error) error {
	query := "SELECT " + mailboxColumns + " FROM mailboxes WHERE address > ? ORDER BY address LIMIT ?"
	after = address(after)
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
