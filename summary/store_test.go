// SPDX-License-Identifier: EUPL-1.2

package summary

import (
	"fmt"
	"strings"
	"testing"

	"pecd/rfc822"
	"pecd/storage"
	"pecd/storage/sqlite"
)

func TestCommitAddsSummaries(t *testing.T) {
	inner, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { inner.Close() })
	st := Store{inner}
	commit := func(ops ...storage.Op) {
		t.Helper()
		if err := st.Commit(t.Context(), &storage.Step{Ops: ops}); err != nil {
			t.Fatal(err)
		}
	}
	box := &storage.PutMailbox{Mailbox: storage.Mailbox{Address: "a@x.it", Domain: "x.it", Tier: "t", State: storage.MailboxActive}}
	commit(box)

	spooled := func(text string) *storage.NewBlob {
		sp := st.NewSpool()
		t.Cleanup(func() { sp.Close() })
		if _, err := sp.Write([]byte("..." + text)); err != nil {
			t.Fatal(err)
		}
		return &storage.NewBlob{Spool: sp, Off: 3, Len: sp.Size() - 3}
	}
	const header = "Subject: one\r\nX-Own: y\r\n\r\n"
	long := "X: " + strings.Repeat("y", maxHeader) + "\r\n" + header
	bodies := []*storage.NewBody{
		{Head: []byte(header + "text")},
		{Blob: spooled(header + "text")},
		{Head: []byte(header), Blob: spooled("more"), Tail: []byte("x")},
		{Head: []byte("Subject: one\r\n"), Blob: spooled("\r\nmore")}, // the header goes on in the blob
		{Head: []byte(long)},
		{Blob: spooled(long)},
	}
	const want = "Subject: one\r\n\r\n"
	wants := []string{want, want, want, "", "", ""}
	for _, b := range bodies {
		commit(b, &storage.Append{Mailbox: box.ID, Body: storage.BodyRef{New: b}})
	}
	// What no folder shows has none: a job, or the ciphertext in quarantine.
	queued := &storage.NewBody{Head: []byte(header)}
	commit(queued, &storage.Enqueue{Job: storage.Job{Kind: "k"}, Body: storage.BodyRef{New: queued}})
	if queued.Summary != nil {
		t.Error("a job's message has a summary")
	}

	in, err := st.Folder(t.Context(), box.ID, "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	i := 0
	err = st.Summaries(t.Context(), in.ID, 1, 0, func(m storage.Message, b []byte) error {
		got := ""
		if b != nil {
			s, err := rfc822.ReadSummary(b, m.Size)
			if err != nil {
				return err
			}
			if got = string(s.Header.Raw()); s.HasTree() || s.BodyOffset != int64(len(header)) {
				return fmt.Errorf("message %d: %+v", m.UID, s)
			}
		}
		if got != wants[i] {
			return fmt.Errorf("message %d keeps %q, not %q", m.UID, got, wants[i])
		}
		i++
		return nil
	})
	if err != nil || i != len(bodies) {
		t.Fatalf("%d messages, %v", i, err)
	}
}
