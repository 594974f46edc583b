// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// copyMade is what pecd backup --json prints.
type copyMade struct {
	Dir            string
	Messages       int `json:"messages"`
	Copied, Linked int
	Log            struct{ Seq int64 }
}

func backUp(t testing.TB, config, to string, args ...string) (c copyMade) {
	t.Helper()
	out := run(t, pecd(t), append([]string{"backup", "--json", "--config", config, "--to", to}, args...)...)
	if err := json.Unmarshal(out, &c); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return c
}

// TestBackupUnderLoad is the end of issue 4's fifth point: copies are made while
// messages are submitted, nobody is refused for it, and a node that serves from
// one has everything that was acknowledged before the copy began.
func TestBackupUnderLoad(t *testing.T) {
	d := newDemo(t, "--quiet", "--all-tier", "xl")
	host, _ := d.hostPort(t, "ALFA_SUBMISSION")
	l := &load{addr: d.get(t, "ALFA_SUBMISSION"), cfg: d.tls(t, host), password: d.password(t)}
	config, copies := filepath.Join(d.dir, "alfa.toml"), filepath.Join(t.TempDir(), "copie")

	var mu sync.Mutex
	var before, all []*sending
	stop := make(chan struct{})
	var senders sync.WaitGroup
	for w := range 6 {
		senders.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				s := &sending{id: newMsgID(), from: d.standard(t, "ALFA", 1+w), to: []account{d.standard(t, "ALFA", 20+w)}}
				s.answered = l.send(s)
				mu.Lock()
				all = append(all, s)
				mu.Unlock()
			}
		})
	}
	count := func(n int) {
		until(t, 2*minute, "submissions", func() (bool, string) {
			mu.Lock()
			defer mu.Unlock()
			return len(all) >= n, fmt.Sprint(len(all))
		})
	}
	// Beside the small ones a large message, which is a file of its own.
	big := letter{id: newMsgID(), from: d.standard(t, "ALFA", 10).address, to: []string{d.standard(t, "ALFA", 11).address}, subject: "Grande", attached: []attachment{pdf(300_000)}}
	d.submit(t, d.standard(t, "ALFA", 10), big.to, big.bytes())
	count(30)
	first := backUp(t, config, copies)
	count(60)
	mu.Lock()
	before = append(before, all...)
	mu.Unlock()
	second := backUp(t, config, copies)
	close(stop)
	senders.Wait()
	for _, s := range all {
		if !s.answered {
			t.Errorf("%s was refused", s.id)
		}
	}
	if second.Linked == 0 || second.Log.Seq <= first.Log.Seq || second.Messages < len(before) {
		t.Errorf("first %+v, second %+v", first, second)
	}
	t.Logf("%d submissions, %d of them before the second copy began", len(all), len(before))

	for _, c := range []copyMade{first, second} {
		if code, out := pecdIn(t, "", "backup", "verify", c.Dir, "--config", config); code != 0 {
			t.Errorf("exit %d\n%s", code, out)
		}
	}
	damaged(t, second.Dir, config)

	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	serveFrom(t, d, copies, append(before, &sending{id: big.id, to: []account{d.standard(t, "ALFA", 11)}, from: d.standard(t, "ALFA", 10), answered: true}))
}

// damaged wants a single altered bit of a copy to be found.
func damaged(t *testing.T, dir, config string) {
	t.Helper()
	blobs, err := filepath.Glob(filepath.Join(dir, "store/blobs/*/*"))
	if err != nil || len(blobs) == 0 {
		t.Fatal("no file of a message in the copy", err)
	}
	b, err := os.ReadFile(blobs[0])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 4
	if err := os.WriteFile(blobs[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out := pecdIn(t, "", "backup", "verify", dir, "--config", config); code != 1 || !strings.Contains(out, filepath.Base(blobs[0])) {
		t.Errorf("a damaged copy: exit %d\n%s", code, out)
	}
	b[len(b)/2] ^= 4
	if err := os.WriteFile(blobs[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// serveFrom puts the newest copy back into another directory and serves it.
func serveFrom(t *testing.T, d *demo, copies string, want []*sending) {
	t.Helper()
	out := string(run(t, pecd(t), "restore", "--from", copies, "--to", filepath.Join(d.dir, "ripristinato")))
	if !strings.Contains(out, "ultima registrazione / last record") {
		t.Errorf("pecd restore says %s", out)
	}
	text, err := os.ReadFile(filepath.Join(d.dir, "alfa.toml"))
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(d.dir, "di-nuovo.toml")
	again := strings.Replace(string(text), `dir = "alfa/store"`, `dir = "ripristinato"`, 1)
	if again == string(text) {
		t.Fatalf("store.dir is not where this test expects it:\n%s", text)
	}
	if err := os.WriteFile(config, []byte(again), 0o600); err != nil {
		t.Fatal(err)
	}
	node := startServe(t, d, "di-nuovo.toml")
	verifyClean(t, config)
	if code, out := pecdIn(t, "", "ledger", "verify", "--config", config); code != 0 {
		t.Errorf("exit %d\n%s", code, out)
	}
	// What was under way at the time of the copy waits for its operator.
	if code, out := pecdIn(t, "", "status", "--config", config); code != 1 || !strings.Contains(out, "restored_jobs") {
		t.Errorf("pecd status: exit %d\n%s", code, out)
	}
	if code, out := pecdIn(t, "", "queue", "resume", "--all", "--yes", "--config", config); code != 0 {
		t.Errorf("exit %d\n%s", code, out)
	}
	if code, out := pecdIn(t, "", "queue", "list", "--restored", "--json", "--config", config); code != 0 || strings.Count(out, "\n") != strings.Count(out, `"Kind":"deadline"`) {
		t.Errorf("exit %d, not only deadlines are left:\n%s", code, out)
	}
	if code, out := pecdIn(t, "", "queue", "resume", "--all", "--kind", "deadline", "--yes", "--config", config); code != 0 {
		t.Errorf("exit %d\n%s", code, out)
	}
	if code, out := pecdIn(t, "", "status", "--config", config); code != 0 {
		t.Errorf("pecd status: exit %d\n%s", code, out)
	}
	for _, s := range want {
		if !s.answered {
			continue
		}
		from := d.openInbox(t, s.from)
		from.wait(minute, 1, "acceptance of "+s.id, about(s.id, "accettazione"))
		from.wait(minute, 1, "delivery of "+s.id, about(s.id, "avvenuta-consegna"))
		from.client.Close()
		to := d.openInbox(t, s.to[0])
		to.wait(minute, 1, "envelope of "+s.id, about(s.id, "posta-certificata"))
		to.client.Close()
	}
	if err := node.terminate(); err != nil {
		t.Fatal(err)
	}
	verifyClean(t, config)
}

// TestBackupKilled: a node that is killed during a copy leaves none under a
// final name, and the next copy is whole.
func TestBackupKilled(t *testing.T) {
	d := newDemo(t, "--quiet")
	a := d.standard(t, "ALFA", 1)
	for range 2 {
		big := letter{id: newMsgID(), from: a.address, to: []string{d.standard(t, "ALFA", 2).address}, subject: "Grande", attached: []attachment{pdf(3_000_000)}}
		d.submit(t, a, big.to, big.bytes())
	}
	config, copies := filepath.Join(d.dir, "alfa.toml"), filepath.Join(t.TempDir(), "copie")
	p, err := startProc(pecd(t), "backup", "--config", config, "--to", copies, "--rate", "1")
	if err != nil {
		t.Fatal(err)
	}
	until(t, minute, "the copy is under way", func() (bool, string) {
		files, err := filepath.Glob(filepath.Join(copies, ".partial-*/store/blobs/*/*"))
		return len(files) > 0, fmt.Sprint(files, err, p.out.String())
	})
	d.kill()
	<-p.exited
	if p.err == nil {
		t.Errorf("pecd backup says that it is done:\n%s", p.out.String())
	}
	if found, err := filepath.Glob(filepath.Join(copies, "2*")); len(found) != 0 || err != nil {
		t.Fatalf("half a copy: %v, %v", found, err)
	}
	d.restart(t)
	began := time.Now()
	c := backUp(t, config, copies, "--rate", "0")
	t.Logf("%+v in %v", c, time.Since(began))
	if code, out := pecdIn(t, "", "backup", "verify", copies, "--config", config); code != 0 {
		t.Errorf("exit %d\n%s", code, out)
	}
	if left, err := filepath.Glob(filepath.Join(copies, ".partial-*")); len(left) != 0 || err != nil {
		t.Errorf("left: %v, %v", left, err)
	}
}
