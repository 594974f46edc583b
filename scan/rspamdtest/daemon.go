// SPDX-License-Identifier: EUPL-1.2

//go:build linux

// Package rspamdtest starts a real rspamd for tests, with a configuration of its
// own that asks nobody: no DNS, no lists, no other server. It is imported by tests
// only.
package rspamdtest

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Spam is a text that rspamd calls spam wherever it is (GTUBE).
const Spam = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"

// Daemon is a running rspamd.
type Daemon struct {
	URL string // "http://127.0.0.1:port"; stays the same

	dir    string
	cmd    *exec.Cmd
	exited chan struct{}
}

// startTime is how long rspamd may take to answer. It takes one to two seconds.
const startTime = 90 * time.Second

// Start starts an rspamd and waits until it answers. Whoever starts it calls Close.
func Start() (*Daemon, error) {
	binary, err := exec.LookPath("rspamd")
	if err != nil {
		return nil, errors.New("rspamd is missing: apt-get install --no-install-recommends rspamd")
	}
	dir, err := os.MkdirTemp("", "rspamd")
	if err != nil {
		return nil, err
	}
	d := &Daemon{dir: dir}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		d.URL = "http://" + l.Addr().String()
		err = l.Close()
	}
	if err == nil {
		err = d.configure()
	}
	if err == nil {
		err = d.run(binary)
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// configure writes the whole configuration: one worker, no rules but the test
// pattern.
func (d *Daemon) configure() error {
	conf := fmt.Sprintf(`
options {
  pidfile = %[1]q; rundir = %[2]q; dbdir = %[2]q; tempdir = %[2]q;
  filters = ""; local_addrs = []; gtube_patterns = "all"; task_timeout = 20s;
  dns { nameserver = ["127.0.0.1:1"]; timeout = 0.1s; retransmits = 0; }
  disable_hyperscan = true; # compiling the list of domains for it takes most of a minute
}
logging { type = "console"; level = "warning"; }
worker "normal" { bind_socket = %[3]q; count = 1; task_timeout = 20s; max_tasks = 100; }
actions { reject = 15; add_header = 6; greylist = 4; }
`, filepath.Join(d.dir, "pid"), d.dir, strings.TrimPrefix(d.URL, "http://"))
	return os.WriteFile(d.conf(), []byte(conf), 0o600)
}

func (d *Daemon) conf() string { return filepath.Join(d.dir, "rspamd.conf") }

func (d *Daemon) run(binary string) error {
	out, err := os.Create(filepath.Join(d.dir, "out"))
	if err != nil {
		return err
	}
	defer out.Close()
	d.cmd = exec.Command(binary, "-f", "-c", d.conf(), "-i")
	d.cmd.Stdout, d.cmd.Stderr = out, out
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := d.cmd.Start(); err != nil {
		d.cmd = nil
		return err
	}
	exited := make(chan struct{})
	d.exited = exited
	go func(cmd *exec.Cmd) {
		defer close(exited)
		_ = cmd.Wait() // how it ended is of no interest: the tests end it
	}(d.cmd)
	for late := time.After(startTime); ; {
		if d.answers() {
			return nil
		}
		select {
		case <-exited:
		case <-late:
		case <-time.After(50 * time.Millisecond):
			continue
		}
		log, _ := os.ReadFile(out.Name())
		return fmt.Errorf("rspamd does not start:\n%s", log)
	}
}

func (d *Daemon) answers() bool {
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get(d.URL + "/ping")
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// Stop ends the daemon; Restart starts it again at the same address.
func (d *Daemon) Stop() error {
	if d.cmd == nil {
		return nil
	}
	err := d.cmd.Process.Signal(syscall.SIGTERM)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	select {
	case <-d.exited:
	case <-time.After(startTime):
		_ = d.cmd.Process.Kill()
		<-d.exited
		err = errors.New("rspamd did not stop when asked to")
	}
	d.cmd = nil
	return err
}

// Restart stops the daemon where it runs, and starts it.
func (d *Daemon) Restart() error {
	if err := d.Stop(); err != nil {
		return err
	}
	binary, err := exec.LookPath("rspamd")
	if err != nil {
		return err
	}
	return d.run(binary)
}

// Close stops the daemon and removes its files.
func (d *Daemon) Close() error { return errors.Join(d.Stop(), os.RemoveAll(d.dir)) }
