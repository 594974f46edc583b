// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pecd/directory"
	"pecd/fault"
	"pecd/pipeline"
	"pecd/storage"
)

// choose sets options of a mailbox.
func (w *world) choose(address string, o directory.Options) {
	w.t.Helper()
	_, _, err := w.at(address).users.SetOptions(context.Background(), address, o)
	check(w.t, err)
}

func yes() *bool { on := true; return &on }

// filing is a world in which anna's submissions are filed.
func filing(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.choose(anna, directory.Options{FileSent: yes()})
	return w
}

// sent lists what is in anna's folder of sent mail.
func (w *world) sent() (texts []string) {
	w.t.Helper()
	for _, g := range w.folder(anna, storage.SentName) {
		texts = append(texts, string(g.raw))
	}
	return texts
}

// clientCopy puts a message into anna's folder of sent mail as her client does.
func (w *world) clientCopy(id, text string, flags ...string) (*storage.Append, error) {
	p := w.at(anna)
	box, err := p.store.Mailbox(context.Background(), anna)
	if err != nil {
		return nil, err
	}
	f, err := p.store.Folder(context.Background(), box.ID, storage.SentName)
	if err != nil {
		return nil, err
	}
	b := &storage.NewBody{Head: []byte(text)}
	a := &storage.Append{
		Folder: f.ID, Body: storage.BodyRef{New: b}, Flags: flags, InternalDate: w.clock.Now(),
		Sent: &storage.SentCopy{MessageID: id, ByClient: true},
	}
	return a, p.store.Commit(context.Background(), new(storage.Step).Add(b, a))
}

// TestFileSent: the copy is what was submitted, to the octet, dated as the
// acceptance; its octets are on the disk once.
func TestFileSent(t *testing.T) {
	for name, body := range map[string]string{"small": "Buongiorno\r\n", "300 kB": strings.Repeat("0123456789 testo\r\n", 18_000), "no body": ""} {
		t.Run(name, func(t *testing.T) {
			w := filing(t)
			in := message(anna, bruno, "X-Proprio: uno\r\n", body)
			text := w.submit(anna, []string{bruno}, in)
			w.settle()
			w.want(anna, "accettazione avvenuta-consegna")
			w.want(bruno, "posta-certificata")
			got := w.folder(anna, storage.SentName)
			if len(got) != 1 || string(got[0].raw) != in {
				t.Fatalf("%d messages among the sent ones", len(got))
			}
			id := strings.Fields(text)[len(strings.Fields(text))-1]
			row := got[0].row
			if !row.InternalDate.Equal(w.tx(t, id).At) || len(row.Flags) != 1 || row.Flags[0] != `\Seen` {
				t.Errorf("filed as %+v", row)
			}
			files, err := filepath.Glob(filepath.Join(w.at(anna).dir, "blobs", "*", "*"))
			if want := min(len(in)/100_000, 1); err != nil || len(files) != want {
				t.Errorf("%d files, %v, want %d", len(files), err, want)
			}
			w.clean()
		})
	}
}

// TestFileSentNot: without the option, and for what cannot be shown.
func TestFileSentNot(t *testing.T) {
	w := newWorld(t)
	w.submit(anna, []string{bruno}, message(anna, bruno, "", "x\r\n"))
	if n := len(w.sent()); n != 0 {
		t.Errorf("%d messages without the option", n)
	}
	w.choose(anna, directory.Options{FileSent: yes()})
	w.submit(anna, []string{bruno}, message(anna, bruno, "", "a\x00b\r\n"))
	w.submit(anna, []string{bruno}, "")
	if n := len(w.sent()); n != 0 {
		t.Errorf("%d messages that cannot be shown", n)
	}
	guard, _, _ := guarded(t)
	guard.choose(anna, directory.Options{FileSent: yes()})
	guard.submit(anna, []string{bruno}, message(anna, bruno, "", virusMark+"\r\n"))
	if n := len(guard.sent()); n != 0 {
		t.Errorf("%d infected messages", n)
	}
	guard.want(anna, "non-accettazione-virus")
	w.clean()
	guard.clean()
}

// TestFileSentRefused: what got a non-acceptance is kept, too: the client was
// told 250, and may have nothing left of it.
func TestFileSentRefused(t *testing.T) {
	w := filing(t)
	big := message(anna, "altro@beta.example", "", strings.Repeat("x\r\n", 30_000))
	header := message(anna, bruno, strings.Repeat("X-A: "+strings.Repeat("b", 900)+"\r\n", 1200), "x\r\n")
	for _, in := range []string{message(anna, bruno, "Bcc: carla@beta.example\r\n", "x\r\n"), big, header, "solo testo\r\n"} {
		w.submit(anna, []string{bruno}, in)
		sent := w.sent()
		if n := len(sent); n == 0 || sent[n-1] != in {
			t.Errorf("%d messages; not there: %.80q", n, in)
		}
	}
	w.want(anna, strings.TrimSpace(strings.Repeat(" non-accettazione", 4)))
	w.clean()
}

// TestFileSentFull: a full mailbox keeps nobody from sending.
func TestFileSentFull(t *testing.T) {
	w := filing(t)
	p := w.at(anna)
	tier, err := p.users.Tier(context.Background(), "standard")
	check(t, err)
	box, err := p.store.Mailbox(context.Background(), anna)
	check(t, err)
	in := message(anna, bruno, "", strings.Repeat("0123456789\r\n", 300))
	tier.QuotaBytes = box.Used + int64(len(in)) - 1
	check(t, p.store.Commit(context.Background(), new(storage.Step).Add(&storage.PutTier{Tier: tier})))
	p.restart()
	text := w.submit(anna, []string{bruno}, in)
	w.settle()
	if !strings.Contains(text, " (casella piena: copia non archiviata / mailbox full: no copy filed) pecd1.") || len(w.sent()) != 0 {
		t.Errorf("answer %q, %d filed", text, len(w.sent()))
	}
	w.want(anna, "accettazione avvenuta-consegna")
	w.want(bruno, "posta-certificata")
	w.clean()
}

// TestFileSentCrash: the copy is there if, and only if, the acceptance is.
func TestFileSentCrash(t *testing.T) {
	w := filing(t)
	p := w.at(anna)
	try := func(before, after bool, receipts, copies int) {
		t.Helper()
		p.shaky.before, p.shaky.after = before, after
		_, err := w.trySubmit(anna, []string{bruno}, message(anna, bruno, "", "x\r\n"))
		if (err != nil) != (before || after) {
			t.Fatal(err)
		}
		p.restart()
		if r, c := len(w.inbox(anna)), len(w.sent()); r != receipts || c != copies {
			t.Errorf("%d receipts, %d copies; want %d, %d", r, c, receipts, copies)
		}
	}
	try(true, false, 0, 0)
	try(false, true, 1, 1) // its answer is lost: the client will send again
	try(false, false, 2, 2)
	try(true, false, 2, 2)
	w.clean()
}

// TestFileSentFolder: the folder is the one of the special use, whatever its
// name, and is made anew where it was deleted.
func TestFileSentFolder(t *testing.T) {
	w := filing(t)
	p := w.at(anna)
	box, err := p.store.Mailbox(context.Background(), anna)
	check(t, err)
	change := func(op storage.Op) {
		t.Helper()
		check(t, p.store.Commit(context.Background(), new(storage.Step).Add(op)))
	}
	submit := func(folder string, want int) {
		t.Helper()
		w.submit(anna, []string{bruno}, message(anna, bruno, "", "x\r\n"))
		if n := len(w.folder(anna, folder)); n != want {
			t.Errorf("%d messages in %s, want %d", n, folder, want)
		}
	}
	submit("Posta inviata", 1)
	change(&storage.RenameFolder{Mailbox: box.ID, From: "Posta inviata", To: "Sent/Tutti"})
	submit("Sent/Tutti", 2)
	change(&storage.DeleteFolder{Mailbox: box.ID, Name: "Sent/Tutti"})
	submit("Posta inviata", 1)
	f, err := p.store.Folder(context.Background(), box.ID, "Posta inviata")
	check(t, err)
	if f.SpecialUse != `\Sent` || !f.Subscribed {
		t.Errorf("made anew as %+v", f)
	}
	w.clean()
}

// TestFileSentOneCopy: clients that save a copy of their own, before, after or
// at the same time, and several submissions at once: one copy of each.
func TestFileSentOneCopy(t *testing.T) {
	w := filing(t)
	in := message(anna, bruno, "", "x\r\n")
	copied := strings.Replace(in, "Message-ID: ", "Bcc: \r\nMessage-ID:\r\n ", 1)
	w.submit(anna, []string{bruno}, in)
	a, err := w.clientCopy("m1@client.example", copied, `\Seen`, "$Label1")
	check(t, err)
	got := w.folder(anna, storage.SentName)
	if len(got) != 1 || string(got[0].raw) != in || a.UID != got[0].row.UID || fmt.Sprint(got[0].row.Flags) != `[$Label1 \Seen]` {
		t.Fatalf("%d copies, UID %d", len(got), a.UID)
	}
	other := strings.ReplaceAll(in, "<m1@", "<m2@")
	check(t, second(w.clientCopy("m2@client.example", other+"saved\r\n")))
	w.submit(anna, []string{bruno}, other)
	if s := w.sent(); len(s) != 2 || s[1] != other+"saved\r\n" {
		t.Fatalf("%d copies", len(s))
	}
	const n = 40
	var wg sync.WaitGroup
	for i := range n {
		id := fmt.Sprintf("c%d@client.example", i)
		in := strings.ReplaceAll(in, "m1@client.example", id)
		wg.Go(func() {
			_, err := w.at(anna).access.Submit(context.Background(), pipeline.Submission{
				Login: anna, Sender: anna, Recipients: []string{bruno}, Peer: pipeline.Peer{Helo: "c", Remote: "192.0.2.9"},
			}, strings.NewReader(in))
			if err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, err := w.clientCopy(id, in); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	ids := make(map[string]int)
	for _, g := range w.folder(anna, storage.SentName) {
		ids[g.msg.Root.Header.Get("Message-ID")]++
	}
	if len(ids) != n+2 || len(w.sent()) != n+2 {
		t.Errorf("%d copies of %d messages, want one of each of %d", len(w.sent()), len(ids), n+2)
	}
	// Without a Message-ID there is nothing to know a message by.
	bare := strings.Replace(in, "Message-ID: <m1@client.example>\r\n", "", 1)
	w.submit(anna, []string{bruno}, bare)
	w.submit(anna, []string{bruno}, bare)
	if s := w.sent(); len(s) != n+4 {
		t.Errorf("%d copies", len(s))
	}
	w.clean()
}

func second[T any](_ T, err error) error { return err }

// TestFileSentOwnFault: a tier that cannot be looked up puts the submission off.
func TestFileSentOwnFault(t *testing.T) {
	w := filing(t)
	p := w.at(anna)
	p.core.Mailboxes = noTier{p.core.Mailboxes}
	_, err := w.trySubmit(anna, []string{bruno}, message(anna, bruno, "", "x\r\n"))
	if !fault.Is(err, fault.Temporary) || len(w.inbox(anna)) != 0 {
		t.Errorf("%v", err)
	}
}

type noTier struct{ pipeline.Mailboxes }

func (noTier) Figures(context.Context, storage.Mailbox) (storage.Figures, error) {
	return storage.Figures{}, fault.New("test", fault.Temporary, nil)
}
