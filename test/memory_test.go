// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"
)

// TestMemoryAtTheLimit submits messages of exactly 100 MB (S4-038), to a
// recipient at each provider: each is accepted, relayed, delivered, its complete
// receipts read back by curl, and the resident memory of each provider, running
// in a process of its own, stays below 64 MB and 32 MB for every message in flight.
func TestMemoryAtTheLimit(t *testing.T) {
	inFlight := []int{1}
	if long() {
		inFlight = []int{1, 4}
	}
	for _, n := range inFlight {
		t.Run(fmt.Sprintf("%d in flight", n), func(t *testing.T) { memoryAtTheLimit(t, n) })
	}
}

func memoryAtTheLimit(t *testing.T, n int) {
	const limit = 104857600
	d := newDemo(t, "--quiet")
	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	alfa, beta := startServe(t, d, "alfa.toml"), startServe(t, d, "beta.toml")
	ids := make([]string, n)
	var all sync.WaitGroup
	for i := range n {
		a := d.standard(t, "ALFA", 1+i)
		l := letter{id: newMsgID(), from: a.address, to: []string{d.standard(t, "BETA", 20+i).address, d.standard(t, "ALFA", 20+i).address}, subject: "Cento megabyte", text: "x"}
		head := bytes.TrimSuffix(l.bytes(), []byte("x"))
		ids[i] = l.id
		s := d.submission(t, a)
		all.Add(1)
		go func() {
			defer all.Done()
			defer s.Close()
			if r := s.envelope(a.address, l.to); !r.positive() {
				t.Error(r)
				return
			}
			if r := s.data(multi(head, limit-int64(len(head)))); r.code != 250 {
				t.Errorf("100 MB: %v", r)
			}
		}()
	}
	all.Wait()
	var receipt imap.UID
	for i, id := range ids {
		in := d.openInbox(t, d.standard(t, "ALFA", 1+i))
		for _, m := range in.wait(2*minute, 2, "delivery receipt", about(id, "avvenuta-consegna")) {
			if m.size < limit {
				t.Errorf("a complete receipt has %d bytes", m.size)
			}
			if i == 0 {
				receipt = m.uid
			}
		}
		in.client.Close()
	}
	if got := d.curl(t, d.standard(t, "ALFA", 1), uint32(receipt)); len(got) < limit {
		t.Errorf("curl got %d bytes", len(got))
	}
	for name, p := range map[string]*proc{"alfa": alfa, "beta": beta} {
		peak := peakMemory(t, p.cmd.Process.Pid)
		t.Logf("%s: peak resident memory %.1f MB", name, float64(peak)/(1<<20))
		if most := int64(64+32*n) << 20; peak > most {
			t.Errorf("%s: peak resident memory %d bytes, limit %d", name, peak, most)
		}
	}
}

// peakMemory is the largest resident set a process ever had, in bytes.
func peakMemory(t *testing.T, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(b), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatal("no VmHWM in /proc/PID/status")
	return 0
}
