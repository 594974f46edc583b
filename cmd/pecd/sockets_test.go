// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

func TestHandedDescriptors(t *testing.T) {
	const pid = 4711
	for name, c := range map[string]struct {
		pid, fds, names, numbers string
		want                     map[string]int
		err                      string
	}{
		"nothing":                {},
		"systemd":                {"4711", "2", "mx:imaps", "", map[string]int{"mx": 3, "imaps": 4}, ""},
		"a restart":              {"4711", "2", "mx:imaps", "104:100", map[string]int{"mx": 104, "imaps": 100}, ""},
		"for another process":    {"4712", "2", "mx:imaps", "", nil, ""},
		"for another, and wrong": {"1", "many", "", "", nil, ""},
		"none":                   {"4711", "0", "", "", nil, ""},
		"no number":              {"4711", "", "mx", "", nil, envListenFDs},
		"less than none":         {"4711", "-1", "mx", "", nil, envListenFDs},
		"too many":               {"4711", "65", strings.Repeat("a:", 64) + "a", "", nil, envListenFDs},
		"no names":               {"4711", "1", "", "", nil, envListenNames},
		"a name too few":         {"4711", "3", "mx:imaps", "", nil, envListenNames},
		"a name twice":           {"4711", "2", "mx:mx", "", nil, `"mx"`},
		"a number too few":       {"4711", "2", "mx:imaps", "104", nil, envNumbers},
		"standard input":         {"4711", "2", "mx:imaps", "104:0", nil, envNumbers},
		"no number at all":       {"4711", "2", "mx:imaps", "104:x", nil, envNumbers},
	} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{envListenPID: c.pid, envListenFDs: c.fds, envListenNames: c.names, envNumbers: c.numbers}
			got, err := handedDescriptors(func(k string) string { return env[k] }, pid)
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) || !maps.Equal(got, c.want) {
				t.Errorf("%v, %v; want %v, %q", got, err, c.want, c.err)
			}
		})
	}
}

// TestEnvironment: what a restart hands over is what the new program reads, and
// nothing of an earlier one is left.
func TestEnvironment(t *testing.T) {
	kept := []keptSocket{{"imaps", 101}, {"mx", 100}}
	env := environment([]string{"PATH=/bin", envListenFDs + "=9", "LISTEN_FDNAMES_OF_MINE=x", envNumbers + "=1"}, 17, kept)
	read := map[string]string{}
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		if _, twice := read[name]; twice {
			t.Errorf("%s twice", name)
		}
		read[name] = value
	}
	got, err := handedDescriptors(func(k string) string { return read[k] }, 17)
	if err != nil || !maps.Equal(got, map[string]int{"imaps": 101, "mx": 100}) {
		t.Errorf("%v, %v of %v", got, err, env)
	}
	if read["PATH"] != "/bin" || read["LISTEN_FDNAMES_OF_MINE"] != "x" {
		t.Errorf("lost: %v", env)
	}
}

func TestSameAddress(t *testing.T) {
	addr := func(s string) net.Addr {
		a, err := net.ResolveTCPAddr("tcp", s)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, c := range []struct {
		bound      net.Addr
		configured string
		ok         bool
	}{
		{addr("127.0.0.1:25"), "127.0.0.1:25", true},
		{addr("[::]:25"), ":25", true},
		{addr("[::]:25"), "0.0.0.0:25", true},
		{addr("0.0.0.0:25"), "[::]:25", true},
		{addr("[::ffff:127.0.0.1]:25"), "127.0.0.1:25", true},
		{addr("127.0.0.1:25"), ":25", false},
		{addr("[::]:25"), "127.0.0.1:25", false},
		{addr("127.0.0.1:25"), "127.0.0.1:26", false},
		{addr("127.0.0.2:25"), "127.0.0.1:25", false},
		{addr("[::1]:25"), "127.0.0.1:25", false},
		{addr("127.0.0.1:25"), "127.0.0.1", false},
		{&net.UnixAddr{Name: "/run/x", Net: "unix"}, "127.0.0.1:25", false},
	} {
		if err := sameAddress(c.bound, c.configured); (err == nil) != c.ok {
			t.Errorf("bound to %v, configured %s: %v", c.bound, c.configured, err)
		}
	}
}

// TestKeep: a kept socket goes on taking connections when its listener is
// closed, and adopting it yields who came meanwhile.
func TestKeep(t *testing.T) {
	s := &sockets{handed: map[string]net.Listener{}, open: map[string]net.Listener{}}
	l, err := s.listen("mx", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	kept, err := s.keep()
	if err != nil || len(kept) != 1 || kept[0].fd < firstKept {
		t.Fatalf("%v, %v", kept, err)
	}
	address := l.Addr().String()
	l.Close()
	client, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatalf("refused while nobody listened: %v", err)
	}
	defer client.Close()
	again, err := adopt(kept[0].fd, "mx")
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	c, err := again.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.RemoteAddr().String() != client.LocalAddr().String() {
		t.Errorf("accepted %v, not %v", c.RemoteAddr(), client.LocalAddr())
	}
	if _, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", kept[0].fd)); err == nil {
		t.Error("the handed descriptor is still open")
	}
}

// TestSocketUnits: deploy/systemd has a socket for each listener that is on by
// default, under its name and at its port, and the service names them all.
// After a refused key nothing starts it again.
func TestSocketUnits(t *testing.T) {
	const dir = "../../deploy/systemd"
	files, err := filepath.Glob(filepath.Join(dir, "*.socket"))
	if err != nil {
		t.Fatal(err)
	}
	setting := func(file, key string) string {
		t.Helper()
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(line, key+"="); ok {
				return strings.TrimSpace(v)
			}
		}
		t.Errorf("%s: no %s", file, key)
		return ""
	}
	ports, units := map[string]string{}, []string{}
	for _, f := range files {
		ports[setting(f, "FileDescriptorName")] = ":" + setting(f, "ListenStream")
		units = append(units, filepath.Base(f))
		if s := setting(f, "Service"); s != "pecd.service" {
			t.Errorf("%s: for %s", f, s)
		}
	}
	var text strings.Builder
	if err := toml.NewEncoder(&text).Encode(defaultConfig().Listen); err != nil {
		t.Fatal(err)
	}
	listen := map[string]string{}
	if _, err := toml.Decode(text.String(), &listen); err != nil {
		t.Fatal(err)
	}
	// Those that are not served by default are enabled on their own.
	optional := map[string]bool{"http": true, "https": true}
	for name := range optional {
		if listen[name] != "" {
			t.Errorf("listener %s is served by default: its socket belongs to pecd.service", name)
		}
		if ports[name] == "" {
			t.Errorf("no socket for listener %s", name)
		}
		delete(ports, name)
	}
	maps.DeleteFunc(listen, func(_, address string) bool { return address == "" })
	if !maps.Equal(ports, listen) {
		t.Errorf("sockets %v, listeners by default %v", ports, listen)
	}
	if v := setting(filepath.Join(dir, "pecd.service"), "RestartPreventExitStatus"); v != strconv.Itoa(exitKeyRefused) {
		t.Errorf("pecd.service: is started again unless exit is %s, want %d", v, exitKeyRefused)
	}
	stop := setting(filepath.Join(dir, "pecd.service"), "ExecStopPost")
	if !strings.Contains(stop, fmt.Sprintf("= %d ", exitKeyRefused)) {
		t.Errorf("pecd.service: %q does not close the sockets after exit %d", stop, exitKeyRefused)
	}
	for _, u := range units {
		if !strings.Contains(stop, " "+u) {
			t.Errorf("pecd.service: %q leaves %s open", stop, u)
		}
	}
	units = slices.DeleteFunc(units, func(u string) bool {
		return optional[strings.TrimSuffix(strings.TrimPrefix(u, "pecd-"), ".socket")]
	})
	for _, key := range []string{"Sockets", "Also"} {
		named := strings.Fields(setting(filepath.Join(dir, "pecd.service"), key))
		slices.Sort(named)
		if !slices.Equal(named, units) {
			t.Errorf("pecd.service: %s=%v, there are %v", key, named, units)
		}
	}
}
