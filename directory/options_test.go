// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"fmt"
	"testing"

	"pecd/fault"
	"pecd/storage"
)

func TestSetOptions(t *testing.T) {
	d := newHouse(t)
	const address = "ufficio@alfa.example"
	d.mailbox(address, "standard")
	options := func(m storage.Mailbox) string { return fmt.Sprint(m.PersonalSeen, m.FileSent, m.FileReceipts) }
	on, off := true, false
	for _, c := range []struct {
		change        Options
		before, after string
	}{
		{Options{}, "false false false", "false false false"},
		{Options{FileSent: &on}, "false false false", "false true false"},
		{Options{PersonalSeen: &on, FileReceipts: &on}, "false true false", "true true true"},
		{Options{FileSent: &off, PersonalSeen: &on}, "true true true", "true false true"},
	} {
		before, after, err := d.SetOptions(t.Context(), "Ufficio@ALFA.example", c.change)
		if err != nil || options(before) != c.before || options(after) != c.after {
			t.Fatalf("%s, then %s, %v; want %s, then %s", options(before), options(after), err, c.before, c.after)
		}
		m, err := d.Mailbox(t.Context(), address)
		if err != nil || options(m) != c.after {
			t.Fatalf("the directory says %s, %v, want %s", options(m), err, c.after)
		}
	}
	_, _, err := d.SetOptions(t.Context(), "nessuno@alfa.example", Options{FileSent: &on})
	d.want(err, fault.NotFound)
}
