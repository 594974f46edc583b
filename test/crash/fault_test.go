// SPDX-License-Identifier: EUPL-1.2

package crash

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pecd/pec"
)

// inject makes system calls of a running process fail until the returned
// function is called. paths are the files concerned; none: all.
func inject(t *testing.T, p *process, calls, errno string, paths ...string) (end func()) {
	t.Helper()
	args := strace(t, "-o", os.DevNull, "-e", "trace="+calls, "-e", "inject="+calls+":error="+errno, "-p", strconv.Itoa(p.cmd.Process.Pid))
	for _, path := range paths {
		args = append(args, "-P", path)
	}
	cmd := exec.Command(args[0], args[1:]...)
	var said bytes.Buffer
	cmd.Stderr = &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, 20*time.Second, "strace is attached", func() (bool, string) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
		return err == nil && !strings.Contains(string(b), "TracerPid:\t0\n"), string(b)
	})
	return func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			var exit *exec.ExitError
			if !errors.As(err, &exit) {
				t.Error(err)
			}
		}
		if !p.alive() {
			t.Errorf("the node ended: %v\n%s\n%s", p.err, p.out.tail(), &said)
		}
	}
}

// until asks again and again until done says so.
func until(t *testing.T, limit time.Duration, what string, done func() (ok bool, state string)) {
	t.Helper()
	var state string
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		var ok bool
		if ok, state = done(); ok {
			return
		}
	}
	t.Fatalf("%s: not after %v; last: %.2000s", what, limit, state)
}

// failing reports whether the alarm of a store that cannot be written is raised,
// in the words of `pecd status` and of the metrics.
func (n *node) failing(t *testing.T) (byCommand, byMetric bool) {
	t.Helper()
	_, out, _ := run(pecd(t), "status", "--json", "--config", n.config)
	var status struct{ Alarms []struct{ Name string } }
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		t.Fatalf("pecd status: %v\n%s", err, out)
	}
	for _, a := range status.Alarms {
		byCommand = byCommand || a.Name == "store_failing"
	}
	r, err := http.Get("http://" + n.metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return byCommand, strings.Contains(string(b), `pecd_alarm{alarm="store_failing"} 1`)
}

// try submits one message of a size and returns what its client was told.
func (n *node) try(t *testing.T, b *books, rnd *rand.Rand, size int) told {
	t.Helper()
	id := fmt.Sprintf("<guasto.%d@client.example>", rnd.Uint64())
	e := &sending{id: id, from: n.box(1), at: n, subject: "Guasto", to: []recipient{{n.box(2), certified, n}, {n.box(3), certified, n}}}
	c, err := n.openSubmission(n.box(1))
	if err != nil {
		return never
	}
	defer c.Close()
	_ = b.send(c, e, e.letter(rnd, "", size))
	return e.told
}

// broken is a fault that a node meets while it runs.
type broken struct {
	name  string
	size  int // of the messages that meet it
	begin func(t *testing.T, n *node) (end func())
	// unsure is set where what was refused may be there all the same: a commit of
	// unknown outcome.
	unsure bool
}

// TestFault: the store's device fails under the running daemon. What is
// submitted meanwhile is put off, an alarm is raised, nothing that was
// acknowledged is lost and no receipt is wrong; when the cause is gone the node
// works on by itself.
func TestFault(t *testing.T) {
	log := func(n *node) string { return filepath.Join(n.store(), "pecd.db-wal") }
	from := template(t)
	for _, c := range []broken{
		{"the log cannot be synced", 3_000, func(t *testing.T, n *node) func() {
			return inject(t, n.proc, "fsync,fdatasync", "EIO", log(n))
		}, true},
		{"nothing can be synced", 200_000, func(t *testing.T, n *node) func() {
			return inject(t, n.proc, "fsync,fdatasync", "EIO")
		}, true},
		{"no room in the log", 3_000, func(t *testing.T, n *node) func() {
			return inject(t, n.proc, "pwrite64", "ENOSPC", log(n))
		}, false},
		{"read-only", 200_000, func(t *testing.T, n *node) func() {
			return inject(t, n.proc, "pwrite64,ftruncate,renameat,mkdirat,unlinkat,fsync,fdatasync", "EROFS")
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, from, filepath.Join(t.TempDir(), "site"))
			for _, n := range s.nodes {
				n.up(t)
			}
			s.endure(t, s.nodes[0], c)
		})
	}
}

// endure lets a node meet a fault, and judges.
func (s *site) endure(t *testing.T, n *node, c broken) {
	t.Helper()
	rnd, b := seed(t), newBooks()
	for _, size := range []int{1_000, 100_000, 200_000} {
		if got := n.try(t, b, rnd, size); got != accepted {
			t.Fatalf("before the fault: %d\n%s", got, n.proc.out.tail())
		}
	}
	end := c.begin(t, n)
	put := 0
	until(t, 30*time.Second, "a submission is put off", func() (bool, string) {
		got := n.try(t, b, rnd, c.size)
		if got == refused {
			put++
		}
		return put >= 3, fmt.Sprintf("told %d\n%s", got, n.proc.out.tail())
	})
	until(t, 20*time.Second, "the alarm is raised", func() (bool, string) {
		command, metric := n.failing(t)
		return command && metric, n.proc.out.tail()
	})
	end()
	until(t, time.Minute, "submissions are accepted again", func() (bool, string) {
		return n.try(t, b, rnd, c.size) == accepted, n.proc.out.tail()
	})
	until(t, time.Minute, "the alarm has ended", func() (bool, string) {
		command, metric := n.failing(t)
		return !command && !metric, n.proc.out.tail()
	})
	if c.unsure {
		// A commit of unknown outcome may be there although it was put off.
		for _, e := range b.list {
			if e.told == refused {
				e.told = unknown
			}
		}
	}
	s.drain(t)
	s.judge(t, b)
	for _, n := range s.nodes {
		n.verify(t)
	}
	n.proc.kill()
	n.verify(t)
	n.up(t)
	s.judge(t, b)
}

// TestFaultFullDisk: the file system of the store is full, and has room again.
func TestFaultFullDisk(t *testing.T) {
	s := newSite(t, template(t), filepath.Join(t.TempDir(), "site"))
	n := s.nodes[0]
	held := n.store() + "-held"
	if err := os.Rename(n.store(), held); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(n.store(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("pecd", n.store(), "tmpfs", 0, "size=24m,mode=0700"); err != nil {
		t.Fatalf("a small file system is mounted for this test, which takes CAP_SYS_ADMIN (run as root; in a container with --cap-add SYS_ADMIN): %v", err)
	}
	t.Cleanup(func() {
		s.kill()
		if err := syscall.Unmount(n.store(), 0); err != nil {
			t.Error(err)
		}
	})
	if err := copyTree(held, n.store()); err != nil {
		t.Fatal(err)
	}
	// Less is free from the start than a node wants for new messages.
	n.edit(t, `\z`, "\n[limits]\nfree_bytes = 0\n")
	for _, n := range s.nodes {
		n.up(t)
	}
	filler := filepath.Join(n.store(), "filler")
	s.endure(t, n, broken{"full disk", 300_000, func(t *testing.T, n *node) func() {
		f, err := os.Create(filler)
		if err != nil {
			t.Fatal(err)
		}
		block := make([]byte, 64<<10)
		for err == nil {
			_, err = f.Write(block)
		}
		f.Close()
		return func() {
			if err := os.Remove(filler); err != nil {
				t.Error(err)
			}
		}
	}, true})
}

// TestFaultDamagedPage: octets of the database are altered while the node is
// stopped. `pecd verify` says so, or the store is not opened. A node that serves
// from it gives out altered messages, whose signatures no longer verify; nothing
// with a valid signature differs from what was there.
func TestFaultDamagedPage(t *testing.T) {
	s := newSite(t, template(t), filepath.Join(t.TempDir(), "site"))
	n := s.nodes[0]
	for _, n := range s.nodes {
		n.up(t)
	}
	rnd, b := seed(t), newBooks()
	for range 12 {
		n.try(t, b, rnd, 20_000)
	}
	s.drain(t)
	there := make(map[said]bool)
	for _, f := range n.readable() {
		there[f.says()] = true
	}
	if len(there) < 12 {
		t.Fatalf("%d messages", len(there))
	}
	if err := n.proc.terminate(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(n.store(), "pecd.db"))
	if err != nil {
		t.Fatal(err)
	}
	// The second half is what came last: bodies and records.
	found, refused := 0, 0
	const trials = 12
	for range trials {
		damaged := slices.Clone(whole)
		at := len(damaged)/2 + rnd.IntN(len(damaged)/2-512)
		for i := range 512 {
			damaged[at+i] ^= 0x5a
		}
		if err := os.WriteFile(filepath.Join(n.store(), "pecd.db"), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		code, out := n.command(t, "verify")
		switch {
		case code == 1 && strings.Contains(out, "PROBLEMA"):
			found++
		case code == 1:
			refused++
		case code != 0:
			t.Errorf("octets %d…: pecd verify: exit %d\n%s", at, code, out)
		}
		n.start(t)
		if n.proc.ready(20*time.Second) == nil {
			for _, f := range n.readable() {
				if f.wrong == "" && !f.sent && !there[f.says()] {
					t.Errorf("octets %d…: %s is signed, and was not there before", at, f.where)
				}
			}
			n.proc.kill()
		}
		for _, suffix := range []string{"-wal", "-shm"} {
			os.Remove(filepath.Join(n.store(), "pecd.db"+suffix))
		}
	}
	t.Logf("of %d damages %d were named, %d kept the store from being read; the others hit what is not used", trials, found, refused)
	if found+refused < trials/3 {
		t.Error("hardly any damage is found")
	}
}

// said is what a certified message says.
type said struct {
	kind     pec.Kind
	ref      string
	id       string
	delivery string
	body     [32]byte
}

func (f *found) says() said {
	s := said{kind: f.kind, ref: f.ref, body: f.body}
	if f.cert != nil {
		s.id, s.delivery = f.cert.ID, f.cert.Delivery
	}
	return s
}

// readable are the messages of the first mailboxes as far as they can be read.
func (n *node) readable() (all []found) {
	seen := make(map[[32]byte]found)
	for i := range 3 {
		list, err := n.look(n.box(i+1), seen)
		if err == nil {
			all = append(all, list...)
		}
	}
	return all
}
