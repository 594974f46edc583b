// SPDX-License-Identifier: EUPL-1.2

package directory_test

import (
	"net"
	"testing"
	"time"

	"pecd/clock"
	"pecd/directory"
)

func TestGuesses(t *testing.T) {
	clk := clock.NewManual(time.Unix(1e9, 0))
	g := directory.NewGuesses(clk)
	at := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 4000} }
	a, same, other := at("2001:db8::1"), at("2001:db8::2"), at("192.0.2.1")
	for n := range 20 {
		if !g.Allowed(a) {
			t.Fatalf("refused after %d failures", n)
		}
		g.Failed(a)
	}
	if g.Allowed(a) || g.Allowed(same) {
		t.Error("allowed after twenty failures of one /64")
	}
	if !g.Allowed(other) {
		t.Error("another client pays for it")
	}
	for range 50 { // under way when the burst ended
		g.Failed(a)
	}
	clk.Advance(6 * time.Second)
	if !g.Allowed(a) {
		t.Error("nothing came back after six seconds")
	}
	g.Failed(a)
	if g.Allowed(a) {
		t.Error("more than one came back")
	}
}

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
