// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/pipeline"
	"pecd/rfc822"
	"pecd/storage"
)

const extensions = `require ["fileinto", "copy", "envelope", "imap4flags"]; `

// filter gives a mailbox a script, which is run from then on.
func (w *world) filter(address, script string) {
	w.t.Helper()
	ctx := context.Background()
	check(w.t, w.at(address).users.PutFilter(ctx, address, "prova", extensions+script))
	check(w.t, w.at(address).users.ActivateFilter(ctx, address, "prova"))
}

// subjects are those of a folder, decoded.
func (w *world) subjects(address, folder string) string {
	w.t.Helper()
	var all []string
	for _, g := range w.folder(address, folder) {
		all = append(all, rfc822.DecodeText(g.msg.Root.Header.Get("Subject")))
	}
	return strings.Join(all, "|")
}

// wants compares how many messages folders of a mailbox hold, "INBOX 1 A 2".
func (w *world) holds(address, want string) {
	w.t.Helper()
	p := w.at(address)
	box, err := p.store.Mailbox(context.Background(), address)
	check(w.t, err)
	all, err := p.store.Folders(context.Background(), box.ID)
	check(w.t, err)
	var got []string
	for _, f := range all {
		if f.Messages > 0 {
			got = append(got, fmt.Sprint(f.Name, " ", f.Messages))
		}
	}
	if s := strings.Join(got, ", "); s != want {
		w.t.Errorf("%s holds %q, want %q", address, s, want)
	}
}

// The filter sees every kind of message, by its sender as certified and the
// header that says what it is.
func TestS4_039_040_FiltersMoveAndCopy(t *testing.T) {
	w := newWorld(t)
	w.filter(bruno, `if envelope "from" "`+anna+`" { addflag "\\Flagged"; fileinto "Clienti/Anna"; }
elsif header :is "x-trasporto" "errore" { fileinto :copy "Ordinaria"; }`)
	w.filter(anna, `if header :is "x-ricevuta" "avvenuta-consegna" { fileinto "Consegne"; }`)
	w.submit(anna, []string{bruno}, message(anna, bruno, "", "x\r\n"))
	w.settle()
	check(t, w.receive(dario, []string{bruno}, []byte("From: "+dario+"\r\nTo: "+bruno+"\r\nSubject: saluti\r\n\r\nx\r\n")))
	w.settle()
	w.holds(bruno, "INBOX 1, Clienti/Anna 1, Ordinaria 1")
	w.holds(anna, "INBOX 1, Consegne 1")
	g := w.folder(bruno, "Clienti/Anna")[0]
	if g.rec.Kind.String() != "posta-certificata" || fmt.Sprint(g.row.Flags) != `[\Flagged]` {
		t.Errorf("%v, flags %v", g.rec.Kind, g.row.Flags)
	}
	if a, b := w.folder(bruno, "INBOX")[0], w.folder(bruno, "Ordinaria")[0]; a.row.Body != b.row.Body {
		t.Errorf("the copy is a message of its own: %d and %d", a.row.Body, b.row.Body)
	}
	var folders []string
	for _, e := range w.at(bruno).records(ledger.Delivered) {
		folders = append(folders, e.Folder)
	}
	if got := strings.Join(folders, "; "); got != "Clienti/Anna; INBOX, Ordinaria" {
		t.Errorf("on record: %s", got)
	}
	w.clean()
}

// A mailbox that has room for the message has it, whatever its filter wants
// besides; a full one refuses it, as ever.
func TestFilterCopiesCountAgainstTheQuota(t *testing.T) {
	w := newWorld(t)
	p := w.at(bruno)
	w.filter(bruno, `fileinto :copy "A"; fileinto :copy "B"; fileinto :copy "C";`)
	w.submit(anna, []string{bruno}, message(anna, bruno, "", "x\r\n"))
	w.settle()
	w.holds(bruno, "INBOX 1, A 1, B 1, C 1")
	box, err := p.store.Mailbox(context.Background(), bruno)
	check(t, err)
	tier, err := p.users.Tier(context.Background(), "standard")
	check(t, err)
	tier.QuotaBytes = box.Used + box.Used/4*3/2 // one more, and half of another
	check(t, p.store.Commit(context.Background(), new(storage.Step).Add(&storage.PutTier{Tier: tier})))
	w.clock.Advance(time.Minute)
	for range 2 {
		w.submit(anna, []string{bruno}, message(anna, bruno, "", "x\r\n"))
		w.settle()
	}
	w.holds(bruno, "INBOX 2, A 1, B 1, C 1")
	if kinds := w.kinds(anna); !strings.HasSuffix(kinds, "avvenuta-consegna accettazione errore-consegna") {
		t.Errorf("the sender has %s", kinds)
	}
	w.clean()
}

// A script that fails, or that is no script any more, keeps the message.
func TestFilterFailureKeepsTheMessage(t *testing.T) {
	w := newWorld(t)
	p := w.at(bruno)
	w.filter(bruno, `redirect "a@b.example"; redirect "b@b.example"; redirect "c@b.example"; fileinto "A"; redirect "d@b.example";`)
	w.submit(anna, []string{bruno}, message(anna, bruno, "", "x\r\n"))
	w.settle()
	box, err := p.store.Mailbox(context.Background(), bruno)
	check(t, err)
	check(t, p.store.Commit(context.Background(), new(storage.Step).Add(
		&storage.PutFilter{Filter: storage.Filter{Mailbox: box.ID, Name: "prova", Script: "vecchia lingua"}})))
	w.clock.Advance(time.Minute)
	w.submit(anna, []string{bruno}, message(anna, bruno, "", "x\r\n"))
	w.settle()
	w.holds(bruno, "INBOX 2")
	if len(w.outside) != 0 {
		t.Errorf("%d messages went out", len(w.outside))
	}
	w.clean()
}

// What is forwarded to another mailbox of the provider is the same message, and is
// there once, however the node ends meanwhile.
func TestS4_041_ForwardIntoAMailbox(t *testing.T) {
	for name, end := range map[string]ending{"quiet": quietly, "restarting": restarting, "losing": losing, "unacknowledged": unacknowledged} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.end = end
			w.filter(bruno, `redirect "`+carla+`"; redirect "`+bruno+`";`)
			w.filter(carla, `if header :contains "x-sieve-redirected-from" "`+bruno+`" { fileinto "Da Bruno"; }`)
			w.submit(anna, []string{bruno}, message(anna, bruno, "", "x\r\n"))
			w.settle()
			w.holds(bruno, "INBOX 1")
			w.holds(carla, "Da Bruno 1") // and its signature is valid: folder checks
			original, copied := w.folder(bruno, "INBOX")[0].raw, w.folder(carla, "Da Bruno")[0].raw
			if !bytes.HasSuffix(copied, original) || !bytes.HasPrefix(copied, []byte("X-Sieve-Redirected-From: "+bruno+"\r\nReceived: by ")) {
				t.Errorf("not the same message:\n%.300s", copied)
			}
			w.want(anna, "accettazione avvenuta-consegna")
			if sent := w.at(bruno).records(ledger.ForwardSent); len(sent) != 1 || sent[0].Mailbox != bruno || sent[0].Recipients[0].Address != carla {
				t.Errorf("on record: %+v", sent)
			}
			w.clean()
		})
	}
}

// The same message that reaches a mailbox on two ways is forwarded once.
func TestForwardOnce(t *testing.T) {
	w := newWorld(t)
	w.filter(bruno, `redirect "`+carla+`";`)
	w.filter(carla, `redirect "fuori@mail.example";`)
	raw := []byte("From: " + dario + "\r\nTo: " + bruno + "\r\nMessage-ID: <1@x.example>\r\nSubject: saluti\r\n\r\nx\r\n")
	check(t, w.receive(dario, []string{bruno, carla}, raw))
	w.settle()
	w.holds(carla, "INBOX 2")
	if len(w.outside) != 1 {
		t.Errorf("%d messages went out", len(w.outside))
	}
	w.clean()
}

// A loop ends after one round, and both holders are told, once a day.
func TestForwardLoopEnds(t *testing.T) {
	w := newWorld(t)
	w.filter(bruno, `redirect "`+carla+`";`)
	w.filter(carla, `redirect "`+bruno+`";`)
	w.submit(anna, []string{bruno}, message(anna, bruno, "", "x\r\n"))
	w.settle()
	w.holds(bruno, "INBOX 2")
	w.holds(carla, "INBOX 2")
	for _, who := range []string{bruno, carla} {
		all := w.folder(who, "INBOX")
		h := all[1].msg.Root.Header
		if !strings.HasPrefix(rfc822.DecodeText(h.Get("Subject")), "Inoltro automatico interrotto") || h.Get("From") != "Avvisi <avvisi@beta.example>" ||
			h.Get("Auto-Submitted") != "auto-generated" || !bytes.Contains(all[1].raw, []byte(carla)) || !bytes.Contains(all[1].raw, []byte(bruno)) {
			t.Errorf("%s is told:\n%s", who, all[1].raw)
		}
	}
	w.submit(anna, []string{bruno}, message(anna, bruno, "", "y\r\n"))
	w.settle()
	w.holds(bruno, "INBOX 3")
	w.holds(carla, "INBOX 3")
	w.clock.Advance(24 * time.Hour)
	w.submit(anna, []string{carla}, message(anna, carla, "", "z\r\n"))
	w.settle()
	w.holds(bruno, "INBOX 5")
	w.holds(carla, "INBOX 5")
	stopped := w.at(bruno).records(ledger.ForwardStopped)
	if len(stopped) != 3 || stopped[0].Mailbox != carla || !strings.Contains(stopped[0].Detail, bruno) {
		t.Errorf("on record: %+v", stopped)
	}
	w.clean()
}

// A loop through a server that is not ours is known by the marks that it brings
// back, and a long chain ends.
func TestForwardLoopThroughOthers(t *testing.T) {
	w := newWorld(t)
	w.filter(bruno, `redirect "fuori@mail.example";`)
	marked := func(by ...string) []byte {
		var b strings.Builder
		for _, a := range by {
			b.WriteString("X-Sieve-Redirected-From: " + a + "\r\n")
		}
		b.WriteString("From: " + dario + "\r\nTo: " + bruno + "\r\nMessage-ID: <" + fmt.Sprint(len(by), by[0]) + ">\r\n\r\nx\r\n")
		return []byte(b.String())
	}
	check(t, w.receive(dario, []string{bruno}, marked(bruno)))
	w.settle()
	w.holds(bruno, "INBOX 2") // the holder is told, alone: nobody here forwarded it back
	check(t, w.receive(dario, []string{bruno}, marked(carla, bruno)))
	w.settle()
	w.holds(bruno, "INBOX 3") // once a day
	w.holds(carla, "")        // has no filter: a mark says nothing against it
	check(t, w.receive(dario, []string{bruno}, marked("a@x.example", "b@x.example", "c@x.example", "d@x.example")))
	check(t, w.receive(dario, []string{bruno}, marked("a@x.example", "b@x.example", "c@x.example")))
	check(t, w.receive(dario, []string{bruno}, marked("nessun indirizzo <")))
	w.settle()
	if len(w.outside) != 2 {
		t.Errorf("%d messages went out", len(w.outside))
	}
	w.clean()
}

// To another server goes the same message, from the forwarding mailbox; what came
// from nobody goes on from nobody.
func TestS4_041_ForwardToAnotherServer(t *testing.T) {
	w := newWorld(t)
	w.filter(bruno, `redirect "fuori@mail.example";`)
	w.submit(anna, []string{bruno}, message(anna, bruno, "", "x\r\n"))
	check(t, w.receive("", []string{bruno}, []byte("From: mailer-daemon@x.example\r\nTo: "+bruno+"\r\nMessage-ID: <dsn@x.example>\r\n\r\nx\r\n")))
	w.settle()
	w.holds(bruno, "INBOX 2")
	if len(w.outside) != 2 {
		t.Fatalf("%d messages went out", len(w.outside))
	}
	senders := map[string]bool{}
	for i := range 2 {
		d := w.outside[i]
		senders[d.Sender] = true
		sent := make([]byte, d.Size)
		if _, err := d.Body.ReadAt(sent, 0); err != nil {
			t.Fatal(err)
		}
		if a, b := w.folder(bruno, "INBOX")[0].raw, w.folder(bruno, "INBOX")[1].raw; !bytes.HasSuffix(sent, a) && !bytes.HasSuffix(sent, b) {
			t.Errorf("not what is in the mailbox:\n%s", sent)
		}
	}
	if !senders[bruno] || !senders[""] {
		t.Errorf("sent by %v", senders)
	}
	w.clean()
}

// A forward that another server refuses, or that nobody takes for a day, is told
// to the holder once a day.
func TestForwardRefusedByAnotherServer(t *testing.T) {
	w := newWorld(t)
	w.filter(bruno, `redirect "fuori@mail.example";`)
	w.answers["fuori@mail.example"] = fault.Say("test", fault.NotFound, "no such user")
	for range 2 {
		w.submit(anna, []string{bruno}, message(anna, bruno, "", "x\r\n"))
		w.settle()
	}
	w.holds(bruno, "INBOX 3")
	if got := w.subjects(bruno, "INBOX"); !strings.Contains(got, "Inoltro automatico non riuscito verso fuori@mail.example") {
		t.Errorf("bruno has %s", got)
	}
	if failed := w.at(bruno).records(ledger.ForwardFailed); len(failed) != 2 || failed[0].Mailbox != bruno || failed[0].Recipients[0].Address != "fuori@mail.example" {
		t.Errorf("on record: %+v", failed)
	}
	delete(w.answers, "fuori@mail.example")
	w.broken["mail.example"] = true
	w.submit(anna, []string{bruno}, message(anna, bruno, "", "y\r\n"))
	w.until(w.clock.Now().Add(25 * time.Hour))
	w.holds(bruno, "INBOX 5")
	w.want(anna, strings.TrimSpace(strings.Repeat("accettazione avvenuta-consegna ", 3)))
	w.clean()
}

// Mailboxes of ours that cannot take a forward: their holder gets nothing, the
// other one keeps the original and is told.
func TestForwardRefusedHere(t *testing.T) {
	for to, why := range map[string]string{
		"nessuno@beta.example": "indirizzo inesistente", "spenta@beta.example": "casella disabilitata", carla: "casella piena",
	} {
		w := newWorld(t)
		p := w.at(bruno)
		box, err := p.store.Mailbox(context.Background(), carla)
		check(t, err)
		tier, err := p.users.Tier(context.Background(), "standard")
		check(t, err)
		tier.Code, tier.QuotaBytes, box.Tier = "piccola", 100, "piccola"
		check(t, p.store.Commit(context.Background(), new(storage.Step).Add(&storage.PutTier{Tier: tier}, &storage.PutMailbox{Mailbox: box})))
		w.clock.Advance(time.Minute)
		w.filter(bruno, `redirect "`+to+`";`)
		w.submit(anna, []string{bruno}, message(anna, bruno, "", "x\r\n"))
		w.settle()
		w.holds(bruno, "INBOX 2")
		w.holds(carla, "")
		if failed := p.records(ledger.ForwardFailed); len(failed) != 1 || !strings.HasPrefix(failed[0].Detail, why) {
			t.Errorf("%s: %+v", to, failed)
		}
		w.clean()
	}
}

// TestS4_037: what a mailbox is closed to does not come in by a forward.
func TestS4_037_ForwardIntoAClosedMailbox(t *testing.T) {
	w := newWorld(t)
	const closed = "chiusa@beta.example"
	w.filter(bruno, `redirect "`+closed+`";`)
	check(t, w.receive(dario, []string{bruno}, []byte("From: "+dario+"\r\nMessage-ID: <1@x.example>\r\n\r\nx\r\n")))
	w.settle()
	w.holds(closed, "")
	w.holds(bruno, "INBOX 2")
	w.submit(anna, []string{bruno}, message(anna, bruno, "", "x\r\n"))
	w.settle()
	w.holds(closed, "INBOX 1")
	w.clean()
}

// A forward to a certified domain of another provider is not certified mail of the
// sender's to that address: it comes in as what it is, in an anomaly envelope.
func TestForwardToAnotherProvider(t *testing.T) {
	w := newWorld(t)
	w.filter(bruno, `redirect "`+anna+`";`)
	w.submit("carla@alfa.example", []string{bruno}, message("carla@alfa.example", bruno, "", "x\r\n"))
	w.settle()
	w.want(anna, "anomalia")
	w.clean()
}

// What a mailbox forwards is bounded as what it sends; the rest waits for its turn.
func TestForwardsAreBounded(t *testing.T) {
	w := newWorld(t)
	w.filter(bruno, `redirect "fuori@mail.example";`)
	tier, err := w.at(bruno).users.Tier(context.Background(), "standard")
	check(t, err)
	tier.MaxPerMinute, tier.MaxPerDay = 5, 12
	check(t, w.at(bruno).store.Commit(context.Background(), new(storage.Step).Add(&storage.PutTier{Tier: tier})))
	w.clock.Advance(time.Minute)
	for range 14 {
		w.submit("carla@alfa.example", []string{bruno}, message("carla@alfa.example", bruno, "", "x\r\n"))
	}
	w.settle()
	w.holds(bruno, "INBOX 14")
	for _, want := range []int{5, 10, 12, 12} {
		if n := len(w.outside); n != want {
			t.Errorf("%d have gone out, want %d", n, want)
		}
		w.until(w.clock.Now().Add(time.Minute))
	}
	w.until(w.clock.Now().Add(24 * time.Hour)) // the next day
	if n := len(w.outside); n != 14 {
		t.Errorf("%d have gone out after a day", n)
	}
	w.clean()
}

// A forward that cannot be done for a day, for a fault of ours, is given up and
// told.
func TestForwardGivenUp(t *testing.T) {
	w := newWorld(t)
	p := w.at(bruno)
	w.filter(bruno, `redirect "fuori@mail.example";`)
	check(t, w.receive(dario, []string{bruno}, []byte("From: "+dario+"\r\nMessage-ID: <1@x.example>\r\n\r\nx\r\n")))
	p.shaky.altered = true
	jobs, err := p.store.TakeDue(context.Background(), pipeline.JobForward, w.clock.Now(), 1, 0)
	check(t, err)
	if err := p.forwards.Forward(context.Background(), jobs[0]); !fault.Is(err, fault.Internal) {
		t.Errorf("an altered message: %v", err)
	}
	w.clock.Advance(24 * time.Hour)
	check(t, p.forwards.Forward(context.Background(), jobs[0]))
	p.shaky.altered = false
	w.settle()
	w.holds(bruno, "INBOX 2")
	if failed := p.records(ledger.ForwardFailed); len(failed) != 1 || !strings.Contains(failed[0].Detail, "errore del sistema") {
		t.Errorf("on record: %+v", failed)
	}
	w.clean()
}

// A mailbox that may not send forwards nothing.
func TestForwardOfABlockedMailbox(t *testing.T) {
	w := newWorld(t)
	p := w.at(bruno)
	w.filter(bruno, `redirect "fuori@mail.example";`)
	box, err := p.store.Mailbox(context.Background(), bruno)
	check(t, err)
	box.Block = storage.SendBlock{Since: w.clock.Now(), Reason: "prova"}
	check(t, p.store.Commit(context.Background(), new(storage.Step).Add(&storage.PutMailbox{Mailbox: box})))
	w.clock.Advance(time.Minute)
	w.submit(anna, []string{bruno}, message(anna, bruno, "", "x\r\n"))
	w.settle()
	w.holds(bruno, "INBOX 2")
	if len(w.outside) != 0 {
		t.Errorf("%d messages went out", len(w.outside))
	}
	w.clean()
}
