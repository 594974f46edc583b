// SPDX-License-Identifier: EUPL-1.2

package oracle

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
)

// TestPec_1_7_Invariants: the consistency rules of a transaction hold whatever
// happens on the way (pec-rules §1.7).
func TestPec_1_7_Invariants(t *testing.T) {
	a := newAuthority(t)
	worlds, steps := 40, 500
	if os.Getenv("PECD_LONG") != "" {
		worlds, steps = 200, 1000
	}
	first := uint64(1)
	if s := os.Getenv("PECD_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("PECD_SEED: %v", err)
		}
		first, worlds = n, 1
	}
	if s := os.Getenv("PECD_STEPS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("PECD_STEPS: %v", err)
		}
		steps = n
	}
	var mu sync.Mutex
	seen := map[string]int{}
	t.Run("worlds", func(t *testing.T) {
		for i := range worlds {
			seed := first + uint64(i)
			t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, a, seed)
				w.run(steps)
				mu.Lock()
				defer mu.Unlock()
				for what, n := range w.judge.seen {
					seen[what] += n
				}
			})
		}
	})
	t.Logf("seen: %v", seen)
	if worlds == 1 || t.Failed() {
		return
	}
	for _, what := range rareThings {
		if seen[what] < 5 {
			t.Errorf("%s happened %d times: the worlds do not try what they are there for", what, seen[what])
		}
	}
}

// rareThings must come about in every run of all worlds, or the oracle would
// judge less than it says.
var rareThings = []string{
	string(kAccept), string(kRefuse), string(kRefVirus), string(kEnvelope), string(kTake), string(kDeliver), string(kFail), string(kFailVirus),
	string(kFirst), string(kSecond), string(kVirus), string(kAnomaly),
	"answer lost", "message doubled", "message altered", "message held", "message swallowed", "refused for good", "line cut",
	"crash before a commit", "crash after a commit", "killed", "disk full", "disk unreadable", "key away", "antivirus down",
	"replayed", "replayed altered", "replayed to somebody else", "ordinary mail",
	"operator holds", "operator releases", "operator wants tried", "operator gives up",
}
