// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"strings"
	"testing"
)

// pecMessage is a certified message taken apart with the standard library, so
// that the tests do not trust the program's own reader.
type pecMessage struct {
	raw      []byte
	header   mail.Header
	signed   []byte // exact bytes of the signed entity
	p7s      []byte // DER
	text     string // the readable part, decoded
	certXML  []byte // daticert.xml, nil without one
	cert     certData
	original []byte // postacert.eml, nil without one
}

// certData is daticert.xml (RFC 6109 §4.4).
type certData struct {
	Type       string `xml:"tipo,attr"`
	Error      string `xml:"errore,attr"`
	Sender     string `xml:"intestazione>mittente"`
	Recipients []struct {
		Type    string `xml:"tipo,attr"`
		Address string `xml:",chardata"`
	} `xml:"intestazione>destinatari"`
	ReplyTo string  `xml:"intestazione>risposte"`
	Subject *string `xml:"intestazione>oggetto"`
	Issuer  string  `xml:"dati>gestore-emittente"`
	Date    struct {
		Zone string `xml:"zona,attr"`
		Day  string `xml:"giorno"`
		Time string `xml:"ora"`
	} `xml:"dati>data"`
	ID      string `xml:"dati>identificativo"`
	MsgID   string `xml:"dati>msgid"`
	Receipt struct {
		Type string `xml:"tipo,attr"`
	} `xml:"dati>ricevuta"`
	Delivery   string   `xml:"dati>consegna"`
	Receptions []string `xml:"dati>ricezione"`
	Extended   string   `xml:"dati>errore-esteso"`
}

// recipients maps each certified recipient to its type.
func (c certData) recipients() map[string]string {
	m := map[string]string{}
	for _, r := range c.Recipients {
		m[r.Address] = r.Type
	}
	return m
}

// readPEC takes a message apart.
func readPEC(raw []byte) (*pecMessage, error) {
	p := &pecMessage{raw: raw}
	top, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	p.header = top.Header
	mediaType, params, err := mime.ParseMediaType(top.Header.Get("Content-Type"))
	if err != nil || mediaType != "multipart/signed" {
		return nil, fmt.Errorf("content type %q (%v), want multipart/signed", top.Header.Get("Content-Type"), err)
	}
	parts, err := splitParts(raw, params["boundary"])
	if err != nil {
		return nil, err
	}
	if len(parts) != 2 {
		return nil, fmt.Errorf("multipart/signed of %d parts", len(parts))
	}
	p.signed = parts[0]
	sig, err := mail.ReadMessage(bytes.NewReader(parts[1]))
	if err != nil {
		return nil, fmt.Errorf("signature part: %w", err)
	}
	if p.p7s, err = io.ReadAll(base64.NewDecoder(base64.StdEncoding, sig.Body)); err != nil {
		return nil, fmt.Errorf("signature part: %w", err)
	}
	return p, p.readSigned()
}

// splitParts returns the exact bytes of the parts of a multipart body.
func splitParts(raw []byte, boundary string) ([][]byte, error) {
	var parts [][]byte
	at, last := nextDelimiter(raw, 0, boundary)
	for at >= 0 && !last {
		start := at + len("\r\n--") + len(boundary)
		start += bytes.Index(raw[start:], []byte("\r\n")) + 2
		// The CRLF that ends this delimiter may begin the next one.
		next, end := nextDelimiter(raw, start-2, boundary)
		if next < 0 {
			break
		}
		parts = append(parts, raw[start:max(start, next)])
		at, last = next, end
	}
	if at < 0 || !last {
		return nil, errors.New("multipart without closing delimiter")
	}
	return parts, nil
}

// nextDelimiter finds the CRLF that begins the next delimiter line, and whether
// that line is the closing one. A longer boundary that begins alike is another.
func nextDelimiter(raw []byte, from int, boundary string) (at int, last bool) {
	delimiter := []byte("\r\n--" + boundary)
	for {
		i := bytes.Index(raw[from:], delimiter)
		if i < 0 {
			return -1, false
		}
		at = from + i
		line, _, _ := bytes.Cut(raw[at+len(delimiter):], []byte("\r\n"))
		switch string(bytes.TrimRight(line, " \t")) {
		case "":
			return at, false
		case "--":
			return at, true
		}
		from = at + 2
	}
}

func (p *pecMessage) readSigned() error {
	entity, err := mail.ReadMessage(bytes.NewReader(p.signed))
	if err != nil {
		return fmt.Errorf("signed entity: %w", err)
	}
	mediaType, params, err := mime.ParseMediaType(entity.Header.Get("Content-Type"))
	if err != nil || mediaType != "multipart/mixed" {
		return fmt.Errorf("signed entity is %q (%v), want multipart/mixed", entity.Header.Get("Content-Type"), err)
	}
	r := multipart.NewReader(entity.Body, params["boundary"])
	for {
		part, err := r.NextRawPart()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		body, err := io.ReadAll(part)
		if err != nil {
			return err
		}
		switch part.FileName() {
		case "daticert.xml":
			if p.certXML, err = decodePart(part.Header.Get("Content-Transfer-Encoding"), body); err != nil {
				return fmt.Errorf("daticert.xml: %w", err)
			}
			if err := xml.Unmarshal(p.certXML, &p.cert); err != nil {
				return fmt.Errorf("daticert.xml: %w", err)
			}
		case "postacert.eml":
			p.original = body
		case "":
			if p.text == "" {
				if p.text, err = readableText(part.Header.Get("Content-Type"), part.Header.Get("Content-Transfer-Encoding"), body); err != nil {
					return fmt.Errorf("readable part: %w", err)
				}
			}
		default:
			return fmt.Errorf("unexpected part %q", part.FileName())
		}
	}
}

// readableText is the text/plain form of part 1, as UTF-8.
func readableText(contentType, encoding string, body []byte) (string, error) {
	mediaType, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return "", err
	}
	if mediaType == "multipart/alternative" {
		r := multipart.NewReader(bytes.NewReader(body), params["boundary"])
		first, err := r.NextRawPart()
		if err != nil {
			return "", err
		}
		inner, err := io.ReadAll(first)
		if err != nil {
			return "", err
		}
		return readableText(first.Header.Get("Content-Type"), first.Header.Get("Content-Transfer-Encoding"), inner)
	}
	if mediaType != "text/plain" {
		return "", fmt.Errorf("%s, want text/plain first", mediaType)
	}
	b, err := decodePart(encoding, body)
	if err != nil {
		return "", err
	}
	if strings.EqualFold(params["charset"], "iso-8859-1") {
		runes := make([]rune, len(b))
		for i, c := range b {
			runes[i] = rune(c)
		}
		return string(runes), nil
	}
	return string(b), nil
}

// mustReadPEC is readPEC for a message that has to be one.
func mustReadPEC(t testing.TB, raw []byte) *pecMessage {
	t.Helper()
	p, err := readPEC(raw)
	if err != nil {
		t.Fatalf("not a certified message: %v\n%.2000s", err, raw)
	}
	return p
}

// verify lets openssl judge the signature and the chain to the demo's CA.
func (p *pecMessage) verify(t testing.TB, d *demo) {
	t.Helper()
	need(t, "openssl")
	file := write(t, "message.eml", p.raw)
	r := runWithin(t, 5*minute, "openssl", "cms", "-verify", "-CAfile", d.file(t, "CA_FILE"), "-in", file, "-out", os.DevNull)
	if r.code != 0 {
		t.Errorf("openssl cms -verify refuses %q: %s", p.header.Get("Subject"), r.stderr)
	}
}

// validate lets xmllint judge daticert.xml against the DTD of RFC 6109 §4.4.
func (p *pecMessage) validate(t testing.TB) {
	t.Helper()
	if p.certXML == nil {
		t.Errorf("%q has no daticert.xml", p.header.Get("Subject"))
		return
	}
	need(t, "xmllint")
	file := write(t, "daticert.xml", p.certXML)
	r := runWithin(t, minute, "xmllint", "--noout", "--nonet", "--dtdvalid", "../pec/testdata/postacert.dtd", file)
	if r.code != 0 {
		t.Errorf("xmllint refuses the daticert.xml of %q: %s\n%s", p.header.Get("Subject"), r.stderr, p.certXML)
	}
}

// check is what every system message with certification data must pass.
func (p *pecMessage) check(t testing.TB, d *demo) {
	t.Helper()
	p.verify(t, d)
	p.validate(t)
}

// fields splits a header block into its fields, folds included.
func fields(message []byte) (list [][]byte, body []byte) {
	for len(message) > 0 && !bytes.HasPrefix(message, []byte("\r\n")) {
		end := 0
		for {
			eol := bytes.Index(message[end:], []byte("\r\n"))
			if eol < 0 {
				return append(list, message), nil
			}
			end += eol + 2
			if end >= len(message) || (message[end] != ' ' && message[end] != '\t') {
				break
			}
		}
		list = append(list, message[:end])
		message = message[end:]
	}
	return list, bytes.TrimPrefix(message, []byte("\r\n"))
}

func fieldName(field []byte) string {
	name, _, _ := bytes.Cut(field, []byte(":"))
	return strings.ToLower(strings.TrimSpace(string(name)))
}

// sameOriginal wants postacert.eml to be the submitted message except for the
// fields the rules change: Message-ID, X-Riferimento-Message-ID and the trace
// lines on top (pec-rules §4.2; RFC 6109 §2.2.1).
func sameOriginal(t testing.TB, submitted, got []byte) {
	t.Helper()
	changed := map[string]bool{"message-id": true, "x-riferimento-message-id": true, "received": true}
	kept := func(message []byte) ([]byte, []byte) {
		list, body := fields(message)
		var b []byte
		for _, f := range list {
			if !changed[fieldName(f)] {
				b = append(b, f...)
			}
		}
		return b, body
	}
	wantHeader, wantBody := kept(submitted)
	gotHeader, gotBody := kept(got)
	if !bytes.Equal(wantHeader, gotHeader) {
		t.Errorf("postacert.eml changes the header:\n got %q\nwant %q", gotHeader, wantHeader)
	}
	if !bytes.Equal(wantBody, gotBody) {
		t.Errorf("postacert.eml changes the body: %d bytes, want %d; first difference at %d",
			len(gotBody), len(wantBody), firstDifference(gotBody, wantBody))
	}
}

func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}
