// SPDX-License-Identifier: EUPL-1.2

package storagetest

import (
	"fmt"
	"strings"

	"pecd/fault"
	"pecd/storage"
)

const deleted = "Eliminati"

func (e *env) recoverable() []storage.Folder {
	e.Helper()
	return must(e.RecoverableFolders(e.ctx))(e)
}

func (e *env) used(f storage.Folder) string {
	e.Helper()
	m := must(e.MailboxByID(e.ctx, f.Mailbox))(e)
	return fmt.Sprintf("%d bytes in %d", m.Used, m.Messages)
}

// testDiscard: what is discarded is there, does not count, and counts again
// where it is taken back.
func testDiscard(e *env) {
	in := e.box("a@x.it")
	for i := range 4 {
		e.put(in, strings.Repeat("x", i+1), `\Flagged`)
	}
	e.ok(&storage.SetFlags{Folder: in.ID, UIDs: []uint32{2}, Mode: storage.AddFlags, Flags: []string{`\Seen`}})
	before := e.message(in, 2)
	op := &storage.Discard{From: in.ID, UIDs: []uint32{3, 2, 9, 2}, Name: deleted, Logged: func(h storage.Handled) []storage.Record {
		return []storage.Record{{Event: fmt.Sprint("moved ", h.UIDs, h.Validity == in.UIDValidity, h.To, h.ToValidity != 0)}}
	}}
	e.ok(op)
	recorded := ""
	if err := e.Store.Records(e.ctx, 1, func(r storage.Record) error { recorded += r.Event; return nil }); err != nil {
		e.Fatal(err)
	}
	equal(e, "recorded", recorded, "moved [2 3] true [1 2] true")
	equal(e, "moved", fmt.Sprint(op.Source, op.Dest), "[2 3] [1 2]")
	f := must(e.FolderByID(e.ctx, op.Folder))(e)
	equal(e, "folder", fmt.Sprint(f.Name, f.Recoverable, f.Subscribed, f.Messages, f.Unseen, f.Bytes), deleted+"true true 2 1 5")
	equal(e, "held", e.used(in), "5 bytes in 2")
	after := e.message(f, 1)
	equal(e, "flags", strings.Join(after.Flags, " "), `\Flagged \Seen`)
	equal(e, "body", after.Body, before.Body)
	equal(e, "date", after.InternalDate, before.InternalDate)
	equal(e, "left", fmt.Sprint(uids(e.list(in))), "[1 4]")
	equal(e, "vanished", fmt.Sprint(must(e.Changes(e.ctx, in.ID, before.ModSeq))(e).Vanished), "[2 3]")
	equal(e, "listed", len(e.recoverable()), 1)
	equal(e, "listed", e.recoverable()[0].ID, f.ID)
	e.clean()

	back := &storage.CopyMessages{From: f.ID, UIDs: []uint32{1}, To: in.ID, Move: true}
	e.ok(back)
	equal(e, "new UID", back.Dest[0], 5)
	equal(e, "held", e.used(in), "7 bytes in 3")
	e.ok(&storage.CopyMessages{From: f.ID, UIDs: []uint32{2}, To: in.ID})
	equal(e, "held", e.used(in), "10 bytes in 4")
	e.ok(&storage.Expunge{Folder: f.ID, UIDs: []uint32{2}})
	equal(e, "held", e.used(in), "10 bytes in 4")
	equal(e, "listed without messages", len(e.recoverable()), 0)
}

// testDiscardAgain: a mailbox has one recoverable folder, whatever its name.
func testDiscardAgain(e *env) {
	in := e.box("a@x.it")
	e.folder(in.Mailbox, deleted)
	for range 4 {
		e.put(in, "x")
	}
	one := &storage.Discard{From: in.ID, UIDs: []uint32{1}, Name: deleted}
	e.ok(one)
	equal(e, "name", must(e.FolderByID(e.ctx, one.Folder))(e).Name, deleted+" 2")
	e.ok(&storage.RenameFolder{Mailbox: in.Mailbox, From: deleted + " 2", To: "Altro/Nome"})
	e.again()
	two := &storage.Discard{From: in.ID, UIDs: []uint32{2, 3}, Name: deleted}
	e.ok(two)
	equal(e, "folder", two.Folder, one.Folder)
	equal(e, "UIDs", fmt.Sprint(two.Dest), "[2 3]")
	f := e.named(in.Mailbox, "Altro/Nome")
	equal(e, "messages", fmt.Sprint(f.Recoverable, f.Messages), "true 3")

	none := &storage.Discard{From: in.ID, UIDs: []uint32{1, 77}, Name: deleted}
	e.ok(none)
	equal(e, "nothing", fmt.Sprint(none.Source, none.Folder), "[] 0")
	e.ok(&storage.Expunge{Folder: f.ID, UIDs: []uint32{1, 2, 3}}, &storage.DeleteFolder{Mailbox: in.Mailbox, Name: "Altro/Nome"})
	three := &storage.Discard{From: in.ID, UIDs: []uint32{4}, Name: deleted}
	e.ok(three)
	if three.Folder == one.Folder {
		e.Fatal("the folder that was deleted is in use")
	}
	other := e.box("b@x.it")
	e.put(other, "y")
	e.ok(&storage.Discard{From: other.ID, UIDs: []uint32{1}, Name: deleted})
	equal(e, "folders of all mailboxes", len(e.recoverable()), 2)
}

// testDiscardRefused: nothing but Discard puts messages into the folder, and
// what is in it stays.
func testDiscardRefused(e *env) {
	in := e.box("a@x.it")
	e.put(in, "12345")
	e.put(in, "12345")
	e.fails(fault.NotFound, &storage.Discard{From: in.ID + 9, UIDs: []uint32{1}, Name: deleted})
	e.fails(fault.Invalid, &storage.Discard{From: in.ID, UIDs: []uint32{1}})
	e.fails(fault.Quota, &storage.Discard{From: in.ID, UIDs: []uint32{1, 2}, Name: deleted, Limit: 9})
	op := &storage.Discard{From: in.ID, UIDs: []uint32{1, 1}, Name: deleted, Limit: 5}
	e.ok(op)
	e.fails(fault.Quota, &storage.Discard{From: in.ID, UIDs: []uint32{2}, Name: deleted, Limit: 9})
	e.fails(fault.Denied, &storage.Discard{From: op.Folder, UIDs: []uint32{1}, Name: deleted})
	b, a := text(storage.Folder{ID: op.Folder}, "x")
	e.fails(fault.Denied, b, a)
	b, a = text(storage.Folder{}, "x")
	a.Mailbox, a.Name = in.Mailbox, deleted
	e.fails(fault.Denied, b, a)
	for _, move := range []bool{false, true} {
		e.fails(fault.Denied, &storage.CopyMessages{From: in.ID, UIDs: []uint32{2}, To: op.Folder, Move: move})
		e.fails(fault.Denied, &storage.CopyMessages{From: op.Folder, UIDs: []uint32{1}, To: op.Folder, Move: move})
	}
	e.fails(fault.Denied, &storage.DeleteFolder{Mailbox: in.Mailbox, Name: deleted})
	e.fails(fault.Exists, &storage.RenameFolder{Mailbox: in.Mailbox, From: "INBOX", To: deleted})
}

// testRecoverableQuota: taking back is bounded as bringing in is.
func testRecoverableQuota(e *env) {
	in := e.box("a@x.it")
	e.put(in, "12345")
	e.put(in, "12345")
	op := &storage.Discard{From: in.ID, UIDs: []uint32{1}, Name: deleted}
	e.ok(op)
	back := &storage.CopyMessages{From: op.Folder, UIDs: op.Dest, To: in.ID, Move: true, Quota: 9}
	e.fails(fault.Quota, back)
	back.Quota = 10
	e.ok(back)
	equal(e, "held", e.used(in), "10 bytes in 2")
}

// testUIDLs: an identifier stays with the message it was given to, in its folder.
func testUIDLs(e *env) {
	in := e.box("a@x.it")
	other := e.folder(in.Mailbox, "s")
	known := func(f storage.Folder) string {
		out := ""
		err := e.UIDLs(e.ctx, f.ID, func(uid uint32, uidl string) error { out += fmt.Sprint(uid, "=", uidl, " "); return nil })
		if err != nil {
			e.Fatal(err)
		}
		return out
	}
	put := func(uidl string) (*storage.NewBody, *storage.Append) {
		b, a := text(in, "x")
		a.UIDL = uidl
		return b, a
	}
	long := strings.Repeat("~", storage.MaxUIDL)
	for _, uidl := range []string{"!one", "", long, "three"} {
		b, a := put(uidl)
		e.ok(b, a)
	}
	equal(e, "known", known(in), "1=!one 3="+long+" 4=three ")
	for _, uidl := range []string{"a b", "a\x7f", "à", "\t", long + "x"} {
		b, a := put(uidl)
		e.fails(fault.Invalid, b, a)
	}
	e.ok(&storage.Expunge{Folder: in.ID, UIDs: []uint32{1}})
	e.ok(&storage.CopyMessages{From: in.ID, UIDs: []uint32{3}, To: other.ID, Move: true})
	e.again()
	equal(e, "known", known(in)+"; "+known(other), "4=three ; ")
	const many = 1200
	step := new(storage.Step)
	for i := range many {
		b, a := text(other, "x")
		a.UIDL = fmt.Sprint(i)
		step.Add(b, a)
	}
	e.ok(step.Ops...)
	equal(e, "many", strings.Count(known(other), "="), many)
	e.ok(&storage.DeleteFolder{Mailbox: in.Mailbox, Name: "s"})
}
