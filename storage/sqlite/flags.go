// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"fmt"
	"slices"
	"strings"

	"pecd/fault"
	"pecd/storage"
)

// System flags and their bits in messages.flags.
const (
	flagAnswered = 1 << iota
	flagFlagged
	flagDeleted
	flagSeen
	flagDraft
)

var systemFlags = [...]struct {
	name string
	bit  uint8
}{
	{`\Answered`, flagAnswered},
	{`\Deleted`, flagDeleted},
	{`\Draft`, flagDraft},
	{`\Flagged`, flagFlagged},
	{`\Seen`, flagSeen},
}

// Bounds of keywords.
const (
	maxKeywordBytes = 100
	maxKeywords     = 50 // of a message
)

// flagSet is the flags of a message. Keywords are compared without case and
// keep the spelling they came in first (RFC 9051 §2.3.2).
type flagSet struct {
	system   uint8
	keywords []string // sorted
}

// parseFlags reads flags as clients give them.
func parseFlags(op string, flags []string) (f flagSet, err error) {
next:
	for _, name := range flags {
		if strings.HasPrefix(name, `\`) {
			for _, s := range systemFlags {
				if strings.EqualFold(name, s.name) {
					f.system |= s.bit
					continue next
				}
			}
			return f, invalid(op, "unknown system flag %q", name)
		}
		if !validKeyword(name) {
			return f, invalid(op, "flag %q is not an atom", name)
		}
		f = f.add(flagSet{keywords: []string{name}})
	}
	if len(f.keywords) > maxKeywords {
		return f, invalid(op, "%d keywords, at most %d are kept", len(f.keywords), maxKeywords)
	}
	return f, nil
}

// validKeyword reports whether k is a flag-keyword: an atom of RFC 9051 §9.
func validKeyword(k string) bool {
	if k == "" || len(k) > maxKeywordBytes {
		return false
	}
	for i := range len(k) {
		if c := k[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`(){%*"\]`, c) >= 0 {
			return false
		}
	}
	return true
}

func splitKeywords(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, " ")
}

func (f flagSet) joined() string { return strings.Join(f.keywords, " ") }
func (f flagSet) seen() bool     { return f.system&flagSeen != 0 }
func (f flagSet) deleted() bool  { return f.system&flagDeleted != 0 }

// list returns the flags in canonical form: RFC 9051 spelling, sorted.
func (f flagSet) list() []string {
	out := make([]string, 0, len(systemFlags)+len(f.keywords))
	for _, s := range systemFlags {
		if f.system&s.bit != 0 {
			out = append(out, s.name)
		}
	}
	out = append(out, f.keywords...)
	slices.Sort(out)
	return out
}

func (f flagSet) has(keyword string) bool {
	return slices.ContainsFunc(f.keywords, func(k string) bool { return strings.EqualFold(k, keyword) })
}

func (f flagSet) equal(g flagSet) bool {
	return f.system == g.system && slices.Equal(f.keywords, g.keywords)
}

func (f flagSet) add(g flagSet) flagSet {
	out := flagSet{f.system | g.system, slices.Clone(f.keywords)}
	for _, k := range g.keywords {
		if !out.has(k) {
			out.keywords = append(out.keywords, k)
		}
	}
	slices.Sort(out.keywords)
	return out
}

func (f flagSet) remove(g flagSet) flagSet {
	return flagSet{f.system &^ g.system,
		slices.DeleteFunc(slices.Clone(f.keywords), g.has)}
}

// replace returns g in the spelling of f where f has a keyword already.
func (f flagSet) replace(g flagSet) flagSet {
	kept := slices.DeleteFunc(slices.Clone(f.keywords), func(k string) bool { return !g.has(k) })
	return flagSet{g.system, kept}.add(flagSet{keywords: g.keywords})
}

func (f flagSet) change(mode storage.FlagMode, g flagSet) flagSet {
	switch mode {
	case storage.AddFlags:
		return f.add(g)
	case storage.RemoveFlags:
		return f.remove(g)
	}
	return f.replace(g)
}

// uidList returns uids ascending, each once.
func uidList(uids []uint32) []uint32 {
	out := slices.Clone(uids)
	slices.Sort(out)
	return slices.Compact(out)
}

func setFlags(op *storage.SetFlags) (change, error) {
	const opName = "sqlite.SetFlags"
	if op.Mode > storage.RemoveFlags {
		return nil, invalid(opName, "unknown mode %d", op.Mode)
	}
	flags, err := parseFlags(opName, op.Flags)
	if err != nil {
		return nil, err
	}
	uids := uidList(op.UIDs)
	return func(r *run) error {
		f, err := r.folder(opName, op.Folder)
		if err != nil {
			return err
		}
		if op.Personal && !(f.PersonalSeen && r.viewer != "") {
			return fault.New(opName, fault.Denied, fmt.Errorf("\\Seen of folder %d is not personal", f.ID))
		}
		var found []storage.Message
		var modified, doomed []uint32
		modseq, unseen, own, changed := f.ModSeq+1, 0, 0, false
		for _, uid := range uids {
			m, err := r.message(op.Folder, uid)
			if noRows(err) {
				continue
			}
			if err != nil {
				return err
			}
			if op.UnchangedSince != 0 && m.modseq > op.UnchangedSince {
				modified = append(modified, uid)
				continue
			}
			before := m.flags // as the viewer has them
			if f.PersonalSeen {
				contrary, err := r.differs(f.ID, uid)
				if err != nil {
					return err
				}
				before = before.toggled(contrary)
			}
			after := before.change(op.Mode, flags)
			if f.PersonalSeen && r.viewer == "" {
				after = after.seenAs(before)
			}
			if after.deleted() && !before.deleted() {
				doomed = append(doomed, uid)
			}
			if !after.equal(before) {
				if len(after.keywords) > maxKeywords {
					return invalid(opName, "uid %d would have %d keywords, at most %d are kept", uid, len(after.keywords), maxKeywords)
				}
				shared, turned := after, btoi(before.seen())-btoi(after.seen())
				if !f.PersonalSeen {
					unseen += turned
				} else if shared = after.seenAs(m.flags); turned != 0 {
					own += turned
					if err := r.differ(opName, f.ID, uid, after.seen() != shared.seen()); err != nil {
						return err
					}
				}
				m.modseq, changed = modseq, true
				_, err := r.exec("UPDATE messages SET flags = ?, keywords = ?, modseq = ? WHERE folder = ? AND uid = ?",
					shared.system, shared.joined(), modseq, op.Folder, uid)
				if err != nil {
					return err
				}
			}
			m.flags = after
			found = append(found, m.public())
		}
		r.after(func() {
			op.Changed, op.Modified, op.ModSeq = found, modified, 0
			if changed {
				op.ModSeq = modseq
			}
		})
		if !changed {
			return nil
		}
		if err := r.logged(opName, op.Logged, storage.Handled{UIDs: doomed, Validity: f.UIDValidity}); err != nil {
			return err
		}
		r.touched(f.ID)
		if err := r.countSeen(f.ID, r.viewer, own); err != nil {
			return err
		}
		_, err = r.exec("UPDATE folders SET modseq = ?, unseen = unseen + ? WHERE id = ?", modseq, unseen, f.ID)
		return err
	}, nil
}

func (r *run) message(folder storage.FolderID, uid uint32) (message, error) {
	return scanMessage(r.row("SELECT "+messageColumns+" FROM messages WHERE folder = ? AND uid = ?", folder, uid))
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
