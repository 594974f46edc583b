// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"maps"
	"slices"
	"sort"
	"strings"
	"unsafe"

	"pecd/storage"
)

// view is a folder as one client knows it: which messages have which sequence
// numbers, and with which flags. It holds 8 octets a message. It changes only
// together with what the client is told (sync.go).
type view struct {
	folder   storage.Folder // as it was when selected
	at       place
	readOnly bool   // nothing may be changed, but \Seen where marks is set
	marks    bool   // \Seen may be changed
	modseq   uint64 // everything up to here is known

	uids  []uint32 // ascending; the sequence number is the index plus one
	flags []uint32 // index into table
	table flagTable

	gone  map[uint32]struct{} // expunged, the client is still to be told
	saved []uint32            // the client's search result "$" (RFC 5182), UIDs
}

func newView(f storage.Folder, readOnly bool) *view {
	return &view{
		folder: f, readOnly: readOnly, marks: !readOnly, modseq: f.ModSeq,
		uids: make([]uint32, 0, f.Messages), flags: make([]uint32, 0, f.Messages),
		gone: make(map[uint32]struct{}),
	}
}

// add appends a message; its UID must be above all others.
func (v *view) add(uid uint32, flags []string) {
	v.uids = append(v.uids, uid)
	v.flags = append(v.flags, v.table.intern(flags))
}

// set notes the present flags of message i and tells whether they are others
// than before.
func (v *view) set(i int, flags []string) bool {
	f := v.table.intern(flags)
	changed := f != v.flags[i]
	v.flags[i] = f
	return changed
}

// last returns the highest UID, 0 for an empty view.
func (v *view) last() uint32 {
	if len(v.uids) == 0 {
		return 0
	}
	return v.uids[len(v.uids)-1]
}

// index finds a message by its UID.
func (v *view) index(uid uint32) (int, bool) { return slices.BinarySearch(v.uids, uid) }

// flagsOf returns the flags of message i. The caller must not change them.
func (v *view) flagsOf(i int) []string { return v.table.sets[v.flags[i]].flags }

// flagText is flagsOf as a FETCH tells it.
func (v *view) flagText(i int) string { return v.table.sets[v.flags[i]].text }

func (v *view) seen(i int) bool { return v.table.sets[v.flags[i]].seen }

// firstUnseen finds the first message without \Seen.
func (v *view) firstUnseen() (i int, ok bool) {
	for i := range v.uids {
		if !v.seen(i) {
			return i, true
		}
	}
	return 0, false
}

func (v *view) deleted(i int) bool { return v.table.sets[v.flags[i]].deleted }

// remove takes the messages of gone out and returns their UIDs, and their
// sequence numbers as they were, ascending.
func (v *view) remove() (uids, seqs []uint32) {
	if len(v.gone) == 0 {
		return nil, nil
	}
	k := 0
	for i, uid := range v.uids {
		if _, ok := v.gone[uid]; ok {
			uids, seqs = append(uids, uid), append(seqs, uint32(i+1))
			continue
		}
		v.uids[k], v.flags[k] = uid, v.flags[i]
		k++
	}
	v.uids, v.flags = v.uids[:k], v.flags[:k]
	if len(v.saved) > 0 {
		v.saved = slices.DeleteFunc(v.saved, func(uid uint32) bool { _, ok := v.gone[uid]; return ok })
	}
	clear(v.gone)
	return uids, seqs
}

// span is a range of message indexes, hi excluded.
type span struct{ lo, hi int }

// numRange is one range of a sequence set; 0 stands for "*".
type numRange struct{ from, to uint32 }

// numSet is a sequence set of a command, of sequence numbers or of UIDs.
type numSet struct {
	ranges []numRange
	saved  bool // "$"
	uid    bool
}

// uids returns the ranges of a set of UIDs, nil for another.
func (s numSet) uids() []numRange {
	if !s.uid {
		return nil
	}
	return s.ranges
}

// resolve returns the messages of a set as ascending, disjoint spans. ok is
// false for a sequence number that does not exist.
func (v *view) resolve(set numSet) (spans []span, ok bool) {
	if !set.saved && !set.uid {
		n := uint32(len(v.uids))
		for _, r := range set.ranges {
			if r.from > n || r.to > n {
				return nil, false
			}
		}
	}
	return v.existing(set), true
}

// existing returns those messages of a set that there are.
func (v *view) existing(set numSet) (spans []span) {
	if set.saved {
		for _, uid := range v.saved {
			if i, found := v.index(uid); found {
				spans = append(spans, span{i, i + 1})
			}
		}
		return merge(spans)
	}
	for _, r := range set.ranges {
		from, to := r.from, r.to
		if set.uid {
			if from == 0 {
				from = v.last()
			}
			if to == 0 {
				to = v.last()
			}
			if from > to {
				from, to = to, from
			}
			lo, _ := v.index(from)
			hi, found := v.index(to)
			if found {
				hi++
			}
			if lo < hi {
				spans = append(spans, span{lo, hi})
			}
			continue
		}
		n := uint32(len(v.uids))
		if from == 0 {
			from = n
		}
		if to == 0 {
			to = n
		}
		if from > to {
			from, to = to, from
		}
		if to = min(to, n); 0 < from && from <= to {
			spans = append(spans, span{int(from) - 1, int(to)})
		}
	}
	return merge(spans)
}

// merge sorts spans and joins those that overlap or touch.
func merge(spans []span) []span {
	if len(spans) < 2 {
		return spans
	}
	sort.Slice(spans, func(i, j int) bool { return spans[i].lo < spans[j].lo })
	out := spans[:1]
	for _, s := range spans[1:] {
		if last := &out[len(out)-1]; s.lo <= last.hi {
			last.hi = max(last.hi, s.hi)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// uidsOf lists the UIDs of spans.
func (v *view) uidsOf(spans []span) []uint32 {
	n := 0
	for _, s := range spans {
		n += s.hi - s.lo
	}
	uids := make([]uint32, 0, n)
	for _, s := range spans {
		uids = append(uids, v.uids[s.lo:s.hi]...)
	}
	return uids
}

// flagTable numbers the combinations of flags in a folder, of which there are
// few.
type flagTable struct {
	ids  map[string]uint32
	sets []flagSet

	last   *string // where the list interned last begins: the store shares them
	lastN  int
	lastID uint32

	words map[string]struct{} // the keywords among them
	fresh bool                // some of words were not told yet
}

type flagSet struct {
	flags         []string
	text          string // as a FETCH tells them
	seen, deleted bool
}

func (t *flagTable) intern(flags []string) uint32 {
	at := unsafe.SliceData(flags)
	if at != nil && at == t.last && len(flags) == t.lastN {
		return t.lastID
	}
	id := t.lookUp(flags)
	t.last, t.lastN, t.lastID = at, len(flags), id
	return id
}

func (t *flagTable) lookUp(flags []string) uint32 {
	key := strings.Join(flags, " ")
	if id, ok := t.ids[key]; ok {
		return id
	}
	if t.ids == nil {
		t.ids = make(map[string]uint32)
	}
	id := uint32(len(t.sets))
	t.ids[key] = id
	for _, f := range flags {
		if _, known := t.words[f]; !known && !strings.HasPrefix(f, `\`) {
			if t.words == nil {
				t.words = make(map[string]struct{})
			}
			t.words[f] = struct{}{}
			t.fresh = true
		}
	}
	t.sets = append(t.sets, flagSet{
		flags: slices.Clone(flags), text: string(appendFlags(nil, flags)),
		seen: slices.Contains(flags, flagSeen), deleted: slices.Contains(flags, flagDeleted),
	})
	return id
}

// told lists the keywords in use, sorted, for a client that is told of them.
func (t *flagTable) told() []string {
	t.fresh = false
	return slices.Sorted(maps.Keys(t.words))
}

// compact forgets combinations that no message has any more, once they
// outnumber the messages.
func (v *view) compact() {
	if len(v.table.sets) < 1024+2*len(v.uids) {
		return
	}
	old := v.table
	v.table = flagTable{}
	for i, f := range v.flags {
		v.flags[i] = v.table.intern(old.sets[f].flags)
	}
	v.table.fresh = old.fresh
}
