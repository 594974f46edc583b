// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pecdIn runs pecd with standard input.
func pecdIn(t testing.TB, stdin string, args ...string) (code int, out string) {
	t.Helper()
	cmd := exec.Command(pecd(t), args...)
	cmd.Stdin = strings.NewReader(stdin)
	b, err := cmd.CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(b)
}

// TestOperations: the same command works on a running node and on a stopped
// one, with the same answer.
func TestOperations(t *testing.T) {
	d := newDemo(t, "--quiet")
	config := filepath.Join(d.dir, "alfa.toml")
	if code, out := pecdIn(t, "una password lunga\n", "mailbox", "add", "nuova@alfa.example", "--config", config); code != 0 {
		t.Fatalf("mailbox add on a running node: exit %d\n%s", code, out)
	}
	server := d.get(t, "ALFA_SUBMISSION")
	host, _ := d.hostPort(t, "ALFA_SUBMISSION")
	c, err := openSubmission(server, d.tls(t, host), "nuova@alfa.example", "una password lunga")
	if err != nil {
		t.Fatalf("the new user cannot log in at once: %v", err)
	}
	c.Close()
	list := func() string {
		t.Helper()
		code, out := pecdIn(t, "", "mailbox", "list", "--json", "--config", config)
		if code != 0 || strings.Count(out, "\n") != 117 {
			t.Fatalf("mailbox list: exit %d, %d lines\n%.500s", code, strings.Count(out, "\n"), out)
		}
		return out
	}
	status := func(running bool) {
		t.Helper()
		code, out := pecdIn(t, "", "status", "--json", "--config", config)
		var s struct {
			Running bool
			Alarms  []any
		}
		if err := json.Unmarshal([]byte(out), &s); err != nil || code != 0 || s.Running != running || len(s.Alarms) > 0 {
			t.Fatalf("status: exit %d, %+v, %v\n%s", code, s, err, out)
		}
	}
	running := list()
	status(true)
	for _, bad := range []struct {
		code int
		want string
		args []string
	}{
		{1, "nessuno@alfa.example", []string{"mailbox", "state", "nessuno@alfa.example", "blocked"}},
		{1, "esiste", []string{"domain", "add", "alfa.example"}},
		{2, "", []string{"mailbox", "state", "nuova@alfa.example", "closed for ever"}},
	} {
		if code, out := pecdIn(t, "", append(bad.args, "--config", config)...); code != bad.code || !strings.Contains(out, bad.want) {
			t.Errorf("%v: exit %d, want %d and %q:\n%s", bad.args, code, bad.code, bad.want, out)
		}
	}
	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	if stopped := list(); stopped != running {
		t.Errorf("the stopped node lists otherwise:\n%.500s\n%.500s", stopped, running)
	}
	status(false)
	verifyClean(t, config)
	if code, out := pecdIn(t, "", "mailbox", "state", "nuova@alfa.example", "blocked", "--config", config); code != 0 {
		t.Fatalf("on a stopped node: exit %d\n%s", code, out)
	}
	d.restart(t)
	until(t, 10*time.Second, "the blocked state is known", func() (bool, string) {
		_, out := pecdIn(t, "", "mailbox", "list", "--config", config)
		return strings.Contains(out, "blocked"), out
	})
}
