// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pecd/ratelimit/ratelimittest"
)

// twins are two nodes of alfa with a store each, that share a Redis.
func twins(t *testing.T, redis string) (d *demo, configs, doors [2]string) {
	t.Helper()
	d = newDemo(t, "--quiet")
	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	alfa, err := os.ReadFile(filepath.Join(d.dir, "alfa.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(d.dir, "alfa", "store", "admin.sock")); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(d.dir, "alfa", "store2"), os.DirFS(filepath.Join(d.dir, "alfa", "store"))); err != nil {
		t.Fatal(err)
	}
	text := string(alfa) + fmt.Sprintf("\n[redis]\naddresses = [%q]\n\n[ratelimit]\nnodes = 2\n", redis)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	doors = [2]string{d.get(t, "ALFA_SUBMISSION"), l.Addr().String()}
	l.Close()
	listen := regexp.MustCompile(`(?s)\[listen\].*?\n\n`)
	second := listen.ReplaceAllString(text, fmt.Sprintf("[listen]\nsubmission = %q\nsmtps = \"\"\nmx = \"\"\nimap = \"\"\nimaps = \"\"\npop3 = \"\"\npop3s = \"\"\n\n", doors[1]))
	second = strings.NewReplacer(`node = "alfa"`, `node = "alfa2"`, `dir = "alfa/store"`, `dir = "alfa/store2"`).Replace(second)
	for i, text := range []string{text, second} {
		name := fmt.Sprintf("twin%d.toml", i)
		configs[i] = filepath.Join(d.dir, name)
		if err := os.WriteFile(configs[i], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		startServe(t, d, name)
	}
	return d, configs, doors
}

// reduced asks a node whether it counts alone.
func reduced(t *testing.T, config, address string) bool {
	t.Helper()
	var v struct{ Reduced bool }
	if err := json.Unmarshal(run(t, pecd(t), "mailbox", "limits", address, "--json", "--config", config), &v); err != nil {
		t.Fatal(err)
	}
	return v.Reduced
}

// together waits until both nodes count together, and returns how long that took.
func together(t *testing.T, configs [2]string, address string) time.Duration {
	t.Helper()
	begun := time.Now()
	until(t, 30*time.Second, "nodes that see each other", func() (bool, string) {
		return !reduced(t, configs[0], address) && !reduced(t, configs[1], address), ""
	})
	return time.Since(begun)
}

// rush has senders at both doors try until each was refused, and returns how
// many passed.
func (d *demo) rush(t *testing.T, doors [2]string, from, to account, meanwhile func(passed int64)) int64 {
	t.Helper()
	var passed atomic.Int64
	var all sync.WaitGroup
	for i := range 4 {
		host, _ := d.hostPort(t, "ALFA_SUBMISSION")
		s, err := openSubmission(doors[i%2], d.tls(t, host), from.address, d.password(t))
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			defer s.Close()
			for {
				r := attempt(s, from, to, i)
				switch {
				case r.code == 250:
					meanwhile(passed.Add(1))
				case r.code == 452 && r.enhanced() == "4.7.1" && strings.Contains(r.String(), "riapre alle "):
					return
				default:
					t.Errorf("%v", r)
					return
				}
			}
		})
	}
	all.Wait()
	return passed.Load()
}

// TestS4_013_TwoNodesOneLimit: two real nodes that share a real Redis let exactly
// 50 of a Standard's messages pass in a minute; with Redis killed under load never
// more, and with it back, empty, the rest, without a restart.
func TestS4_013_TwoNodesOneLimit(t *testing.T) {
	t.Parallel()
	server := ratelimittest.StartRedis(t)
	d, configs, doors := twins(t, server.Addr)
	to := d.standard(t, "ALFA", 9)
	together(t, configs, to.address)

	begun := time.Now()
	if n := d.rush(t, doors, d.standard(t, "ALFA", 1), to, func(int64) {}); n != 50 && time.Since(begun) < time.Minute {
		t.Errorf("%d messages passed at two nodes, want 50", n)
	}

	begun = time.Now()
	from := d.standard(t, "ALFA", 2)
	var once sync.Once
	n := d.rush(t, doors, from, to, func(passed int64) {
		if passed >= 20 {
			once.Do(server.Kill)
		}
	})
	if n < 20 || n > 50 {
		t.Errorf("%d messages passed while Redis was killed", n)
	}
	if !reduced(t, configs[0], from.address) {
		t.Error("a node does not say that its limits are reduced")
	}
	server.Start()
	back := together(t, configs, from.address)
	rest := d.rush(t, doors, from, to, func(int64) {})
	if n+rest != 50 && time.Since(begun) < time.Minute {
		t.Errorf("%d and %d messages passed, want 50 in all", n, rest)
	}
	t.Logf("%d of 50 passed with Redis killed at 20; together again %v after it was back, empty; %d more passed; %v in all", n, back, rest, time.Since(begun))
}
