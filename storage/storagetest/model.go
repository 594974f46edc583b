// SPDX-License-Identifier: EUPL-1.2

package storagetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"pecd/fault"
	"pecd/storage"
)

// modelFolder and modelMessage are what a folder should hold.
type modelFolder struct {
	id       storage.FolderID
	validity uint32
	next     uint32
	messages map[uint32]modelMessage
	past     []mirror // what clients saw earlier
}

type modelMessage struct {
	flags string // sorted, by spaces
	text  string
}

func (f *modelFolder) uids() []uint32 { return slices.Sorted(maps.Keys(f.messages)) }

// model drives one mailbox of a store and a plain map side by side.
type model struct {
	*rapid.T
	st      storage.Store
	ctx     context.Context
	box     storage.MailboxID
	folders map[string]*modelFolder
	retired map[string]uint32 // highest UIDVALIDITY a name had
	texts   int
}

var modelNames = []string{"INBOX", "a", "b", "a/b", "a/c", "b/c/d", "INBOX/x", "c"}
var modelFlags = []string{`\Seen`, `\Deleted`, "k1", "k2"}

func testModel(e *env) {
	boxes := 0
	rapid.Check(e.T, func(t *rapid.T) {
		boxes++
		op := &storage.PutMailbox{Mailbox: storage.Mailbox{Address: fmt.Sprintf("m%d@x.it", boxes)}}
		m := &model{T: t, st: e.Store, ctx: e.ctx, folders: make(map[string]*modelFolder), retired: make(map[string]uint32)}
		if err := m.st.Commit(m.ctx, new(storage.Step).Add(op)); err != nil {
			t.Fatal(err)
		}
		m.box = op.ID
		f, err := m.st.Folder(m.ctx, m.box, "INBOX")
		if err != nil {
			t.Fatal(err)
		}
		m.folders["INBOX"] = newModelFolder(f)
		t.Repeat(map[string]func(*rapid.T){
			"":        m.compare,
			"append":  m.append,
			"append2": m.append,
			"flags":   m.setFlags,
			"expunge": m.expunge,
			"copy":    m.copy,
			"create":  m.create,
			"rename":  m.rename,
			"delete":  m.delete,
		})
	})
}

func newModelFolder(f storage.Folder) *modelFolder {
	return &modelFolder{id: f.ID, validity: f.UIDValidity, next: 1, messages: make(map[uint32]modelMessage)}
}

func (m *model) commit(ops ...storage.Op) error { return m.st.Commit(m.ctx, &storage.Step{Ops: ops}) }

// pick draws an existing folder.
func (m *model) pick(t *rapid.T, label string) (string, *modelFolder) {
	name := rapid.SampledFrom(slices.Sorted(maps.Keys(m.folders))).Draw(t, label)
	return name, m.folders[name]
}

func drawUIDs(t *rapid.T, f *modelFolder) []uint32 {
	return rapid.SliceOfN(rapid.Uint32Range(1, f.next), 0, 6).Draw(t, "uids")
}

func drawFlags(t *rapid.T) []string {
	fs := rapid.SliceOfDistinct(rapid.SampledFrom(modelFlags), rapid.ID[string]).Draw(t, "flags")
	slices.Sort(fs)
	return fs
}

// found returns those of uids that are there, ascending, each once.
func (f *modelFolder) found(uids []uint32) []uint32 {
	out := slices.DeleteFunc(slices.Clone(uids), func(u uint32) bool { _, ok := f.messages[u]; return !ok })
	slices.Sort(out)
	return slices.Compact(out)
}

func (m *model) append(t *rapid.T) {
	_, f := m.pick(t, "folder")
	flags := drawFlags(t)
	m.texts++
	msg := modelMessage{strings.Join(flags, " "), fmt.Sprint("text ", m.texts)}
	b := &storage.NewBody{Head: []byte(msg.text)}
	a := &storage.Append{Folder: f.id, Body: storage.BodyRef{New: b}, Flags: flags}
	if rapid.IntRange(0, 9).Draw(t, "fails") == 0 {
		if err := m.commit(b, a, &storage.FinishJob{ID: 1 << 40}); !fault.Is(err, fault.NotFound) {
			t.Fatalf("failing append: %v", err)
		}
		return
	}
	if err := m.commit(b, a); err != nil {
		t.Fatal(err)
	}
	if a.UID != f.next || a.UIDValidity != f.validity {
		t.Fatalf("UID %d.%d, want %d.%d", a.UIDValidity, a.UID, f.validity, f.next)
	}
	f.messages[a.UID] = msg
	f.next++
}

func (m *model) setFlags(t *rapid.T) {
	_, f := m.pick(t, "folder")
	op := &storage.SetFlags{Folder: f.id, UIDs: drawUIDs(t, f), Flags: drawFlags(t),
		Mode: rapid.SampledFrom([]storage.FlagMode{storage.ReplaceFlags, storage.AddFlags, storage.RemoveFlags}).Draw(t, "mode")}
	if err := m.commit(op); err != nil {
		t.Fatal(err)
	}
	found := f.found(op.UIDs)
	if !slices.Equal(uids(op.Changed), found) {
		t.Fatalf("changed %v, want %v", uids(op.Changed), found)
	}
	for _, uid := range found {
		msg := f.messages[uid]
		have := strings.Fields(msg.flags)
		switch op.Mode {
		case storage.ReplaceFlags:
			have = op.Flags
		case storage.AddFlags:
			have = append(have, op.Flags...)
		case storage.RemoveFlags:
			have = slices.DeleteFunc(have, func(k string) bool { return slices.Contains(op.Flags, k) })
		}
		have = slices.Clone(have)
		slices.Sort(have)
		msg.flags = strings.Join(slices.Compact(have), " ")
		f.messages[uid] = msg
	}
}

func (m *model) expunge(t *rapid.T) {
	_, f := m.pick(t, "folder")
	op := &storage.Expunge{Folder: f.id, UIDs: drawUIDs(t, f), DeletedOnly: rapid.Bool().Draw(t, "deleted only")}
	if err := m.commit(op); err != nil {
		t.Fatal(err)
	}
	want := f.found(op.UIDs)
	if op.DeletedOnly {
		want = slices.DeleteFunc(want, func(u uint32) bool { return !strings.Contains(f.messages[u].flags, `\Deleted`) })
	}
	if !slices.Equal(op.Expunged, want) {
		t.Fatalf("expunged %v, want %v", op.Expunged, want)
	}
	for _, uid := range want {
		delete(f.messages, uid)
	}
}

func (m *model) copy(t *rapid.T) {
	_, from := m.pick(t, "from")
	_, to := m.pick(t, "to")
	op := &storage.CopyMessages{From: from.id, To: to.id, UIDs: drawUIDs(t, from), Move: rapid.Bool().Draw(t, "move")}
	if err := m.commit(op); err != nil {
		t.Fatal(err)
	}
	want := from.found(op.UIDs)
	if !slices.Equal(op.Source, want) || len(op.Dest) != len(want) {
		t.Fatalf("copied %v to %v, want %v", op.Source, op.Dest, want)
	}
	for i, uid := range want {
		if op.Dest[i] != to.next {
			t.Fatalf("copied to UID %d, want %d", op.Dest[i], to.next)
		}
		to.messages[to.next] = from.messages[uid]
		to.next++
		if op.Move {
			delete(from.messages, uid)
		}
	}
}

// adopt takes a folder that the store has just created into the model.
func (m *model) adopt(t *rapid.T, name string) {
	for i := range name + "/" {
		if (name + "/")[i] != '/' || m.folders[name[:i]] != nil {
			continue
		}
		f, err := m.st.Folder(m.ctx, m.box, name[:i])
		if err != nil {
			t.Fatalf("folder %s: %v", name[:i], err)
		}
		if f.UIDValidity <= m.retired[name[:i]] {
			t.Fatalf("folder %s has UIDVALIDITY %d after %d", name[:i], f.UIDValidity, m.retired[name[:i]])
		}
		m.folders[name[:i]] = newModelFolder(f)
	}
}

func (m *model) create(t *rapid.T) {
	name := rapid.SampledFrom(modelNames).Draw(t, "name")
	err := m.commit(&storage.CreateFolder{Mailbox: m.box, Name: name})
	if m.folders[name] != nil {
		if !fault.Is(err, fault.Exists) {
			t.Fatalf("create %s: %v", name, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	m.adopt(t, name)
}

func (m *model) rename(t *rapid.T) {
	from, f := m.pick(t, "from")
	to := rapid.SampledFrom(modelNames).Draw(t, "to")
	err := m.commit(&storage.RenameFolder{Mailbox: m.box, From: from, To: to})
	switch {
	case from != "INBOX" && strings.HasPrefix(to, from+"/"):
		if !fault.Is(err, fault.Invalid) {
			t.Fatalf("rename %s to %s: %v", from, to, err)
		}
		return
	case m.folders[to] != nil:
		if !fault.Is(err, fault.Exists) {
			t.Fatalf("rename %s to %s: %v", from, to, err)
		}
		return
	case err != nil:
		t.Fatal(err)
	}
	if from == "INBOX" {
		m.adopt(t, to)
		for _, uid := range f.uids() {
			n := m.folders[to]
			n.messages[n.next] = f.messages[uid]
			n.next++
		}
		clear(f.messages)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(m.folders)) {
		if name != from && !strings.HasPrefix(name, from+"/") {
			continue
		}
		f := m.folders[name]
		delete(m.folders, name)
		m.retired[name] = max(m.retired[name], f.validity)
		now := to + name[len(from):]
		m.folders[now] = f
		got, err := m.st.Folder(m.ctx, m.box, now)
		if err != nil || got.ID != f.id || got.UIDValidity < m.retired[now] || got.UIDValidity < f.validity {
			t.Fatalf("%s renamed to %s: %+v, %v; UIDVALIDITY was %d, the name's %d", name, now, got, err, f.validity, m.retired[now])
		}
		f.validity = got.UIDValidity
	}
	m.adopt(t, to)
}

func (m *model) delete(t *rapid.T) {
	name, f := m.pick(t, "name")
	err := m.commit(&storage.DeleteFolder{Mailbox: m.box, Name: name})
	denied := name == "INBOX"
	for other := range m.folders {
		denied = denied || strings.HasPrefix(other, name+"/")
	}
	if denied {
		if !fault.Is(err, fault.Denied) {
			t.Fatalf("delete %s: %v", name, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	m.retired[name] = max(m.retired[name], f.validity)
	delete(m.folders, name)
}

// compare reads the mailbox back, whole and by changes since earlier states.
func (m *model) compare(t *rapid.T) {
	fs, err := m.st.Folders(m.ctx, m.box)
	if err != nil {
		t.Fatal(err)
	}
	if len(fs) != len(m.folders) {
		t.Fatalf("folders %s, want %v", names(fs), slices.Sorted(maps.Keys(m.folders)))
	}
	var used, count int64
	for _, f := range fs {
		want := m.folders[f.Name]
		if want == nil {
			t.Fatalf("unexpected folder %s", f.Name)
		}
		m.compareFolder(t, f, want)
		used += f.Bytes
		count += int64(f.Messages)
	}
	box, err := m.st.MailboxByID(m.ctx, m.box)
	if err != nil || box.Used != used || box.Messages != count {
		t.Fatalf("mailbox %+v, %v: its folders hold %d, %d", box, err, used, count)
	}
}

func (m *model) compareFolder(t *rapid.T, f storage.Folder, want *modelFolder) {
	have := make(map[uint32]string)
	var unseen uint32
	var bytes int64
	err := m.st.Messages(m.ctx, f.ID, 1, 0, func(msg storage.Message) error {
		w, ok := want.messages[msg.UID]
		flags := strings.Join(msg.Flags, " ")
		if !ok || flags != w.flags || msg.Size != int64(len(w.text)) || msg.ModSeq > f.ModSeq {
			return fmt.Errorf("%s: %+v, want %+v", f.Name, msg, w)
		}
		have[msg.UID] = flags
		bytes += msg.Size
		if !slices.Contains(msg.Flags, `\Seen`) {
			unseen++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{f.ID, f.UIDValidity, f.UIDNext, int(f.Messages), f.Unseen, f.Bytes}
	expect := []any{want.id, want.validity, want.next, len(want.messages), unseen, bytes}
	if len(have) != len(want.messages) || fmt.Sprint(got) != fmt.Sprint(expect) {
		t.Fatalf("%s: %v with %d messages, want %v", f.Name, got, len(have), expect)
	}
	for _, past := range want.past {
		client := mirror{past.modseq, maps.Clone(past.flags)}
		ch, err := m.st.Changes(m.ctx, f.ID, client.modseq)
		if err == nil {
			err = client.apply(ch)
		}
		if err != nil || !maps.Equal(client.flags, have) || client.modseq != f.ModSeq {
			t.Fatalf("%s: a client of modseq %d comes to %v at %d, want %v at %d: %v",
				f.Name, past.modseq, client.flags, client.modseq, have, f.ModSeq, err)
		}
	}
	if last := len(want.past); last == 0 || want.past[last-1].modseq != f.ModSeq {
		want.past = append(want.past, mirror{f.ModSeq, have})
		if last == 4 { // keep the first and the latest
			want.past = slices.Delete(want.past, 1, 2)
		}
	} else if !maps.Equal(want.past[last-1].flags, have) {
		t.Fatalf("%s changed but stayed at modseq %d", f.Name, f.ModSeq)
	}
}
