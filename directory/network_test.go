// SPDX-License-Identifier: EUPL-1.2

package directory_test

import (
	"net"
	"testing"

	"pecd/directory"
)

func TestClientNetwork(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.7:25":              "192.0.2.7/32",
		"[::ffff:192.0.2.7]:25":     "192.0.2.7/32",
		"[2001:db8:1:2:3:4:5:6]:25": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:25":         "fe80::/64",
	} {
		ap, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := directory.ClientNetwork(ap).String(); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}
