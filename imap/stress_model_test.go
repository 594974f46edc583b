// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// held is a message as a client knows it.
type held struct {
	uid    uint32 // 0: not asked for yet
	flags  string // sorted, separated by blanks
	modseq uint64
}

// model is what a client knows of the folder it has open, by what it was told.
// Every untagged response goes through take, which complains about what cannot
// be true.
type model struct {
	seq      []held
	validity uint64
	highest  uint64 // up to which it was told everything, as far as it was told
	fixed    bool   // numbers may not move: FETCH, STORE or SEARCH is under way
	qresync  bool
	early    map[uint32]bool // VANISHED (EARLIER) of this command
	went     map[uint32]bool // VANISHED since the folder was opened

	complain func(format string, args ...any)
}

var (
	numbered = regexp.MustCompile(`^\* (\d+) (EXISTS|EXPUNGE|FETCH)(?: \((.*)\))?$`)
	flagsIn  = regexp.MustCompile(`FLAGS \(([^)]*)\)`)
	uidIn    = regexp.MustCompile(`\bUID (\d+)`)
	modseqIn = regexp.MustCompile(`\bMODSEQ \((\d+)\)`)
	codeIn   = regexp.MustCompile(`\[(HIGHESTMODSEQ|UIDVALIDITY) (\d+)\]`)
	vanished = regexp.MustCompile(`^\* VANISHED( \(EARLIER\))? ([0-9:,]+)$`)
)

// take applies an untagged response, or the code of a tagged one.
func (m *model) take(line string) {
	for _, c := range codeIn.FindAllStringSubmatch(line, -1) {
		n, _ := strconv.ParseUint(c[2], 10, 64)
		switch {
		case c[1] == "UIDVALIDITY":
			m.validity = n
		case n < m.highest:
			m.complain("HIGHESTMODSEQ %d after %d", n, m.highest)
		default:
			m.highest = n
		}
	}
	if v := vanished.FindStringSubmatch(line); v != nil {
		m.vanish(numbersOf(v[2]), v[1] != "")
		return
	}
	f := numbered.FindStringSubmatch(line)
	if f == nil {
		return
	}
	n, _ := strconv.Atoi(f[1])
	switch f[2] {
	case "EXISTS":
		if n < len(m.seq) {
			m.complain("%d EXISTS, but there are %d", n, len(m.seq))
			return
		}
		m.seq = append(m.seq, make([]held, n-len(m.seq))...)
	case "EXPUNGE":
		switch {
		case m.fixed || m.qresync:
			m.complain("EXPUNGE now")
		case n < 1 || n > len(m.seq):
			m.complain("EXPUNGE of %d of %d", n, len(m.seq))
		default:
			m.seq = slices.Delete(m.seq, n-1, n)
		}
	case "FETCH":
		m.fetched(n, f[3])
	}
}

func (m *model) vanish(uids []uint32, earlier bool) {
	if !m.qresync || !earlier && m.fixed {
		m.complain("VANISHED now")
	}
	for _, uid := range uids {
		i := m.index(uid)
		if i < 0 {
			i = m.unknown(uid)
		}
		switch {
		case i >= 0:
			m.seq = slices.Delete(m.seq, i, i+1)
		case !earlier:
			m.complain("VANISHED %d, which is not there", uid)
		}
		if earlier {
			m.early[uid] = true
		} else {
			m.went[uid] = true
		}
	}
}

func (m *model) fetched(n int, items string) {
	if n < 1 || n > len(m.seq) {
		m.complain("FETCH of %d of %d", n, len(m.seq))
		return
	}
	h := &m.seq[n-1]
	if u := uidIn.FindStringSubmatch(items); u != nil {
		uid, _ := strconv.ParseUint(u[1], 10, 32)
		switch {
		case h.uid != 0 && h.uid != uint32(uid):
			m.complain("message %d has UID %d, had %d", n, uid, h.uid)
		case n > 1 && m.seq[n-2].uid >= uint32(uid), m.early[uint32(uid)]:
			m.complain("UID %d at %d", uid, n)
		}
		h.uid = uint32(uid)
	}
	was := *h
	if f := flagsIn.FindStringSubmatch(items); f != nil {
		h.flags = sortedFlags(f[1])
	}
	s := modseqIn.FindStringSubmatch(items)
	if s == nil {
		return
	}
	h.modseq, _ = strconv.ParseUint(s[1], 10, 64)
	switch {
	case h.modseq < was.modseq:
		m.complain("modseq %d of UID %d after %d", h.modseq, h.uid, was.modseq)
	case h.modseq == was.modseq && h.flags != was.flags:
		m.complain("UID %d has other flags (%s, had %s) at the same modseq", h.uid, h.flags, was.flags)
	}
}

func (m *model) index(uid uint32) int {
	return slices.IndexFunc(m.seq, func(h held) bool { return h.uid == uid && uid != 0 })
}

// unknown finds a message whose UID the client has not asked for and that may
// have this one.
func (m *model) unknown(uid uint32) int {
	found := -1
	for i, h := range m.seq {
		switch {
		case h.uid > uid:
			return found
		case h.uid > 0:
			found = -1
		case found < 0:
			found = i
		}
	}
	return found
}

// top is the highest modseq it was told of.
func (m *model) top() uint64 {
	top := m.highest
	for _, h := range m.seq {
		top = max(top, h.modseq)
	}
	return top
}

// set writes sequence numbers or UIDs.
func set(numbers []uint32) string {
	var parts []string
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
			j++
		}
		if j > i {
			parts = append(parts, fmt.Sprintf("%d:%d", numbers[i], numbers[j]))
		} else {
			parts = append(parts, fmt.Sprint(numbers[i]))
		}
		i = j + 1
	}
	return strings.Join(parts, ",")
}

// numbersOf reads what set writes.
func numbersOf(s string) []uint32 {
	var out []uint32
	for part := range strings.SplitSeq(s, ",") {
		from, to, isRange := strings.Cut(part, ":")
		a, _ := strconv.ParseUint(from, 10, 32)
		b := a
		if isRange {
			b, _ = strconv.ParseUint(to, 10, 32)
		}
		for ; a <= b; a++ {
			out = append(out, uint32(a))
		}
	}
	return out
}

func sortedFlags(s string) string {
	f := strings.Fields(s)
	slices.Sort(f)
	return strings.Join(f, " ")
}
