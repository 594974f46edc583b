// SPDX-License-Identifier: EUPL-1.2

package storagetest

import (
	"fmt"
	"slices"
	"strings"

	"pecd/fault"
	"pecd/storage"
)

// testLogged: an operation records what it did, and nothing where it did nothing.
func testLogged(e *env) {
	in := e.box("a@x.it")
	sub := e.folder(in.Mailbox, "sub")
	logged := func(event string) storage.Logged {
		return func(h storage.Handled) []storage.Record {
			return []storage.Record{
				{Event: event, Data: fmt.Append(nil, h.UIDs, h.Validity, h.To, h.ToValidity)},
				{Event: event + " again"},
			}
		}
	}
	seen := 0
	var wentTo storage.Folder // where messages went, and under which UIDs
	var as []uint32
	wants := func(event string, f storage.Folder, uids ...uint32) {
		e.Helper()
		var got []string
		err := e.Store.Records(e.ctx, int64(seen+1), func(r storage.Record) error {
			got = append(got, strings.TrimSpace(r.Event+" "+string(r.Data)))
			return nil
		})
		if err != nil {
			e.Fatal(err)
		}
		var want []string
		if len(uids) > 0 {
			want = []string{fmt.Sprint(event, " ", uids, " ", f.UIDValidity, " ", as, " ", wentTo.UIDValidity), event + " again"}
		}
		if !slices.Equal(got, want) {
			e.Fatalf("%s: recorded %q, want %q", event, got, want)
		}
		seen += len(got)
		wentTo, as = storage.Folder{}, nil
	}
	for i := range uint32(4) {
		b, a := text(in, fmt.Sprint(i))
		a.Logged = logged("appended")
		e.ok(b, a)
		wants("appended", in, i+1)
	}
	mark := func(mode storage.FlagMode, flags []string, uids ...uint32) {
		e.ok(&storage.SetFlags{Folder: in.ID, UIDs: uids, Mode: mode, Flags: flags, Logged: logged("marked")})
	}
	mark(storage.AddFlags, []string{`\Deleted`}, 2, 9)
	wants("marked", in, 2)
	mark(storage.ReplaceFlags, []string{`\Deleted`, `\Seen`}, 1, 2)
	wants("marked", in, 1)
	mark(storage.AddFlags, []string{`\Flagged`}, 1, 2)
	mark(storage.RemoveFlags, []string{`\Deleted`}, 1)
	wants("marked", in)
	e.ok(&storage.CopyMessages{From: in.ID, To: sub.ID, UIDs: []uint32{3, 1, 9}, Logged: logged("copied")})
	wentTo, as = sub, []uint32{1, 2}
	wants("copied", in, 1, 3)
	e.ok(&storage.CopyMessages{From: in.ID, To: sub.ID, UIDs: []uint32{4, 9}, Move: true, Logged: logged("moved")})
	wentTo, as = sub, []uint32{3}
	wants("moved", in, 4)
	e.ok(&storage.CopyMessages{From: in.ID, To: sub.ID, UIDs: []uint32{9}, Move: true, Logged: logged("moved")})
	wants("moved", in)
	e.ok(&storage.Expunge{Folder: in.ID, UIDs: []uint32{1, 2}, DeletedOnly: true, Logged: logged("expunged")})
	wants("expunged", in, 2)
	e.fails(fault.NotFound, &storage.Expunge{Folder: in.ID, UIDs: []uint32{1}, Logged: logged("expunged")}, &storage.FinishJob{ID: 1 << 40})
	wants("expunged", in)
	e.fails(fault.Invalid, &storage.Expunge{Folder: in.ID, UIDs: []uint32{1}, Logged: logged("")})
	e.ok(&storage.RenameFolder{Mailbox: in.Mailbox, From: "INBOX", To: "old", Logged: logged("moved")})
	wentTo, as = must(e.Folder(e.ctx, in.Mailbox, "old"))(e), []uint32{1, 2}
	wants("moved", in, 1, 3)
	e.ok(&storage.RenameFolder{Mailbox: in.Mailbox, From: "old", To: "older", Logged: logged("moved")})
	wants("moved", in)
	e.ok(&storage.DeleteFolder{Mailbox: in.Mailbox, Name: "sub", Logged: logged("expunged")})
	wants("expunged", sub, 1, 2, 3)
}
