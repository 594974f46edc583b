// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"

	"pecd/rfc822"
)

// searchOctets is how many decoded octets of one message a text search reads.
const searchOctets = 32 << 20

// inAddresses tells whether an element of an address list contains text although
// the list as it is written may not: comments, quotes and white space can stand in
// the middle of an address (RFC 5322 §3.4).
func inAddresses(list, text string) bool {
	if !strings.ContainsAny(list, `("\`) && !strings.Contains(list, " @") && !strings.Contains(list, "@ ") {
		return false
	}
	for _, a := range parseAddresses(list, maxAddresses) {
		if strings.Contains(collate(rfc822.DecodeText(a.name+" <"+a.mailbox+"@"+a.host+">")), text) {
			return true
		}
	}
	return false
}

// needle is what a TEXT or BODY key looks for, collated.
type needle struct {
	text   string
	header bool // in the headers of the message and its parts, too
}

// haystack searches one message for all needles of a command in one pass.
type haystack struct {
	needles []needle
	found   []bool
	open    int   // needles not found
	left    int64 // octets that may still be read
}

// look tells which needles a message contains. Searched are the text parts,
// their transfer encoding and charset taken off, the headers of attached
// messages and, for TEXT, those of the message and its parts. Other attachments
// are not looked into.
func (f *fetched) look(needles []needle) ([]bool, error) {
	t, err := f.tree()
	if err != nil {
		return nil, err
	}
	h := &haystack{needles: needles, found: make([]bool, len(needles)), open: len(needles), left: searchOctets}
	h.mark(func(n needle) bool { return n.text == "" })
	t.Root.Walk(func(p *rfc822.Part) bool {
		if err != nil || h.open == 0 || h.left <= 0 {
			return false
		}
		if err = f.ctx.Err(); err != nil {
			return false
		}
		if err = f.lookIntoHeader(p, false, h); err == nil && p.Message != nil {
			err = f.lookIntoHeader(p.Message, true, h)
		}
		if err == nil && isText(p) && h.open > 0 {
			err = f.lookIntoText(p, h)
		}
		return h.open > 0 && err == nil
	})
	return h.found, err
}

func isText(p *rfc822.Part) bool {
	return strings.HasPrefix(p.MediaType, "text/") || p.MediaType == "application/xml"
}

// mark notes the needles for which in holds.
func (h *haystack) mark(in func(needle) bool) {
	for i, n := range h.needles {
		if !h.found[i] && in(n) {
			h.found[i] = true
			h.open--
		}
	}
}

// lookIntoHeader looks into the header of a part: for TEXT alone, or for BODY as
// well where it is that of an attached message.
func (f *fetched) lookIntoHeader(p *rfc822.Part, attached bool, h *haystack) error {
	if h.open == 0 || !attached && !slices.ContainsFunc(h.needles, func(n needle) bool { return n.header }) {
		return nil
	}
	raw, err := f.headerOf(p)
	if err != nil {
		return err
	}
	h.left -= int64(len(raw))
	header, _ := rfc822.ParseHeader(raw, rfc822.DefaultLimits()) // beyond the limits: what lies within them
	for _, field := range header.Fields() {
		if h.open == 0 {
			return nil
		}
		text := collate(field.Name + ": " + rfc822.DecodeText(field.Value()))
		h.mark(func(n needle) bool { return (n.header || attached) && strings.Contains(text, n.text) })
	}
	return nil
}

// lookIntoText searches one part.
func (f *fetched) lookIntoText(p *rfc822.Part, h *haystack) error {
	if err := f.open(); err != nil {
		return err
	}
	select {
	case f.s.srv.scans <- struct{}{}:
	case <-f.ctx.Done():
		return f.ctx.Err()
	}
	defer func() { <-f.s.srv.scans }()
	r, ok := decodedBody(f.body, p)
	if !ok {
		r = rawBody(f.body, p)
	}
	counted := &io.LimitedReader{R: r, N: h.left}
	defer func() { h.left = counted.N }()
	var chars io.Reader = counted
	if name := p.Params["charset"]; name != "" && !strings.EqualFold(name, "utf-8") {
		if decoded, err := charset.Reader(name, counted); err == nil {
			chars = decoded
		}
	}
	return h.stream(f.ctx, chars)
}

// stream searches a stream of UTF-8.
func (h *haystack) stream(ctx context.Context, r io.Reader) error {
	keep := 0 // octets at the end of what was searched that may begin a needle
	for i, n := range h.needles {
		if !h.found[i] {
			keep = max(keep, len(n.text)-1)
		}
	}
	buf := make([]byte, 0, max(32<<10, keep))
	var collated []byte // the end of what was searched, then what is new
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		var err error
		for err == nil && len(buf) < cap(buf) {
			var n int
			n, err = r.Read(buf[len(buf):cap(buf)])
			buf = buf[:len(buf)+n]
		}
		whole := len(buf)
		if err == nil {
			whole = wholeRunes(buf)
		}
		collated = appendCollated(collated, buf[:whole])
		buf = buf[:copy(buf, buf[whole:])]
		h.mark(func(n needle) bool { return bytes.Contains(collated, []byte(n.text)) })
		if h.open == 0 || errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(collated) > keep {
			collated = collated[:copy(collated, collated[len(collated)-keep:])]
		}
	}
}

// wholeRunes is the length of b without a rune that is cut off at its end.
func wholeRunes(b []byte) int {
	for i := len(b) - 1; i >= 0 && i > len(b)-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			if !utf8.FullRune(b[i:]) {
				return i
			}
			break
		}
	}
	return len(b)
}
