// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"strings"
	"time"

	"pecd/rfc822"
)

const maxTraceToken = 255

// returnPath is the trace line of final delivery (RFC 5321 §4.4).
func returnPath(sender string) string {
	if sender != "" && !rfc822.ValidAddress(sender) {
		sender = traceToken(sender)
	}
	return "Return-Path: <" + sender + ">\r\n"
}

// received is the trace line of one hop (RFC 5321 §4.4). protocol is "ESMTPSA"
// and the like (RFC 3848). Recipients are left out: they are certified data.
func received(p Peer, host, id, protocol string, at time.Time) string {
	var b strings.Builder
	b.WriteString("Received: from ")
	b.WriteString(traceToken(p.Helo))
	b.WriteString(" ([")
	b.WriteString(traceToken(p.Remote))
	b.WriteString("])\r\n")
	if p.TLS != "" {
		b.WriteString("\t(")
		b.WriteString(traceComment(p.TLS))
		b.WriteString(")\r\n")
	}
	b.WriteString("\tby ")
	b.WriteString(traceToken(host))
	b.WriteString(" with ")
	b.WriteString(protocol)
	b.WriteString(" id ")
	b.WriteString(traceToken(id))
	b.WriteString(";\r\n\t")
	b.WriteString(at.Format(time.RFC1123Z))
	b.WriteString("\r\n")
	return b.String()
}

func protocolName(p Peer, authenticated bool) string {
	name := "ESMTP"
	if p.TLS != "" {
		name += "S"
	}
	if authenticated {
		name += "A"
	}
	return name
}

// traceToken makes hostile text safe as one token of a trace line.
func traceToken(s string) string {
	t := traceClean(s, func(r rune) bool { return r > ' ' && r < 0x7f && !strings.ContainsRune("()<>;\\\"", r) })
	if t == "" {
		return "unknown"
	}
	return t
}

func traceComment(s string) string {
	return traceClean(s, func(r rune) bool { return r >= ' ' && r < 0x7f && !strings.ContainsRune("()\\", r) })
}

func traceClean(s string, ok func(rune) bool) string {
	t := strings.Map(func(r rune) rune {
		if ok(r) {
			return r
		}
		return -1
	}, s)
	return t[:min(len(t), maxTraceToken)]
}
