// SPDX-License-Identifier: EUPL-1.2

//go:build imaptest

package blackbox

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestIMAPTestScripts runs the scripted suite of dovecot/imaptest against a
// demo of its own: no command may fail but those that docs/imap-conformance.md
// waives, and a group waived there must still fail.
func TestIMAPTestScripts(t *testing.T) {
	it := newIMAPTest(t)
	r := it.run(t, 10*minute, "test="+filepath.Join(it.checkout, "src", "tests"))
	out := string(r.stdout) + string(r.stderr)
	groups := regexp.MustCompile(`(?m)^(\d+) test groups: (\d+) failed, (\d+) skipped.*$`).FindStringSubmatch(out)
	if groups == nil {
		t.Fatalf("imaptest did not come to its summary (exit %d):\n%s", r.code, out)
	}
	for _, line := range regexp.MustCompile(`(?m)^(?:\d+ test groups|base protocol|extensions): .*$`).FindAllString(out, -1) {
		t.Log(line)
	}
	failed := map[string][]string{}
	for _, block := range strings.Split(out, "\n*** Test ")[1:] {
		name, _, _ := strings.Cut(block, " ")
		failed[name] = append(failed[name], strings.TrimSpace(block))
	}
	if n, _ := strconv.Atoi(groups[2]); n != len(failed) {
		t.Errorf("imaptest counts %s failed groups, its output names %d:\n%s", groups[2], len(failed), out)
	}
	waived := waivedCommands(t)
	for _, name := range sortedKeys(failed) {
		for _, f := range failed[name] {
			m := regexp.MustCompile(`^\S+ command (\d+)/`).FindStringSubmatch(f)
			if m != nil && slices.Contains(waived[name], m[1]) {
				t.Logf("waived: %s", strings.SplitN(f, "\n", 2)[0])
				continue
			}
			t.Errorf("%s", f)
		}
	}
	for name := range waived {
		if failed[name] == nil {
			t.Errorf("docs/imap-conformance.md waives %s, which passes: take it out", name)
		}
	}
}

// TestIMAPTestStress is imaptest's stress mode with its checks of state, 10
// clients for IMAPTEST_SECS (60) seconds on one mailbox: no complaint.
func TestIMAPTestStress(t *testing.T) {
	it := newIMAPTest(t)
	secs, err := strconv.Atoi(os.Getenv("IMAPTEST_SECS"))
	if err != nil {
		secs = 60
	}
	box := filepath.Join(it.checkout, "src", "tests", "default.mbox")
	r := it.run(t, time.Duration(secs)*time.Second+2*minute, "mbox="+box, "clients=10", "secs="+strconv.Itoa(secs), "seed=1", "msgs=60", "checkpoint=5")
	out := string(r.stdout) + string(r.stderr)
	for _, line := range strings.Split(out, "\n") {
		if strings.HasPrefix(line, "Error:") || strings.HasPrefix(line, "Panic:") || strings.HasPrefix(line, "Fatal:") {
			t.Errorf("%s", line)
		}
	}
	if r.code != 0 || t.Failed() {
		t.Errorf("imaptest: exit %d\n%.20000s", r.code, out)
	}
	t.Logf("%s", lastLines(out, 4))
}

// imapTest is a built checkout of imaptest and the server it is pointed at.
type imapTest struct {
	checkout string
	demo     *demo
	user     account
	proxy    *plainProxy
}

func newIMAPTest(t *testing.T) *imapTest {
	t.Helper()
	it := &imapTest{checkout: os.Getenv("IMAPTEST")}
	if it.checkout == "" {
		t.Fatal("IMAPTEST names no checkout of github.com/dovecot/imaptest: make imaptest IMAPTEST=/path/to/imaptest (docs/imap-conformance.md says how it is built)")
	}
	for _, name := range []string{"src/imaptest", "src/tests/default.mbox"} {
		if _, err := os.Stat(filepath.Join(it.checkout, name)); err != nil {
			t.Fatalf("%s has no %s: build it first (docs/imap-conformance.md)", it.checkout, name)
		}
	}
	it.demo = newDemo(t, "--quiet")
	it.user = it.demo.named(t, "ALFA_STRUTTURATA")
	// LITERAL+ where the server tells LITERAL-: imaptest's scripts are sent with
	// non-synchronizing literals alone, and it knows no name for those that are
	// allowed up to 4,096 octets (RFC 7888 §5).
	it.proxy = startPlainProxy(t, it.demo, func(b []byte) []byte {
		return bytes.ReplaceAll(b, []byte("LITERAL-"), []byte("LITERAL+"))
	})
	return it
}

// run runs imaptest to its end. Its exit status tells little: the summary counts.
func (it *imapTest) run(t *testing.T, limit time.Duration, args ...string) result {
	t.Helper()
	binary := filepath.Join(it.checkout, "src", "imaptest")
	if out, err := exec.Command(binary).CombinedOutput(); err != nil && strings.Contains(string(out), "shared libraries") {
		t.Fatalf("%s does not start: %s(LD_LIBRARY_PATH=/usr/lib/dovecot, where it is built with Debian's dovecot-dev)", binary, out)
	}
	common := []string{"host=" + it.proxy.host, "port=" + it.proxy.port, "user=" + it.user.address, "pass=" + it.demo.password(t)}
	return runIn(t, t.TempDir(), limit, binary, append(common, args...)...)
}

// waivedCommands reads the table under "Waived": groups and the numbers of
// their commands.
func waivedCommands(t *testing.T) map[string][]string {
	t.Helper()
	b, err := os.ReadFile("../docs/imap-conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(b), "\n## Waived\n")
	if !found {
		t.Fatal("docs/imap-conformance.md has no section Waived")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	waived := map[string][]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\| ([0-9, ]+) \\|").FindAllStringSubmatch(section, -1) {
		waived[row[1]] = strings.Split(row[2], ", ")
	}
	return waived
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
