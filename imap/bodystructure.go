// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"strings"

	"pecd/rfc822"
)

// bodyWriter writes BODY and BODYSTRUCTURE (RFC 9051 §7.5.2).
type bodyWriter struct {
	b        []byte
	extended bool
	utf8     bool
}

// emptyPart stands where the grammar demands a part and the message has none.
const emptyPart = `("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0`

func (w *bodyWriter) raw(s string) { w.b = append(w.b, s...) }

func (w *bodyWriter) string(s string) { w.b = appendString(w.b, s, w.utf8) }

func (w *bodyWriter) nstring(s string) { w.b = appendNString(w.b, s, w.utf8) }

func (w *bodyWriter) number(n int64) { w.b = appendInt(w.b, n) }

// part writes the structure of a part and of everything below it; the scanner
// bounds how deep that goes.
func (w *bodyWriter) part(p *rfc822.Part) {
	mediaType, subtype, _ := strings.Cut(p.MediaType, "/")
	if p.IsMultipart() {
		w.multipart(p, subtype)
		return
	}
	if p.MediaType == "message/global" && !w.utf8 {
		// Told like any attached message (RFC 9051 §7.5.2) to a client that may
		// not know the type: RFC 3501 gives it another form.
		subtype = "rfc822"
	}
	contentType := parseValue(p.Header.Get("Content-Type"))
	w.raw("(")
	w.string(mediaType)
	w.raw(" ")
	w.string(subtype)
	w.raw(" ")
	w.params(contentType.params)
	w.raw(" ")
	w.nstring(p.Header.Get("Content-ID"))
	w.raw(" ")
	w.nstring(p.Header.Get("Content-Description"))
	w.raw(" ")
	w.string(p.Encoding)
	w.raw(" ")
	w.number(p.End - p.BodyOffset)
	switch {
	case p.IsMessage():
		w.message(p)
	case mediaType == "text":
		w.raw(" ")
		w.number(p.BodyLines)
	}
	if w.extended {
		w.raw(" ")
		w.nstring(p.Header.Get("Content-MD5"))
		w.extension(p)
	}
	w.raw(")")
}

// message writes what an attached message has beyond other parts. An attached message
// that is encoded, or too deep to be looked into, is told as an empty one.
func (w *bodyWriter) message(p *rfc822.Part) {
	w.raw(" ")
	if p.Message == nil {
		w.raw("(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) ")
		w.emptyPart()
	} else {
		w.b = appendEnvelope(w.b, p.Message.Header, w.utf8)
		w.raw(" ")
		w.part(p.Message)
	}
	w.raw(" ")
	w.number(p.BodyLines)
}

func (w *bodyWriter) emptyPart() {
	w.raw(emptyPart)
	if w.extended {
		w.raw(" NIL NIL NIL NIL")
	}
	w.raw(")")
}

func (w *bodyWriter) multipart(p *rfc822.Part, subtype string) {
	w.raw("(")
	for _, child := range p.Children {
		w.part(child)
	}
	if len(p.Children) == 0 {
		w.emptyPart()
	}
	w.raw(" ")
	w.string(subtype)
	if w.extended {
		w.raw(" ")
		w.params(parseValue(p.Header.Get("Content-Type")).params)
		w.extension(p)
	}
	w.raw(")")
}

// extension writes disposition, language and location.
func (w *bodyWriter) extension(p *rfc822.Part) {
	w.raw(" ")
	if d := parseValue(p.Header.Get("Content-Disposition")); d.value == "" {
		w.raw("NIL")
	} else {
		w.raw("(")
		w.string(d.value)
		w.raw(" ")
		w.params(d.params)
		w.raw(")")
	}
	w.raw(" ")
	w.languages(p.Header.Get("Content-Language"))
	w.raw(" ")
	w.nstring(p.Header.Get("Content-Location"))
}

func (w *bodyWriter) languages(v string) {
	n := 0
	for _, l := range strings.Split(v, ",") {
		if l = strings.TrimSpace(l); l == "" || n == maxValueParams {
			continue
		}
		w.raw([]string{"(", " "}[min(n, 1)])
		w.string(l)
		n++
	}
	if n == 0 {
		w.raw("NIL")
		return
	}
	w.raw(")")
}

func (w *bodyWriter) params(params []param) {
	if len(params) == 0 {
		w.raw("NIL")
		return
	}
	for i, p := range params {
		w.raw([]string{"(", " "}[min(i, 1)])
		w.string(p.name)
		w.raw(" ")
		w.string(p.value)
	}
	w.raw(")")
}

// value is a structured field value with its parameters in the order and the
// form they were sent in: encodings of RFC 2231 are the client's to read.
type value struct {
	value  string
	params []param
}

type param struct{ name, value string }

// maxValueParams is how many parameters of a field are told.
const maxValueParams = 32

// parseValue reads "value; name=value; …" (RFC 2045 §5.1).
func parseValue(s string) value {
	var v value
	p := addressParser{s: s}
	v.value, _ = p.token(";")
	for p.i < len(p.s) && len(v.params) < maxValueParams {
		name, stop := p.token("=;")
		if stop != '=' {
			continue
		}
		text, _ := p.token(";")
		if name != "" {
			v.params = append(v.params, param{name, text})
		}
	}
	return v
}

// token reads up to one of the octets of stop and past it, leaving out comments,
// quotes and the white space around.
func (p *addressParser) token(stop string) (token string, by byte) {
	var b strings.Builder
	for p.i < len(p.s) {
		c := p.s[p.i]
		switch {
		case strings.IndexByte(stop, c) >= 0:
			p.i++
			return strings.TrimSpace(b.String()), c
		case c == '"':
			b.WriteString(p.quoted())
		case c == '(':
			p.comment()
		default:
			b.WriteByte(c)
			p.i++
		}
	}
	return strings.TrimSpace(b.String()), 0
}
