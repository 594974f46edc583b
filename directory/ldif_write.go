// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"bufio"
	"encoding/base64"
	"io"
	"strings"

	"pecd/fault"
)

// ldifColumns is where lines are folded (RFC 2849 leaves the width free).
const ldifColumns = 76

// WriteLDIF writes an index file (RFC 6109 §4.5): the root entry, then the
// providers in the given order, with the hashes of their certificates. It
// checks nothing: ReadLDIF does.
//
// There is no version line, as in the examples of RFC 6109 §4.5.10: OpenLDAP's
// slapadd takes it for an attribute and refuses the file.
func WriteLDIF(w io.Writer, root RootEntry, providers []Provider) error {
	out := ldifWriter{w: bufio.NewWriter(w)}
	out.attr("dn", "o="+rootOrg)
	out.attr("objectClass", "top", "organization", "LDIFLocationURLObject")
	out.attr("o", rootOrg)
	out.attr("LDIFLocationURL", root.LDIFLocationURL)
	out.attr("description", root.Description)
	for _, p := range providers {
		out.w.WriteByte('\n')
		out.record(p)
	}
	return out.flush("directory.WriteLDIF")
}

// writeRecords writes the records alone, as a provider publishes its own (RFC
// 6109 §4.5: one file relates all of a provider's environments).
func writeRecords(w io.Writer, records []Provider) error {
	out := ldifWriter{w: bufio.NewWriter(w)}
	for i, p := range records {
		if i > 0 {
			out.w.WriteByte('\n')
		}
		out.record(p)
	}
	return out.flush("directory.writeRecords")
}

// ldifWriter writes folded lines. Errors stay in the bufio.Writer until flush.
type ldifWriter struct{ w *bufio.Writer }

func (o ldifWriter) flush(op string) error {
	if err := o.w.Flush(); err != nil {
		return fault.New(op, fault.Temporary, err)
	}
	return nil
}

// record writes one entry.
func (o ldifWriter) record(p Provider) {
	dn := "providerName=" + escapeDN(p.Name) + ",o=" + rootOrg
	if p.Unit != "" {
		dn = "providerUnit=" + escapeDN(p.Unit) + "," + dn
	}
	o.attr("dn", dn)
	o.attr("objectClass", "top", "provider")
	if p.Unit == "" && p.LDIFLocationURL != "" {
		o.attr("objectClass", "LDIFLocationURLObject")
		o.attr("LDIFLocationURL", p.LDIFLocationURL)
	}
	o.attr("providerName", p.Name)
	o.attr("providerUnit", p.Unit)
	for _, der := range p.Certificates {
		o.attr("providerCertificateHash", fingerprint(der))
		o.line("providerCertificate;binary:: " + base64.StdEncoding.EncodeToString(der))
	}
	o.attr("mailReceipt", p.MailReceipt)
	o.attr("managedDomains", p.Domains...)
	o.attr("description", p.Description)
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
