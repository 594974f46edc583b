// SPDX-License-Identifier: EUPL-1.2

package pkcs11

// Stuck is how many calls were abandoned and have not returned.
func (k *Key) Stuck() (n int) {
	for _, t := range k.tokens {
		n += int(t.stuck.Load())
	}
	return n
}

// WaitRound waits for the time between two retries.
func (k *Key) WaitRound() {
	timer, stop := k.cfg.Clock.After(k.cfg.Retry)
	defer stop()
	<-timer
}

// Finalise ends the libraries' use after calls that hung have returned.
func (k *Key) Finalise() {
	for _, t := range k.tokens {
		t.workers.Wait()
	}
	for _, m := range k.modules {
		_ = m.finalise()
	}
}
