// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestQueueCommands: an operator sees what waits, holds it, lets it go, tries
// it, and gives it up with a notice.
func TestQueueCommands(t *testing.T) {
	p := newPeer(t, func(_ *peerProvider, config string) string {
		return strings.Replace(config, "[relay.routes]\n", "[relay.routes]\n\"down.example\" = \"127.0.0.1:1\"\n", 1)
	})
	config := filepath.Join(p.demo.dir, "alfa.toml")
	a := account{"ALFA", "strutturata001@" + p.demo.get(t, "ALFA_DOMAIN")}
	for i := range 3 {
		id := newMsgID()
		p.demo.submit(t, a, []string{"vera@down.example"}, []byte(fmt.Sprintf("From: %s\r\nTo: vera@down.example\r\nSubject: %d\r\nMessage-ID: %s\r\n\r\nTesto.\r\n", a.address, i, id)))
	}
	type entry struct {
		Job, Attempts                        int64
		Kind, Destination, Sender, LastError string
		Held                                 bool
	}
	list := func(args ...string) (all []entry) {
		t.Helper()
		out := run(t, pecd(t), append([]string{"queue", "list", "--json", "--config", config}, args...)...)
		for line := range strings.Lines(string(out)) {
			var e entry
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatalf("%v\n%s", err, line)
			}
			all = append(all, e)
		}
		return all
	}
	act := func(want int, args ...string) {
		t.Helper()
		if code, out := pecdIn(t, "", append(append([]string{"queue"}, args...), "--config", config)...); code != want {
			t.Errorf("pecd queue %v: exit %d, want %d\n%s", args, code, want, out)
		}
	}
	until(t, 20*time.Second, "a refused connection is the last error", func() (bool, string) {
		all := list("--destination", "down.example", "--last-error", "4.4.1")
		return len(all) > 0, fmt.Sprint(list())
	})
	all := list("--destination", "DOWN.example", "--mailbox", a.address)
	if len(all) != 3 || all[0].Kind != "relay" || all[0].Destination != "down.example" || all[0].Sender != a.address {
		t.Fatalf("queue: %+v", all)
	}
	for _, none := range [][]string{{"--destination", "gamma.example"}, {"--mailbox", "altri@alfa.example"}, {"--older-than", "1h"}, {"--held"}} {
		if got := list(none...); len(got) != 0 {
			t.Errorf("%v: %+v", none, got)
		}
	}
	first := fmt.Sprint(all[0].Job)
	act(1, "hold")           // neither numbers nor a filter
	act(1, "hold", "--all")  // several without a yes
	act(1, "hold", "999999") // none of that number
	act(1, "fail", first, "--reason", " ")
	until(t, 10*time.Second, "hold", func() (bool, string) { // the job may be under way
		code, out := pecdIn(t, "", "queue", "hold", first, "--config", config)
		return code == 0, out
	})
	if got := list("--held"); len(got) != 1 || fmt.Sprint(got[0].Job) != first {
		t.Errorf("held: %+v", got)
	}
	act(0, "release", first)
	if got := list("--held"); len(got) != 0 {
		t.Errorf("released: %+v", got)
	}
	until(t, 20*time.Second, "another attempt", func() (bool, string) {
		code, out := pecdIn(t, "", "queue", "retry", first, "--config", config)
		for _, e := range list() {
			if fmt.Sprint(e.Job) == first && e.Attempts > all[0].Attempts {
				return true, ""
			}
		}
		return false, fmt.Sprint(code, out, list())
	})
	until(t, 20*time.Second, "all are given up", func() (bool, string) {
		code, out := pecdIn(t, "", "queue", "fail", "--all", "--destination", "down.example", "--yes", "--reason", "destinazione dismessa", "--config", config)
		return code == 0 && len(list()) == 0, out
	})
	in := p.demo.openInbox(t, a)
	notices := in.wait(20*time.Second, 3, "notices", func(m stored) bool { return m.header.Get("X-Ricevuta") == "errore-consegna" })
	m := mustReadPEC(t, in.body(notices[0].uid))
	m.check(t, p.demo)
	if !strings.HasPrefix(m.cert.Extended, "5.4.0 - ") || !strings.Contains(m.text, "destinazione dismessa") {
		t.Errorf("notice says %q\n%s", m.cert.Extended, m.text)
	}
	for kind, n := range map[string]int{"queue.held": 1, "queue.released": 1, "queue.failed": 3} {
		out := string(run(t, pecd(t), "ledger", "search", "--kind", kind, "--json", "--config", config))
		if strings.Count(out, "\n") != n || !strings.Contains(out, `"actor":"`) {
			t.Errorf("%d × %s wanted in the log:\n%s", n, kind, out)
		}
	}
	verifyClean(t, config)
}
