// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
)

// TestPublicConfig: the configuration in a copy says what the one in use says,
// but for users and passwords in addresses.
func TestPublicConfig(t *testing.T) {
	secret := func(user string) *Config {
		c := defaultConfig()
		c.Node = "uno"
		c.Signing.TokenTimeout = 7 * time.Second
		c.Signing.Tokens = []TokenConfig{{Module: "/usr/lib/p11.so", Token: "etichetta", PINFile: "pin"}, {Module: "/usr/lib/p12.so", Token: "altra", PINEnv: "PIN"}}
		c.Ledger.TSA = "https://" + user + "tsa.example/stamp"
		c.Trust.CRLURLs = []string{"http://" + user + "lists.example/ca.crl", "http://lists.example/other.crl"}
		c.Relay.Routes = map[string]string{"*": "relay.example:25"}
		return &c
	}
	want := secret("")
	for _, user := range []string{"", "anna:segreto@", "anna:se/gr@eto'x@", `an"na:segreto@`, "segreto@"} {
		text, err := publicConfig(secret(user))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "segreto") || strings.Contains(string(text), "anna") {
			t.Errorf("%q is in the copy:\n%s", user, text)
		}
		got := defaultConfig()
		meta, err := toml.Decode(string(text), &got)
		if err != nil || len(meta.Undecoded()) > 0 {
			t.Fatalf("%v, %v\n%s", err, meta.Undecoded(), text)
		}
		if !reflect.DeepEqual(&got, want) {
			t.Errorf("%q: got  %+v\nwant %+v", user, got, *want)
		}
	}
}
