// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Bounds of a daemon's start and stop.
const (
	startWithin = 2 * time.Minute
	stopWithin  = 2 * time.Minute
)

func cores() int { return runtime.NumCPU() }

// daemon is a running pecd, or another server, as a child process.
type daemon struct {
	cmd    *exec.Cmd
	pid    int // of the server itself, also under strace
	out    output
	exited chan struct{}
	err    error // of Wait, once exited is closed
	// forgiving: how it ends after SIGTERM is its own affair.
	forgiving bool
}

// output collects what a process prints.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if room := 1<<20 - o.buf.Len(); len(p) > room {
		o.buf.Write(p[:max(0, room)])
		return len(p), nil
	}
	return o.buf.Write(p)
}

func (o *output) tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.buf.String()
	return s[max(0, len(s)-4000):]
}

var readyLine = regexp.MustCompile(`\b(ready|both providers ready)\b`)

// saysReady is how pecd tells that every listener is up.
func saysReady(d *daemon) bool { return readyLine.MatchString(d.out.tail()) }

// startDaemon runs a command and waits until it is ready.
func startDaemon(ctx context.Context, cmd *exec.Cmd, ready func(*daemon) bool) (*daemon, error) {
	d := &daemon{cmd: cmd, exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &d.out, &d.out
	cmd.WaitDelay = 5 * time.Second
	// A run that is itself killed leaves no server behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	d.pid = cmd.Process.Pid
	go func() { // ends with the process, which stop waits for
		d.err = cmd.Wait()
		close(d.exited)
	}()
	if err := d.waitReady(ctx, ready); err != nil {
		d.kill()
		return nil, err
	}
	return d, nil
}

func (d *daemon) waitReady(ctx context.Context, ready func(*daemon) bool) error {
	end := time.Now().Add(startWithin)
	for !ready(d) {
		select {
		case <-d.exited:
			return fmt.Errorf("%v ended before it was ready: %w\n%s", d.cmd.Args, d.err, d.out.tail())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(end) {
			return fmt.Errorf("%v not ready after %v\n%s", d.cmd.Args, startWithin, d.out.tail())
		}
	}
	return nil
}

// serve runs one provider of a site.
func (s *site) serve(ctx context.Context, p *provider) (*daemon, error) {
	return startDaemon(ctx, exec.Command(s.binary, "serve", "--config", p.config), saysReady)
}

// serveTraced runs it with its fsyncs written to a file.
func (s *site) serveTraced(ctx context.Context, p *provider, trace string) (*daemon, error) {
	d, err := startDaemon(ctx, exec.Command("strace", "-f", "--seccomp-bpf", "-qq", "-ttt", "-e", "trace=fsync,fdatasync",
		"-e", "signal=none", "-o", trace, s.binary, "serve", "--config", p.config), saysReady)
	if err != nil {
		return nil, err
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", d.pid, d.pid))
	if err == nil {
		d.pid, err = strconv.Atoi(strings.TrimSpace(string(children)))
	}
	if err != nil {
		d.kill()
		return nil, fmt.Errorf("the process under strace: %w", err)
	}
	return d, nil
}

// stop is SIGTERM; it wants exit code 0.
func (d *daemon) stop() error {
	if err := syscall.Kill(d.pid, syscall.SIGTERM); err != nil {
		return fmt.Errorf("%v: %w", d.cmd.Args, err)
	}
	select {
	case <-d.exited:
	case <-time.After(stopWithin):
		d.kill()
		return fmt.Errorf("%v still running %v after SIGTERM", d.cmd.Args, stopWithin)
	}
	if d.err != nil && !d.forgiving {
		return fmt.Errorf("%v: %w\n%s", d.cmd.Args, d.err, d.out.tail())
	}
	return nil
}

// kill ends it at once; it may have ended before.
func (d *daemon) kill() {
	_ = syscall.Kill(d.pid, syscall.SIGKILL)
	_ = d.cmd.Process.Kill()
	<-d.exited
}
