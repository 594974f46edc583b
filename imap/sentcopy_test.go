// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"pecd/storage"
)

// TestAppendSentCopy: a client that saves what it sent gets the UID of the copy
// that was filed for it, which is there and has its flags.
func TestAppendSentCopy(t *testing.T) {
	f := newFixture(t)
	folder, err := f.store.Folder(context.Background(), f.mailbox, "Posta inviata")
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("0123456789 testo\r\n", 6000)
	mail := func(id, more string) string {
		return "From: a@x.it\r\nMessage-ID: <" + id + ">\r\nSubject: x\r\n\r\n" + more
	}
	file := func(id string) {
		t.Helper()
		b := &storage.NewBody{Head: []byte(mail(id, "filed\r\n"))}
		f.commit(b, &storage.Append{Folder: folder.ID, Body: storage.BodyRef{New: b}, Flags: []string{`\Seen`}, Sent: &storage.SentCopy{MessageID: id}})
	}
	s := f.open("INBOX")
	save := func(folder, flags, text string) string {
		t.Helper()
		s.send("a APPEND %s %s{%d}\r\n", folder, flags, len(text))
		s.expect(`^\+`)
		s.send("%s\r\n", text)
		return s.expect(`^a OK`)
	}

	// Without the option every APPEND is stored.
	file("off@x")
	if got := save(`"Posta inviata"`, "", mail("off@x", "")); !strings.Contains(got, fmt.Sprintf("[APPENDUID %d 2]", folder.UIDValidity)) {
		t.Errorf("without the option: %q", got)
	}
	box, err := f.store.MailboxByID(context.Background(), f.mailbox)
	if err != nil {
		t.Fatal(err)
	}
	box.FileSent = true
	f.commit(&storage.PutMailbox{Mailbox: box})

	file("one@x")
	file("two@x")
	for _, c := range []struct {
		folder, flags, text string
		uid                 int
	}{
		{`"Posta inviata"`, `(\Seen $Etichetta) `, mail("one@x", "saved\r\n"), 3},
		{`"Posta inviata"`, `(\Seen) `, mail("one@x", "again\r\n"), 5},
		{`"Posta inviata"`, ``, strings.Replace(mail("two@x", long), "ID: ", "ID:\r\n ", 1), 4},
		{`"Posta inviata"`, ``, "Subject: no identifier\r\n\r\n", 6},
		{`"Posta inviata"`, ``, "no header", 7},
		{`"Posta inviata"`, ``, mail("first@x", long), 8},
		{`Bozze`, ``, mail("elsewhere@x", ""), 1},
	} {
		if got := save(c.folder, c.flags, c.text); !strings.Contains(got, fmt.Sprintf(" %d] ", c.uid)) {
			t.Errorf("%.60q: %q, want UID %d", c.text, got, c.uid)
		}
	}
	// What the client saved first is not filed a second time.
	b := &storage.NewBody{Head: []byte(mail("first@x", "filed\r\n"))}
	a := &storage.Append{Folder: folder.ID, Body: storage.BodyRef{New: b}, Flags: []string{`\Seen`}, Sent: &storage.SentCopy{MessageID: "first@x"}}
	f.commit(b, a)
	if a.UID != 8 || !a.Sent.Met {
		t.Errorf("filed as %d", a.UID)
	}
	s = f.open("Posta inviata")
	if got := s.ok("UID FETCH 3 FLAGS"); len(got) != 1 || !strings.Contains(got[0], `UID 3 FLAGS ($Etichetta \Seen)`) {
		t.Errorf("%q", got)
	}
	for uid, want := range map[int]string{3: mail("one@x", "filed\r\n"), 4: mail("two@x", "filed\r\n"), 8: mail("first@x", long)} {
		if got := s.literal("UID FETCH %d BODY.PEEK[]", uid); string(got) != want {
			t.Errorf("UID %d: %.80q", uid, got)
		}
	}
}
