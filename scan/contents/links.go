// SPDX-License-Identifier: EUPL-1.2

package contents

import (
	"bufio"
	"io"
	"strings"

	"golang.org/x/net/html"
)

const (
	maxElement = 256 << 10 // octets of one tag, text or comment of HTML
	maxAnchor  = 300       // octets kept of what a link shows
)

// markup looks at the links of a text of HTML.
func (s *Inspection) markup(in io.Reader, where string) error {
	z := html.NewTokenizer(rationed{s, in, &s.text})
	z.SetMaxBuf(maxElement)
	var open anchor
	defer func() { s.close(&open, where) }()
	for {
		switch z.Next() {
		case html.ErrorToken:
			err := z.Err()
			if err == io.EOF {
				return nil
			}
			return s.settle(err, "Html.Bounds", where)
		case html.TextToken:
			open.add(z.Text())
		case html.EndTagToken:
			if name, _ := z.TagName(); string(name) == "a" {
				s.close(&open, where)
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			name, more := z.TagName()
			tag := string(name)
			if tag == "a" {
				s.close(&open, where)
			}
			attrs := attributesOf(z, more)
			for _, href := range linksOf(tag, attrs) {
				s.link(href, where)
			}
			if href, ok := attrs["href"]; ok && tag == "a" {
				open = anchor{href: href, on: true}
			}
		}
	}
}

// attributesOf reads those attributes of a tag that can carry a link.
func attributesOf(z *html.Tokenizer, more bool) map[string]string {
	var out map[string]string
	for more {
		var key, value []byte
		key, value, more = z.TagAttr()
		switch k := string(key); k {
		case "href", "src", "action", "formaction", "content", "http-equiv", "xlink:href", "data":
			if out == nil {
				out = make(map[string]string)
			}
			if _, twice := out[k]; !twice { // the first one counts
				out[k] = string(value)
			}
		}
	}
	return out
}

// linksOf returns where an element leads to, once it is clicked or by itself.
// What is only shown (images, styles) is left out.
func linksOf(tag string, attrs map[string]string) []string {
	var keys []string
	switch tag {
	case "a", "area", "base":
		keys = []string{"href", "xlink:href"}
	case "form":
		keys = []string{"action"}
	case "button", "input":
		keys = []string{"formaction"}
	case "iframe", "frame", "embed", "script":
		keys = []string{"src"}
	case "object":
		keys = []string{"data"}
	case "meta":
		if strings.EqualFold(strings.TrimSpace(attrs["http-equiv"]), "refresh") {
			if i := strings.Index(lower(attrs["content"]), "url="); i >= 0 {
				return []string{strings.Trim(attrs["content"][i+len("url="):], `'" `)}
			}
		}
	}
	var out []string
	for _, k := range keys {
		if v := attrs[k]; v != "" {
			out = append(out, v)
		}
	}
	return out
}

// anchor is a link whose text is being read.
type anchor struct {
	on   bool
	href string
	text strings.Builder
}

func (a *anchor) add(text []byte) {
	if room := maxAnchor - a.text.Len(); a.on && room > 0 {
		a.text.WriteString(html.UnescapeString(string(text[:min(len(text), room)])))
	}
}

// close compares what a link shows with where it leads to.
func (s *Inspection) close(a *anchor, where string) {
	if a.on && s.links <= maxLinks {
		if shown, t := shownHost(a.text.String()), parseTarget(a.href); shown != "" && t.web() && !sameSite(shown, t.host) {
			s.add(Link, "Link.Mismatch", where)
		}
	}
	*a = anchor{}
}

// plain looks at the addresses in a text without markup, up to the bound on links.
func (s *Inspection) plain(in io.Reader, where string) error {
	r := bufio.NewReaderSize(rationed{s, in, &s.text}, 4<<10)
	for {
		line, err := r.ReadSlice('\n') // an address in two parts of a very long line is two addresses
		for rest := string(line); s.links <= maxLinks; {
			var href string
			if href, rest = nextAddress(rest); href == "" {
				break
			}
			s.link(href, where)
		}
		if s.links > maxLinks {
			return nil
		}
		switch err {
		case nil, bufio.ErrBufferFull:
		case io.EOF:
			return nil
		default:
			return s.settle(err, "", where)
		}
	}
}

// nextAddress returns the first address in a text that clients make a link of, and
// what follows it.
func nextAddress(text string) (href, rest string) {
	start := -1
	for at := 0; start < 0; {
		i := strings.Index(text[at:], "://")
		if i < 0 {
			return "", ""
		}
		for _, scheme := range []string{"http", "https", "ftp", "file"} {
			if begin := at + i - len(scheme); begin >= 0 && lower(text[begin:at+i]) == scheme {
				start = begin
			}
		}
		at += i + len("://")
	}
	end := strings.IndexAny(text[start:], " \t\r\n<>\"")
	if end < 0 {
		end = len(text) - start
	}
	return strings.TrimRight(text[start:start+end], ".,;:!?)]}'"), text[start+end:]
}

// lower folds ASCII letters alone, so that every octet stays where it is.
func lower(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r >= 'A' && r <= 'Z' }) {
		return s
	}
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return string(b)
}

// link judges where a link leads to.
func (s *Inspection) link(href, where string) {
	if s.links++; s.links > maxLinks {
		s.opaque("Contents.Bounds", where)
		return
	}
	t := parseTarget(href)
	if name := t.danger(); name != "" {
		s.add(Link, name, where)
	}
	if t.host != "" && s.domains.Has(t.host) {
		s.add(Link, "Link.Listed", where)
	}
}
