// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// TestConfig_ReferenceIsTheDefault: the printed reference is a configuration
// file, and reading it gives the defaults.
func TestConfig_ReferenceIsTheDefault(t *testing.T) {
	var b bytes.Buffer
	if err := writeReference(&b); err != nil {
		t.Fatal(err)
	}
	var got Config
	meta, err := toml.Decode(b.String(), &got)
	if err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	if u := meta.Undecoded(); len(u) > 0 {
		t.Errorf("reference has unknown keys %v", u)
	}
	want := defaultConfig()
	if got.Limits != want.Limits || got.Listen != want.Listen || got.Log != want.Log || got.Zone != want.Zone || got.Relay.RequireTLS != want.Relay.RequireTLS {
		t.Errorf("reference differs from the defaults:\n%+v\n%+v", got, want)
	}
}

func TestConfig_Refusals(t *testing.T) {
	good := `hostname = "h"
[provider]
name = "n"
domain = "d.example"
mail_receipt = "r@d.example"
[signing]
certificate = "c"
key = "k"
[trust]
authorities = "a"
[index]
file = "i"
[tls]
certificate = "t"
key = "u"
[scan]
none = true
`
	scan := func(keys string) string {
		return strings.Replace(good, "none = true\n", keys, 1) + "[quarantine]\nrecipient = \"q\"\n"
	}
	const pin = "pin_env = \"P\"\n"
	token := func(keys string) string {
		return strings.Replace(good, "key = \"k\"", "[[signing.tokens]]\nmodule = \"m\"\ntoken = \"t\"\nkey_label = \"l\"\n"+keys, 1)
	}
	const clamd, second = "clamd = [\"unix:/a\"]\n", "second = [\"unix:/b\"]\n"
	for name, c := range map[string]struct{ text, says string }{
		"complete":                    {good, ""},
		"complete, antivirus":         {scan(clamd + second), ""},
		"complete, one clamd":         {scan(clamd + "encrypted = \"refuse\"\n"), ""},
		"complete, demo":              {"demo = true\n" + scan(""), ""},
		"no antivirus":                {scan(""), "scan.none = true"},
		"antivirus and none":          {scan(clamd + second + "none = true\n"), "scan.none"},
		"no second":                   {scan(clamd), "scan.second is missing"},
		"no second, passed":           {scan(clamd + "encrypted = \"pass\"\n"), "scan.encrypted = \"refuse\""},
		"no second, demo":             {"demo = true\n" + scan(clamd), "scan.second is missing"},
		"one place":                   {scan(clamd + second + "parallel = 1\n"), "parallel"},
		"no time for ordinary mail":   {scan(clamd + second + "ordinary_timeout = \"0s\"\n"), "ordinary_timeout"},
		"more time for ordinary mail": {scan(clamd + second + "ordinary_timeout = \"6m\"\n"), "ordinary_timeout"},
		"unknown key":                 {good + "[limits]\nmesage_bytes = 3\n", "mesage_bytes"},
		"missing":                     {strings.Replace(good, `hostname = "h"`, "", 1), "hostname"},
		"negative bound":              {good + "[limits]\nrecipients = -1\n", "limits"},
		"complete, profiles":          {good + "[listen]\ndebug = \"127.0.0.1:6060\"\n", ""},
		"profiles for everybody":      {good + "[listen]\ndebug = \":6060\"\n", "listen.debug"},
		"profiles by name":            {good + "[listen]\ndebug = \"localhost:6060\"\n", "listen.debug"},
		"no such engine":              {strings.Replace(good, "key = \"k\"", "key = \"k\"\nengine = \"fast\"", 1), "signing.engine"},
		"complete, tokens":            {token(pin), ""},
		"key and token":               {good + "[[signing.tokens]]\n", "signing.key and"},
		"no key":                      {strings.Replace(good, "key = \"k\"", "", 1), "signing.key is missing"},
		"no PIN":                      {token(""), "pin_file or pin_env"},
		"two PINs":                    {token(pin + "pin_file = \"f\"\n"), "pin_file or pin_env"},
		"key id":                      {token(pin + "key_id = \"0g\"\n"), "key_id"},
		"sessions":                    {token(pin + "sessions = 65\n"), "sessions"},
		"complete, redis":             {good + "[redis]\naddresses = [\"127.0.0.1:6379\"]\n[ratelimit]\nnodes = 3\n", ""},
		"nodes without redis":         {good + "[ratelimit]\nnodes = 2\n", "redis.addresses"},
		"no nodes":                    {good + "[ratelimit]\nnodes = 0\n", "ratelimit.nodes"},
		"sentinels nowhere":           {good + "[redis]\nmaster = \"m\"\n", "redis.addresses is missing"},
		"redis without a port":        {good + "[redis]\naddresses = [\"redis.example\"]\n", "no host:port"},
		"redis waits":                 {good + "[redis]\naddresses = [\"h:1\"]\ntimeout = \"1m\"\n", "redis.timeout"},
		"a slot of the prefix":        {good + "[redis]\naddresses = [\"h:1\"]\nprefix = \"{x}\"\n", "redis.prefix"},
		"no TOML":                     {"hello", ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "pecd.toml")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := readConfig(path)
			if (err == nil) != strings.HasPrefix(name, "complete") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want one naming %q", err, c.says)
			}
		})
	}
}

func TestCommandLine_ExitCodes(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"config", "reference"}, exitDone},
		{[]string{"--help"}, exitDone},
		{[]string{"nonsense"}, exitUsage},
		{[]string{"serve"}, exitUsage},
		{[]string{"serve", "--config", "/nonexistent"}, exitFailed},
		{[]string{"unwrap", "/nonexistent"}, exitUsage},
	} {
		var out, errs bytes.Buffer
		if code := run(c.args, &out, &errs); code != c.code {
			t.Errorf("pecd %v: exit %d, want %d: %s", c.args, code, c.code, errs.String())
		}
	}
}
