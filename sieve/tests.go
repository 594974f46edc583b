// SPDX-License-Identifier: EUPL-1.2

package sieve

import (
	"slices"
	"strings"
)

// test is one compiled test (RFC 5228 §5).
type test interface {
	check(m *machine) (bool, error)
}

type (
	constant bool
	not      struct{ test }
	allOf    []test
	anyOf    []test
	exists   []string
	size     struct {
		over bool
		n    int64
	}
	// strings of a message against keys
	headerTest struct {
		names []string
		matcher
	}
	addressTest struct {
		names []string
		part  addressPart
		matcher
	}
	envelopeTest struct {
		parts []string
		part  addressPart
		matcher
	}
	flagTest struct{ matcher }
)

// addressHeaders are the fields of which the address test reads addresses
// (RFC 5228 §5.1).
func addressHeaders() []string {
	return []string{
		"from", "to", "cc", "bcc", "sender", "reply-to", "resent-from", "resent-to", "resent-cc", "resent-bcc", "resent-sender",
		"resent-reply-to", "return-receipt-to", "disposition-notification-to", "delivered-to", "errors-to", "x-original-to",
	}
}

// test compiles a test.
func (c *compiler) test(n node) (test, error) {
	invalid := wrongf(n.line, "argomenti di %s non validi", "wrong arguments of %s", n.name)
	switch n.name {
	case "not", "allof", "anyof":
		return c.combined(n)
	case "true", "false":
		if len(n.args) > 0 || len(n.tests) > 0 || n.list {
			return nil, invalid
		}
		return constant(n.name == "true"), nil
	}
	if len(n.tests) > 0 || n.list {
		return nil, invalid
	}
	switch n.name {
	case "size":
		o, err := c.options(n, takes{size: true})
		if err := orShape(n, o, err, number); err != nil {
			return nil, err
		}
		return size{o.over, o.rest[0].n}, nil
	case "exists":
		o, err := c.options(n, takes{})
		if err := orShape(n, o, err, text); err != nil {
			return nil, err
		}
		return exists(o.rest[0].texts), fieldNames(n.line, o.rest[0].texts)
	case "header":
		o, err := c.options(n, takes{match: true})
		if err := orShape(n, o, err, text, text); err != nil {
			return nil, err
		}
		return headerTest{o.rest[0].texts, newMatcher(o, o.rest[1].texts)}, fieldNames(n.line, o.rest[0].texts)
	case "address":
		return c.address(n)
	case "envelope":
		return c.envelope(n)
	case "hasflag":
		if err := c.need(n.line, "imap4flags"); err != nil {
			return nil, err
		}
		o, err := c.options(n, takes{match: true})
		if err := orShape(n, o, err, text); err != nil {
			return nil, err
		}
		return flagTest{newMatcher(o, o.rest[0].texts)}, nil
	}
	return nil, wrongf(n.line, "condizione sconosciuta: %s", "unknown test: %s", n.name)
}

func (c *compiler) combined(n node) (test, error) {
	if len(n.args) > 0 || len(n.tests) == 0 || (n.name == "not") == n.list {
		return nil, wrongf(n.line, "argomenti di %s non validi", "wrong arguments of %s", n.name)
	}
	all := make([]test, len(n.tests))
	for i, t := range n.tests {
		var err error
		if all[i], err = c.test(t); err != nil {
			return nil, err
		}
	}
	switch n.name {
	case "not":
		return not{all[0]}, nil
	case "allof":
		return allOf(all), nil
	}
	return anyOf(all), nil
}

func (c *compiler) address(n node) (test, error) {
	o, err := c.options(n, takes{match: true, part: true})
	if err := orShape(n, o, err, text, text); err != nil {
		return nil, err
	}
	for _, name := range o.rest[0].texts {
		if !slices.Contains(addressHeaders(), strings.ToLower(name)) {
			return nil, wrongf(n.line, "%s non è un campo di indirizzi", "%s is no field of addresses", name)
		}
	}
	return addressTest{o.rest[0].texts, o.part, newMatcher(o, o.rest[1].texts)}, nil
}

func (c *compiler) envelope(n node) (test, error) {
	if err := c.need(n.line, "envelope"); err != nil {
		return nil, err
	}
	o, err := c.options(n, takes{match: true, part: true})
	if err := orShape(n, o, err, text, text); err != nil {
		return nil, err
	}
	parts := make([]string, len(o.rest[0].texts))
	for i, p := range o.rest[0].texts {
		if parts[i] = strings.ToLower(p); parts[i] != "from" && parts[i] != "to" {
			return nil, wrongf(n.line, "envelope conosce from e to, non %s", "envelope knows from and to, not %s", p)
		}
	}
	return envelopeTest{parts, o.part, newMatcher(o, o.rest[1].texts)}, nil
}

// fieldNames checks names of header fields (RFC 5322 §2.2).
func fieldNames(line int, names []string) error {
	for _, n := range names {
		if n == "" || strings.ContainsFunc(n, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) {
			return wrongf(line, "%s non è il nome di un campo", "%s is not the name of a field", n)
		}
	}
	return nil
}

func (t constant) check(*machine) (bool, error) { return bool(t), nil }

func (t not) check(m *machine) (bool, error) {
	ok, err := t.test.check(m)
	return !ok, err
}

func (t allOf) check(m *machine) (bool, error) {
	for _, one := range t {
		if ok, err := one.check(m); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (t anyOf) check(m *machine) (bool, error) {
	for _, one := range t {
		if ok, err := one.check(m); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

func (t exists) check(m *machine) (bool, error) {
	for _, name := range t {
		if err := m.spend(m.msg.Header.Len()); err != nil {
			return false, err
		}
		if !m.msg.Header.Has(name) {
			return false, nil
		}
	}
	return true, nil
}

func (t size) check(m *machine) (bool, error) {
	if t.over {
		return m.msg.Size > t.n, nil
	}
	return m.msg.Size < t.n, nil
}

func (t headerTest) check(m *machine) (bool, error) {
	for _, name := range t.names {
		values, err := m.fields(name)
		if err != nil {
			return false, err
		}
		for _, v := range values {
			if ok, err := t.any(m, v); ok || err != nil {
				return ok, err
			}
		}
	}
	return false, nil
}

func (t addressTest) check(m *machine) (bool, error) {
	for _, name := range t.names {
		list, err := m.listed(name)
		if err != nil {
			return false, err
		}
		for _, a := range list {
			if part, ok := t.part.of(a); ok {
				if ok, err := t.any(m, part); ok || err != nil {
					return ok, err
				}
			}
		}
	}
	return false, nil
}

func (t envelopeTest) check(m *machine) (bool, error) {
	for _, p := range t.parts {
		a := m.msg.From
		if p == "to" {
			a = m.msg.To
		}
		part, ok := t.part.of(a)
		if a == "" { // the null reverse path (RFC 5228 §5.4)
			part, ok = "", true
		}
		if ok {
			if ok, err := t.any(m, part); ok || err != nil {
				return ok, err
			}
		}
	}
	return false, nil
}

func (t flagTest) check(m *machine) (bool, error) {
	for _, f := range m.flags {
		if ok, err := t.any(m, f); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// of is that part of an address; what has no "@" has a whole alone.
func (p addressPart) of(address string) (string, bool) {
	at := strings.LastIndexByte(address, '@')
	switch {
	case p == partAll:
		return address, true
	case at < 0:
		return "", false
	case p == partLocal:
		return address[:at], true
	}
	return address[at+1:], true
}
