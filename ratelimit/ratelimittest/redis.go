// SPDX-License-Identifier: EUPL-1.2

package ratelimittest

import (
	"context"
	"net"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Redis is a real redis-server that tests start, kill and start again.
type Redis struct {
	t    testing.TB
	Addr string
	cmd  *exec.Cmd
	args []string
}

// StartRedis starts a server on a port of the kernel's choice, without anything
// on disk but what args ask for. It ends with the test.
func StartRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	return start(t, append([]string{"--save", "", "--appendonly", "no"}, args...))
}

// StartSentinel starts a sentinel with a configuration file.
func StartSentinel(t testing.TB, conf string) *Redis {
	t.Helper()
	return start(t, []string{conf, "--sentinel"})
}

func start(t testing.TB, args []string) *Redis {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatal("redis-server is missing; install it with: apt-get install -y redis-server")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &Redis{t: t, Addr: l.Addr().String(), args: args}
	l.Close()
	r.Start()
	t.Cleanup(r.Kill)
	return r
}

// Start starts the server, empty.
func (r *Redis) Start() {
	r.t.Helper()
	_, port, err := net.SplitHostPort(r.Addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.cmd = exec.Command("redis-server", append(r.args, "--port", port, "--bind", "127.0.0.1", "--dir", r.t.TempDir(), "--daemonize", "no")...)
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	for range 500 {
		if r.answers() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.t.Fatal("redis-server does not answer")
}

func (r *Redis) answers() bool {
	client := redis.NewClient(&redis.Options{Addr: r.Addr, MaxRetries: -1, DialTimeout: time.Second, ReadTimeout: time.Second})
	defer client.Close()
	return client.Ping(context.Background()).Err() == nil
}

// Kill is kill -9.
func (r *Redis) Kill() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

// Stop has the server stand still, and Continue go on.
func (r *Redis) Stop() { r.signal(syscall.SIGSTOP) }

// Continue ends Stop.
func (r *Redis) Continue() { r.signal(syscall.SIGCONT) }

func (r *Redis) signal(s syscall.Signal) {
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}
