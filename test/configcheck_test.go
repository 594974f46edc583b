// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestConfigCheck: what is wrong with a configuration shows before anybody
// stops serving for it.
func TestConfigCheck(t *testing.T) {
	t.Parallel()
	d := newDemo(t, "--quiet")
	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(d.dir, "alfa.toml")
	d.proc = startServe(t, d, "alfa.toml")
	if code, out := pecdIn(t, "", "config", "check", "--config", config); code != 0 {
		t.Fatalf("a running node's configuration: exit %d\n%s", code, out)
	}
	good, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	for what, edit := range map[string][2]string{
		"signing key of another certificate": {`key = "alfa/sign.key"`, `key = "alfa/tls.key"`},
		"TLS key missing":                    {`key = "alfa/tls.key"`, `key = "alfa/none.key"`},
		"no index":                           {`file = "alfa/index.ldif"`, `file = "alfa/none.ldif"`},
		"no authorities":                     {`authorities = "ca.pem"`, `authorities = "alfa/sign.key"`},
		"tolerance beyond the law":           {"[log]", "[time]\ntolerance = \"1h\"\n\n[log]"},
		"quarantine key":                     {"[log]", "[scan]\nclamd = [\"unix:/nowhere\"]\nencrypted = \"refuse\"\n[quarantine]\nrecipient = \"age1x\"\n\n[log]"},
		"time-stamping authority":            {"[log]", "[ledger]\ntsa = \"ftp://user:segreto@x\"\ntsa_authorities = \"ca.pem\"\n\n[log]"},
		"published path":                     {"[log]", "[publish]\npath = \"/alfa pec\"\nurl = \"https://x/\"\n\n[log]"},
	} {
		bad := strings.Replace(string(good), edit[0], edit[1], 1)
		if bad == string(good) {
			t.Fatalf("%s: nothing to edit", what)
		}
		if err := os.WriteFile(config, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, out := pecdIn(t, "", "config", "check", "--config", config); code != 1 || strings.Contains(out, "segreto") {
			t.Errorf("%s: exit %d\n%s", what, code, out)
		}
	}
	if err := d.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	until(t, 20*time.Second, "the node says that it goes on", func() (bool, string) {
		return strings.Contains(d.out.String(), "not restarted, serving on"), d.out.tail()
	})
	d.submission(t, d.standard(t, "ALFA", 1)).Close()
}
