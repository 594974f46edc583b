// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"testing"

	"pecd/ledger"
	"pecd/protection"
	"pecd/storage"
)

// TestS4_065_ForwardMeetsProtection: what one mailbox takes another one may not:
// what is forwarded to it meets its rules.
func TestS4_065_ForwardMeetsProtection(t *testing.T) {
	for action, want := range map[protection.Action]string{
		protection.Folder: storage.QuarantineName + " 1", protection.Refuse: "", protection.Tag: "INBOX 1, Copie 1",
	} {
		w, _, beta := shielded(t)
		beta.rules[carla] = rule(protection.Macro, protection.Certified, action)
		w.filter(bruno, `redirect "`+carla+`";`)
		w.filter(carla, `fileinto :copy "Copie"; keep;`) // what is put apart stays there
		w.submit(anna, []string{bruno}, withMacro(t, anna, bruno))
		w.settle()
		w.holds(carla, want)
		caught := w.at(carla).records(ledger.InterceptContents)
		if len(caught) == 0 || caught[0].Mailbox != carla || len(beta.counted) != len(caught) {
			t.Errorf("%s: %d on record, counted %v", action, len(caught), beta.counted)
		}
		failed := len(w.at(bruno).records(ledger.ForwardFailed))
		if (action == protection.Refuse) != (failed == 1) {
			t.Errorf("%s: %d forwards failed", action, failed)
		}
		w.clean()
	}
}
