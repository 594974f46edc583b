// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"bufio"
	"crypto/sha1" // RFC 6109 §4.5.1
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"pecd/fault"
)

// ldifColumns is where lines are folded (RFC 2849 leaves the width free).
const ldifColumns = 76

// WriteLDIF writes an index file (RFC 6109 §4.5): the root entry, then the
// providers in the given order, with the hashes of their certificates. It
// checks nothing: ReadLDIF does.
func WriteLDIF(w io.Writer, root RootEntry, providers []Provider) error {
	out := ldifWriter{w: bufio.NewWriter(w)}
	out.attr("version", "1")
	out.entry("o=" + rootOrg)
	out.attr("objectClass", "top", "organization", "LDIFLocationURLObject")
	out.attr("o", rootOrg)
	out.attr("LDIFLocationURL", root.LDIFLocationURL)
	out.attr("description", root.Description)
	for _, p := range providers {
		dn := "providerName=" + escapeDN(p.Name) + ",o=" + rootOrg
		if p.Unit != "" {
			dn = "providerUnit=" + escapeDN(p.Unit) + "," + dn
		}
		out.entry(dn)
		out.attr("objectClass", "top", "provider")
		if p.Unit == "" && p.LDIFLocationURL != "" {
			out.attr("objectClass", "LDIFLocationURLObject")
			out.attr("LDIFLocationURL", p.LDIFLocationURL)
		}
		out.attr("providerName", p.Name)
		out.attr("providerUnit", p.Unit)
		for _, der := range p.Certificates {
			out.attr("providerCertificateHash", fmt.Sprintf("%X", sha1.Sum(der)))
			out.line("providerCertificate;binary:: " + base64.StdEncoding.EncodeToString(der))
		}
		out.attr("mailReceipt", p.MailReceipt)
		out.attr("managedDomains", p.Domains...)
		out.attr("description", p.Description)
	}
	if err := out.w.Flush(); err != nil {
		return fault.New("directory.WriteLDIF", fault.Temporary, err)
	}
	return nil
}

// ldifWriter writes folded lines. Errors stay in the bufio.Writer until Flush.
type ldifWriter struct{ w *bufio.Writer }

func (o ldifWriter) entry(dn string) {
	o.w.WriteByte('\n')
	o.attr("dn", dn)
}

// attr writes one line for each value that is not empty.
func (o ldifWriter) attr(name string, values ...string) {
	for _, v := range values {
		switch {
		case v == "":
		case isSafeString(v):
			o.line(name + ": " + v)
		default:
			o.line(name + ":: " + base64.StdEncoding.EncodeToString([]byte(v)))
		}
	}
}

func (o ldifWriter) line(s string) {
	width := ldifColumns
	for len(s) > width {
		o.w.WriteString(s[:width])
		o.w.WriteString("\n ")
		s, width = s[width:], ldifColumns-1
	}
	o.w.WriteString(s)
	o.w.WriteByte('\n')
}

// isSafeString is SAFE-STRING of RFC 2849, without values that end in a space.
func isSafeString(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c == 0 || c == '\n' || c == '\r' || c >= 0x80 {
			return false
		}
	}
	return s == "" || strings.IndexByte(" :<", s[0]) < 0 && s[len(s)-1] != ' '
}
