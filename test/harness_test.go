// SPDX-License-Identifier: EUPL-1.2

// Package blackbox drives the built pecd binary over real sockets with the
// clients its users have: swaks, mbsync, curl, openssl, xmllint, and plain TCP
// where a client would be too polite. It knows the program only by its command
// line, its demo.env and the wire.
//
// Tests that take minutes run in full with PECD_LONG=1 and in a short form
// without it.
package blackbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// long reports whether the minutes-long forms were asked for.
func long() bool { return os.Getenv("PECD_LONG") == "1" }

var suite struct {
	dir      string // removed after the run
	build    sync.Once
	binary   string
	buildErr error
	start    sync.Once
	demo     *demo
	startErr error
	ports    sync.Map // given to demos, bound yet or not
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "pecd-blackbox-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	suite.dir = dir
	code := m.Run()
	if suite.demo != nil {
		if err := suite.demo.proc.terminate(); err != nil {
			fmt.Fprintln(os.Stderr, "shared demo:", err)
			code = 1
		}
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// pecd returns the path of the program under test, built once from this tree.
// PECD_BINARY names one that is already built.
func pecd(t testing.TB) string {
	t.Helper()
	suite.build.Do(func() {
		if suite.binary = os.Getenv("PECD_BINARY"); suite.binary != "" {
			return
		}
		suite.binary = filepath.Join(suite.dir, "pecd")
		cmd := exec.Command("go", "build", "-o", suite.binary, "./cmd/pecd")
		cmd.Dir = ".."
		if out, err := cmd.CombinedOutput(); err != nil {
			suite.buildErr = fmt.Errorf("go build ./cmd/pecd: %w\n%s", err, out)
		}
	})
	if suite.buildErr != nil {
		t.Fatal(suite.buildErr)
	}
	return suite.binary
}

// output collects what a process prints while others look at it.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// tail is the end of the output, for failure messages.
func (o *output) tail() string {
	s := o.String()
	if len(s) > 4000 {
		s = "…" + s[len(s)-4000:]
	}
	return s
}

// proc is a running pecd.
type proc struct {
	cmd    *exec.Cmd
	out    output
	exited chan struct{}
	err    error // of Wait, valid once exited is closed
}

func startProc(binary string, args ...string) (*proc, error) {
	return startCommand(exec.Command(binary, args...))
}

func startCommand(cmd *exec.Cmd) (*proc, error) {
	p := &proc{cmd: cmd, exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.WaitDelay = 5 * time.Second
	// A test run that is itself killed must not leave servers behind.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// readyLine is what pecd prints when every listener is up.
var readyLine = regexp.MustCompile(`(?i)\b(pronto|pronta|pronti|ready)\b`)

func (p *proc) waitReady(limit time.Duration) error {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if readyLine.MatchString(p.out.String()) {
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("%v ended before it was ready: %v\n%s", p.cmd.Args, p.err, p.out.tail())
		default:
		}
	}
	return fmt.Errorf("%v not ready after %v:\n%s", p.cmd.Args, limit, p.out.tail())
}

// alive reports whether the process is still running.
func (p *proc) alive() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// terminate sends SIGTERM and wants exit code 0 within a minute.
func (p *proc) terminate() error {
	if !p.alive() {
		return fmt.Errorf("%v had already ended: %v\n%s", p.cmd.Args, p.err, p.out.tail())
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.exited:
		if p.err != nil {
			return fmt.Errorf("%v after SIGTERM: %w\n%s", p.cmd.Args, p.err, p.out.tail())
		}
		return nil
	case <-time.After(time.Minute):
		p.kill()
		return fmt.Errorf("%v still running a minute after SIGTERM:\n%s", p.cmd.Args, p.out.tail())
	}
}

// kill is kill -9.
func (p *proc) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// result of a program that ran to its end.
type result struct {
	code           int
	stdout, stderr []byte
}

// runWithin runs a program and returns how it ended; only failing to start it
// or running over the time limit is an error of the test.
func runWithin(t testing.TB, limit time.Duration, name string, args ...string) result {
	t.Helper()
	return runIn(t, "", limit, name, args...)
}

// runIn is runWithin in a working directory.
func runIn(t testing.TB, dir string, limit time.Duration, name string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var r result
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &stdout, &stderr
	err := cmd.Run()
	r.stdout, r.stderr = stdout.Bytes(), stderr.Bytes()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		t.Fatalf("%s %s: still running after %v\n%s%s", name, strings.Join(args, " "), limit, r.stdout, r.stderr)
	case errors.As(err, &exit):
		r.code = exit.ExitCode()
	case err != nil:
		t.Fatal(err)
	}
	return r
}

// run runs a program that must succeed and returns its standard output.
func run(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	r := runWithin(t, 5*time.Minute, name, args...)
	if r.code != 0 {
		t.Fatalf("%s %s: exit %d\n%s%s", name, strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// packages says where the clients come from.
var packages = map[string]string{
	"swaks": "swaks libio-socket-ssl-perl libnet-ssleay-perl", "mbsync": "isync", "xmllint": "libxml2-utils",
	"curl": "curl", "openssl": "openssl", "perl": "perl", "python3": "python3", "offlineimap": "offlineimap3",
	"fetchmail": "fetchmail", "getmail": "getmail6", "mpop": "mpop",
}

// need fails the test with the installing command when a client is missing.
func need(t testing.TB, tools ...string) {
	t.Helper()
	var missing []string
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, packages[tool])
		}
	}
	if missing != nil {
		t.Fatalf("missing clients; install them with: apt-get install -y %s", strings.Join(missing, " "))
	}
}

// write puts a file into the test's own directory and returns its path.
func write(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// until asks again and again until done says so, and fails the test after the
// limit with the last state.
func until(t testing.TB, limit time.Duration, what string, done func() (ok bool, state string)) {
	t.Helper()
	var state string
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		var ok bool
		if ok, state = done(); ok {
			return
		}
	}
	t.Fatalf("%s: not after %v; last: %s", what, limit, state)
}
