// SPDX-License-Identifier: EUPL-1.2

package autoconf

import (
	"fmt"
	"io"
	"strings"
)

// Record is a DNS record of a domain.
type Record struct {
	Name    string `json:"name"`  // absolute, with its final dot
	Type    string `json:"type"`  // MX, SRV or CNAME
	Value   string `json:"value"` // in presentation form (RFC 1035 §5.1); names are absolute
	Comment string `json:"comment"`
}

// Records returns what the zone of a domain (A-labels, no final dot) needs:
// where its mail goes, and where clients find the servers (RFC 6186, RFC 8314
// §5.1). A lower priority is to be preferred, also between IMAP and POP3 (RFC
// 6186 §3.4). A service that is not offered is said not to exist (target ".").
func (s Site) Records(domain string) []Record {
	var out []Record
	add := func(name, kind, value, comment string) {
		if name != "" {
			name += "."
		}
		out = append(out, Record{name + domain + ".", kind, value, comment})
	}
	if s.MX != "" {
		add("", "MX", fmt.Sprintf("10 %s.", s.MX), "the incoming point: all certified and ordinary mail for the domain")
	}
	for _, r := range []struct {
		label    string
		priority int
		at       Endpoint
		comment  string
	}{
		{"_imaps", 0, s.IMAPS, "IMAP with implicit TLS: what clients should use"},
		{"_imap", 10, s.IMAP, "IMAP with STARTTLS"},
		{"_pop3s", 20, s.POP3S, "POP3 with implicit TLS"},
		{"_pop3", 30, s.POP3, "POP3 with STLS"},
		{"_submissions", 0, s.SMTPS, "sending with implicit TLS: what clients should use"},
		{"_submission", 10, s.Submission, "sending with STARTTLS"},
		{"_autodiscover", 0, s.HTTPS, "Outlook's autodiscover"},
	} {
		value, comment := fmt.Sprintf("%d 1 %d %s.", r.priority, r.at.Port, r.at.Host), r.comment
		if !r.at.Offered() {
			value, comment = "0 0 0 .", r.comment+": not offered"
		}
		add(r.label+"._tcp", "SRV", value, comment)
	}
	if !s.HTTPS.Offered() {
		return out
	}
	for _, alias := range []struct{ label, comment string }{
		{"autoconfig", "autoconfig of Thunderbird and others"}, {"autodiscover", "autodiscover of Outlook"},
	} {
		comment := alias.comment
		if s.HTTPS.Port != 443 {
			comment += fmt.Sprintf("; they ask on port 443, and HTTPS is on %d", s.HTTPS.Port)
		}
		if !strings.EqualFold(alias.label+"."+domain, s.HTTPS.Host) {
			add(alias.label, "CNAME", s.HTTPS.Host+".", comment)
		}
	}
	return out
}

// Aliases are the names, besides that of the HTTPS server, under which clients
// of a domain ask for their configuration.
func Aliases(domain string) []string {
	return []string{"autoconfig." + domain, "autodiscover." + domain}
}

// IsAlias reports whether a host name is such an alias, of whatever domain.
func IsAlias(host string) bool {
	label, _, _ := strings.Cut(strings.ToLower(host), ".")
	return label == "autoconfig" || label == "autodiscover"
}

// WriteZone writes records as lines of a zone file (RFC 1035 §5), each after a
// comment. Times to live are the zone's default.
func WriteZone(w io.Writer, domain string, records []Record) error {
	var b strings.Builder
	fmt.Fprintf(&b, "$ORIGIN %s.\n", domain)
	for _, r := range records {
		name := strings.TrimSuffix(r.Name, domain+".")
		if name = strings.TrimSuffix(name, "."); name == "" {
			name = "@"
		}
		fmt.Fprintf(&b, "; %s\n%-19s IN %-5s %s\n", r.Comment, name, r.Type, r.Value)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
