// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"slices"
	"strings"
	"sync/atomic"
)

var messageSerial atomic.Int64

// newMsgID is the Message-ID of a client, unique in the run.
func newMsgID() string {
	return fmt.Sprintf("<%d.%08x@client.example>", messageSerial.Add(1), rand.Uint32())
}

// letter is a message as a mail client composes it.
type letter struct {
	id       string // with <>; "" for a client that sends none
	from     string // From field; "" leaves it out
	to, cc   []string
	subject  string   // UTF-8
	receipt  string   // X-TipoRicevuta, "" for none
	extra    []string // further header lines; a Content-Type among them takes the place of text/plain
	text     string
	attached []attachment
}

type attachment struct {
	name, mediaType string
	content         []byte
}

// encoded is the part's content as transmitted: base64 in lines of 76, without
// the CRLF that belongs to the boundary.
func (a attachment) encoded() []byte {
	b64 := base64.StdEncoding.EncodeToString(a.content)
	var b bytes.Buffer
	b.Grow(len(b64) + len(b64)/38)
	for len(b64) > 76 {
		b.WriteString(b64[:76])
		b.WriteString("\r\n")
		b64 = b64[76:]
	}
	b.WriteString(b64)
	return b.Bytes()
}

// hash is what a brief receipt must say of the attachment (RFC 6109 §3.3.2.2).
func (a attachment) hash() string {
	sum := sha1.Sum(a.encoded())
	return hex.EncodeToString(sum[:])
}

// bytes is the message as submitted, with CRLF line ends.
func (l letter) bytes() []byte {
	var b bytes.Buffer
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	field("Date", "Tue, 03 Mar 2026 10:15:05 +0100")
	field("From", l.from)
	field("To", strings.Join(l.to, ",\r\n "))
	field("Cc", strings.Join(l.cc, ",\r\n "))
	field("Subject", mime.QEncoding.Encode("utf-8", l.subject))
	field("Message-ID", l.id)
	field("X-TipoRicevuta", l.receipt)
	for _, line := range l.extra {
		b.WriteString(line + "\r\n")
	}
	typed := slices.ContainsFunc(l.extra, func(line string) bool { return strings.HasPrefix(line, "Content-Type:") })
	if !typed {
		field("MIME-Version", "1.0")
	}
	text := l.text
	if text == "" {
		text = "Buongiorno,\r\nin allegato quanto richiesto.\r\n.\r\nUna riga che comincia con un punto sta qui sopra.\r\n"
	}
	if l.attached == nil {
		if !typed {
			field("Content-Type", "text/plain; charset=us-ascii")
		}
		b.WriteString("\r\n" + text)
		return b.Bytes()
	}
	const boundary = "=_lettera"
	field("Content-Type", `multipart/mixed; boundary="`+boundary+`"`)
	b.WriteString("\r\n--" + boundary + "\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n" + text)
	for _, a := range l.attached {
		fmt.Fprintf(&b, "\r\n--%s\r\nContent-Type: %s; name=%q\r\nContent-Transfer-Encoding: base64\r\n"+
			"Content-Disposition: attachment; filename=%q\r\n\r\n", boundary, a.mediaType, a.name, a.name)
		b.Write(a.encoded())
	}
	b.WriteString("\r\n--" + boundary + "--\r\n")
	return b.Bytes()
}

// pdf is n bytes that begin and end as a PDF does and do not compress.
func pdf(n int) attachment {
	b := make([]byte, n)
	rnd := rand.NewChaCha8([32]byte{'p', 'd', 'f'})
	_, _ = rnd.Read(b)
	copy(b, "%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	copy(b[n-6:], "%%EOF\n")
	return attachment{"relazione.pdf", "application/pdf", b}
}

// bulk is an endless message body made of lines of 78 octets, cut at n octets
// with a CRLF at the end; it costs no memory.
func bulk(n int64) io.Reader { return &bulkReader{left: n} }

type bulkReader struct {
	left int64
	pos  int64
}

const bulkLine = "una riga di testo che serve soltanto a fare volume, settantasei caratteri....\r\n"

func (r *bulkReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) && r.left > 0 {
		c := bulkLine[r.pos%int64(len(bulkLine))]
		switch r.left {
		case 2:
			c = '\r'
		case 1:
			c = '\n'
		default:
			// The tail must not end in the middle of a CRLF of the pattern.
			if r.left <= int64(len(bulkLine))+2 && (c == '\r' || c == '\n') {
				c = '.'
			}
		}
		p[n] = c
		n++
		r.pos++
		r.left--
	}
	return n, nil
}
