// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// loginFrom logs in to submission from an address of the loopback and returns
// what AUTH was answered.
func (d *demo) loginFrom(t testing.TB, provider, ip, login, password string) reply {
	t.Helper()
	host, _ := d.hostPort(t, provider+"_SUBMISSION")
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}, Timeout: 10 * time.Second}
	c, err := dialer.Dial("tcp", d.get(t, provider+"_SUBMISSION"))
	if err != nil {
		t.Error(err)
		return reply{}
	}
	defer c.Close()
	s, err := greeted(c)
	if err != nil {
		t.Error(err)
		return reply{}
	}
	if err := s.startTLS(d.tls(t, host)); err != nil {
		t.Error(err)
		return reply{}
	}
	return s.authPlain(login, password)
}

// guess tries a wrong password from each address at once.
func (d *demo) guess(t testing.TB, provider, login string, ips []string) {
	t.Helper()
	var all sync.WaitGroup
	for _, ip := range ips {
		all.Go(func() {
			if r := d.loginFrom(t, provider, ip, login, "sbagliata"); r.code != 535 && r.code != 421 {
				t.Errorf("wrong password from %s: %v", ip, r)
			}
		})
	}
	all.Wait()
}

func strangers(n int) []string {
	ips := make([]string, n)
	for i := range ips {
		ips[i] = fmt.Sprintf("127.0.71.%d", i+1)
	}
	return ips
}

// TestGuessesFromManyAddresses: thirty wrong passwords for one account from
// thirty addresses slow strangers down, and not its holder where he is known.
func TestGuessesFromManyAddresses(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--quiet")
	p := people{t, d, filepath.Join(d.dir, "alfa.toml")}
	holder, neighbour, password := d.standard(t, "ALFA", 30).address, d.standard(t, "ALFA", 31).address, d.password(t)
	const home = "127.0.72.1"
	if r := d.loginFrom(t, "ALFA", home, holder, password); r.code != 235 {
		t.Fatal(r)
	}
	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	d.restart(t) // the log tells where the holder was
	d.guess(t, "ALFA", holder, strangers(30))
	if r := d.loginFrom(t, "ALFA", "127.0.73.1", holder, password); r.code != 421 || r.enhanced() != "4.7.0" {
		t.Errorf("a stranger after thirty wrong passwords: %v", r)
	}
	if r := d.loginFrom(t, "ALFA", home, holder, password); r.code != 235 {
		t.Errorf("the holder where he is known: %v", r)
	}
	if r := d.loginFrom(t, "ALFA", "127.0.73.1", neighbour, password); r.code != 235 {
		t.Errorf("another account: %v", r)
	}
	if out := p.do("guesses", "list"); !strings.Contains(out, holder) || strings.Contains(out, "127.0.71.") {
		t.Errorf("guesses list:\n%s", out)
	}
	metrics := string(run(t, "curl", "--silent", "--fail", "http://"+d.get(t, "ALFA_METRICS")+"/metrics"))
	if !strings.Contains(metrics, `pecd_logins_refused_total{protocol="smtp",reason="account"} `) ||
		!strings.Contains(metrics, `pecd_logins_refused_total{protocol="smtp",reason="credentials"} `) {
		t.Error("no metrics of refused logins")
	}
	p.do("guesses", "clear", holder)
	if r := d.loginFrom(t, "ALFA", "127.0.73.1", holder, password); r.code != 235 {
		t.Errorf("after clear: %v", r)
	}
	p.records([]string{"guess.cleared"}, "--kind", "guess.cleared")
	if err := d.terminate(); err != nil { // what was gathered is told at the end
		t.Fatal(err)
	}
	found := false
	for _, e := range p.records([]string{"guess.blocked"}, "--kind", "guess.blocked") {
		found = found || e["user"] == holder
	}
	if !found {
		t.Error("the log does not tell that the account was put off")
	}
}

// TestGuessesOverRedis: two processes that share a Redis count together, and know
// the same networks.
func TestGuessesOverRedis(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--quiet")
	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	address := redisForGuesses(t)
	for _, name := range []string{"alfa.toml", "beta.toml"} {
		f, err := os.OpenFile(filepath.Join(d.dir, name), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = fmt.Fprintf(f, "\n[redis]\naddresses = [%q]\n", address); err == nil {
			err = f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	startServe(t, d, "alfa.toml")
	startServe(t, d, "beta.toml")
	password := d.password(t)
	holder := d.standard(t, "ALFA", 30).address
	if r := d.loginFrom(t, "ALFA", "127.0.72.1", holder, password); r.code != 235 {
		t.Fatal(r)
	}
	ips := strangers(20)
	d.guess(t, "ALFA", holder, ips[:10])
	d.guess(t, "BETA", holder, ips[10:]) // which has no such account, and counts it all the same
	for _, provider := range []string{"ALFA", "BETA"} {
		if r := d.loginFrom(t, provider, "127.0.73.1", holder, password); r.code != 421 {
			t.Errorf("a stranger at %s: %v", provider, r)
		}
	}
	if r := d.loginFrom(t, "BETA", "127.0.72.1", holder, "sbagliata"); r.code != 535 {
		t.Errorf("at beta, from where the account was opened at alfa: %v", r)
	}
	out := people{t, d, filepath.Join(d.dir, "beta.toml")}.do("guesses", "list")
	if !strings.Contains(out, holder) {
		t.Errorf("what beta lists:\n%s", out)
	}
}

// redisForGuesses starts a redis-server and returns its address.
func redisForGuesses(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatal("redis-server is missing; install it with: apt-get install -y redis-server")
	}
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		_, port, _ := net.SplitHostPort(address)
		l.Close()
		cmd := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", t.TempDir())
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for range 200 {
			if c, err := net.Dial("tcp", address); err == nil {
				c.Close()
				t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
				return address
			}
			time.Sleep(10 * time.Millisecond)
		}
		_ = cmd.Process.Kill() // the port was taken meanwhile
		_ = cmd.Wait()
	}
	t.Fatal("redis-server does not start")
	return ""
}
