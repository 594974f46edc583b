// SPDX-License-Identifier: EUPL-1.2

package guesses_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"pecd/clock"
	"pecd/guesses"
	"pecd/ratelimit/ratelimittest"
)

func connect(addr string, cluster bool) redis.UniversalClient {
	return redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs: []string{addr}, IsClusterMode: cluster, MaxRetries: -1, ContextTimeoutEnabled: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestRedis(t *testing.T) {
	s := ratelimittest.StartRedis(t)
	n := 0
	contract(t, func(t *testing.T, clk clock.Clock) guesses.Counter {
		c := connect(s.Addr, false)
		t.Cleanup(func() { c.Close() })
		n++
		return guesses.NewShared(c, fmt.Sprintf("t%d:", n), clk, discard())
	})
}

// TestRedisCluster: the keys of a decision are in one slot of a cluster.
func TestRedisCluster(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // for the nodes among each other
	if err != nil {
		t.Fatal(err)
	}
	_, bus, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	s := ratelimittest.StartRedis(t, "--cluster-enabled", "yes", "--cluster-port", bus)
	direct := connect(s.Addr, false)
	defer direct.Close()
	if err := direct.Do(t.Context(), "CLUSTER", "ADDSLOTSRANGE", 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	for range 500 {
		if direct.Get(t.Context(), "x").Err() == redis.Nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	client, clk := connect(s.Addr, true), clock.NewManual(time.Unix(1_780_000_000, 0))
	defer client.Close()
	c, other := guesses.NewShared(client, "p:", clk, discard()), guesses.NewShared(client, "p:", clk, discard())
	c.Proved(t.Context(), home, anna)
	for n := range 20 {
		c.Failed(t.Context(), stranger(n), anna, true)
	}
	refused(t, other, stranger(99), anna, guesses.ByAccount)
	refused(t, other, home, anna, guesses.None)
	if all, err := other.Blocked(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("who waits: %+v, %v", all, err)
	}
	if err := other.Clear(t.Context(), netip.Prefix{}, ""); err != nil {
		t.Error(err)
	}
}

// TestRedisTogether: what one process counts holds for another, and so does which
// networks are known.
func TestRedisTogether(t *testing.T) {
	s := ratelimittest.StartRedis(t)
	clk := clock.NewManual(time.Unix(1_780_000_000, 0))
	var nodes [2]guesses.Counter
	for i := range nodes {
		c := connect(s.Addr, false)
		t.Cleanup(func() { c.Close() })
		nodes[i] = guesses.NewShared(c, "p:", clk, discard())
	}
	nodes[0].Proved(t.Context(), home, anna)
	for n := range 20 {
		refused(t, nodes[n%2], stranger(1000), anna, guesses.None)
		nodes[n%2].Failed(t.Context(), stranger(n), anna, true)
		nodes[n%2].Failed(t.Context(), office, "", false)
	}
	for _, n := range nodes {
		refused(t, n, stranger(1000), anna, guesses.ByAccount)
		refused(t, n, office, anna, guesses.ByClient)
		refused(t, n, home, anna, guesses.None)
	}
	for range 5 { // on the holder's network, by the node that has not seen him
		nodes[1].Failed(t.Context(), home, anna, true)
	}
	clk.Advance(30 * time.Second)
	refused(t, nodes[1], stranger(1000), anna, guesses.None)
}

// TestRedisLost: without Redis each process goes on with what it counted itself,
// and with Redis back they count together again.
func TestRedisLost(t *testing.T) {
	s := ratelimittest.StartRedis(t)
	clk := clock.NewManual(time.Unix(1_780_000_000, 0))
	client := connect(s.Addr, false)
	defer client.Close()
	c := guesses.NewShared(client, "p:", clk, discard())
	c.Proved(t.Context(), office, anna)
	for range 19 {
		c.Failed(t.Context(), home, anna, true)
	}
	s.Kill()
	c.Failed(t.Context(), home, anna, true)
	refused(t, c, home, anna, guesses.ByClient)
	refused(t, c, stranger(1), anna, guesses.ByAccount)
	refused(t, c, office, anna, guesses.None)
	if all, err := c.Blocked(t.Context()); err == nil || len(all) != 2 {
		t.Errorf("the list without Redis: %+v, %v", all, err)
	}
	s.Start() // empty
	clk.Advance(time.Second)
	refused(t, c, home, anna, guesses.ByClient) // what it knows itself still counts
	for range 20 {
		c.Failed(t.Context(), stranger(7), "", false)
	}
	other := guesses.NewShared(client, "p:", clk, discard())
	refused(t, other, stranger(7), anna, guesses.ByClient)
}

// TestRedisImpatient: a client that goes away as soon as it has tried a password is
// counted for all processes, and is no reason to give Redis up.
func TestRedisImpatient(t *testing.T) {
	s := ratelimittest.StartRedis(t)
	clk := clock.NewManual(time.Unix(1_780_000_000, 0))
	client := connect(s.Addr, false)
	defer client.Close()
	c, other := guesses.NewShared(client, "p:", clk, discard()), guesses.NewShared(client, "p:", clk, discard())
	gone, leave := context.WithCancel(t.Context())
	leave()
	for range 20 {
		c.Failed(gone, stranger(7), anna, true)
	}
	refused(t, other, stranger(7), "", guesses.ByClient)
	refused(t, other, stranger(8), anna, guesses.ByAccount)
	c.Proved(gone, home, anna)
	refused(t, other, home, anna, guesses.None)
	fresh := guesses.NewShared(client, "p:", clk, discard())
	if got := fresh.Check(gone, stranger(7), anna).Refused; got != guesses.ByClient {
		t.Errorf("asked by a client that is gone: %q", got)
	}
}

const childVariable = "GUESSES_TEST_REDIS"

// inChild is another process of TestRedisProcesses: it tries as often as it may,
// and tells how often that was.
func inChild() bool {
	addr := os.Getenv(childVariable)
	if addr == "" {
		return false
	}
	client := connect(addr, false)
	defer client.Close()
	c := guesses.NewShared(client, "p:", clock.NewManual(time.Unix(1_780_000_000, 0)), discard())
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')
	n := 0
	for c.Check(context.Background(), office, anna).Refused == guesses.None {
		c.Failed(context.Background(), office, anna, true)
		n++
	}
	fmt.Println(n)
	return true
}

// TestRedisProcesses: several processes of the operating system together let no
// more through than one: of each what was under way when the last was counted.
func TestRedisProcesses(t *testing.T) {
	const processes = 4
	s := ratelimittest.StartRedis(t)
	var in [processes]*os.File
	var out [processes]*bufio.Reader
	for i := range processes {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childVariable+"="+s.Addr)
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdin, in[i] = r, w
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		r.Close()
		out[i] = bufio.NewReader(stdout)
		t.Cleanup(func() { w.Close(); cmd.Wait() })
	}
	for i := range processes {
		if line, err := out[i].ReadString('\n'); err != nil || line != "ready\n" {
			t.Fatalf("%q, %v", line, err)
		}
	}
	for i := range processes {
		in[i].WriteString("go\n")
	}
	total := 0
	for i := range processes {
		line, err := out[i].ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if _, err := fmt.Sscan(strings.TrimSpace(line), &n); err != nil {
			t.Fatal(err)
		}
		total += n
	}
	if total < 20 || total > 20+processes-1 {
		t.Errorf("%d passwords were tried", total)
	}
	t.Logf("%d processes tried %d passwords together", processes, total)
}
