// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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

// startDaemon runs a command and waits until it says that it is ready.
func startDaemon(ctx context.Context, cmd *exec.Cmd) (*daemon, error) {
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
	if err := d.waitReady(ctx); err != nil {
		d.kill()
		return nil, err
	}
	return d, nil
}

func (d *daemon) waitReady(ctx context.Context) error {
	end := time.Now().Add(startWithin)
	for !readyLine.MatchString(d.out.tail()) {
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
	return startDaemon(ctx, exec.Command(s.binary, "serve", "--config", p.config))
}

// serveTraced runs it with its fsyncs written to a file.
func (s *site) serveTraced(ctx context.Context, p *provider, trace string) (*daemon, error) {
	d, err := startDaemon(ctx, exec.Command("strace", "-f", "--seccomp-bpf", "-qq", "-ttt", "-e", "trace=fsync,fdatasync",
		"-e", "signal=none", "-o", trace, s.binary, "serve", "--config", p.config))
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
	if d.err != nil {
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

// clockTick is the unit of CPU time in /proc: USER_HZ, 100 on every Linux.
const clockTick = 10 * time.Millisecond

// cpu is the user and system time that a process has used.
func cpu(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may hold anything.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 13 {
		return 0, errors.New("/proc/PID/stat: too few fields")
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * clockTick, errors.Join(err1, err2)
}

// peakMemory is the largest resident set a process has had, in octets.
func peakMemory(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("no VmHWM in /proc/PID/status")
}

// ownCPU is what the load generator itself has used.
func ownCPU() (time.Duration, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0, err
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()), nil
}

// diskUse is the octets in the blocks of the files below dir.
func diskUse(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(path, &st); err != nil {
			return err
		}
		total += st.Blocks * 512
		return nil
	})
	return total, err
}
