// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"pecd/alarm"
)

const (
	// expiryWarning is how long before its end a certificate of ours is told of:
	// a new signing certificate must be in every provider's index in time.
	expiryWarning = 30 * 24 * time.Hour
	expiryCheck   = time.Hour
)

// watchExpiry keeps the alarm about our own certificates up to date.
func (n *node) watchExpiry(ctx context.Context) {
	for {
		n.checkExpiry()
		if !n.pause(ctx, expiryCheck) {
			return
		}
	}
}

func (n *node) checkExpiry() {
	soon := n.clock.Now().Add(expiryWarning)
	var told []string
	tell := func(what string, c *x509.Certificate) {
		if c != nil && c.NotAfter.Before(soon) {
			told = append(told, fmt.Sprintf("%s fino al / until %s", what, c.NotAfter.In(n.zone).Format(time.RFC3339)))
		}
	}
	tell("certificato di firma / signing certificate", n.signer.Certificate())
	tell("certificato TLS / TLS certificate", n.tlsCert.current.Load().Leaf)
	if len(told) == 0 {
		n.alarms.Clear(alarm.CertificateExpiring)
		return
	}
	n.alarms.Raise(alarm.CertificateExpiring, strings.Join(told, "; "))
}
