// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pecd/storage"
)

// mirror is a client that keeps a copy of a folder, by UID, and asks only for what
// it missed.
type mirror struct {
	*script
	validity uint32
	modseq   uint64
	flags    map[uint32]string
	uids     []uint32 // by sequence number while connected; 0: not known yet
}

// hear takes note of untagged responses and of the code of the tagged one.
func (m *mirror) hear(lines []string, result string) {
	m.t.Helper()
	var n uint64
	if i := strings.Index(result, "[HIGHESTMODSEQ "); i >= 0 {
		_, _ = fmt.Sscanf(result[i:], "[HIGHESTMODSEQ %d]", &m.modseq)
	}
	for _, l := range lines {
		var seq, uid uint32
		switch {
		case strings.HasPrefix(l, "* VANISHED "):
			for _, gone := range vanishedUIDs(m.t.(*testing.T), []string{l}) {
				delete(m.flags, gone)
				if i := slices.Index(m.uids, gone); i >= 0 {
					m.uids = slices.Delete(m.uids, i, i+1)
				}
			}
		case strings.HasSuffix(l, " EXISTS"):
			_, _ = fmt.Sscanf(l, "* %d", &seq)
			for len(m.uids) < int(seq) {
				m.uids = append(m.uids, 0)
			}
		case strings.HasPrefix(l, "* OK [HIGHESTMODSEQ "):
			_, _ = fmt.Sscanf(l, "* OK [HIGHESTMODSEQ %d]", &n)
			m.modseq = max(m.modseq, n)
		case strings.Contains(l, " FETCH (UID "):
			_, _ = fmt.Sscanf(l, "* %d FETCH (UID %d", &seq, &uid)
			if seq == 0 || int(seq) > len(m.uids) {
				m.t.Fatalf("%s with %d messages", l, len(m.uids))
			}
			if known := m.uids[seq-1]; known != 0 && known != uid {
				m.t.Fatalf("%s: message %d is UID %d", l, seq, known)
			}
			m.uids[seq-1] = uid
			if _, flags, ok := strings.Cut(l, "FLAGS ("); ok {
				m.flags[uid], _, _ = strings.Cut(flags, ")")
			}
		}
	}
}

// catchUp connects and asks for what was missed.
func (m *mirror) catchUp(f *fixture) {
	m.script = f.open("")
	m.ok("ENABLE QRESYNC")
	fo := f.folder("INBOX")
	m.uids = nil
	if m.validity != fo.UIDValidity { // the first time
		m.validity = fo.UIDValidity
		m.hear(m.ok("SELECT INBOX"), "")
		m.hear(m.ok("FETCH 1:* (UID FLAGS)"), "")
		return
	}
	lines := m.ok("SELECT INBOX (QRESYNC (%d %d))", m.validity, m.modseq)
	m.modseq = 0
	m.hear(lines, "")
	if n := len(m.uids); n != len(m.flags) {
		m.t.Fatalf("%d messages, the client knows %d: %q", n, len(m.flags), lines)
	}
	m.uids = slices.Sorted(maps.Keys(m.flags))
}

// do runs a command, and asks what messages are new.
func (m *mirror) do(format string, args ...any) {
	m.t.Helper()
	m.hear(m.command(format, args...))
	if i := slices.Index(m.uids, 0); i >= 0 {
		m.hear(m.command("FETCH %d:* (UID FLAGS)", i+1))
	}
}

// A client that comes and goes while others change the folder holds what the store
// holds each time it has caught up.
func TestResyncStaysInStep(t *testing.T) {
	f := newFixture(t)
	f.deliverSome(30)
	rng := rand.New(rand.NewPCG(7, 13))
	m := &mirror{flags: map[uint32]string{}}
	m.catchUp(f)
	id := f.folder("INBOX").ID
	for round := range 60 {
		for range 1 + rng.IntN(6) {
			next := int(f.folder("INBOX").UIDNext)
			uids := []uint32{uint32(1 + rng.IntN(next)), uint32(1 + rng.IntN(next))}
			switch rng.IntN(6) {
			case 0, 1:
				f.deliver("INBOX", message("nuovo"), []string{`\Seen`, "k1", `\Flagged`}[rng.IntN(3)])
			case 2:
				f.commit(&storage.SetFlags{Folder: id, UIDs: uids, Mode: storage.FlagMode(rng.IntN(3)), Flags: []string{"k2", `\Deleted`}[:1+rng.IntN(2)]})
			case 3:
				f.expunge(uids...)
			case 4:
				m.do("%s", []string{"EXPUNGE", "NOOP", "UID FETCH 1:* FLAGS (CHANGEDSINCE 1 VANISHED)", `STORE 1 +FLAGS (\Deleted)`, "UID MOVE 5:9 Bozze"}[rng.IntN(5)])
			case 5:
				m.conn.Close()
				m.catchUp(f)
			}
		}
		if round%3 == 0 { // gone without having heard the last of it
			m.conn.Close()
			m.catchUp(f)
		}
		m.do("NOOP")
		want := map[uint32]string{}
		_ = f.store.Messages(t.Context(), id, 1, 0, func(msg storage.Message) error {
			want[msg.UID] = strings.Join(msg.Flags, " ")
			return nil
		})
		if !maps.Equal(m.flags, want) || !slices.Equal(m.uids, slices.Sorted(maps.Keys(want))) {
			t.Fatalf("round %d: client %v %v\nstore %v", round, m.uids, m.flags, want)
		}
	}
}
