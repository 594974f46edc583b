// SPDX-License-Identifier: EUPL-1.2

package storagetest

import (
	"fmt"
	"strings"

	"pecd/fault"
	"pecd/storage"
)

func testSubscriptions(e *env) {
	in := e.box("a@x.it")
	e.people("a@x.it", "ugo")
	e.folder(in.Mailbox, "sub")
	holder, ugo := e.as("a@x.it"), e.as("ugo")
	state := func(who *env) string {
		var out []string
		for _, f := range must(who.Folders(who.ctx, in.Mailbox))(e) {
			out = append(out, fmt.Sprint(f.Subscribed))
		}
		return strings.Join(out, " ")
	}
	equal(e, "first", state(ugo), "true false")
	ugo.ok(&storage.Subscribe{Mailbox: in.Mailbox, Name: "INBOX"}, &storage.Subscribe{Mailbox: in.Mailbox, Name: "sub", Subscribed: true})
	equal(e, "ugo's own", state(ugo)+"|"+state(holder)+"|"+state(e), "false true|true false|true false")
	holder.ok(&storage.Subscribe{Mailbox: in.Mailbox, Name: "sub", Subscribed: true})
	ugo.ok(&storage.Subscribe{Mailbox: in.Mailbox, Name: "sub"})
	equal(e, "the holder's", state(ugo)+"|"+state(holder)+"|"+state(e), "false false|true true|true true")
	ugo.fails(fault.NotFound, &storage.Subscribe{Mailbox: in.Mailbox, Name: "none"})
	e.ok(&storage.DeleteFolder{Mailbox: in.Mailbox, Name: "sub"})
}

// subscribedTo prints what e's user is subscribed to in a mailbox; names without a
// folder have a cross.
func (e *env) subscribedTo(m storage.MailboxID) string {
	e.Helper()
	var out []string
	there := make(map[string]bool)
	for _, f := range must(e.Folders(e.ctx, m))(e) {
		there[f.Name] = true
		if f.Subscribed {
			out = append(out, f.Name)
		}
	}
	for _, name := range must(e.GoneSubscriptions(e.ctx, m))(e) {
		if there[name] {
			e.Fatalf("%s is a folder", name)
		}
		out = append(out, name+"†")
	}
	return strings.Join(out, " ")
}

// testGoneSubscriptions: who deletes a folder keeps its name in the list of what is
// subscribed to (RFC 9051 §6.3.7).
func testGoneSubscriptions(e *env) {
	in := e.box("a@x.it")
	m := in.Mailbox
	other := e.box("b@x.it").Mailbox
	for _, name := range []string{"a/b", "c", "d", "none"} {
		e.folder(m, name)
	}
	for _, name := range []string{"a/b", "c", "d"} {
		e.ok(&storage.Subscribe{Mailbox: m, Name: name, Subscribed: true})
	}
	for _, name := range []string{"a/b", "c", "none"} {
		e.ok(&storage.DeleteFolder{Mailbox: m, Name: name})
	}
	equal(e, "deleted", e.subscribedTo(m), "INBOX d a/b† c†")
	equal(e, "in another mailbox", e.subscribedTo(other), "INBOX")
	e.fails(fault.NotFound, &storage.Subscribe{Mailbox: m, Name: "c", Subscribed: true})
	e.fails(fault.NotFound, &storage.Subscribe{Mailbox: other, Name: "c"})
	e.fails(fault.NotFound, &storage.Subscribe{Mailbox: m, Name: "none"})

	made := &storage.CreateFolder{Mailbox: m, Name: "c"}
	e.ok(made)
	equal(e, "result", made.Folder, e.now(made.Folder))
	equal(e, "made again", e.subscribedTo(m), "INBOX c d a/b†")
	e.ok(&storage.DeleteFolder{Mailbox: m, Name: "c"}, &storage.Subscribe{Mailbox: m, Name: "c"})
	equal(e, "ended", e.subscribedTo(m), "INBOX d a/b†")
	e.fails(fault.NotFound, &storage.Subscribe{Mailbox: m, Name: "c"})
	e.folder(m, "c")
	equal(e, "made again", e.subscribedTo(m), "INBOX d a/b†")

	// A subscription goes with its folder, and meets that of the name it comes to.
	e.folder(m, "x/b")
	e.ok(&storage.DeleteFolder{Mailbox: m, Name: "a"})
	e.ok(&storage.RenameFolder{Mailbox: m, From: "x", To: "a"})
	equal(e, "renamed to the name above", e.subscribedTo(m), "INBOX a/b d")
	e.ok(&storage.RenameFolder{Mailbox: m, From: "d", To: "c/d"}, &storage.DeleteFolder{Mailbox: m, Name: "c/d"})
	equal(e, "renamed and deleted", e.subscribedTo(m), "INBOX a/b c/d†")
	e.ok(&storage.RenameFolder{Mailbox: m, From: "INBOX", To: "c/d"})
	equal(e, "INBOX renamed", e.subscribedTo(m), "INBOX a/b c/d")
	e.ok(&storage.DeleteFolder{Mailbox: m, Name: "a/b"})
	e.again()
	equal(e, "opened again", e.subscribedTo(m), "INBOX c/d a/b†")
}

// testGoneSubscriptionsUsers: the same for users with subscriptions of their own.
func testGoneSubscriptionsUsers(e *env) {
	in := e.box("a@x.it")
	m := in.Mailbox
	e.people("a@x.it", "ugo", "anna", "eva")
	holder, ugo, anna, eva := e.as("a@x.it"), e.as("Ugo"), e.as("anna"), e.as("eva")
	all := func() string {
		e.Helper()
		return strings.Join([]string{e.subscribedTo(m), holder.subscribedTo(m), ugo.subscribedTo(m), anna.subscribedTo(m), eva.subscribedTo(m)}, "|")
	}
	e.folder(m, "s")
	e.folder(m, "t")
	holder.ok(&storage.Subscribe{Mailbox: m, Name: "s", Subscribed: true})
	ugo.ok(&storage.Subscribe{Mailbox: m, Name: "s"}, &storage.Subscribe{Mailbox: m, Name: "t", Subscribed: true})
	anna.ok(&storage.Subscribe{Mailbox: m, Name: "s", Subscribed: true}, &storage.Subscribe{Mailbox: m, Name: "t"})
	before := all()
	equal(e, "before", before, "INBOX s|INBOX s|INBOX t|INBOX s|INBOX s")
	anna.ok(&storage.DeleteFolder{Mailbox: m, Name: "s"}, &storage.DeleteFolder{Mailbox: m, Name: "t"})
	equal(e, "deleted", all(), "INBOX s†|INBOX s†|INBOX t†|INBOX s†|INBOX s†")
	e.folder(m, "s")
	e.folder(m, "t")
	equal(e, "made again", all(), before)
	e.ok(&storage.DeleteFolder{Mailbox: m, Name: "s"}, &storage.DeleteFolder{Mailbox: m, Name: "t"})

	// Each ends his own; the holder that of those who have none.
	ugo.ok(&storage.Subscribe{Mailbox: m, Name: "t"})
	ugo.fails(fault.NotFound, &storage.Subscribe{Mailbox: m, Name: "t"})
	e.as("nobody").fails(fault.NotFound, &storage.Subscribe{Mailbox: m, Name: "s"})
	eva.ok(&storage.Subscribe{Mailbox: m, Name: "s"})
	equal(e, "ended by eva", all(), "INBOX s†|INBOX s†|INBOX|INBOX s†|INBOX")
	holder.ok(&storage.Subscribe{Mailbox: m, Name: "s"})
	equal(e, "ended by the holder", all(), "INBOX|INBOX|INBOX|INBOX s†|INBOX")
	e.folder(m, "s")
	equal(e, "made again", all(), "INBOX|INBOX|INBOX|INBOX s|INBOX")

	// A folder that comes to a name is subscribed to by whoever is to either.
	e.ok(&storage.DeleteFolder{Mailbox: m, Name: "s"})
	e.folder(m, "r")
	holder.ok(&storage.Subscribe{Mailbox: m, Name: "r", Subscribed: true})
	anna.ok(&storage.Subscribe{Mailbox: m, Name: "r"})
	eva.ok(&storage.Subscribe{Mailbox: m, Name: "r"})
	e.ok(&storage.RenameFolder{Mailbox: m, From: "r", To: "s"})
	equal(e, "renamed", all(), "INBOX s|INBOX s|INBOX s|INBOX s|INBOX")
	e.ok(&storage.DeleteFolder{Mailbox: m, Name: "s"}, &storage.CreateFolder{Mailbox: m, Name: "s", Subscribed: true})
	equal(e, "made for all", all(), strings.TrimSuffix(strings.Repeat("INBOX s|", 5), "|"))
	e.folder(m, "v")
	holder.ok(&storage.Subscribe{Mailbox: m, Name: "v", Subscribed: true}, &storage.DeleteFolder{Mailbox: m, Name: "v"})
	e.folder(m, "w")
	eva.ok(&storage.Subscribe{Mailbox: m, Name: "w"}, &storage.RenameFolder{Mailbox: m, From: "w", To: "v"})
	equal(e, "renamed, with an end of eva's", eva.subscribedTo(m), "INBOX s v")
}
