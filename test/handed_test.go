// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// handed is a listening socket that a service manager opens for pecd.
type handed struct {
	name string
	file *os.File
}

func openHanded(t *testing.T, name, addr string) handed {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // the file keeps the socket
	t.Cleanup(func() { f.Close() })
	return handed{name, f}
}

// manage runs `pecd serve` as systemd does with socket units: the sockets are
// descriptors 3, 4, …, and the variables name the process itself.
func manage(t *testing.T, config string, env []string, sockets ...handed) *proc {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" serve --config "$1"`, pecd(t), config)
	names := make([]string, len(sockets))
	for i, s := range sockets {
		names[i] = s.name
		cmd.ExtraFiles = append(cmd.ExtraFiles, s.file)
	}
	cmd.Env = append(os.Environ(), "LISTEN_FDS="+strconv.Itoa(len(sockets)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	cmd.Env = append(cmd.Env, env...)
	p, err := startCommand(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.alive() {
			p.kill()
		}
	})
	return p
}

// TestSocketActivation: a node that a service manager hands sockets to serves
// them, whether it is started, stopped and started, or restarted in place.
func TestSocketActivation(t *testing.T) {
	d := newDemo(t, "--quiet")
	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(d.dir, "alfa.toml")
	var sockets []handed
	for _, name := range []string{"imaps", "mx", "submission"} {
		sockets = append(sockets, openHanded(t, name, d.get(t, "ALFA_"+strings.ToUpper(name))))
	}
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	env := []string{"NOTIFY_SOCKET=" + manager.LocalAddr().String()}
	ready := func() {
		t.Helper()
		buf := make([]byte, 256)
		_ = manager.SetReadDeadline(time.Now().Add(20 * time.Second))
		if n, err := manager.Read(buf); err != nil || string(buf[:n]) != "READY=1" {
			t.Fatalf("told %q, %v", buf[:n], err)
		}
	}

	// The sockets are open all the time: nobody is refused, with no node there.
	endVisits := visitors(t, []door{d.doors(t, "ALFA")[0], d.doors(t, "ALFA")[1], d.doors(t, "ALFA")[3]})
	p := manage(t, config, env, sockets...)
	ready()
	for _, k := range d.doors(t, "ALFA") { // the others it opened itself
		if err := k.knock(); err != nil {
			t.Error(err)
		}
	}
	stopAfter(t, p, 5*time.Second)
	p = manage(t, config, env, sockets...)
	ready()
	restartInPlace(t, p)
	ready()
	for _, k := range d.doors(t, "ALFA") {
		if err := k.knock(); err != nil {
			t.Error(err)
		}
	}
	n, longest := endVisits()
	t.Logf("%d visits, the longest wait %v", n, longest)
	if n < 50 || longest >= mayWait {
		t.Errorf("%d visits, the longest wait %v", n, longest)
	}
	if err := p.terminate(); err != nil {
		t.Error(err)
	}
}

// TestSocketActivation_Refused: a node that was handed what it does not serve
// does not start.
func TestSocketActivation_Refused(t *testing.T) {
	d := newDemo(t, "--quiet")
	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(d.dir, "alfa.toml")
	mx := openHanded(t, "mx", d.get(t, "ALFA_MX"))
	datagrams, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	noListener, err := datagrams.File()
	if err != nil {
		t.Fatal(err)
	}
	defer noListener.Close()
	for _, c := range []struct {
		name, why string
		sockets   []handed
		env       []string
	}{
		{"unknown name", "pecd.socket", []handed{mx, {"pecd.socket", mx.file}}, nil},
		{"another address", "bound to", []handed{{"submission", mx.file}}, nil},
		{"no listener", "does not listen", []handed{{"mx", noListener}}, nil},
		{"a name for two", "does not name one socket", []handed{mx, mx}, nil},
		{"names missing", "FileDescriptorName", []handed{mx}, []string{"LISTEN_FDNAMES=mx:imap"}},
		{"not a number", "LISTEN_FDS", []handed{mx}, []string{"LISTEN_FDS=one"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := manage(t, config, c.env, c.sockets...)
			select {
			case <-p.exited:
			case <-time.After(20 * time.Second):
				t.Fatal("it started")
			}
			if code := p.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(p.out.String(), c.why) {
				t.Errorf("exit %d: %s; want 1 and %q", code, p.out.tail(), c.why)
			}
		})
	}
}
