// SPDX-License-Identifier: EUPL-1.2

package storagetest

import (
	"fmt"
	"slices"
	"strings"

	"pecd/fault"
	"pecd/storage"
)

func names(fs []storage.Folder) string {
	var out []string
	for _, f := range fs {
		out = append(out, f.Name)
	}
	return strings.Join(out, " ")
}

func (e *env) wantFolders(m storage.MailboxID, want string) {
	e.Helper()
	equal(e, "folders", names(must(e.Folders(e.ctx, m))(e)), want)
}

func testEmpty(e *env) {
	e.ok()
	_, err := e.Mailbox(e.ctx, "nobody@x.it")
	e.wants(fault.NotFound, err)
	_, err = e.MailboxByID(e.ctx, 1)
	e.wants(fault.NotFound, err)
	_, err = e.User(e.ctx, "nobody")
	e.wants(fault.NotFound, err)
	_, err = e.Folders(e.ctx, 1)
	e.wants(fault.NotFound, err)
	_, err = e.Folder(e.ctx, 1, "INBOX")
	e.wants(fault.NotFound, err)
	_, err = e.FolderByID(e.ctx, 1)
	e.wants(fault.NotFound, err)
	e.wants(fault.NotFound, e.Messages(e.ctx, 1, 1, 0, func(storage.Message) error { return nil }))
	_, err = e.Store.Changes(e.ctx, 1, 0)
	e.wants(fault.NotFound, err)
	_, err = e.OpenBody(e.ctx, 1)
	e.wants(fault.NotFound, err)
	_, err = e.Transaction(e.ctx, "x", true)
	e.wants(fault.NotFound, err)
	equal(e, "grants", len(must(e.Grants(e.ctx, "nobody"))(e)), 0)
	equal(e, "jobs", len(must(e.TakeDue(e.ctx, "k", at, 10, 0))(e)), 0)
	_, ok, err := e.NextDue(e.ctx, "k", 0)
	if ok || err != nil {
		e.Fatalf("next due: %v, %v", ok, err)
	}
}

func testFolders(e *env) {
	in := e.box("a@x.it")
	m := in.Mailbox
	equal(e, "INBOX", in.Name, "INBOX")
	equal(e, "UIDNEXT", in.UIDNext, 1)
	if in.UIDValidity == 0 || in.ModSeq == 0 {
		e.Fatalf("%+v", in)
	}
	sent := &storage.CreateFolder{Mailbox: m, Name: "Posta inviata", SpecialUse: `\Sent`}
	e.ok(sent)
	equal(e, "special use", e.named(m, "Posta inviata").SpecialUse, `\Sent`)
	equal(e, "result", sent.Folder, e.now(sent.Folder))
	deep := e.folder(m, "a/b/c")
	equal(e, "name", deep.Name, "a/b/c")
	e.folder(m, "INBOX/x")
	e.folder(m, "Z")
	e.wantFolders(m, "INBOX INBOX/x Posta inviata Z a a/b a/b/c")
	e.fails(fault.Exists, &storage.CreateFolder{Mailbox: m, Name: "a/b"})
	e.fails(fault.Exists, &storage.CreateFolder{Mailbox: m, Name: "inbox"})
	e.fails(fault.NotFound, &storage.CreateFolder{Mailbox: m + 100, Name: "a"})

	e.ok(&storage.Subscribe{Mailbox: m, Name: "a/b", Subscribed: true})
	equal(e, "subscribed", e.named(m, "a/b").Subscribed, true)
	e.ok(&storage.Subscribe{Mailbox: m, Name: "a/b"})
	equal(e, "subscribed", e.named(m, "a/b").Subscribed, false)
	e.fails(fault.NotFound, &storage.Subscribe{Mailbox: m, Name: "none", Subscribed: true})
}

func testFolderNames(e *env) {
	m := e.box("a@x.it").Mailbox
	e.folder(m, "inbox/Sub")
	equal(e, "case of INBOX", e.named(m, "Inbox/Sub").Name, "INBOX/Sub")
	equal(e, "case of INBOX", e.named(m, "iNbOx").Name, "INBOX")
	e.folder(m, "Citta\u0300")
	equal(e, "NFC", e.named(m, "Citta\u0300").Name, "Citt\u00e0")
	e.fails(fault.Exists, &storage.CreateFolder{Mailbox: m, Name: "Citt\u00e0"})
	e.folder(m, "trailing/")
	equal(e, "trailing separator", e.named(m, "trailing").Name, "trailing")
	e.folder(m, strings.Repeat("x", 255))
	e.folder(m, strings.Repeat("d/", 19)+"d")
	e.folder(m, "%* odd")
	for _, bad := range []string{"", "/", "/a", "a//b", "a\x00b", "a\nb", "a\x7f", "\xff", strings.Repeat("x", 256), strings.Repeat("d/", 20) + "d"} {
		e.fails(fault.Invalid, &storage.CreateFolder{Mailbox: m, Name: bad})
		_, err := e.Folder(e.ctx, m, bad)
		e.wants(fault.Invalid, err)
	}
}

func testFolderRename(e *env) {
	m := e.box("a@x.it").Mailbox
	e.folder(m, "a/b/c")
	e.folder(m, "ab")
	f := e.named(m, "a/b")
	e.put(f, "one")
	f = e.now(f)
	e.ok(&storage.RenameFolder{Mailbox: m, From: "a", To: "new/place"})
	e.wantFolders(m, "INBOX ab new new/place new/place/b new/place/b/c")
	after := e.named(m, "new/place/b")
	f.Name = after.Name
	equal(e, "renamed folder", after, f)

	e.fails(fault.NotFound, &storage.RenameFolder{Mailbox: m, From: "a", To: "b"})
	e.fails(fault.Exists, &storage.RenameFolder{Mailbox: m, From: "ab", To: "new"})
	e.fails(fault.Exists, &storage.RenameFolder{Mailbox: m, From: "ab", To: "ab"})
	e.fails(fault.Exists, &storage.RenameFolder{Mailbox: m, From: "ab", To: "INBOX"})
	e.fails(fault.Invalid, &storage.RenameFolder{Mailbox: m, From: "new", To: "new/x"})
	e.fails(fault.Invalid, &storage.RenameFolder{Mailbox: m, From: "new", To: "x//y"})
	e.fails(fault.Invalid, &storage.RenameFolder{Mailbox: m, From: "new", To: strings.Repeat("d/", 17) + "d"})
	e.ok(&storage.RenameFolder{Mailbox: m, From: "ab", To: "AB"})
	e.wantFolders(m, "INBOX AB new new/place new/place/b new/place/b/c")
}

func testFolderRenameInbox(e *env) {
	in := e.box("a@x.it")
	e.folder(in.Mailbox, "INBOX/sub")
	e.put(in, "one", `\Seen`)
	e.put(in, "two")
	before := e.now(in)
	e.ok(&storage.RenameFolder{Mailbox: in.Mailbox, From: "inbox", To: "old"})
	e.wantFolders(in.Mailbox, "INBOX INBOX/sub old")
	after := e.now(in)
	equal(e, "messages in INBOX", after.Messages, 0)
	equal(e, "UIDVALIDITY of INBOX", after.UIDValidity, before.UIDValidity)
	equal(e, "UIDNEXT of INBOX", after.UIDNext, before.UIDNext)
	ch := must(e.Store.Changes(e.ctx, in.ID, before.ModSeq))(e)
	equal(e, "vanished", fmt.Sprint(ch.Vanished), "[1 2]")
	old := e.named(in.Mailbox, "old")
	ms := e.list(old)
	equal(e, "moved", len(ms), 2)
	equal(e, "body", string(e.read(ms[1].Body)), "two")
	equal(e, "flags", fmt.Sprint(ms[0].Flags), `[\Seen]`)
	equal(e, "unseen", old.Unseen, 1)
	e.fails(fault.Exists, &storage.RenameFolder{Mailbox: in.Mailbox, From: "INBOX", To: "old"})
	e.ok(&storage.RenameFolder{Mailbox: in.Mailbox, From: "INBOX", To: "INBOX/kept"})
	e.wantFolders(in.Mailbox, "INBOX INBOX/kept INBOX/sub old")
}

func testFolderDelete(e *env) {
	in := e.box("a@x.it")
	m := in.Mailbox
	f := e.folder(m, "a/b")
	e.put(f, "one")
	body := e.message(f, 1).Body
	e.fails(fault.Denied, &storage.DeleteFolder{Mailbox: m, Name: "INBOX"})
	e.fails(fault.Denied, &storage.DeleteFolder{Mailbox: m, Name: "a"})
	e.fails(fault.NotFound, &storage.DeleteFolder{Mailbox: m, Name: "c"})
	e.ok(&storage.DeleteFolder{Mailbox: m, Name: "a/b"})
	e.wantFolders(m, "INBOX a")
	_, err := e.FolderByID(e.ctx, f.ID)
	e.wants(fault.NotFound, err)
	_, err = e.OpenBody(e.ctx, body)
	e.wants(fault.NotFound, err)
	box := must(e.MailboxByID(e.ctx, m))(e)
	equal(e, "bytes held", box.Used, 0)
	equal(e, "messages held", box.Messages, 0)
}

// testFolderValidity: a name never shows other messages under a UIDVALIDITY it
// had before, and never a lower one (RFC 9051 §2.3.1.1).
func testFolderValidity(e *env) {
	m := e.box("a@x.it").Mailbox
	var seen []uint32
	for range 4 {
		f := e.folder(m, "a")
		if slices.Contains(seen, f.UIDValidity) || len(seen) > 0 && f.UIDValidity < slices.Max(seen) {
			e.Fatalf("UIDVALIDITY %d after %v", f.UIDValidity, seen)
		}
		seen = append(seen, f.UIDValidity)
		e.ok(&storage.DeleteFolder{Mailbox: m, Name: "a"})
	}
	old := e.folder(m, "old")
	late := e.folder(m, "late")
	e.ok(&storage.DeleteFolder{Mailbox: m, Name: "late"})
	e.again()
	e.ok(&storage.RenameFolder{Mailbox: m, From: "old", To: "late"})
	if f := e.named(m, "late"); f.ID != old.ID || f.UIDValidity <= late.UIDValidity {
		e.Fatalf("renamed onto a name that had UIDVALIDITY %d: %+v", late.UIDValidity, f)
	}
}
