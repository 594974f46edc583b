// SPDX-License-Identifier: EUPL-1.2

// Package relayload puts the relay under load while destinations are dead:
// queue, worker, relay point and SMTP client as the daemon wires them, over TCP
// and TLS on the loopback. What a dead destination may cost the others is a rate
// and not a state, so it is measured; see TestRate.
//
// The forms that take minutes run with PECD_LONG=1.
package relayload

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// long reports whether the minutes-long forms were asked for.
func long() bool { return os.Getenv("PECD_LONG") == "1" }

// certificate is what every destination has.
func certificate(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	check(t, err)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

func liveHosts(t *testing.T, n int, latency time.Duration, cert *tls.Config) (out []*host) {
	t.Helper()
	for i := range n {
		h := newHost(t, fmt.Sprintf("live%d.example", i), up, cert)
		h.latency = latency
		out = append(out, h)
	}
	return out
}

func deadHosts(t *testing.T, manners []manner, cert *tls.Config) (out []*host) {
	t.Helper()
	for i, m := range manners {
		out = append(out, newHost(t, fmt.Sprintf("dead%d.example", i), m, cert))
	}
	return out
}

// received checks that the hosts got want messages in all, each once.
func received(t *testing.T, hosts []*host, want int64) {
	t.Helper()
	var got int64
	for _, h := range hosts {
		all, twice := h.received()
		got += int64(all)
		if twice > 0 {
			t.Errorf("%s got %d messages twice", h.domain, twice)
		}
	}
	if got != want {
		t.Errorf("%d messages arrived, want %d", got, want)
	}
}

// attempts is how many connections a dead destination may cost: few for each
// pause that was waited for, or where it answers few a second.
func attempts(dead []*host, pauses int, running time.Duration) (got, most int) {
	for _, h := range dead {
		got += int(h.dials.Load())
		switch h.was {
		case silent: // each of four jobs finds one that was open before, and opens another
			most += 2 * relayPerDomain * (pauses + 1)
		case putOff, greylist:
			most += 2*relayPerDomain + 8 + pauses + int(running/(100*time.Millisecond))
		default:
			most += pauses + 2
		}
	}
	return got, most
}
