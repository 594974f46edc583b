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

// TestMemoryAtTheLimit submits messages of exactly 100 MB (S4-038) to one
// provider running alone: each is accepted, delivered, read back by curl, and
// the resident memory stays below 64 MB and 32 MB for every message in flight.
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
	p := startServe(t, d, "alfa.toml")
	ids := make([]string, n)
	var all sync.WaitGroup
	for i := range n {
		a, to := d.standard(t, "ALFA", 1+i), d.standard(t, "ALFA", 20+i)
		l := letter{id: newMsgID(), from: a.address, to: []string{to.address}, subject: "Cento megabyte", text: "x"}
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
		m := in.one(2*minute, "delivery receipt", about(id, "avvenuta-consegna"))
		if m.size < limit {
			t.Errorf("the complete receipt has %d bytes", m.size)
		}
		if i == 0 {
			receipt = m.uid
		}
		in.client.Close()
	}
	if got := d.curl(t, d.standard(t, "ALFA", 1), uint32(receipt)); len(got) < limit {
		t.Errorf("curl got %d bytes", len(got))
	}
	peak := peakMemory(t, p.cmd.Process.Pid)
	t.Logf("peak resident memory %.1f MB", float64(peak)/(1<<20))
	if most := int64(64+32*n) << 20; peak > most {
		t.Errorf("peak resident memory %d bytes, limit %d", peak, most)
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
