// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"

	"pecd/rfc822"
)

// searchOctets is how many decoded octets of one message a text search reads.
const searchOctets = 32 << 20

// fold is the form in which texts are compared: lower case (RFC 9051 §6.4.4 asks
// for a search without case).
func fold(s string) string { return strings.ToLower(s) }

// contains tells whether the texts of a message contain text, which is folded.
// Searched are the text parts, their transfer encoding and charset taken off,
// the headers of attached messages and, with header, those of the message and
// its parts. Other attachments are not looked into.
func (f *fetched) contains(text string, header bool) (bool, error) {
	if text == "" {
		return true, nil
	}
	t, err := f.tree()
	if err != nil {
		return false, err
	}
	var found bool
	left := int64(searchOctets)
	t.Root.Walk(func(p *rfc822.Part) bool {
		if found || err != nil || left <= 0 {
			return false
		}
		if header && headerContains(p.Header, text) || p.Message != nil && headerContains(p.Message.Header, text) {
			found = true
			return false
		}
		if isText(p) {
			found, err = f.textContains(p, text, &left)
		}
		return !found && err == nil
	})
	return found, err
}

func isText(p *rfc822.Part) bool {
	return strings.HasPrefix(p.MediaType, "text/") || p.MediaType == "application/xml"
}

func headerContains(h rfc822.Header, text string) bool {
	for _, field := range h.Fields() {
		if strings.Contains(fold(field.Name+": "+rfc822.DecodeText(field.Value())), text) {
			return true
		}
	}
	return false
}

// textContains searches one part; left is what may still be read.
func (f *fetched) textContains(p *rfc822.Part, text string, left *int64) (bool, error) {
	select {
	case f.s.srv.scans <- struct{}{}:
	case <-f.s.ctx.Done():
		return false, f.s.ctx.Err()
	}
	defer func() { <-f.s.srv.scans }()
	r, ok := decodedBody(f.body, p)
	if !ok {
		r = rawBody(f.body, p)
	}
	counted := &io.LimitedReader{R: r, N: *left}
	defer func() { *left = counted.N }()
	var chars io.Reader = counted
	if name := p.Params["charset"]; name != "" && !strings.EqualFold(name, "utf-8") {
		if decoded, err := charset.Reader(name, counted); err == nil {
			chars = decoded
		}
	}
	return streamContains(chars, text)
}

// streamContains looks for text, which is folded, in a stream of UTF-8.
func streamContains(r io.Reader, text string) (bool, error) {
	needle := []byte(text)
	buf := make([]byte, 0, 32<<10)
	var folded []byte // the end of what was searched, then what is new
	for {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		end := err != nil
		whole := len(buf)
		if !end {
			whole = wholeRunes(buf)
		}
		folded = append(folded, bytes.ToLower(buf[:whole])...)
		buf = buf[:copy(buf, buf[whole:])]
		if bytes.Contains(folded, needle) {
			return true, nil
		}
		if keep := len(needle) - 1; len(folded) > keep {
			folded = folded[:copy(folded, folded[len(folded)-keep:])]
		}
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
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
