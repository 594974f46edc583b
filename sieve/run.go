// SPDX-License-Identifier: EUPL-1.2

package sieve

import (
	"slices"
	"strings"

	"pecd/rfc822"
)

// Inbox is where a message is kept that no filter puts elsewhere.
const Inbox = "INBOX"

// Message is what a script may look at.
type Message struct {
	Header   rfc822.Header
	Size     int64  // octets of the whole message
	From, To string // of the envelope; From is "" for the null reverse path
}

// Actions is what is done with a message.
type Actions struct {
	// File is where the message goes, at least one folder, none twice.
	File []File
	// Forward is whom it is sent to besides, at most MaxForwards, none twice.
	Forward []string
}

// File puts the message into one folder, which is made where it is missing.
type File struct {
	Folder string   // UTF-8, levels parted by "/", Inbox in capitals
	Flags  []string // as RFC 9051 spells them
}

// Keep is what is done where there is no script.
func Keep() Actions { return Actions{File: []File{{Folder: Inbox}}} }

// Plain reports whether the message is kept as if there were no script.
func (a Actions) Plain() bool {
	return len(a.Forward) == 0 && len(a.File) == 1 && a.File[0].Folder == Inbox && len(a.File[0].Flags) == 0
}

// machine is one run.
type machine struct {
	msg     Message
	actions Actions
	flags   []string // the internal variable of RFC 5232
	work    int

	// What was read of the header, by the name of the field in lower case.
	texts     map[string][]string
	addresses map[string][]string
	moved     bool // an action has ended the implicit keep
	stopped   bool
}

// Run decides what is done with a message. With an error, which is about the
// script and this message, it is Keep.
func (s *Script) Run(msg Message) (Actions, error) {
	m := machine{msg: msg}
	if err := m.all(s.body); err != nil {
		return Keep(), err
	}
	if !m.moved { // the implicit keep (RFC 5228 §2.10.2)
		if err := (file{folder: Inbox}).run(&m); err != nil {
			return Keep(), err
		}
	}
	return m.actions, nil
}

func (m *machine) all(body []command) error {
	for _, c := range body {
		if err := c.run(m); err != nil || m.stopped {
			return err
		}
	}
	return nil
}

// spend counts octets that a test looks at.
func (m *machine) spend(n int) error {
	if m.work += n + 1; m.work > maxWork {
		return ErrWork
	}
	return nil
}

// fields is the values of a field, decoded. They are read once: a long one takes
// its time.
func (m *machine) fields(name string) ([]string, error) {
	name = strings.ToLower(name)
	if all, ok := m.texts[name]; ok {
		return all, m.spend(len(all))
	}
	var all []string
	n := m.msg.Header.Len()
	for _, v := range m.msg.Header.Values(name) {
		all, n = append(all, rfc822.DecodeText(v)), n+len(v)
	}
	if m.texts == nil {
		m.texts = make(map[string][]string)
	}
	m.texts[name] = all
	return all, m.spend(n)
}

// listed is the addresses in a field, read once.
func (m *machine) listed(name string) ([]string, error) {
	name = strings.ToLower(name)
	if all, ok := m.addresses[name]; ok {
		return all, m.spend(len(all))
	}
	var all []string
	n := m.msg.Header.Len()
	for _, v := range m.msg.Header.Values(name) {
		list, _ := rfc822.ParseAddressList(v) // of too many, the first
		for _, a := range list {
			all = append(all, a.Address)
		}
		n += len(v)
	}
	if m.addresses == nil {
		m.addresses = make(map[string][]string)
	}
	m.addresses[name] = all
	return all, m.spend(n)
}

type (
	stop   struct{}
	choice []branch
	branch struct {
		when test // nil: else
		body []command
	}
	file struct {
		folder   string
		copy     bool
		flags    []string
		ownFlags bool // else those of the internal variable
	}
	redirect    struct{ to string }
	changeFlags struct {
		how   string
		flags []string
	}
)

func (stop) run(m *machine) error {
	m.stopped = true
	return nil
}

func (c choice) run(m *machine) error {
	for _, b := range c {
		ok := b.when == nil
		if !ok {
			var err error
			if ok, err = b.when.check(m); err != nil {
				return err
			}
		}
		if ok {
			return m.all(b.body)
		}
	}
	return nil
}

func (f file) run(m *machine) error {
	if !f.copy {
		m.moved = true
	}
	flags := f.flags
	if !f.ownFlags {
		flags = slices.Clone(m.flags)
	}
	for i := range m.actions.File { // a message is in a folder once (RFC 5228 §2.10.3), as was said last
		if m.actions.File[i].Folder == f.folder {
			m.actions.File[i].Flags = flags
			return nil
		}
	}
	if len(m.actions.File) == MaxFolders {
		return ErrFolders
	}
	m.actions.File = append(m.actions.File, File{Folder: f.folder, Flags: flags})
	return nil
}

func (r redirect) run(m *machine) error {
	if slices.ContainsFunc(m.actions.Forward, func(to string) bool { return strings.EqualFold(to, r.to) }) {
		return nil
	}
	if len(m.actions.Forward) == MaxForwards {
		return ErrForwards
	}
	m.actions.Forward = append(m.actions.Forward, r.to)
	return nil
}

func (c changeFlags) run(m *machine) error {
	if c.how == "setflag" {
		m.flags = nil
	}
	for _, f := range c.flags {
		if c.how == "removeflag" {
			m.flags = slices.DeleteFunc(m.flags, func(g string) bool { return strings.EqualFold(f, g) })
		} else {
			m.flags = addFlag(m.flags, f)
		}
	}
	if len(m.flags) > maxFlags {
		return ErrFlags
	}
	return nil
}
