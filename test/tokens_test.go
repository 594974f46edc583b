// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	softHSM  = "/usr/lib/softhsm/libsofthsm2.so"
	tokenPIN = "2468-segreto"
)

// inTokens moves a provider's signing key into two tokens of SoftHSM, and the
// configuration with it.
func inTokens(t *testing.T, d *demo, name string) {
	t.Helper()
	need(t, "softhsm2-util", "openssl")
	home := t.TempDir()
	t.Setenv("SOFTHSM2_CONF", write(t, "softhsm2.conf",
		fmt.Appendf(nil, "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", home)))
	t.Setenv("PECD_TEST_PIN", tokenPIN)
	pin := write(t, "pin", []byte(tokenPIN+"\n"))
	key := filepath.Join(d.dir, name, "sign.key")
	for _, label := range []string{"a", "b"} {
		run(t, "softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", tokenPIN, "--pin", tokenPIN)
		run(t, "softhsm2-util", "--import", key, "--token", label, "--label", "pec", "--id", "01", "--pin", tokenPIN)
	}
	config := filepath.Join(d.dir, name+".toml")
	b, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	token := "[[signing.tokens]]\nmodule = \"" + softHSM + "\"\ntoken = \"%s\"\nsessions = 2\n"
	edited := strings.Replace(string(b), fmt.Sprintf("key = %q", name+"/sign.key"),
		fmt.Sprintf(token+"key_label = \"pec\"\npin_file = \""+pin+"\"\n", "a")+
			fmt.Sprintf(token+"key_id = \"01\"\npin_env = \"PECD_TEST_PIN\"\n", "b"), 1)
	if edited == string(b) {
		t.Fatal("nothing to edit in " + config)
	}
	if err := errors.Join(os.WriteFile(config, []byte(edited), 0o600), os.Remove(key)); err != nil {
		t.Fatal(err)
	}
}

// TestSigningTokens: a provider whose key is on tokens sends and receives, also
// after a restart in place; the PIN is in no log and on no command line.
func TestSigningTokens(t *testing.T) {
	d := newDemo(t, "--quiet")
	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	inTokens(t, d, "alfa")
	alfa, beta := startServe(t, d, "alfa.toml"), startServe(t, d, "beta.toml")
	for n := range 2 {
		sender, recipient := d.standard(t, "ALFA", 1+n), d.standard(t, "BETA", 1+n)
		l := letter{id: newMsgID(), from: sender.address, to: []string{recipient.address}, subject: "Firmata nel token"}
		d.swaksSubmit(t, sender, l.to, l.bytes())
		at := d.openInbox(t, recipient)
		mustReadPEC(t, at.body(at.one(time.Minute, "transport envelope", about(l.id, "posta-certificata")).uid)).check(t, d)
		at = d.openInbox(t, sender)
		mustReadPEC(t, at.body(at.one(time.Minute, "acceptance", about(l.id, "accettazione")).uid)).check(t, d)
		at.one(time.Minute, "delivery receipt", about(l.id, "avvenuta-consegna"))
		if n == 0 {
			restartInPlace(t, alfa)
		}
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", alfa.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if told := alfa.out.String(); strings.Count(told, `msg="signing token in use" node=alfa token=a`) != 2 || strings.Contains(told, tokenPIN) || strings.Contains(string(line), tokenPIN) {
		t.Errorf("%q printed\n%s", line, told)
	}
	for _, p := range []*proc{alfa, beta} {
		if err := p.terminate(); err != nil {
			t.Error(err)
		}
	}
	verifyClean(t, filepath.Join(d.dir, "alfa.toml"))
}

// TestRefusedPIN: the exit code tells a service manager not to try again.
func TestRefusedPIN(t *testing.T) {
	d := newDemo(t, "--quiet")
	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	inTokens(t, d, "alfa")
	config := filepath.Join(d.dir, "alfa.toml")
	cfg, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	wrong := write(t, "wrong", []byte("1357-sbagliato\n"))
	pin := regexp.MustCompile(`pin_(file|env) = ".*"`)
	if err := os.WriteFile(config, pin.ReplaceAll(cfg, []byte(`pin_file = "`+wrong+`"`)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(pecd(t), "serve", "--config", config).CombinedOutput()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 78 {
		t.Errorf("%v, want exit code 78:\n%s", err, out)
	}
	if !strings.Contains(string(out), "CKR_PIN_INCORRECT") || strings.Contains(string(out), "sbagliato") {
		t.Errorf("%s", out)
	}
}
