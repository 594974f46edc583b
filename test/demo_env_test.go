// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// demo is a running `pecd demo` and what its demo.env says.
type demo struct {
	dir  string
	args []string
	env  map[string]string
	*proc
}

// account is a mailbox of the demo: its address is its login.
type account struct {
	provider string // "ALFA" or "BETA": the prefix of the keys in demo.env
	address  string
}

// newDemo starts a demo of its own in a fresh directory and stops it with the test.
func newDemo(t testing.TB, args ...string) *demo {
	t.Helper()
	d, err := launchDemo(pecd(t), t.TempDir(), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if d.alive() {
			if err := d.terminate(); err != nil {
				t.Error(err)
			}
		}
	})
	return d
}

// sharedDemo is the demo of all tests that neither stop it nor count its bytes.
// Each of them uses mailboxes of its own.
func sharedDemo(t testing.TB) *demo {
	t.Helper()
	binary := pecd(t)
	suite.start.Do(func() {
		suite.demo, suite.startErr = launchDemo(binary, filepath.Join(suite.dir, "demo"), "--quiet")
	})
	if suite.startErr != nil {
		t.Fatal(suite.startErr)
	}
	if !suite.demo.alive() {
		t.Fatalf("the shared demo has ended: %v\n%s", suite.demo.err, suite.demo.out.tail())
	}
	t.Cleanup(func() {
		if !suite.demo.alive() {
			t.Errorf("the demo died during this test: %v\n%s", suite.demo.err, suite.demo.out.tail())
		}
	})
	return suite.demo
}

func launchDemo(binary, dir string, args ...string) (*demo, error) {
	base, err := freeBase()
	if err != nil {
		return nil, err
	}
	d := &demo{dir: dir, args: append([]string{"demo", "--dir", dir, "--base-port", strconv.Itoa(base)}, args...)}
	return d, d.start(binary)
}

// start starts the demo (again, on the same directory and ports).
func (d *demo) start(binary string) error {
	p, err := startProc(binary, d.args...)
	if err != nil {
		return err
	}
	d.proc = p
	if err := p.waitReady(2 * time.Minute); err != nil {
		p.kill()
		return err
	}
	d.env, err = readEnv(filepath.Join(d.dir, "demo.env"))
	return err
}

// restart starts the demo again after it was stopped or killed.
func (d *demo) restart(t testing.TB) {
	t.Helper()
	if err := d.start(pecd(t)); err != nil {
		t.Fatal(err)
	}
}

// freeBase picks a base port whose neighbourhood is free, and not given to another
// demo of this run that has not bound it yet. The addresses in use are read from
// demo.env; the sums here only avoid ports that are taken, and stay below the
// range from which the kernel gives outgoing connections theirs.
func freeBase() (int, error) {
	offsets := []int{587, 465, 25, 143, 993, 110, 995, 7080, 7443, 8180}
next:
	for range 200 {
		base := 2000 + rand.IntN(12000)
		for _, o := range offsets {
			for _, port := range []int{base + o, base + o + 10000} {
				if _, given := suite.ports.LoadOrStore(port, true); given {
					continue next
				}
				l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
				if err != nil {
					continue next
				}
				l.Close()
			}
		}
		return base, nil
	}
	return 0, fmt.Errorf("no free ports for a demo")
}

func readEnv(path string) (map[string]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	env := map[string]string{}
	for _, line := range strings.Split(string(b), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("%s: not KEY=value: %q", path, line)
		}
		env[key] = strings.Trim(value, `"'`)
	}
	return env, nil
}

// get returns a value of demo.env that must be there.
func (d *demo) get(t testing.TB, key string) string {
	t.Helper()
	v := d.env[key]
	if v == "" {
		t.Fatalf("demo.env has no %s", key)
	}
	return v
}

// file is get for a path, which may be relative to the demo's directory.
func (d *demo) file(t testing.TB, key string) string {
	t.Helper()
	v := d.get(t, key)
	if filepath.IsAbs(v) {
		return v
	}
	if _, err := os.Stat(v); err == nil {
		return v
	}
	return filepath.Join(d.dir, v)
}

func (d *demo) hostPort(t testing.TB, key string) (host, port string) {
	t.Helper()
	host, port, err := net.SplitHostPort(d.get(t, key))
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return host, port
}

// box returns the mailbox name@domain of a provider.
func (d *demo) box(t testing.TB, provider, name string) account {
	t.Helper()
	return account{provider, name + "@" + d.get(t, provider+"_DOMAIN")}
}

// standard returns the n-th Standard mailbox of a provider.
func (d *demo) standard(t testing.TB, provider string, n int) account {
	t.Helper()
	return d.box(t, provider, fmt.Sprintf("standard%03d", n))
}

// named returns the mailbox that demo.env names with key, such as ALFA_XL.
func (d *demo) named(t testing.TB, key string) account {
	t.Helper()
	provider, _, _ := strings.Cut(key, "_")
	return account{provider, d.get(t, key)}
}

func (d *demo) password(t testing.TB) string { return d.get(t, "PASSWORD") }

// tls returns a client configuration that trusts the demo's CA and nothing else.
func (d *demo) tls(t testing.TB, host string) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(d.file(t, "CA_FILE"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("CA_FILE holds no certificate")
	}
	return &tls.Config{RootCAs: pool, ServerName: host, MinVersion: tls.VersionTLS12}
}
