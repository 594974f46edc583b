// SPDX-License-Identifier: EUPL-1.2

package signer_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pecd/fault"
	"pecd/signer"
	"pecd/signer/pki"
)

var (
	extSubjectKey   = asn1.ObjectIdentifier{2, 5, 29, 14}
	extUsage        = asn1.ObjectIdentifier{2, 5, 29, 15}
	extAltName      = asn1.ObjectIdentifier{2, 5, 29, 17}
	extAuthorityKey = asn1.ObjectIdentifier{2, 5, 29, 35}
)

func TestRFC6109_5_5_Profile(t *testing.T) {
	ca := testCA(t)
	subject := func(o, cn string) pki.Option {
		return pki.WithSubject(pkix.Name{Country: []string{"IT"}, Organization: []string{o}, CommonName: cn})
	}
	type rules = []signer.ProfileRule
	for name, c := range map[string]struct {
		opts  []pki.Option
		at    time.Time
		other string // service address asked about
		want  rules
	}{
		"as issued":                  {},
		"name in CN":                 {opts: []pki.Option{subject("x", "Posta Certificata ALFA  PEC S.p.A.")}},
		"service address, capitals":  {other: "Posta-Certificata@Alfa.Example"},
		"more key usages":            {opts: []pki.Option{pki.WithKeyUsage(0xc0)}},
		"without extKeyUsage":        {opts: []pki.Option{pki.WithExtKeyUsage()}},
		"further extension":          {opts: []pki.Option{pki.WithExtension([]int{1, 2, 3}, false, []byte{5, 0})}},
		"last second":                {at: epoch.AddDate(3, 0, 0)},
		"other provider":             {opts: []pki.Option{subject("Beta S.r.l.", "Posta Certificata")}, want: rules{signer.RuleProviderName}},
		"no alternative name":        {opts: []pki.Option{pki.WithoutExtension(extAltName)}, want: rules{signer.RuleAddress}},
		"alternative name critical":  {opts: []pki.Option{pki.WithCritical(extAltName, true)}, want: rules{signer.RuleAddress}},
		"other address":              {other: "posta-certificata@beta.example", want: rules{signer.RuleAddress}},
		"no key usage":               {opts: []pki.Option{pki.WithoutExtension(extUsage)}, want: rules{signer.RuleKeyUsage}},
		"key usage not critical":     {opts: []pki.Option{pki.WithCritical(extUsage, false)}, want: rules{signer.RuleKeyUsage}},
		"no digitalSignature":        {opts: []pki.Option{pki.WithKeyUsage(0x40)}, want: rules{signer.RuleKeyUsage}},
		"no authority key":           {opts: []pki.Option{pki.WithoutExtension(extAuthorityKey)}, want: rules{signer.RuleAuthorityKey}},
		"no subject key":             {opts: []pki.Option{pki.WithoutExtension(extSubjectKey)}, want: rules{signer.RuleSubjectKey}},
		"basicConstraints":           {opts: []pki.Option{pki.WithBasicConstraints()}, want: rules{signer.RuleBasicConstraints}},
		"further critical extension": {opts: []pki.Option{pki.WithExtension([]int{1, 2, 3}, true, []byte{5, 0})}, want: rules{signer.RuleNoOtherCritical}},
		"for servers":                {opts: []pki.Option{pki.WithExtKeyUsage(x509.ExtKeyUsageServerAuth)}, want: rules{signer.RuleEmailPurpose}},
		"not yet valid":              {at: epoch.Add(-time.Second), want: rules{signer.RuleValidity}},
		"expired":                    {at: epoch.AddDate(3, 0, 0).Add(time.Second), want: rules{signer.RuleValidity}},
		"many at once": {opts: []pki.Option{pki.WithBasicConstraints(), pki.WithoutExtension(extUsage), subject("x", "y")},
			want: rules{signer.RuleProviderName, signer.RuleKeyUsage, signer.RuleBasicConstraints}},
	} {
		t.Run(name, func(t *testing.T) {
			at, from := c.at, c.other
			if at.IsZero() {
				at = dayOne
			}
			if from == "" {
				from = address
			}
			err := signer.CheckProfile(identity(t, ca, c.opts...).Certificate, provider, from, at)
			if len(c.want) == 0 {
				must(t, err)
				return
			}
			var broken signer.ProfileError
			if !errors.As(err, &broken) || !fault.Is(err, fault.Invalid) {
				t.Fatalf("%v", err)
			}
			if len(broken) != len(c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			it, en, _ := strings.Cut(fault.TextOf(err), " / ")
			for _, r := range c.want {
				if !broken.Has(r) || !strings.Contains(it, string(r)) || !strings.Contains(en, string(r)) || !strings.Contains(err.Error(), string(r)) {
					t.Errorf("%s is not named by %q, text %q", r, err, fault.TextOf(err))
				}
			}
		})
	}
	if err := signer.CheckProfile(identity(t, ca).Certificate, " ", address, dayOne); err == nil {
		t.Error("a provider without a name")
	}
	// crypto/x509 does not even read critical key identifiers; the rule stands
	// by itself all the same.
	for id, rule := range map[string]signer.ProfileRule{extAuthorityKey.String(): signer.RuleAuthorityKey, extSubjectKey.String(): signer.RuleSubjectKey} {
		c := *identity(t, ca).Certificate
		c.Extensions = slices.Clone(c.Extensions)
		for i := range c.Extensions {
			if c.Extensions[i].Id.String() == id {
				c.Extensions[i].Critical = true
			}
		}
		var broken signer.ProfileError
		if err := signer.CheckProfile(&c, provider, address, dayOne); !errors.As(err, &broken) || len(broken) != 1 || !broken.Has(rule) {
			t.Errorf("%s: %v", rule, err)
		}
	}
}
