// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestManyIdle has 1,000, 2,000 and 3,000 connections (100, 200 and 300 without
// PECD_LONG) in IDLE on one mailbox of a node as it is shipped: what one more of
// them keeps alive, and in the long form the resident memory, grows by less than
// 60 kB, and a message that comes is announced to the first 1,000 within 100 ms
// in 99 of 100 cases (within a second without PECD_LONG, when the machine may
// have other things to do).
//
// The collector's room for garbage is there once, whatever number of connections
// shares it: the growth from one number of connections to another does not have
// it in it. In the short form it is larger than what is measured.
func TestManyIdle(t *testing.T) {
	step, rounds, limit := 100, 5, time.Second
	if long() {
		step, rounds, limit = 1000, 20, 100*time.Millisecond
	}
	d := newDemo(t, "--quiet")
	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	debug := allowIdlers(t, d, 4*step)
	alfa := startServe(t, d, "alfa.toml")
	crowd := &idlers{d: d, t: t, user: d.standard(t, "ALFA", 30)}
	t.Cleanup(crowd.close)
	in := d.openInbox(t, crowd.user)
	var resident, alive []int64
	for n := step; n <= 3*step; n += step {
		crowd.grow(n)
		times := announce(t, in, crowd.all, rounds)
		p99 := quantile(times, 0.99)
		resident = append(resident, residentMemory(t, alfa.cmd.Process.Pid))
		alive = append(alive, aliveMemory(t, debug, d.get(t, "ALFA_METRICS")))
		t.Logf("%d connections in IDLE: %d kB resident, %d kB alive; announced p50 %v, p99 %v", n,
			resident[len(resident)-1]/1000, alive[len(alive)-1]/1000, quantile(times, 0.5), p99)
		if n == step && p99 > limit {
			t.Errorf("p99 of the announcements to %d connections is %v, limit %v", n, p99, limit)
		}
	}
	grown := func(of []int64) int64 { return (of[2] - of[0]) / int64(2*step) }
	t.Logf("a connection in IDLE: %d octets of resident memory, %d alive", grown(resident), grown(alive))
	if each := grown(alive); each > 60_000 {
		t.Errorf("a connection in IDLE keeps %d octets alive, limit 60,000", each)
	}
	if each := grown(resident); long() && each > 60_000 {
		t.Errorf("a connection in IDLE costs %d octets of memory, limit 60,000", each)
	}
}

// allowIdlers lets a demo's first provider have so many connections, and serve
// profiles at the address that is returned.
func allowIdlers(t *testing.T, d *demo, n int) (debug string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	debug = l.Addr().String()
	l.Close()
	config := filepath.Join(d.dir, "alfa.toml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	more := strings.Replace(string(text), "[listen]\n", fmt.Sprintf("[limits]\nconnections = %d\n\n[listen]\ndebug = %q\n", max(n, 1000), debug), 1)
	if more == string(text) {
		t.Fatalf("[listen] is not where this test expects it:\n%s", text)
	}
	if err := os.WriteFile(config, []byte(more), 0o600); err != nil {
		t.Fatal(err)
	}
	return debug
}

// idlers are connections in IDLE on one mailbox.
type idlers struct {
	d    *demo
	t    *testing.T
	user account
	all  []*idler
}

// grow opens connections until there are n.
func (c *idlers) grow(n int) {
	c.t.Helper()
	host, _ := c.d.hostPort(c.t, "ALFA_IMAPS")
	server, config, password := c.d.get(c.t, "ALFA_IMAPS"), c.d.tls(c.t, host), c.d.password(c.t)
	next := make(chan int, n)
	for i := len(c.all); i < n; i++ {
		next <- i
	}
	close(next)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range next {
				one, err := openIdler(server, i, config, c.user.address, password)
				if err != nil {
					c.t.Errorf("connection %d: %v", i, err)
					continue
				}
				mu.Lock()
				c.all = append(c.all, one)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if c.t.Failed() {
		c.t.FailNow()
	}
}

func (c *idlers) close() {
	for _, one := range c.all {
		one.conn.Close()
	}
}

// announce appends messages, one after the other, and returns how long after its
// APPEND each connection learned of it.
func announce(t *testing.T, in *inbox, idlers []*idler, rounds int) []time.Duration {
	t.Helper()
	var mu sync.Mutex
	var times []time.Duration
	for round := range rounds {
		text := fmt.Sprintf("Subject: %d\r\n\r\nx\r\n", round)
		began := time.Now()
		var wg sync.WaitGroup
		for _, c := range idlers {
			wg.Go(func() {
				took, err := c.told(began)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Errorf("in IDLE: %v", err)
					return
				}
				times = append(times, took)
			})
		}
		cmd := in.client.Append("INBOX", int64(len(text)), nil)
		_, _ = cmd.Write([]byte(text))
		_ = cmd.Close()
		if _, err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if t.Failed() {
			t.FailNow()
		}
	}
	return times
}

// idler is a connection in IDLE.
type idler struct {
	conn net.Conn
	r    *bufio.Reader
}

// openIdler connects from one of many addresses of the loopback, logs in, opens
// INBOX and begins IDLE.
func openIdler(server string, i int, config *tls.Config, login, password string) (*idler, error) {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%50))}, Timeout: 30 * time.Second}
	conn, err := tls.DialWithDialer(dialer, "tcp", server, config)
	if err != nil {
		return nil, err
	}
	c := &idler{conn, bufio.NewReaderSize(conn, 1024)}
	_ = conn.SetDeadline(time.Now().Add(minute))
	if _, err := fmt.Fprintf(conn, "a LOGIN %s %s\r\nb EXAMINE INBOX\r\nc IDLE\r\n", login, password); err != nil {
		return nil, err
	}
	for {
		l, err := c.r.ReadString('\n')
		switch {
		case err != nil:
			return nil, err
		case strings.HasPrefix(l, "+ "):
			return c, nil
		case regexp.MustCompile(`^[abc] (NO|BAD)`).MatchString(l):
			return nil, fmt.Errorf("%s", l)
		}
	}
}

// told waits for EXISTS.
func (c *idler) told(since time.Time) (time.Duration, error) {
	_ = c.conn.SetDeadline(time.Now().Add(30 * time.Second))
	for {
		l, err := c.r.ReadString('\n')
		if err != nil {
			return 0, err
		}
		if strings.HasSuffix(l, " EXISTS\r\n") {
			return time.Since(since), nil
		}
	}
}

// residentMemory is the resident set of a process, in octets.
func residentMemory(t *testing.T, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// aliveMemory is the heap that a process still uses after a collection, and its
// stacks, in octets.
func aliveMemory(t *testing.T, debug, metrics string) (sum int64) {
	t.Helper()
	page := func(url string) []byte {
		r, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", url, r.Status, err)
		}
		return b
	}
	page("http://" + debug + "/debug/pprof/heap?gc=1")
	figures := page("http://" + metrics + "/metrics")
	for _, name := range []string{"go_memstats_heap_alloc_bytes", "go_memstats_stack_inuse_bytes"} {
		found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindSubmatch(figures)
		if found == nil {
			t.Fatalf("no %s among the metrics", name)
		}
		n, err := strconv.ParseFloat(string(found[1]), 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += int64(n)
	}
	return sum
}
