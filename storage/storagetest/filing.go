// SPDX-License-Identifier: EUPL-1.2

package storagetest

import (
	"fmt"
	"strings"
	"sync"

	"pecd/fault"
	"pecd/storage"
)

// fileInto returns operations that append a small message to a destination.
func fileInto(m storage.MailboxID, use, name, body string) (*storage.NewBody, *storage.Append) {
	b := &storage.NewBody{Head: []byte(body)}
	return b, &storage.Append{Mailbox: m, Into: &storage.Destination{Use: use, Name: name}, Body: storage.BodyRef{New: b}, InternalDate: at}
}

// into appends a small message to a destination and returns the folder it is in.
func (e *env) into(m storage.MailboxID, use, name string) storage.Folder {
	e.Helper()
	b, a := fileInto(m, use, name, "x")
	e.ok(b, a)
	return must(e.FolderByID(e.ctx, a.In))(e)
}

func testDestination(e *env) {
	in := e.box("a@x.it")
	box := in.Mailbox

	f := e.into(box, "", "Ricevute/2026/")
	equal(e, "made", fmt.Sprintf("%s %v %q %d", f.Name, f.Subscribed, f.SpecialUse, f.Messages), `Ricevute/2026 true "" 1`)
	equal(e, "parent is subscribed", e.named(box, "Ricevute").Subscribed, true)
	e.ok(&storage.Subscribe{Mailbox: box, Name: "Ricevute/2026"})
	again := e.into(box, "", "Ricevute/2026")
	equal(e, "found", fmt.Sprint(again.ID == f.ID, again.Subscribed, again.Messages), "true false 2")

	// A folder that was deleted is made again, as another one; after a rename
	// there is none of the name.
	e.ok(&storage.DeleteFolder{Mailbox: box, Name: "Ricevute/2026"})
	remade := e.into(box, "", "Ricevute/2026")
	if remade.ID == f.ID || remade.UIDValidity <= f.UIDValidity {
		e.Fatalf("made again as %+v, was %+v", remade, f)
	}
	e.ok(&storage.RenameFolder{Mailbox: box, From: "Ricevute", To: "Vecchie"})
	equal(e, "after the rename", e.into(box, "", "Ricevute/2026").Messages, 1)
	equal(e, "renamed", e.named(box, "Vecchie/2026").ID, remade.ID)

	// The special use counts more than the name.
	sent := e.into(box, `\Sent`, "Posta inviata")
	equal(e, "special use", sent.SpecialUse, `\Sent`)
	e.ok(&storage.RenameFolder{Mailbox: box, From: "Posta inviata", To: "Sent"})
	e.folder(box, "Posta inviata")
	equal(e, "renamed", e.into(box, `\Sent`, "Posta inviata").ID, sent.ID)
	e.ok(&storage.DeleteFolder{Mailbox: box, Name: "Sent"})
	named := e.into(box, `\Sent`, "Posta inviata")
	equal(e, "taken over", named.SpecialUse+" "+named.Name, `\Sent Posta inviata`)
	drafts := &storage.CreateFolder{Mailbox: box, Name: "Bozze", SpecialUse: `\Drafts`}
	e.ok(drafts)
	equal(e, "keeps its own", e.into(box, `\Archive`, "Bozze").SpecialUse, `\Drafts`)

	b, a := fileInto(box, "", "a//b", "x")
	e.fails(fault.Invalid, b, a)
	b, a = fileInto(box+9, "", "a", "x")
	e.fails(fault.NotFound, b, a)
}

func testOptional(e *env) {
	in := e.box("a@x.it")
	data := noise(90, 200_000)
	b := &storage.NewBody{Head: []byte("h"), Blob: e.blobOf(data)}
	a := &storage.Append{Mailbox: in.Mailbox, Body: storage.BodyRef{New: b}, Quota: 200_000, Optional: true}
	small, kept := text(in, "x")
	e.ok(b, a, small, kept)
	equal(e, "left out", a.UID, 0)
	equal(e, "the rest of the step", kept.UID, 1)
	equal(e, "held", must(e.MailboxByID(e.ctx, in.Mailbox))(e).Used, 1)
	if _, err := e.OpenBody(e.ctx, b.ID); fault.KindOf(err) != fault.NotFound {
		e.Fatalf("a body without a message: %v", err)
	}
	a = &storage.Append{Mailbox: in.Mailbox, Body: storage.BodyRef{ID: small.ID}, Quota: 2, Optional: true}
	e.ok(a)
	equal(e, "fits", a.UID, 2)
	a = &storage.Append{Mailbox: in.Mailbox, Body: storage.BodyRef{ID: small.ID}, Quota: 2, Optional: true}
	e.ok(a)
	equal(e, "full", a.UID, 0)
	e.fails(fault.Invalid, &storage.Append{Folder: in.ID, Body: storage.BodyRef{ID: small.ID}, Optional: true})
	e.fails(fault.NotFound, &storage.Append{Mailbox: in.Mailbox + 9, Body: storage.BodyRef{ID: small.ID}, Quota: 2, Optional: true})
}

// sentCopy is text for one side's copy of a submission.
func sentCopy(f storage.Folder, id string, client bool, body string, flags ...string) (*storage.NewBody, *storage.Append) {
	b, a := text(f, body, flags...)
	a.Sent = &storage.SentCopy{MessageID: id, ByClient: client}
	return b, a
}

func testSentCopies(e *env) {
	f := e.box("a@x.it")
	put := func(id string, client bool, flags ...string) *storage.Append {
		e.Helper()
		b, a := sentCopy(f, id, client, fmt.Sprint("by client: ", client), flags...)
		e.ok(b, a)
		return a
	}
	const provider, client = false, true

	// Whoever is first has the message; the other one's flags are added.
	for i, first := range []bool{provider, client} {
		id := fmt.Sprint("first", i)
		one := put(id, first, `\Seen`)
		seq := e.now(f).ModSeq
		two := put(id, !first, "$Forwarded", `\seen`)
		equal(e, "met", fmt.Sprint(one.Sent.Met, two.Sent.Met), "false true")
		equal(e, "one message", fmt.Sprint(two.UID, two.UIDValidity, two.In), fmt.Sprint(one.UID, f.UIDValidity, f.ID))
		m := e.message(f, one.UID)
		equal(e, "flags", strings.Join(m.Flags, " "), `$Forwarded \Seen`)
		equal(e, "modseq", fmt.Sprint(m.ModSeq, two.ModSeq, e.now(f).ModSeq), fmt.Sprint(seq+1, seq+1, seq+1))
		equal(e, "bytes", string(e.read(m.Body)), fmt.Sprint("by client: ", first))
		third := put(id, !first)
		equal(e, "met already", fmt.Sprint(third.Sent.Met, third.UID), fmt.Sprint(false, one.UID+1))
	}
	equal(e, "counters", fmt.Sprint(e.now(f).Messages, e.now(f).Unseen), "4 2")

	// One side's copies are all kept, and each meets one of the other's.
	a, b := put("twice", provider), put("twice", provider)
	equal(e, "two submissions", b.UID, a.UID+1)
	equal(e, "the first of them", put("twice", client).UID, a.UID)
	equal(e, "the second of them", put("twice", client).UID, b.UID)
	equal(e, "both met", put("twice", client).UID, b.UID+1)

	// What is not there is not met; nor is what is elsewhere, or another message.
	gone := put("gone", provider)
	e.ok(&storage.Expunge{Folder: f.ID, UIDs: []uint32{gone.UID}})
	equal(e, "expunged", put("gone", client).Sent.Met, false)
	put("moved", provider)
	other := e.folder(f.Mailbox, "other")
	body, op := sentCopy(other, "moved", client, "x")
	e.ok(body, op)
	equal(e, "elsewhere", op.Sent.Met, false)
	equal(e, "another one", put("MOVED", client).Sent.Met, false)
	equal(e, "flags alone", put("moved", client).Sent.Met, true)

	// Where each user has \Seen of his own, that of the message stays.
	box := must(e.MailboxByID(e.ctx, f.Mailbox))(e)
	box.PersonalSeen = true
	e.ok(&storage.PutMailbox{Mailbox: box})
	put("personal", client)
	own := put("personal", provider, `\Seen`, `\Flagged`)
	equal(e, "personal", strings.Join(e.message(f, own.UID).Flags, " "), `\Flagged`)

	// A step that fails leaves everything as it was.
	put("undone", provider)
	body, op = sentCopy(f, "undone", client, "x", `\Flagged`)
	e.fails(fault.NotFound, body, op, &storage.FinishJob{ID: 99})
	equal(e, "after a failure", put("undone", client).Sent.Met, true)

	e.again()
	put("restart", client)
	e.again()
	equal(e, "after a restart", put("restart", provider).Sent.Met, true)

	put("folder", provider)
	body, op = sentCopy(other, "folder", client, "x")
	e.ok(body, op)
	e.ok(&storage.DeleteFolder{Mailbox: f.Mailbox, Name: "other"})

	body, op = sentCopy(f, "", client, "x")
	e.fails(fault.Invalid, body, op)
	body, op = sentCopy(f, "by name", client, "x")
	op.Mailbox, op.Folder = f.Mailbox, 0
	e.fails(fault.Invalid, body, op)
}

// testSentCopyLarge: what a copy that has met the other one brought is not kept,
// nor does it count.
func testSentCopyLarge(e *env) {
	f := e.box("a@x.it")
	for i, size := range []int{1000, 300_000} {
		id := fmt.Sprint(i)
		first, a := sentCopy(f, id, false, "h")
		first.Blob = e.blobOf(noise(uint64(91+i), size))
		e.ok(first, a)
		used := must(e.MailboxByID(e.ctx, f.Mailbox))(e).Used
		second, b := sentCopy(f, id, true, "other")
		second.Blob = e.blobOf(noise(uint64(95+i), size))
		b.Quota = used
		e.ok(second, b)
		equal(e, "met", b.Sent.Met, true)
		equal(e, "held", must(e.MailboxByID(e.ctx, f.Mailbox))(e).Used, used)
		e.wantBody(first.ID, first.Head, noise(uint64(91+i), size))
		if _, err := e.OpenBody(e.ctx, second.ID); fault.KindOf(err) != fault.NotFound {
			e.Fatalf("a body without a message: %v", err)
		}
	}
}

// testConcurrentSentCopies: both sides at once leave one message of each
// submission, which both know by one UID.
func testConcurrentSentCopies(e *env) {
	const n = 64
	f := e.box("a@x.it")
	var wg sync.WaitGroup
	var copies [n][2]*storage.Append
	for i := range n {
		for side := range 2 {
			b, a := sentCopy(f, fmt.Sprint(i), side == 1, fmt.Sprint(i, side))
			copies[i][side] = a
			wg.Go(func() {
				if err := e.Commit(e.ctx, new(storage.Step).Add(b, a)); err != nil {
					e.Error(err)
				}
			})
		}
	}
	wg.Wait()
	for _, c := range copies {
		if c[0].UID == 0 || c[0].UID != c[1].UID || c[0].Sent.Met == c[1].Sent.Met {
			e.Fatalf("uid %d, met %v, and uid %d, met %v", c[0].UID, c[0].Sent.Met, c[1].UID, c[1].Sent.Met)
		}
	}
	equal(e, "messages", len(e.list(f)), n)
}
