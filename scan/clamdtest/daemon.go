// SPDX-License-Identifier: EUPL-1.2

//go:build linux

// Package clamdtest starts a real clamd for tests, with signatures of its own
// (nothing is downloaded), and makes the messages to show it. It is imported by
// tests only.
package clamdtest

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Virus is the body of a message that clamd calls infected, wherever it is
// found: in clear, in base64, in an enclosed message, in an archive.
const Virus = "PECD-TEST-VIRUS-4bd1f6c2a97e"

// VirusName is what clamd calls it. The suffix marks signatures not made by
// ClamAV's authors.
const VirusName = "Pecd.Test.Virus.UNOFFICIAL"

// EICAR is the file that every antivirus calls a virus and that is none
// (https://www.eicar.org). It is put together here, so that none calls this one so.
func EICAR() []byte {
	return []byte(`X5O!P%@AP[4\PZX54(P^)7CC)7}$` + "EICAR-STANDARD-" + `ANTIVIRUS-TEST-FILE!$H+H*`)
}

// Options of a daemon.
type Options struct {
	TCP bool // on 127.0.0.1 instead of a Unix socket
	// Conf is lines of clamd.conf that differ from the usual ones or are added;
	// an empty value leaves a line out.
	Conf map[string]string
}

// Daemon is a clamd that runs until its test ends.
type Daemon struct {
	Addr string // "unix:/path" or "tcp:127.0.0.1:port"; stays the same

	t      testing.TB
	binary string
	dir    string
	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd is gone
}

// startTime is how long a clamd may take to answer. It takes 50 ms.
const startTime = 30 * time.Second

// Start starts a clamd and waits until it answers. Its settings are those that
// a node needs whose messages have up to 100 MB.
func Start(t testing.TB, o Options) *Daemon {
	t.Helper()
	// The socket's path must be short; a test's own folder is not always.
	dir, err := os.MkdirTemp("", "clamd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	d := &Daemon{t: t, dir: dir, binary: binary(t)}
	conf := map[string]string{
		"DatabaseDirectory":  filepath.Join(dir, "db"),
		"TemporaryDirectory": filepath.Join(dir, "tmp"),
		"Foreground":         "yes",
		"FixStaleSocket":     "yes",
		"StreamMaxLength":    "120M",
		"MaxScanSize":        "800M",
		"MaxFileSize":        "800M",
		"MaxScanTime":        "240000",
		"AlertEncrypted":     "yes",
		"AlertExceedsMax":    "yes",
	}
	if o.TCP {
		addr := freeAddress(t)
		_, port, _ := net.SplitHostPort(addr)
		conf["TCPAddr"], conf["TCPSocket"] = "127.0.0.1", port
		d.Addr = "tcp:" + addr
	} else {
		conf["LocalSocket"], conf["LocalSocketMode"] = filepath.Join(dir, "socket"), "600"
		d.Addr = "unix:" + conf["LocalSocket"]
	}
	maps.Copy(conf, o.Conf)
	d.prepare(conf)
	d.Restart()
	t.Cleanup(d.Stop)
	return d
}

func binary(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"clamd", "/usr/sbin/clamd"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("clamd is missing: apt-get install --no-install-recommends clamav-daemon")
	return ""
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// prepare writes configuration and signatures.
func (d *Daemon) prepare(conf map[string]string) {
	d.t.Helper()
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(conf)) {
		if conf[key] != "" {
			fmt.Fprintf(&text, "%s %s\n", key, conf[key])
		}
	}
	// NAME:TARGET:OFFSET:HEX with target 0, any file, and any offset.
	signature := fmt.Sprintf("%s:0:*:%x\nEicar-Test-Signature:0:0:%x\n", strings.TrimSuffix(VirusName, ".UNOFFICIAL"), Virus, EICAR())
	err := errors.Join(
		os.Mkdir(filepath.Join(d.dir, "db"), 0o700), os.Mkdir(filepath.Join(d.dir, "tmp"), 0o700),
		os.WriteFile(filepath.Join(d.dir, "db", "pecd.ndb"), []byte(signature), 0o600),
		os.WriteFile(d.confFile(), []byte(text.String()), 0o600))
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *Daemon) confFile() string { return filepath.Join(d.dir, "clamd.conf") }

// Restart stops the daemon where it runs, starts it and waits until it answers.
func (d *Daemon) Restart() {
	d.t.Helper()
	d.Stop()
	out, err := os.OpenFile(filepath.Join(d.dir, "out"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(d.binary, "--config-file="+d.confFile())
	cmd.Stdout, cmd.Stderr = out, out
	// A test binary that is killed takes its clamd with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.cmd, d.exited = cmd, make(chan struct{})
	go func(exited chan struct{}) {
		defer close(exited)
		_ = cmd.Wait() // how it ended is of no interest: the tests end it
	}(d.exited)
	for late := time.After(startTime); ; {
		if d.answers() {
			return
		}
		select {
		case <-d.exited:
		case <-late:
		case <-time.After(10 * time.Millisecond):
			continue
		}
		log, _ := os.ReadFile(out.Name())
		d.t.Fatalf("clamd does not start:\n%s", log)
	}
}

func (d *Daemon) answers() bool {
	network, addr, _ := strings.Cut(d.Addr, ":")
	nc, err := net.DialTimeout(network, addr, time.Second)
	if err != nil {
		return false
	}
	defer nc.Close()
	defer time.AfterFunc(time.Second, func() { _ = nc.Close() }).Stop() // an answer too late is none
	if _, err := io.WriteString(nc, "zPING\x00"); err != nil {
		return false
	}
	answer, err := io.ReadAll(io.LimitReader(nc, 100))
	return err == nil && string(answer) == "PONG\x00"
}

// Stop ends the daemon in good order and waits for it. It may be called again.
func (d *Daemon) Stop() { d.end(syscall.SIGTERM) }

// Kill ends the daemon at once, in the middle of whatever it does.
func (d *Daemon) Kill() { d.end(syscall.SIGKILL) }

func (d *Daemon) end(sig os.Signal) {
	d.t.Helper()
	if d.cmd == nil {
		return
	}
	if err := d.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		d.t.Error(err)
	}
	select {
	case <-d.exited:
	case <-time.After(startTime):
		_ = d.cmd.Process.Kill()
		<-d.exited
		d.t.Error("clamd did not stop when asked to")
	}
	d.cmd = nil
}
