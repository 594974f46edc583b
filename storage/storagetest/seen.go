// SPDX-License-Identifier: EUPL-1.2

package storagetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"pecd/fault"
	"pecd/storage"
)

// as is e for what a user does.
func (e *env) as(login string) *env {
	viewing := *e
	viewing.ctx = storage.Viewing(e.ctx, login)
	return &viewing
}

// flagsOf are the flags of a message as e's user sees them.
func (e *env) flagsOf(f storage.Folder, uid uint32) string {
	e.Helper()
	return strings.Join(e.message(f, uid).Flags, " ")
}

func (e *env) people(logins ...string) {
	e.Helper()
	for _, login := range logins {
		e.ok(&storage.PutUser{User: storage.User{Login: login}})
	}
}

// setPersonal sets or ends the option of a mailbox.
func (e *env) setPersonal(box storage.MailboxID, on bool) {
	e.Helper()
	m := must(e.MailboxByID(e.ctx, box))(e)
	m.PersonalSeen = on
	e.ok(&storage.PutMailbox{Mailbox: m})
}

func testPersonalSeen(e *env) {
	in := e.box("a@x.it")
	e.people("ugo", "anna")
	e.put(in, "one", `\Seen`)
	e.put(in, "two")
	e.setPersonal(in.Mailbox, true)
	equal(e, "option", e.now(in).PersonalSeen, true)
	ugo, anna := e.as("Ugo"), e.as("anna")

	// Everybody starts with what the messages have.
	for _, who := range []*env{e, ugo, anna} {
		equal(e, "flags", who.flagsOf(in, 1)+"|"+who.flagsOf(in, 2), `\Seen|`)
		equal(e, "unseen", who.now(in).Unseen, 1)
	}
	before := e.now(in).ModSeq
	op := &storage.SetFlags{Folder: in.ID, UIDs: []uint32{1, 2}, Mode: storage.ReplaceFlags, Flags: []string{`\Seen`, `\Flagged`}}
	ugo.ok(op)
	equal(e, "told", fmt.Sprint(op.Changed[1].Flags), fmt.Sprint([]string{`\Flagged`, `\Seen`}))
	ugo.ok(&storage.SetFlags{Folder: in.ID, UIDs: []uint32{1}, Mode: storage.RemoveFlags, Flags: []string{`\Seen`}})
	equal(e, "ugo's", ugo.flagsOf(in, 1)+"|"+ugo.flagsOf(in, 2), `\Flagged|\Flagged \Seen`)
	equal(e, "anna's", anna.flagsOf(in, 1)+"|"+anna.flagsOf(in, 2), `\Flagged \Seen|\Flagged`)
	equal(e, "unseen", fmt.Sprint(ugo.now(in).Unseen, anna.now(in).Unseen, e.now(in).Unseen), "1 1 1")
	if ch := must(anna.Store.Changes(anna.ctx, in.ID, before))(e); len(ch.Changed) != 2 || strings.Join(ch.Changed[1].Flags, " ") != `\Flagged` {
		e.Fatalf("changes for anna: %+v", ch.Changed)
	}
	// A change that is none for him leaves the message as it is.
	now := e.now(in).ModSeq
	ugo.ok(&storage.SetFlags{Folder: in.ID, UIDs: []uint32{2}, Mode: storage.AddFlags, Flags: []string{`\Seen`}})
	equal(e, "modseq", e.now(in).ModSeq, now)
	// Without a viewer \Seen stays as it is, other flags are set.
	e.ok(&storage.SetFlags{Folder: in.ID, UIDs: []uint32{1, 2}, Mode: storage.ReplaceFlags, Flags: []string{`\Answered`}})
	equal(e, "shared", e.flagsOf(in, 1)+"|"+e.flagsOf(in, 2), `\Answered \Seen|\Answered`)
	equal(e, "ugo's", ugo.flagsOf(in, 1)+"|"+ugo.flagsOf(in, 2), `\Answered|\Answered \Seen`)
	// Who appends a message has seen it himself.
	uid := anna.put(in, "three", `\Seen`)
	equal(e, "three", anna.flagsOf(in, uid)+"|"+ugo.flagsOf(in, uid)+"|"+e.flagsOf(in, uid), `\Seen||`)
	e.wants(fault.NotFound, e.Commit(e.as("nobody").ctx, &storage.Step{Ops: []storage.Op{
		&storage.SetFlags{Folder: in.ID, UIDs: []uint32{2}, Flags: []string{`\Seen`}},
	}}))
	e.again()
	e.clean()

	own := &storage.SetFlags{Folder: in.ID, UIDs: []uint32{3}, Mode: storage.AddFlags, Flags: []string{`\Seen`}, Personal: true}
	e.fails(fault.Denied, own)
	e.as("ugo").ok(own)
	// When the option goes, everything is as the messages have it, and is told.
	before = e.now(in).ModSeq
	changed, cancel := e.Store.Watch(in.ID)
	defer cancel()
	e.setPersonal(in.Mailbox, false)
	<-changed
	ch := must(e.Store.Changes(e.ctx, in.ID, before))(e)
	equal(e, "changed", fmt.Sprint(uids(ch.Changed)), "[1 2 3]")
	e.as("ugo").fails(fault.Denied, own)
	e.setPersonal(in.Mailbox, true)
	ugo = e.as("ugo")
	equal(e, "anew", ugo.flagsOf(in, 1)+"|"+ugo.flagsOf(in, 2)+"|"+ugo.flagsOf(in, 3), `\Answered \Seen|\Answered|`)
}

// testPersonalSeenMany: more messages than are read at a time, with gaps.
func testPersonalSeenMany(e *env) {
	in := e.box("a@x.it")
	e.people("ugo")
	e.setPersonal(in.Mailbox, true)
	const n = 10000
	b, _ := text(in, "x")
	step := new(storage.Step).Add(b)
	var own []uint32
	for i := range uint32(n) {
		step.Add(&storage.Append{Folder: in.ID, Body: storage.BodyRef{New: b}})
		if i%1000 > 2 {
			own = append(own, i+1)
		}
	}
	e.ok(step.Ops...)
	e.ok(&storage.Expunge{Folder: in.ID, UIDs: []uint32{1, 5000, 5001, n}})
	ugo := e.as("ugo")
	ugo.ok(&storage.SetFlags{Folder: in.ID, UIDs: own, Mode: storage.AddFlags, Flags: []string{`\Seen`}})
	count := func(from, to uint32) (seen, all int) {
		err := e.Flags(ugo.ctx, in.ID, from, to, func(uid uint32, flags []string) error {
			equal(e, fmt.Sprint("seen ", uid), slices.Contains(flags, `\Seen`), (uid-1)%1000 > 2)
			seen += len(flags)
			all++
			return nil
		})
		if err != nil {
			e.Fatal(err)
		}
		return seen, all
	}
	seen, all := count(0, 0)
	equal(e, "messages", fmt.Sprint(seen, all), fmt.Sprint(len(own)-2, n-4))
	seen, all = count(4900, 5003)
	equal(e, "some messages", fmt.Sprint(seen, all), "100 102")
	equal(e, "unseen", int(ugo.now(in).Unseen), n-4-(len(own)-2))
}

// testPersonalSeenCopies: what each user has seen goes with a message, as far as
// the other mailbox keeps it.
func testPersonalSeenCopies(e *env) {
	in, plain, other := e.box("a@x.it"), e.box("b@x.it"), e.box("c@x.it")
	e.people("ugo", "anna")
	e.setPersonal(in.Mailbox, true)
	e.setPersonal(other.Mailbox, true)
	sub := e.folder(in.Mailbox, "sub")
	e.put(in, "one", `\Seen`)
	e.put(in, "two")
	ugo := e.as("ugo")
	ugo.ok(&storage.SetFlags{Folder: in.ID, UIDs: []uint32{1}, Mode: storage.RemoveFlags, Flags: []string{`\Seen`}},
		&storage.SetFlags{Folder: in.ID, UIDs: []uint32{2}, Mode: storage.AddFlags, Flags: []string{`\Seen`}})
	for _, to := range []storage.Folder{sub, other, in} {
		from := must(e.FolderByID(e.ctx, to.ID))(e).UIDNext
		e.ok(&storage.CopyMessages{From: in.ID, To: to.ID, UIDs: []uint32{1, 2}})
		equal(e, "ugo's", ugo.flagsOf(to, from)+"|"+ugo.flagsOf(to, from+1), `|\Seen`)
		equal(e, "the other's", e.as("anna").flagsOf(to, from)+"|"+e.flagsOf(to, from+1), `\Seen|`)
	}
	ugo.ok(&storage.CopyMessages{From: in.ID, To: plain.ID, UIDs: []uint32{1, 2}})
	e.ok(&storage.CopyMessages{From: in.ID, To: plain.ID, UIDs: []uint32{1, 2}})
	equal(e, "shared", e.flagsOf(plain, 1)+"|"+e.flagsOf(plain, 2)+"|"+e.flagsOf(plain, 3)+"|"+e.flagsOf(plain, 4), `|\Seen|\Seen|`)
	equal(e, "unseen", e.now(plain).Unseen, 2)
	ugo.ok(&storage.CopyMessages{From: in.ID, To: sub.ID, UIDs: []uint32{1, 2}, Move: true})
	equal(e, "moved", ugo.flagsOf(sub, 3)+"|"+ugo.flagsOf(sub, 4)+"|"+e.flagsOf(sub, 3), `|\Seen|\Seen`)
	e.clean()
	e.ok(&storage.RenameFolder{Mailbox: in.Mailbox, From: "INBOX", To: "old"})
	equal(e, "renamed INBOX", ugo.flagsOf(e.named(in.Mailbox, "old"), 2), `\Seen`)
	e.ok(&storage.DeleteFolder{Mailbox: in.Mailbox, Name: "sub"})
}

var seenUsers = []string{"", "ugo", "anna"}

// seenMessage is a message as the model has it.
type seenMessage struct {
	shared bool
	own    map[string]bool // where it is another for a user
	other  string          // its one further flag, "" for none
}

func (m *seenMessage) seen(who string) bool {
	if own, ok := m.own[who]; ok {
		return own
	}
	return m.shared
}

type seenFolder struct {
	storage.Folder
	next     uint32
	messages map[uint32]*seenMessage
	clients  map[string]*mirror // what each user's client knows
}

// testPersonalSeenModel drives two mailboxes, one of which has its option set
// and ended now and then, and looks at them with the eyes of everybody.
func testPersonalSeenModel(e *env) {
	e.people("ugo", "anna")
	boxes := 0
	rapid.Check(e.T, func(t *rapid.T) {
		personal := make(map[storage.MailboxID]bool)
		var folders []*seenFolder
		for range 2 {
			boxes++
			in := e.box(fmt.Sprintf("m%d@x.it", boxes))
			e.setPersonal(in.Mailbox, true)
			personal[in.Mailbox] = true
			for _, f := range []storage.Folder{in, e.folder(in.Mailbox, "sub")} {
				folders = append(folders, &seenFolder{Folder: f, next: 1, messages: make(map[uint32]*seenMessage), clients: make(map[string]*mirror)})
			}
		}
		pick := func(t *rapid.T, label string) *seenFolder { return rapid.SampledFrom(folders).Draw(t, label) }
		whose := func(t *rapid.T) (*env, string) {
			who := rapid.SampledFrom(seenUsers).Draw(t, "viewer")
			return e.as(who), who
		}
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				f := pick(t, "folder")
				u, who := whose(t)
				var flags []string
				seen := rapid.Bool().Draw(t, "seen")
				if seen {
					flags = []string{`\Seen`}
				}
				equal(e, "uid", u.put(f.Folder, "x", flags...), f.next)
				m := &seenMessage{shared: seen, own: make(map[string]bool)}
				if personal[f.Mailbox] && who != "" && seen {
					m.shared, m.own[who] = false, true
				}
				f.messages[f.next] = m
				f.next++
			},
			"flags": func(t *rapid.T) {
				f := pick(t, "folder")
				u, who := whose(t)
				uid := rapid.Uint32Range(1, f.next).Draw(t, "uid")
				flags := rapid.SampledFrom([][]string{{`\Seen`}, {"k"}, {`\Seen`, "k"}, nil}).Draw(t, "flags")
				mode := rapid.SampledFrom([]storage.FlagMode{storage.ReplaceFlags, storage.AddFlags, storage.RemoveFlags}).Draw(t, "mode")
				u.ok(&storage.SetFlags{Folder: f.ID, UIDs: []uint32{uid}, Mode: mode, Flags: flags})
				m := f.messages[uid]
				if m == nil {
					return
				}
				seen, other := m.seen(who), m.other
				if named := slices.Contains(flags, `\Seen`); named || mode == storage.ReplaceFlags {
					seen = named && mode != storage.RemoveFlags
				}
				if named := slices.Contains(flags, "k"); named || mode == storage.ReplaceFlags {
					other = ""
					if named && mode != storage.RemoveFlags {
						other = "k"
					}
				}
				m.other = other
				switch {
				case !personal[f.Mailbox]:
					m.shared = seen
				case who != "":
					m.own[who] = seen
				}
			},
			"copy": func(t *rapid.T) {
				from, to := pick(t, "from"), pick(t, "to")
				u, who := whose(t)
				op := &storage.CopyMessages{From: from.ID, To: to.ID, Move: rapid.Bool().Draw(t, "move"),
					UIDs: []uint32{rapid.Uint32Range(1, from.next).Draw(t, "uid")}}
				u.ok(op)
				m := from.messages[op.UIDs[0]]
				if m == nil {
					return
				}
				c := &seenMessage{shared: m.shared, own: make(map[string]bool), other: m.other}
				if personal[to.Mailbox] {
					c.own = maps.Clone(m.own)
				} else {
					c.shared = m.seen(who)
				}
				if op.Move {
					delete(from.messages, op.UIDs[0])
				}
				to.messages[to.next] = c
				to.next++
			},
			"expunge": func(t *rapid.T) {
				f := pick(t, "folder")
				uid := rapid.Uint32Range(1, f.next).Draw(t, "uid")
				e.ok(&storage.Expunge{Folder: f.ID, UIDs: []uint32{uid}})
				delete(f.messages, uid)
			},
			"option": func(t *rapid.T) {
				box := pick(t, "mailbox").Mailbox
				personal[box] = !personal[box]
				e.setPersonal(box, personal[box])
				for _, f := range folders {
					for _, m := range f.messages {
						if f.Mailbox == box {
							clear(m.own)
						}
					}
				}
			},
			"": func(t *rapid.T) {
				f := pick(t, "compared")
				for _, who := range seenUsers {
					f.compare(e.as(who), who)
				}
			},
		})
	})
}

// compare looks at a folder as a user does, in every way there is.
func (f *seenFolder) compare(u *env, who string) {
	want := make(map[uint32]string)
	var unseen uint32
	for uid, m := range f.messages {
		flags := m.other
		if m.seen(who) {
			flags = strings.TrimSpace(`\Seen ` + m.other)
		} else {
			unseen++
		}
		want[uid] = flags
	}
	got, cheap, summed := make(map[uint32]string), make(map[uint32]string), make(map[uint32]string)
	for _, m := range u.list(f.Folder) {
		got[m.UID] = strings.Join(m.Flags, " ")
	}
	err := u.Flags(u.ctx, f.ID, 1, 0, func(uid uint32, flags []string) error {
		cheap[uid] = strings.Join(flags, " ")
		return nil
	})
	if err != nil {
		u.Fatal(err)
	}
	err = u.Summaries(u.ctx, f.ID, 1, 0, func(m storage.Message, _ []byte) error {
		summed[m.UID] = strings.Join(m.Flags, " ")
		return nil
	})
	if err != nil {
		u.Fatal(err)
	}
	if f.clients[who] == nil {
		f.clients[who] = &mirror{flags: make(map[uint32]string)}
	}
	client := f.clients[who]
	ch, err := u.Store.Changes(u.ctx, f.ID, client.modseq)
	if err == nil {
		err = client.apply(ch)
	}
	if err != nil {
		u.Fatal(err)
	}
	for what, have := range map[string]map[uint32]string{"messages": got, "flags": cheap, "summaries": summed, "changes": client.flags} {
		if !maps.Equal(have, want) {
			u.Fatalf("%q by %s: %v, want %v", who, what, have, want)
		}
	}
	all := must(u.Folders(u.ctx, f.Mailbox))(u)
	i := slices.IndexFunc(all, func(g storage.Folder) bool { return g.ID == f.ID })
	equal(u, fmt.Sprintf("unseen for %q", who), fmt.Sprint(u.now(f.Folder).Unseen, all[i].Unseen), fmt.Sprint(unseen, unseen))
}
