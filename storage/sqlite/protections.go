// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"strings"

	"pecd/storage"
)

func putProtection(op *storage.PutProtection) (change, error) {
	p := op.Protection
	p.Scope = address(p.Scope)
	if p.Scope == "" || len(p.Policy) > storage.MaxPolicy {
		return nil, invalid("sqlite.PutProtection", "scope %q, rules of %d octets", p.Scope, len(p.Policy))
	}
	return func(r *run) error {
		if len(p.Policy) == 0 {
			_, err := r.exec("DELETE FROM protections WHERE scope = ?", p.Scope)
			return err
		}
		_, err := r.exec("INSERT OR REPLACE INTO protections (scope, policy) VALUES (?, ?)", p.Scope, string(p.Policy))
		return err
	}, nil
}

// Protections implements storage.Accounts.
func (s *Store) Protections(ctx context.Context, scopes ...string) ([]storage.Protection, error) {
	query, args := "SELECT scope, policy FROM protections", make([]any, len(scopes))
	for i, scope := range scopes {
		args[i] = address(scope)
	}
	if len(args) > 0 {
		query += " WHERE scope IN (?" + strings.Repeat(", ?", len(args)-1) + ")"
	}
	ps, err := all(ctx, s.read, func(row scanner) (p storage.Protection, err error) {
		var policy string
		err = row.Scan(&p.Scope, &policy)
		p.Policy = []byte(policy)
		return p, err
	}, query+" ORDER BY scope", args...)
	return ps, failed("sqlite.Protections", err)
}
