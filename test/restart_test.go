// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// mayWait is how long a restart may keep who connects waiting.
const mayWait = 5 * time.Second

// servedDemo is a demo whose two providers run as nodes of their own, with room
// for all the connections that a test opens from one address.
func servedDemo(t *testing.T) (d *demo, alfa, beta *proc) {
	t.Helper()
	d = newDemo(t, "--quiet", "--all-tier", "xl")
	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"alfa.toml", "beta.toml"} {
		appendTo(t, filepath.Join(d.dir, name), "\n[limits]\nconnections_per_ip = 2000\n")
	}
	return d, startServe(t, d, "alfa.toml"), startServe(t, d, "beta.toml")
}

func appendTo(t *testing.T, file, text string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(b, text...), 0o600); err != nil {
		t.Fatal(err)
	}
}

// restartInPlace sends SIGUSR2 and waits until the new program serves.
func restartInPlace(t *testing.T, p *proc) time.Duration {
	t.Helper()
	ready := func() int { return len(readyLine.FindAllString(p.out.String(), -1)) }
	before, start := ready(), time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	for ready() == before {
		if !p.alive() || time.Since(start) > 20*time.Second {
			t.Fatalf("SIGUSR2: no new program after %v: %v\n%s", time.Since(start), p.err, p.out.tail())
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(start)
}

// door is a listener as a client meets it.
type door struct {
	name, addr, greeting string
	tls                  *tls.Config
}

func (d *demo) doors(t *testing.T, side string) []door {
	host, _ := d.hostPort(t, side+"_IMAPS")
	cfg := d.tls(t, host)
	return []door{
		{"submission", d.get(t, side+"_SUBMISSION"), "220 ", nil},
		{"mx", d.get(t, side+"_MX"), "220 ", nil},
		{"imap", d.get(t, side+"_IMAP"), "* OK ", nil},
		{"imaps", d.get(t, side+"_IMAPS"), "* OK ", cfg},
		{"smtps", d.get(t, side+"_SMTPS"), "220 ", cfg},
		{"pop3", d.get(t, side+"_POP3"), "+OK ", nil},
		{"pop3s", d.get(t, side+"_POP3S"), "+OK ", cfg},
	}
}

// knock connects and reads the greeting.
func (k door) knock() error {
	c, err := net.DialTimeout("tcp", k.addr, mayWait)
	if err != nil {
		return fmt.Errorf("%s: refused: %w", k.name, err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * mayWait))
	if k.tls != nil {
		c = tls.Client(c, k.tls)
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, k.greeting) {
		return fmt.Errorf("%s: greeted with %q, %v", k.name, line, err)
	}
	return nil
}

// visitors knock at every door every 20 ms until stop is called, which returns
// how often they did and how long they had to wait at most.
func visitors(t *testing.T, doors []door) (stop func() (n int, longest time.Duration)) {
	var mu sync.Mutex
	var n int
	var longest time.Duration
	var wg sync.WaitGroup
	quit := make(chan struct{})
	for _, k := range doors {
		wg.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-quit:
					return
				case <-tick.C:
				}
				wg.Go(func() {
					start := time.Now()
					err := k.knock()
					mu.Lock()
					defer mu.Unlock()
					n++
					longest = max(longest, time.Since(start))
					if err != nil {
						t.Errorf("after %v: %v", time.Since(start), err)
					}
				})
			}
		})
	}
	return func() (int, time.Duration) {
		close(quit)
		wg.Wait()
		return n, longest
	}
}

// submitters send messages one after the other until stop is called. Who is
// told to go, or is cut off, comes again with another message.
func submitters(t *testing.T, d *demo, workers int) (stop func() []*sending) {
	host, _ := d.hostPort(t, "ALFA_SUBMISSION")
	l := &load{addr: d.get(t, "ALFA_SUBMISSION"), cfg: d.tls(t, host), password: d.password(t)}
	sent := make([][]*sending, workers)
	var wg sync.WaitGroup
	quit := make(chan struct{})
	for w := range workers {
		from, to := d.standard(t, "ALFA", 1+w), []account{d.standard(t, "BETA", 1+w), d.standard(t, "ALFA", 20+w)}
		wg.Go(func() {
			for {
				select {
				case <-quit:
					return
				case <-time.After(50 * time.Millisecond):
				}
				s := &sending{id: newMsgID(), from: from, to: to}
				s.answered = l.send(s)
				sent[w] = append(sent[w], s)
			}
		})
	}
	return func() []*sending {
		close(quit)
		wg.Wait()
		var all []*sending
		for _, s := range sent {
			all = append(all, s...)
		}
		return all
	}
}

// readers log in and out by IMAP until stop is called. One that the restart
// meets in the middle is told to go.
func readers(t *testing.T, d *demo) (stop func() (served, sentAway int)) {
	var wg sync.WaitGroup
	var served, sentAway int
	quit := make(chan struct{})
	a := d.standard(t, "ALFA", 10)
	wg.Go(func() {
		for {
			select {
			case <-quit:
				return
			case <-time.After(20 * time.Millisecond):
			}
			in, err := d.tryInbox(t, a)
			if err != nil {
				sentAway++
				continue
			}
			served++
			in.client.Close()
		}
	})
	return func() (int, int) {
		close(quit)
		wg.Wait()
		return served, sentAway
	}
}

// TestRestartInPlace: a node restarts under load with nobody refused, nobody
// greeted later than five seconds, and no message lost or doubled.
func TestRestartInPlace(t *testing.T) {
	d, alfa, beta := servedDemo(t)
	endVisits := visitors(t, d.doors(t, "ALFA"))
	endMail := submitters(t, d, 3)
	endReading := readers(t, d)

	time.Sleep(700 * time.Millisecond)
	t.Logf("restarted in %v", restartInPlace(t, alfa))
	time.Sleep(300 * time.Millisecond)

	// A session inside a message that does not go on is what a restart waits
	// for longest.
	stuck := d.stuckInData(t, d.standard(t, "ALFA", 11))
	took := restartInPlace(t, alfa)
	t.Logf("restarted in %v with a session that does not end", took)
	if took < 2*time.Second {
		t.Errorf("a session inside a message was given %v", took)
	}
	if r := stuck.read(); r.code != 421 {
		t.Errorf("a message was cut off with %v", r)
	}
	time.Sleep(300 * time.Millisecond)

	all := endMail()
	n, longest := endVisits()
	served, sentAway := endReading()
	t.Logf("%d visits, the longest wait %v; %d IMAP logins, %d sent away", n, longest, served, sentAway)
	if n < 500 || longest >= mayWait {
		t.Errorf("%d visits, the longest wait %v", n, longest)
	}
	if served < 20 || sentAway > 4 {
		t.Errorf("%d IMAP logins, %d sent away by two restarts", served, sentAway)
	}
	unanswered := 0
	for _, s := range all {
		if !s.answered {
			unanswered++
		}
	}
	t.Logf("%d messages, %d without an answer", len(all), unanswered)
	if len(all)-unanswered < 10 || unanswered > 2*3 {
		t.Errorf("%d messages, %d of them without an answer for two restarts of 3 senders", len(all), unanswered)
	}
	checkOutcomes(t, d, all)
	for _, name := range []string{"alfa.toml", "beta.toml"} {
		verifyClean(t, filepath.Join(d.dir, name))
	}
	for _, p := range []*proc{alfa, beta} {
		if err := p.terminate(); err != nil {
			t.Error(err)
		}
	}
}

// TestRestartRefused: what would keep the new program from serving is found
// while the old one still does.
func TestRestartRefused(t *testing.T) {
	d := newDemo(t, "--quiet")
	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(d.dir, "alfa.toml")
	good, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "pecd")
	copyProgram(t, program)
	p, err := startProc(program, "serve", "--config", config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.terminate(); err != nil {
			t.Error(err)
		}
	}()
	if err := p.waitReady(minute); err != nil {
		t.Fatal(err)
	}
	mx := d.doors(t, "ALFA")[1]
	for _, c := range []struct {
		name, why  string
		spoil, set func() error
	}{
		{"unknown key", "no_such_key", func() error {
			return os.WriteFile(config, slices.Concat([]byte("no_such_key = 1\n"), good), 0o600)
		}, func() error { return os.WriteFile(config, good, 0o600) }},
		{"another address", "[listen] was changed", func() error {
			return os.WriteFile(config, bytes.Replace(good, []byte("127.0.0.1:"), []byte("127.0.0.2:"), 1), 0o600)
		}, func() error { return os.WriteFile(config, good, 0o600) }},
		{"no program", "no such file", func() error { return os.Rename(program, program+".old") }, func() error {
			copyProgram(t, program)
			return nil
		}},
	} {
		if err := c.spoil(); err != nil {
			t.Fatal(err)
		}
		if err := p.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		until(t, 10*time.Second, c.name+": reason in the log", func() (bool, string) {
			s := p.out.String()
			return strings.Contains(s, "not restarted") && strings.Contains(s, c.why), s
		})
		if err := mx.knock(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if err := c.set(); err != nil {
			t.Fatal(err)
		}
	}
	// The program that is in the old one's place now is what runs next.
	restartInPlace(t, p)
	now, err := os.Stat(fmt.Sprintf("/proc/%d/exe", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if want, err := os.Stat(program); err != nil || !os.SameFile(now, want) {
		t.Errorf("the old program was executed again: %v", err)
	}
	if err := mx.knock(); err != nil {
		t.Error(err)
	}
}

func copyProgram(t *testing.T, to string) {
	t.Helper()
	b, err := os.ReadFile(pecd(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o700); err != nil {
		t.Fatal(err)
	}
}
