// SPDX-License-Identifier: EUPL-1.2

package autoconf

import (
	"strings"
	"testing"
)

func TestZone(t *testing.T) {
	s := testSite()
	s.IMAPS.Port = 1993
	var b strings.Builder
	if err := WriteZone(&b, "comune.example", s.Records("comune.example")); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, l := range strings.Split(strings.TrimSpace(b.String()), "\n") {
		if !strings.HasPrefix(l, ";") {
			lines = append(lines, strings.Join(strings.Fields(l), " "))
		}
	}
	want := `$ORIGIN comune.example.
@ IN MX 10 mx.gestore.example.
_imaps._tcp IN SRV 0 1 1993 mail.gestore.example.
_imap._tcp IN SRV 10 1 143 mail.gestore.example.
_pop3s._tcp IN SRV 20 1 995 mail.gestore.example.
_pop3._tcp IN SRV 0 0 0 .
_submissions._tcp IN SRV 0 1 465 mail.gestore.example.
_submission._tcp IN SRV 10 1 587 mail.gestore.example.
_autodiscover._tcp IN SRV 0 1 443 mail.gestore.example.
autoconfig IN CNAME mail.gestore.example.
autodiscover IN CNAME mail.gestore.example.`
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	s.HTTPS.Port = 8443
	b.Reset()
	if err := WriteZone(&b, "comune.example", s.Records("comune.example")); err != nil || strings.Count(b.String(), "they ask on port 443, and HTTPS is on 8443") != 2 {
		t.Errorf("%v\n%s", err, b.String())
	}
	// No alias of itself, and nothing of what is not served.
	s.HTTPS.Host = "autoconfig.comune.example"
	for _, r := range s.Records("comune.example") {
		if r.Type == "CNAME" && r.Name == r.Value {
			t.Errorf("%+v", r)
		}
	}
	for _, r := range (Site{}).Records("comune.example") {
		if r.Type != "SRV" || r.Value != "0 0 0 ." {
			t.Errorf("%+v", r)
		}
	}
}

func TestAliases(t *testing.T) {
	for name, want := range map[string]bool{
		"autoconfig.alfa.example": true, "AutoDiscover.alfa.example": true, "mail.alfa.example": false, "": false, "x.autoconfig.example": false,
	} {
		if IsAlias(name) != want {
			t.Errorf("%q", name)
		}
	}
}
