// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"strings"
	"sync"
	"testing"

	"pecd/ledger"
	"pecd/pec"
	"pecd/storage"
)

// before runs do once, before the next commit of a provider: what comes in at
// the same moment and is faster.
func (p *provider) before(do func()) {
	store := &failingStore{Store: p.core.Store}
	store.fail = func(*storage.Step) bool {
		store.fail = nil
		do()
		return false
	}
	p.core.Store = store
}

// TestPec_9_DetectionsAtOnce: of two detections that come in together the
// recipient they share is told once, and the other one is not lost.
func TestPec_9_DetectionsAtOnce(t *testing.T) {
	w := newWorld(t)
	alfa, beta := w.providers["alfa.example"], w.providers["beta.example"]
	w.broken["beta.example"] = true
	w.submit(anna, []string{bruno, carla}, message(anna, bruno+", "+carla, "", "x\r\n"))
	m := pec.MessageOf(*w.inbox(anna)[0].rec.CertData)
	one := beta.core.Builder.VirusDetection(m, w.clock.Now(), bruno, "X", service)
	both := one
	both.Before = withReceptions(t, one.Before, bruno, carla)
	first, second := w.forge(beta, one, ""), w.forge(beta, both, "")
	alfa.before(func() { check(t, w.receive("posta-certificata@beta.example", []string{service}, first)) })
	check(t, w.receive("posta-certificata@beta.example", []string{service}, second))
	w.want(service, "rilevazione-virus rilevazione-virus")
	w.want(anna, "accettazione errore-consegna-virus errore-consegna-virus")
	w.clean()
}

// TestPec_1_7_TakenWhileLookedAt: a copy that is taken in charge while an
// infected one is being looked at is not turned into a virus.
func TestPec_1_7_TakenWhileLookedAt(t *testing.T) {
	w, _, scanner := guarded(t)
	beta := w.providers["beta.example"]
	raw := infectedEnvelope(t, w, bruno, carla)
	beta.before(func() {
		beta.core.Scanner = nil
		check(t, w.receive(anna, []string{bruno}, raw))
		beta.core.Scanner = scanner
	})
	check(t, w.receive(anna, []string{bruno, carla}, raw))
	w.broken["beta.example"] = true // our own copy does not come
	w.settle()
	w.want(bruno, "posta-certificata")
	w.want(carla, "")
	w.want(service, "presa-in-carico rilevazione-virus")
	if q := w.wantQuarantine("beta.example", 1)[0]; len(q.Recipients) != 1 || q.Recipients[0] != carla {
		t.Errorf("%v", q.Recipients)
	}
	w.clean()
}

// TestPec_1_7_InfectedCopiesAtOnce: however many copies come in together, one
// row and one notice for each recipient.
func TestPec_1_7_InfectedCopiesAtOnce(t *testing.T) {
	w, _, _ := guarded(t)
	raw := infectedEnvelope(t, w, bruno, carla)
	var wg sync.WaitGroup
	for n := range 8 {
		to := [][]string{{bruno, carla}, {carla, bruno}, {bruno}}[n%3]
		wg.Go(func() {
			if err := w.receive(anna, to, raw); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	w.settle()
	if k := w.kinds(service); k != "rilevazione-virus rilevazione-virus" {
		t.Errorf("service mailbox has %q", k)
	}
	if n := strings.Count(w.kinds(anna), "errore-consegna-virus"); n != 2 {
		t.Errorf("%d notices", n)
	}
	named := 0
	for _, q := range w.quarantine("beta.example") {
		named += len(q.Recipients)
	}
	if emitted := w.logged("beta.example", ledger.ReceiptEmitted); named != 2 || len(emitted) != 2 {
		t.Errorf("%d recipients in the quarantine, %d notices in the log", named, len(emitted))
	}
	w.clean()
}
