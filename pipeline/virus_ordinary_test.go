// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"testing"

	"pecd/fault"
)

// TestIncoming_OrdinaryScanner: what anybody can send has its own antivirus, the
// rest does not depend on it (ADR 0005 #12).
func TestIncoming_OrdinaryScanner(t *testing.T) {
	w, alfa, beta := guarded(t)
	ordinary := &scriptedScanner{down: true}
	w.at(anna).core.OrdinaryScanner, w.at(bruno).core.OrdinaryScanner = ordinary, ordinary
	scans := func(want ...int) {
		t.Helper()
		if got := [3]int{alfa.scans, beta.scans, ordinary.scans}; got != [3]int(want) {
			t.Errorf("%v scans by alfa's, beta's and the ordinary scanner, want %v", got, want)
		}
	}
	w.submit(anna, []string{bruno}, message(anna, bruno, "", "ciao\r\n"))
	w.settle()
	w.want(bruno, "posta-certificata")
	scans(1, 1, 0)
	plain := []byte(message("x@mail.example", bruno, "", "ciao\r\n"))
	malformed := replace("X-Trasporto: posta-certificata\r\n", "X-Trasporto: altro\r\n")(envelopeFor(t, w, bruno))
	alfa.scans = 0
	wantKind(t, w.receive("x@mail.example", []string{bruno}, plain), fault.Temporary)
	wantKind(t, w.receive("x@mail.example", []string{bruno}, malformed), fault.Temporary)
	scans(0, 1, 2)
	ordinary.down = false
	check(t, w.receive("x@mail.example", []string{bruno}, plain))
	check(t, w.receive("x@mail.example", []string{bruno}, malformed))
	w.want(bruno, "posta-certificata anomalia anomalia")
	scans(0, 1, 4)
}
