// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"pecd/directory"
	"pecd/pec"
	"pecd/pipeline"
	"pecd/storage"
)

// evening is New Year's Eve of 2026: what is accepted now is told of in 2027.
const evening = "2026-12-31T20:00:00+01:00"

// sorting is a world on that evening in which anna's receipts have folders.
func sorting(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.sortFor(evening)
	return w
}

func (w *world) sortFor(instant string) {
	w.t.Helper()
	at, err := time.Parse(time.RFC3339, instant)
	check(w.t, err)
	w.clock.Advance(at.Sub(w.clock.Now()))
	w.choose(anna, directory.Options{FileReceipts: yes()})
	w.reads[anna] = "Ricevute/2026"
}

// wantNone wants a folder of anna's to be empty or absent.
func (w *world) wantNone(names ...string) {
	w.t.Helper()
	for _, name := range names {
		if n := len(w.folder(anna, name)); n != 0 {
			w.t.Errorf("%d messages in %s", n, name)
		}
	}
}

// TestFileReceipts: acceptance, delivery, non-delivery and the notices of
// elapsed time are where their message's year is, each of them once, however
// often the nodes are restarted and wherever they end.
func TestFileReceipts(t *testing.T) {
	for name, end := range map[string]ending{"undisturbed": quietly, "ended before every commit": losing, "ended after every commit": unacknowledged} {
		for i, s := range scenes(end) {
			if end != quietly && i%4 != 1 { // each is in TestPec_6_1_Timeouts
				continue
			}
			t.Run(name+"/"+s.name, func(t *testing.T) {
				t.Parallel()
				w := sorting(t)
				w.end = end
				id := w.play(s)
				if got := w.story(anna, s.to...); got != s.want {
					t.Errorf("heard %q, want %q", got, s.want)
				}
				w.checkNotices(t, id, strings.Contains(s.name, "30 h"))
				w.wantNone("INBOX", "Ricevute", "Ricevute/2027")
				w.clean()
			})
		}
	}
}

// TestFileReceiptsKinds: the receipts that the scenes have not; and what is no
// receipt stays in INBOX.
func TestFileReceiptsKinds(t *testing.T) {
	w, scanner, _ := guarded(t)
	w.sortFor(evening)
	// Refused here, for its form and for a virus; refused elsewhere for a virus.
	w.submit(anna, []string{bruno}, message(anna, "altro@beta.example", "", "x\r\n"))
	w.submit(anna, []string{bruno}, message(anna, bruno, "", virusMark+"\r\n"))
	w.providers["alfa.example"].core.Scanner = nil
	w.submit(anna, []string{bruno}, message(anna, bruno, "", virusMark+"\r\n"))
	w.providers["alfa.example"].core.Scanner = scanner
	// Nobody there, here and at another provider's; closed.
	w.submit(anna, []string{"nessuno@alfa.example", "spenta@alfa.example", other}, message(anna, "nessuno@alfa.example, spenta@alfa.example, "+other, "", "x\r\n"))
	w.clock.Advance(5 * time.Hour)
	w.settle()
	counts := make(map[string]int)
	for _, kind := range strings.Fields(w.kinds(anna)) {
		counts[kind]++
	}
	for kind, n := range map[string]int{"non-accettazione": 1, "non-accettazione-virus": 1, "errore-consegna-virus": 1, "errore-consegna": 3, "accettazione": 2} {
		if counts[kind] != n {
			t.Errorf("%d of %s, want %d: %v", counts[kind], kind, n, counts)
		}
	}
	w.wantNone("INBOX", "Ricevute", "Ricevute/2027")

	// Envelopes and ordinary mail are no receipts.
	w.submit(bruno, []string{anna}, message(bruno, anna, "", "x\r\n"))
	w.settle()
	check(t, w.receive("dario@mail.example", []string{anna}, []byte(message("dario@mail.example", anna, "", "x\r\n"))))
	w.reads[anna] = "INBOX"
	w.want(anna, "posta-certificata anomalia")
	w.clean()
}

// TestFileReceiptsYear: the year is that of legal time, and that of the message.
func TestFileReceiptsYear(t *testing.T) {
	w := newWorld(t)
	w.sortFor("2026-12-31T22:59:59Z") // 23:59:59 in Rome
	w.submit(anna, []string{bruno, bettina}, message(anna, bruno+", "+bettina, "", "x\r\n"))
	w.clock.Advance(time.Second)
	w.submit(anna, []string{bruno, bettina}, message(anna, bruno+", "+bettina, "", "x\r\n"))
	w.clock.Advance(time.Minute)
	w.settle()
	for _, folder := range []string{"Ricevute/2026", "Ricevute/2027"} {
		w.reads[anna] = folder
		w.want(anna, "accettazione avvenuta-consegna avvenuta-consegna")
	}
	w.wantNone("INBOX", "Ricevute")
	w.clean()
}

// TestFileReceiptsUnknown: a receipt about a message that the store does not
// know goes by its own date, if that is likely.
func TestFileReceiptsUnknown(t *testing.T) {
	w := sorting(t)
	beta := w.providers["beta.example"]
	for _, c := range []struct{ date, folder string }{
		{"2025-12-31T22:30:00Z", "Ricevute/2025"},
		{"2027-01-01T00:00:00+01:00", "Ricevute/2027"},
		{"1999-01-01T12:00:00+01:00", "Ricevute/2026"},
		{"9998-01-01T12:00:00+01:00", "Ricevute/2026"},
	} {
		at, err := time.Parse(time.RFC3339, c.date)
		check(t, err)
		m := pec.Message{ID: "altro." + c.date + "@alfa.example", Sender: anna, Subject: "x", Recipients: []pec.Recipient{{Address: bruno}}}
		before := len(w.folder(anna, c.folder))
		d := beta.core.Builder.NonDelivery(m, at, bruno, pec.NoDest, "5.1.1 - beta - x")
		check(t, w.receive("posta-certificata@beta.example", []string{anna}, w.forge(beta, d, "")))
		if n := len(w.folder(anna, c.folder)); n != before+1 {
			t.Errorf("%s: %d messages in %s, were %d", c.date, n, c.folder, before)
		}
	}
	w.wantNone("INBOX")
	w.clean()
}

// TestFileReceiptsFolders: what the holder does to the folders keeps no receipt
// away.
func TestFileReceiptsFolders(t *testing.T) {
	w := sorting(t)
	p := w.at(anna)
	box, err := p.store.Mailbox(context.Background(), anna)
	check(t, err)
	change := func(op storage.Op) {
		t.Helper()
		check(t, p.store.Commit(context.Background(), new(storage.Step).Add(op)))
	}
	w.submit(anna, []string{bruno}, message(anna, bruno, "", "x\r\n"))
	change(&storage.RenameFolder{Mailbox: box.ID, From: "Ricevute", To: "Vecchie"})
	w.once(p, pipeline.JobRelay)
	for w.once(w.at(bruno), pipeline.JobDeliver) {
	}
	w.settle()
	w.want(anna, "avvenuta-consegna")
	w.reads[anna] = "Vecchie/2026"
	w.want(anna, "accettazione")
	change(&storage.DeleteFolder{Mailbox: box.ID, Name: "Ricevute/2026"})
	change(&storage.DeleteFolder{Mailbox: box.ID, Name: "Ricevute"})
	w.reads[anna] = "Ricevute/2026"
	w.submit(anna, []string{bettina}, message(anna, bettina, "", "x\r\n"))
	w.settle()
	w.want(anna, "accettazione avvenuta-consegna")
	for _, name := range []string{"Ricevute", "Ricevute/2026"} {
		f, err := p.store.Folder(context.Background(), box.ID, name)
		check(t, err)
		if !f.Subscribed {
			t.Errorf("%s is not subscribed", name)
		}
	}
	w.clean()
}
