// SPDX-License-Identifier: EUPL-1.2

package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var suite struct {
	dir    string // removed after the run
	build  sync.Once
	binary string
	err    error
}

func TestMain(m *testing.M) {
	var err error
	if suite.dir, err = os.MkdirTemp("", "pecd-crash-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(suite.dir)
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
		cmd.Dir = "../.."
		if out, err := cmd.CombinedOutput(); err != nil {
			suite.err = fmt.Errorf("go build ./cmd/pecd: %w\n%s", err, out)
		}
	})
	if suite.err != nil {
		t.Fatal(suite.err)
	}
	return suite.binary
}

// maxOutput bounds what is kept of a program's output: its end.
const maxOutput = 256 << 10

// output collects what a process prints while others look at it.
type output struct {
	mu  sync.Mutex
	buf []byte
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.buf = append(o.buf, p...); len(o.buf) > 2*maxOutput {
		o.buf = append([]byte(nil), o.buf[len(o.buf)-maxOutput:]...)
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.buf)
}

// tail is the end of the output, for failure messages.
func (o *output) tail() string {
	s := o.String()
	return s[max(0, len(s)-3000):]
}

// process is a running program.
type process struct {
	cmd    *exec.Cmd
	out    output
	exited chan struct{}
	err    error // of Wait, valid once exited is closed
}

func start(name string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(name, args...), exited: make(chan struct{})}
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

// ready waits until every listener is up.
func (p *process) ready(limit time.Duration) error {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if strings.Contains(p.out.String(), "ready") {
			return nil
		}
		if !p.alive() {
			return fmt.Errorf("%v ended before it was ready: %v\n%s", p.cmd.Args, p.err, p.out.tail())
		}
	}
	return fmt.Errorf("%v not ready after %v:\n%s", p.cmd.Args, limit, p.out.tail())
}

func (p *process) alive() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// terminate sends SIGTERM and wants exit code 0.
func (p *process) terminate() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.exited:
	case <-time.After(time.Minute):
		p.kill()
		return fmt.Errorf("%v still running a minute after SIGTERM:\n%s", p.cmd.Args, p.out.tail())
	}
	if p.err != nil {
		return fmt.Errorf("%v after SIGTERM: %w\n%s", p.cmd.Args, p.err, p.out.tail())
	}
	return nil
}

// run runs a program to its end and returns its exit code and output.
func run(name string, args ...string) (code int, stdout, stderr string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, out.String(), errs.String()
	case errors.As(err, &exit) && ctx.Err() == nil:
		return exit.ExitCode(), out.String(), errs.String()
	}
	return -1, out.String(), err.Error() + "\n" + errs.String()
}
