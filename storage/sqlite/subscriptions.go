// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"

	"pecd/storage"
)

func subscribe(op *storage.Subscribe) (change, error) {
	const opName = "sqlite.Subscribe"
	name, err := folderName(opName, op.Name)
	if err != nil {
		return nil, err
	}
	return func(r *run) error {
		var holder string
		err := r.row("SELECT address FROM mailboxes WHERE id = ?", op.Mailbox).Scan(&holder)
		if err != nil && !noRows(err) {
			return err
		}
		login := r.viewer
		if login == holder {
			login = ""
		}
		var n int64
		if login == "" {
			n, err = r.affected("UPDATE folders SET subscribed = ? WHERE mailbox = ? AND name = ?", op.Subscribed, op.Mailbox, name)
		} else {
			n, err = r.affected(`INSERT OR REPLACE INTO subscriptions (folder, login, subscribed)
				SELECT f.id, u.login, ? FROM folders f, users u WHERE f.mailbox = ? AND f.name = ? AND u.login = ?`,
				op.Subscribed, op.Mailbox, name, login)
		}
		if err == nil && n == 0 && !op.Subscribed {
			n, err = r.unsubscribeGone(op.Mailbox, name, login)
		}
		if err == nil && n == 0 {
			err = absent(opName, "folder %q in mailbox %d", name, op.Mailbox)
		}
		return err
	}, nil
}

// unsubscribeGone ends the subscription of a login ("": of the mailbox) to a name
// whose folder is gone. It returns 0 where there was none.
func (r *run) unsubscribeGone(m storage.MailboxID, name, login string) (int64, error) {
	if login == "" { // those who had ended what they have of the mailbox have nothing left to end
		return r.affected("DELETE FROM gone_subscriptions WHERE mailbox = ? AND name = ? AND (login = '' OR NOT subscribed)", m, name)
	}
	own, err := r.affected("DELETE FROM gone_subscriptions WHERE mailbox = ? AND name = ? AND login = ?", m, name, login)
	if err != nil {
		return 0, err
	}
	ended, err := r.affected(`INSERT INTO gone_subscriptions (mailbox, name, login, subscribed)
		SELECT g.mailbox, g.name, u.login, 0 FROM gone_subscriptions g, users u
		WHERE g.mailbox = ? AND g.name = ? AND g.login = '' AND u.login = ?`, m, name, login)
	return own + ended, err
}

// keepSubscriptions notes who is subscribed to a folder that is about to be
// deleted. Who is not has a row where he would have the mailbox's otherwise.
func (r *run) keepSubscriptions(f storage.Folder) error {
	_, err := r.exec(`INSERT INTO gone_subscriptions (mailbox, name, login, subscribed)
		SELECT mailbox, name, '', 1 FROM folders WHERE id = ?1 AND subscribed
		UNION ALL SELECT f.mailbox, f.name, s.login, s.subscribed FROM folders f JOIN subscriptions s ON s.folder = f.id
			WHERE f.id = ?1 AND (s.subscribed OR f.subscribed)`, f.ID)
	return err
}

// resubscribe gives a folder that has come to a name what is subscribed of that
// name since its last folder was deleted, beside what is subscribed of itself.
func (r *run) resubscribe(f *storage.Folder) error {
	kept, err := rows(r, scanSubscription,
		"DELETE FROM gone_subscriptions WHERE mailbox = ? AND name = ? RETURNING login, subscribed", f.Mailbox, f.Name)
	if err != nil || len(kept) == 0 {
		return err
	}
	own, err := rows(r, scanSubscription, "SELECT login, subscribed FROM subscriptions WHERE folder = ?", f.ID)
	if err != nil {
		return err
	}
	of, gone := subscribers{"": f.Subscribed}, subscribers{}
	for _, s := range own {
		of[s.login] = s.subscribed
	}
	for _, s := range kept {
		gone[s.login] = s.subscribed
	}
	for _, s := range append(own, kept...) {
		if s.login == "" {
			continue
		}
		_, err := r.exec("INSERT OR REPLACE INTO subscriptions (folder, login, subscribed) VALUES (?, ?, ?)",
			f.ID, s.login, of.has(s.login) || gone.has(s.login))
		if err != nil {
			return err
		}
	}
	f.Subscribed = of.has("") || gone.has("")
	_, err = r.exec("UPDATE folders SET subscribed = ? WHERE id = ?", f.Subscribed, f.ID)
	return err
}

// subscribers tells by login who is subscribed to a name; "" is the mailbox.
type subscribers map[string]bool

// has tells it of a login, which has the mailbox's where it has none of its own.
func (s subscribers) has(login string) bool {
	subscribed, own := s[login]
	if !own {
		return s[""]
	}
	return subscribed
}

type subscription struct {
	login      string
	subscribed bool
}

func scanSubscription(row scanner) (s subscription, err error) {
	err = row.Scan(&s.login, &s.subscribed)
	return s, err
}

// GoneSubscriptions implements storage.Mail.
func (s *Store) GoneSubscriptions(ctx context.Context, m storage.MailboxID) ([]string, error) {
	names, err := all(ctx, s.read, func(row scanner) (name string, err error) {
		err = row.Scan(&name)
		return name, err
	}, `SELECT name FROM gone_subscriptions WHERE mailbox = ?2 AND login IN ('', ?1)
		GROUP BY name HAVING coalesce(max(CASE WHEN login <> '' THEN subscribed END), max(subscribed)) ORDER BY name`,
		viewer(ctx), m)
	return names, failed("sqlite.GoneSubscriptions", err)
}
