// SPDX-License-Identifier: EUPL-1.2

package thunderbird

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// start runs a program until the test ends, when it gets SIGTERM, and after ten
// seconds SIGKILL. What it prints goes to a file, which is returned.
func start(t testing.TB, env []string, name string, args ...string) (log string) {
	t.Helper()
	log = filepath.Join(t.TempDir(), filepath.Base(name)+".log")
	f, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), env...), f, f
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		cmd.Wait()
		if t.Failed() {
			b, _ := os.ReadFile(log)
			t.Logf("%s printed:\n%s", name, b[max(0, len(b)-3000):])
		}
	})
	return log
}

// output runs a program that must succeed.
func output(t testing.TB, stdin, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// demo is a running pecd demo.
type demo struct {
	binary, dir string
	env         map[string]string
}

// startDemo builds pecd and starts two providers.
func startDemo(t testing.TB) *demo {
	t.Helper()
	dir := t.TempDir()
	d := &demo{binary: filepath.Join(dir, "pecd"), dir: filepath.Join(dir, "demo"), env: make(map[string]string)}
	output(t, "", "go", "build", "-C", "../..", "-o", d.binary, "./cmd/pecd")
	log := start(t, nil, d.binary, "demo", "--dir", d.dir, "--quiet", "--base-port", strconv.Itoa(freeBase(t)))
	within(t, time.Minute, "the demo", func() bool {
		b, err := os.ReadFile(log)
		return err == nil && bytes.Contains(b, []byte("both providers ready"))
	})
	b, err := os.ReadFile(filepath.Join(d.dir, "demo.env"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(b), "\n") {
		if k, v, ok := strings.Cut(line, "="); ok {
			d.env[k] = v
		}
	}
	return d
}

// pecd runs a command on alfa.
func (d *demo) pecd(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	return output(t, stdin, d.binary, append(args, "--config", filepath.Join(d.dir, "alfa.toml"))...)
}

func (d *demo) port(t testing.TB, key string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(d.env[key])
	if err != nil {
		t.Fatalf("%s=%s: %v", key, d.env[key], err)
	}
	return port
}

// freeBase picks a base port at which the demo's ports are free.
func freeBase(t testing.TB) int {
	t.Helper()
next:
	for range 200 {
		base := 2000 + rand.IntN(12000)
		for _, offset := range []int{587, 465, 25, 110, 143, 993, 995, 7080, 7443, 8180} {
			for _, port := range []int{base + offset, base + offset + 10000} {
				l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
				if err != nil {
					continue next
				}
				l.Close()
			}
		}
		return base
	}
	t.Fatal("no free ports for a demo")
	return 0
}

// startDisplay starts a display in memory and returns its name.
func startDisplay(t testing.TB) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "Xvfb", "-displayfd", "3", "-nolisten", "tcp", "-screen", "0", "1400x860x24")
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = cmd.Start()
	w.Close()
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		cmd.Wait()
	})
	number, err := io.ReadAll(io.LimitReader(r, 16)) // it closes the pipe once it has said its number
	if err != nil || len(number) == 0 {
		t.Fatalf("Xvfb gave no display: %v", err)
	}
	return ":" + strings.TrimSpace(string(number))
}

// newProfile makes a Thunderbird profile that knows nothing of the mailbox: it
// trusts the demo's authority, for servers and for mail, and reaches the network
// through the proxy. Guessing of servers is off, so that what it finds it was told.
func newProfile(t testing.TB, authority, proxy string) string {
	t.Helper()
	dir := t.TempDir()
	output(t, "", "certutil", "-N", "-d", "sql:"+dir, "--empty-password")
	output(t, "", "certutil", "-A", "-d", "sql:"+dir, "-n", "demo", "-t", "CT,C,", "-i", authority)
	host, service, err := net.SplitHostPort(proxy)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(service)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, p := range []struct {
		name  string
		value any
	}{
		{"network.proxy.type", 1},
		{"network.proxy.http", host}, {"network.proxy.http_port", port},
		{"network.proxy.ssl", host}, {"network.proxy.ssl_port", port},
		{"mailnews.auto_config.guess.enabled", false},
		{"mailnews.auto_config.fetchFromExchange.enabled", false},
		{"marionette.port", 0},
		{"intl.locale.requested", "it"},
		{"app.update.auto", false},
		{"datareporting.policy.dataSubmissionEnabled", false},
		{"mail.shell.checkDefaultClient", false},
		{"mailnews.start_page.enabled", false},
		{"app.donation.eoy.version.viewed", 999},
		{"mail.spellcheck.inline", false},
		{"mail.rights.version", 1},
	} {
		if s, ok := p.value.(string); ok {
			p.value = strconv.Quote(s)
		}
		fmt.Fprintf(&b, "user_pref(%q, %v);\n", p.name, p.value)
	}
	if err := os.WriteFile(filepath.Join(dir, "user.js"), []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
