// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bytes"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
)

// choose sets options of a mailbox of alfa on the running node.
func (d *demo) choose(t testing.TB, a account, options ...string) {
	t.Helper()
	args := append([]string{"mailbox", "set", a.address, "--config", filepath.Join(d.dir, "alfa.toml")}, options...)
	if code, out := pecdIn(t, "", args...); code != 0 {
		t.Fatalf("mailbox set: exit %d\n%s", code, out)
	}
}

// sentFolder is the name of the folder of sent mail, found as clients find it.
func (in *inbox) sentFolder() string {
	in.t.Helper()
	list, err := in.client.List("", "*", &imap.ListOptions{ReturnSpecialUse: true}).Collect()
	if err != nil {
		in.t.Fatal(err)
	}
	for _, l := range list {
		if slices.Contains(l.Attrs, imap.MailboxAttrSent) {
			return l.Mailbox
		}
	}
	in.t.Fatal("no folder of sent mail")
	return ""
}

// open selects another folder.
func (in *inbox) open(folder string) {
	in.t.Helper()
	if _, err := in.client.Select(folder, nil).Wait(); err != nil {
		in.t.Fatalf("SELECT %s: %v", folder, err)
	}
	in.folder, in.last, in.seen = folder, 0, nil
}

// save appends a message, as a client does with what it sent.
func (in *inbox) save(folder string, message []byte) (imap.UID, error) {
	c := in.client.Append(folder, int64(len(message)), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagSeen, "$Salvato"}})
	if _, err := c.Write(message); err != nil {
		return 0, err
	}
	if err := c.Close(); err != nil {
		return 0, err
	}
	data, err := c.Wait()
	if err != nil {
		return 0, err
	}
	return data.UID, nil
}

// TestFiling: a mailbox whose submissions and receipts are filed, and whose
// client saves its copies as well: after the submission, as nearly all do, or
// at the same moment.
func TestFiling(t *testing.T) {
	d := sharedDemo(t)
	sender, own, other := d.standard(t, "ALFA", 24), d.standard(t, "ALFA", 25), d.standard(t, "BETA", 24)
	d.choose(t, sender, "--file-sent", "--file-receipts")
	in := d.openInbox(t, sender)
	sent := in.sentFolder()
	compose := func(size int) (letter, []byte, []byte) {
		l := letter{id: newMsgID(), from: sender.address, to: []string{own.address, other.address}, subject: "Archiviato", text: "testo\r\n"}
		if size > 0 {
			l.attached = []attachment{pdf(size)}
		}
		m := l.bytes()
		// What a client saves differs: Bcc, and how the lines are folded.
		return l, m, bytes.Replace(m, []byte("Message-ID: "), []byte("Bcc: altri@alfa.example\r\nMessage-ID:\r\n "), 1)
	}

	want := make(map[string][]byte) // by Message-ID; nil: either copy
	l, m, saved := compose(0)
	d.swaksSubmit(t, sender, l.to, m)
	uid, err := in.save(sent, saved)
	if err != nil {
		t.Fatal(err)
	}
	want[l.id] = m
	first := uid

	l, m, saved = compose(300 << 10)
	d.swaksSubmit(t, sender, l.to, m)
	need(t, "curl")
	run(t, "curl", "--silent", "--show-error", "--cacert", d.file(t, "CA_FILE"), "--user", sender.address+":"+d.password(t),
		"--upload-file", write(t, "saved.eml", saved), fmt.Sprintf("imaps://%s/%s", d.get(t, "ALFA_IMAPS"), url.PathEscape(sent)))
	want[l.id] = m

	l, m, saved = compose(0) // the client is first
	if _, err := in.save(sent, saved); err != nil {
		t.Fatal(err)
	}
	d.submit(t, sender, l.to, m)
	want[l.id] = saved

	const together = 12
	var all sync.WaitGroup
	for range together {
		l, m, saved := compose(0)
		want[l.id] = nil
		client := d.openInbox(t, sender)
		c := d.submission(t, sender)
		if r := c.envelope(sender.address, l.to); r.code != 250 {
			t.Fatalf("envelope: %v", r)
		}
		all.Go(func() {
			if r := c.data(bytes.NewReader(m)); r.code != 250 {
				t.Errorf("DATA: %v", r)
			}
		})
		all.Go(func() {
			if _, err := client.save(sent, saved); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()

	in.open(sent)
	got := make(map[string]int)
	for _, s := range in.refresh() {
		id := strings.TrimSpace(s.header.Get("Message-Id"))
		got[id]++
		if w := want[id]; w != nil && !bytes.Equal(in.body(s.uid), w) {
			t.Errorf("uid %d is not what it should be", s.uid)
		}
	}
	for id := range want {
		if got[id] != 1 {
			t.Errorf("%d copies of %s, want one", got[id], id)
		}
	}
	flags, err := in.client.Fetch(imap.UIDSetNum(first), &imap.FetchOptions{Flags: true, UID: true}).Collect()
	if err != nil || len(flags) != 1 || !slices.Contains(flags[0].Flags, "$Salvato") || !slices.Contains(flags[0].Flags, imap.FlagSeen) {
		t.Errorf("APPENDUID %d: %+v, %v", first, flags, err)
	}

	// Acceptance and two delivery receipts of each, in the folder of the year.
	year := strconv.Itoa(time.Now().In(rome(t)).Year())
	folder := "Ricevute/" + year
	in.open(folder)
	for id := range want {
		in.one(minute, "acceptance", about(id, "accettazione"))
		in.wait(minute, 2, "delivery receipts", about(id, "avvenuta-consegna"))
	}
	in.open("INBOX")
	for id := range want {
		if n := len(in.find(about(id, ""))); n != 0 {
			t.Errorf("%d receipts in INBOX:%s", n, in.subjects())
		}
	}

	if code, out := pecdIn(t, "", "verify", "--config", filepath.Join(d.dir, "alfa.toml")); code != 0 {
		t.Errorf("verify: exit %d\n%s", code, out)
	}

	// Without the options everything is as before.
	d.choose(t, sender, "--no-file-sent", "--no-file-receipts")
	l, m, _ = compose(0)
	d.swaksSubmit(t, sender, l.to, m)
	in.one(minute, "acceptance", about(l.id, "accettazione"))
	in.open(sent)
	if n := len(in.find(func(s stored) bool { return strings.TrimSpace(s.header.Get("Message-Id")) == l.id })); n != 0 {
		t.Errorf("%d copies without the option", n)
	}
}

func rome(t testing.TB) *time.Location {
	t.Helper()
	l, err := time.LoadLocation("Europe/Rome")
	if err != nil {
		t.Fatal(err)
	}
	return l
}
