// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"fmt"
	"testing"

	"pecd/fault"
	"pecd/storage"
)

// TestGoneNamesAreBounded: what is subscribed to without a folder counts against
// the bound on folders, but does not keep its own name from coming back.
func TestGoneNamesAreBounded(t *testing.T) {
	s := openAt(t, t.TempDir(), Options{})
	in := inboxOf(t, s, "a@x.it")
	err := s.writer.eng.script(fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO gone_subscriptions (mailbox, name, login, subscribed) SELECT 1, 'f' || i, '', 1 FROM n;
		INSERT INTO gone_subscriptions VALUES (1, 'f3', 'ugo', 0), (1, 'f4', 'ugo', 1)`, maxFolders)) // a name counts once
	if err != nil {
		t.Fatal(err)
	}
	create := func(name string) error {
		return s.Commit(t.Context(), (&storage.Step{}).Add(&storage.CreateFolder{Mailbox: in.Mailbox, Name: name}))
	}
	if err := create("new"); !fault.Is(err, fault.TooMany) {
		t.Fatalf("one more: %v", err)
	}
	if err := create("f2"); err != nil {
		t.Fatalf("a folder of a name that counts already: %v", err)
	}
	if err := create("new"); !fault.Is(err, fault.TooMany) {
		t.Fatalf("one more: %v", err)
	}
	commit(t, s, &storage.Subscribe{Mailbox: in.Mailbox, Name: "f3"})
	if err := create("new"); err != nil {
		t.Fatalf("after one has been ended: %v", err)
	}
	wantClean(t, s)
}
