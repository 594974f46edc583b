// SPDX-License-Identifier: EUPL-1.2

package pec

import (
	"bytes"
	"strings"

	"pecd/rfc822"
)

// The fields that tie a message to its transaction.
const (
	fieldMessageID = "Message-ID"
	fieldReference = "X-Riferimento-Message-ID"
)

// RewriteOriginal returns the header block of the original message, with its
// blank line, as it goes into postacert.eml (RFC 6109 §2.2.1): received, our
// trace field, on top; Message-ID replaced by <id>, or added when the client
// sent none; and after it X-Riferimento-Message-ID with the client's
// identifier, in place of any that the client wrote. Every other octet stays
// as it was, except that a first line that begins with a blank is dropped with
// its folds: it would become part of our own field.
//
// msgid is the client's Message-ID with angle brackets, made safe for a
// header; "" when the client sent none, and then there is no
// X-Riferimento-Message-ID.
func RewriteOriginal(h rfc822.Header, id string, received []byte) (header []byte, msgid string) {
	fields := h.Fields()
	if len(fields) > 0 && (fields[0].Raw[0] == ' ' || fields[0].Raw[0] == '\t') {
		fields = fields[1:]
	}
	for _, value := range h.Values(fieldMessageID) {
		if msgid = cleanMsgID(value); msgid != "" {
			break
		}
	}

	var b bytes.Buffer
	b.Grow(len(h.Raw()) + len(received) + len(id) + len(msgid) + 64)
	place := func() {
		b.WriteString(fieldMessageID + ": <" + id + ">\r\n")
		if msgid != "" {
			b.WriteString(fieldReference + ": " + msgid + "\r\n")
		}
	}
	writeLines(&b, received)
	placed := !h.Has(fieldMessageID)
	if placed {
		place()
	}
	for _, f := range fields {
		switch {
		case strings.EqualFold(f.Name, fieldMessageID):
			if !placed {
				place()
				placed = true
			}
		case strings.EqualFold(f.Name, fieldReference):
		default:
			writeLines(&b, f.Raw)
		}
	}
	b.WriteString("\r\n")
	return b.Bytes(), msgid
}

// writeLines writes raw header lines and sees to the final line break.
func writeLines(b *bytes.Buffer, raw []byte) {
	b.Write(raw)
	if len(raw) > 0 && raw[len(raw)-1] != '\n' {
		b.WriteString("\r\n")
	}
}
