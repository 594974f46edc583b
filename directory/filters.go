// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"pecd/fault"
	"pecd/ledger"
	"pecd/sieve"
	"pecd/storage"
)

// MaxFilters is how many scripts a mailbox may have.
const MaxFilters = 10

const (
	maxFilterName = 128 // octets
	// Compiled scripts that are kept, by their text: a mailbox is looked at anew
	// every few seconds, and its script rarely changes.
	keptScripts   = 256
	keepScriptFor = time.Hour
)

// PutFilter stores a script of a mailbox under a name (S4-042), in place of the
// one it had. It is run once it is activated; one that is active is run from then
// on. Invalid, with the line, for a script that does not compile; TooMany beyond
// 10 of them.
func (d *Directory) PutFilter(ctx context.Context, mailbox, name, script string) error {
	const op = "directory.PutFilter"
	name, why := filterName(name)
	if why != "" {
		return fault.Say(op, fault.Invalid, why)
	}
	if _, err := sieve.Compile(script); err != nil {
		return &fault.Error{Op: op, Kind: fault.Invalid, Text: err.Error(), Err: err}
	}
	return fault.Wrap(op, d.changeFilters(ctx, mailbox, func(m storage.Mailbox) (*storage.Step, error) {
		all, err := d.st.Filters(ctx, m.ID)
		if err != nil {
			return nil, err
		}
		before, there := named(all, name)
		was := ""
		if there {
			was = sumOfScript(before.Script)
		}
		switch {
		case there && before.Script == script:
			return nil, nil
		case !there && len(all) >= MaxFilters:
			return nil, fault.Say(op, fault.TooMany, fmt.Sprintf("al massimo %d filtri per casella / at most %d filters a mailbox", MaxFilters, MaxFilters))
		}
		return new(storage.Step).Add(
			&storage.PutFilter{Filter: storage.Filter{Mailbox: m.ID, Name: name, Script: script, At: d.clk.Now().UTC()}},
			d.filterChanged(ctx, m, "script: "+name, was, sumOfScript(script)),
		), nil
	}))
}

// RemoveFilter removes a script, also the active one. NotFound without it.
func (d *Directory) RemoveFilter(ctx context.Context, mailbox, name string) error {
	const op = "directory.RemoveFilter"
	name, _ = filterName(name)
	return fault.Wrap(op, d.changeFilters(ctx, mailbox, func(m storage.Mailbox) (*storage.Step, error) {
		before, err := d.st.Filter(ctx, m.ID, name)
		if err != nil {
			return nil, noFilter(op, err)
		}
		return new(storage.Step).Add(&storage.RemoveFilter{Mailbox: m.ID, Name: name},
			d.filterChanged(ctx, m, "removed: "+name, sumOfScript(before.Script), "")), nil
	}))
}

// RenameFilter gives a script another name; an active one stays active. NotFound
// without it, Exists where the other name is taken.
func (d *Directory) RenameFilter(ctx context.Context, mailbox, from, to string) error {
	const op = "directory.RenameFilter"
	from, _ = filterName(from)
	to, why := filterName(to)
	if why != "" {
		return fault.Say(op, fault.Invalid, why)
	}
	return fault.Wrap(op, d.changeFilters(ctx, mailbox, func(m storage.Mailbox) (*storage.Step, error) {
		all, err := d.st.Filters(ctx, m.ID)
		if err != nil {
			return nil, err
		}
		f, ok := named(all, from)
		if !ok {
			return nil, noFilter(op, fault.New(op, fault.NotFound, nil))
		}
		if _, taken := named(all, to); taken {
			return nil, fault.Say(op, fault.Exists, "esiste già un filtro con questo nome / there is a filter of this name")
		}
		sum, active := sumOfScript(f.Script), f.Active
		f.Name = to
		step := new(storage.Step).Add(&storage.PutFilter{Filter: f}, &storage.RemoveFilter{Mailbox: m.ID, Name: from})
		if active {
			step.Add(&storage.ActivateFilter{Mailbox: m.ID, Name: to})
		}
		return step.Add(d.filterChanged(ctx, m, "renamed: "+from+" > "+to, sum, sum)), nil
	}))
}

// ActivateFilter has the script of a name run for what arrives from now on,
// instead of the one before; "" has none run. NotFound without it.
func (d *Directory) ActivateFilter(ctx context.Context, mailbox, name string) error {
	const op = "directory.ActivateFilter"
	if name != "" {
		name, _ = filterName(name)
	}
	return fault.Wrap(op, d.changeFilters(ctx, mailbox, func(m storage.Mailbox) (*storage.Step, error) {
		all, err := d.st.Filters(ctx, m.ID)
		if err != nil {
			return nil, err
		}
		var was, is string
		for _, f := range all {
			if f.Active {
				was = sumOfScript(f.Script)
			}
		}
		if name != "" {
			f, ok := named(all, name)
			if !ok {
				return nil, noFilter(op, fault.New(op, fault.NotFound, nil))
			}
			if f.Active {
				return nil, nil
			}
			is = sumOfScript(f.Script)
		}
		return new(storage.Step).Add(&storage.ActivateFilter{Mailbox: m.ID, Name: name}, d.filterChanged(ctx, m, "active: "+name, was, is)), nil
	}))
}

// Filters lists the scripts of a mailbox by name.
func (d *Directory) Filters(ctx context.Context, mailbox string) ([]storage.Filter, error) {
	const op = "directory.Filters"
	m, err := d.MayMailbox(ctx, ChangeFilters, mailbox)
	if err != nil {
		return nil, fault.Wrap(op, err)
	}
	all, err := d.st.Filters(ctx, m.ID)
	return all, fault.Wrap(op, err)
}

// Filter returns one script of a mailbox. NotFound without it.
func (d *Directory) Filter(ctx context.Context, mailbox, name string) (storage.Filter, error) {
	const op = "directory.Filter"
	m, err := d.MayMailbox(ctx, ChangeFilters, mailbox)
	if err != nil {
		return storage.Filter{}, fault.Wrap(op, err)
	}
	name, _ = filterName(name)
	f, err := d.st.Filter(ctx, m.ID, name)
	return f, noFilter(op, err)
}

// ActiveScript returns the script that is run for what arrives in a mailbox,
// compiled; nil where there is none. The answer may be a few seconds old, but for
// changes made here. Invalid where this program does not compile it any more.
func (d *Directory) ActiveScript(ctx context.Context, m storage.MailboxID) (*sieve.Script, error) {
	const op = "directory.ActiveScript"
	key := filterKey(m)
	text, mark, ok := d.filters.get(key)
	if !ok {
		f, err := d.st.ActiveFilter(ctx, m)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return nil, fault.Wrap(op, err)
		}
		text = f.Script
		d.filters.put(key, text, mark)
	}
	if text == "" {
		return nil, nil
	}
	sum := sumOfScript(text)
	s, mark, ok := d.scripts.get(sum)
	if ok {
		return s, nil
	}
	s, err := sieve.Compile(text)
	if err != nil {
		return nil, fault.New(op, fault.Invalid, err)
	}
	d.scripts.put(sum, s, mark)
	return s, nil
}

// changeFilters commits what edit makes of the filters of a mailbox; nothing for nil.
func (d *Directory) changeFilters(ctx context.Context, address string, edit func(storage.Mailbox) (*storage.Step, error)) error {
	d.writing.Lock()
	defer d.writing.Unlock()
	m, err := d.MayMailbox(ctx, ChangeFilters, address)
	if err != nil {
		return err
	}
	step, err := edit(m)
	if err != nil || step == nil {
		return err
	}
	if err := d.st.Commit(ctx, step); err != nil {
		return err
	}
	d.filters.drop(filterKey(m.ID))
	return nil
}

// filterChanged is the record of a change: of scripts it has the sums alone, for
// they may say whom the holder writes with.
func (d *Directory) filterChanged(ctx context.Context, m storage.Mailbox, what, from, to string) *storage.AppendRecord {
	return d.recorded(ctx, ledger.Event{Kind: ledger.FilterChanged, Mailbox: m.Address, Detail: what, From: from, To: to})
}

func filterKey(m storage.MailboxID) string { return strconv.FormatInt(int64(m), 10) }

func named(all []storage.Filter, name string) (storage.Filter, bool) {
	for _, f := range all {
		if f.Name == name {
			return f, true
		}
	}
	return storage.Filter{}, false
}

// sumOfScript names a script: SHA-256 in hexadecimal.
func sumOfScript(script string) string {
	sum := sha256.Sum256([]byte(script))
	return hex.EncodeToString(sum[:])
}

// filterName is a name in the form in which it is kept, or why it is none
// (RFC 5804 §1.6).
func filterName(name string) (canonical, why string) {
	name = norm.NFC.String(strings.TrimSpace(name))
	if name == "" || len(name) > maxFilterName || !utf8.ValidString(name) ||
		strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }) {
		return "", "nome del filtro vuoto, troppo lungo o con caratteri di controllo / the name of the filter is empty, too long or has control characters"
	}
	return name, ""
}

// noFilter tells of a filter that is not there.
func noFilter(op string, err error) error {
	if fault.Is(err, fault.NotFound) {
		return fault.Say(op, fault.NotFound, "filtro inesistente / no such filter")
	}
	return fault.Wrap(op, err)
}
