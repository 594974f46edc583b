// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"strings"

	imaplib "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"pecd/storage"
)

// Bounds of the patterns of one LIST: their number, and the octets of each with
// the reference. Any name that the store takes fits.
const (
	maxPatterns = 50
	maxPattern  = 16 << 10
)

// List implements imapserver.Session, for LIST with RFC 5258, 5819 and 6154, and
// for LSUB.
func (s *session) List(w *imapserver.ListWriter, ref string, patterns []string, options *imaplib.ListOptions) error {
	if len(patterns) == 0 { // LIST "" "": what is the delimiter?
		return w.WriteList(&imaplib.ListData{Attrs: []imaplib.MailboxAttr{imaplib.MailboxAttrNoSelect}, Delim: delimiter})
	}
	if len(patterns) > maxPatterns {
		return bad("troppi modelli / too many patterns")
	}
	for i, p := range patterns {
		if len(ref)+len(p) > maxPattern {
			return no(imaplib.ResponseCodeLimit, "modello troppo lungo / pattern too long")
		}
		patterns[i] = folderName(ref + p)
	}
	folders, err := s.store.Folders(s.ctx, s.grant.Mailbox)
	if err != nil {
		return s.refuse(err)
	}
	tree := newTree(folders)
	lsub := s.c.now.verb == "LSUB"
	by := s.c.after(s.srv.timing.work)
	for _, f := range folders {
		if s.c.after(0) > by {
			return errTooMuchWork
		}
		entry := tree.entry(f, patterns, options, lsub)
		if entry == nil {
			continue
		}
		if options.ReturnStatus != nil {
			if entry.Status, err = s.statusOf(f, options.ReturnStatus); err != nil {
				return s.refuse(err)
			}
		}
		if err := w.WriteList(entry); err != nil {
			return err
		}
	}
	return nil
}

// tree knows which folders have others below them.
type tree struct {
	children map[string]bool // name: some folder lies below
	below    map[string][]storage.Folder
}

func newTree(folders []storage.Folder) *tree {
	t := &tree{children: make(map[string]bool), below: make(map[string][]storage.Folder)}
	for _, f := range folders {
		for name := f.Name; ; {
			i := strings.LastIndexByte(name, delimiter)
			if i < 0 {
				break
			}
			name = name[:i]
			t.children[name] = true
			if f.Subscribed {
				t.below[name] = append(t.below[name], f)
			}
		}
	}
	return t
}

// entry is the response for one folder, nil when it is not to be listed.
func (t *tree) entry(f storage.Folder, patterns []string, options *imaplib.ListOptions, lsub bool) *imaplib.ListData {
	if !matchAny(patterns, f.Name) {
		return nil
	}
	data := &imaplib.ListData{Delim: delimiter, Mailbox: f.Name}
	chosen := (!options.SelectSubscribed || f.Subscribed) && (!options.SelectSpecialUse || f.SpecialUse != "")
	if !chosen {
		// Folders below that are chosen, and would not be listed themselves
		// (RFC 9051 §6.3.9.6: no redundant CHILDINFO).
		hidden := false
		for _, child := range t.below[f.Name] {
			hidden = hidden || !matchAny(patterns, child.Name)
		}
		if !hidden || !lsub && !options.SelectRecursiveMatch {
			return nil
		}
		if lsub { // RFC 3501 §6.3.9
			data.Attrs = append(data.Attrs, imaplib.MailboxAttrNoSelect)
		}
	}
	if options.SelectRecursiveMatch && len(t.below[f.Name]) > 0 {
		data.ChildInfo = &imaplib.ListDataChildInfo{Subscribed: true}
	}
	if t.children[f.Name] {
		data.Attrs = append(data.Attrs, imaplib.MailboxAttrHasChildren)
	} else {
		data.Attrs = append(data.Attrs, imaplib.MailboxAttrHasNoChildren)
	}
	if f.Subscribed && (options.SelectSubscribed || options.ReturnSubscribed) && !lsub {
		data.Attrs = append(data.Attrs, imaplib.MailboxAttrSubscribed)
	}
	if f.SpecialUse != "" {
		data.Attrs = append(data.Attrs, imaplib.MailboxAttr(f.SpecialUse))
	}
	return data
}

func matchAny(patterns []string, name string) bool {
	for _, p := range patterns {
		if match(p, name) || name == inbox && match(strings.ToUpper(p), name) {
			return true
		}
	}
	return false
}

// match tells whether a folder name matches a LIST pattern: "*" stands for any
// octets, "%" for any without the delimiter. It keeps the set of pattern
// positions that are reached, so its time is bounded by the product of the
// lengths, whatever the pattern is.
func match(pattern, name string) bool {
	reached, next := make([]bool, len(pattern)+1), make([]bool, len(pattern)+1)
	reached[0] = true
	skipWild(reached, pattern)
	for i := 0; i < len(name); i++ {
		clear(next)
		for j := 0; j < len(pattern); j++ {
			if !reached[j] {
				continue
			}
			switch {
			case pattern[j] == '*' || pattern[j] == '%' && name[i] != delimiter:
				next[j] = true
			case pattern[j] == name[i]:
				next[j+1] = true
			}
		}
		skipWild(next, pattern)
		reached, next = next, reached
	}
	return reached[len(pattern)]
}

// skipWild adds the positions after wildcards that stand for nothing.
func skipWild(reached []bool, pattern string) {
	for j := 0; j < len(pattern); j++ {
		if reached[j] && (pattern[j] == '*' || pattern[j] == '%') {
			reached[j+1] = true
		}
	}
}
