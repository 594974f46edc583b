// SPDX-License-Identifier: EUPL-1.2

package crash

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
)

// letter makes a message that says what e says, and enters form, body and size.
// A form of "" is the default of X-TipoRicevuta.
func (e *sending) letter(rnd *rand.Rand, form string, size int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Message-ID: %s\r\nDate: Wed, 25 Nov 2026 10:00:00 +0100\r\nFrom: <%s>\r\nTo: ", e.id, e.from)
	for i, r := range e.to {
		if i > 0 {
			b.WriteString(",\r\n ")
		}
		b.WriteString(r.address)
	}
	fmt.Fprintf(&b, "\r\nSubject: %s\r\n", e.subject)
	if form != "" {
		fmt.Fprintf(&b, "X-TipoRicevuta: %s\r\n", form)
	}
	if e.wrong {
		b.WriteString("Bcc: nascosto@altrove.example\r\n")
	}
	b.WriteString("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_crash\"\r\n\r\n")
	head := b.Len()
	fmt.Fprintf(&b, "--=_crash\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n.punto\r\n%s\r\n"+
		"--=_crash\r\nContent-Type: application/octet-stream; name=\"allegato.bin\"\r\nContent-Disposition: attachment; filename=\"allegato.bin\"\r\n"+
		"Content-Transfer-Encoding: base64\r\n\r\n", e.id)
	b.Write(noise(rnd, size))
	b.WriteString("--=_crash--\r\n")
	e.form, e.body, e.size = form, sha256.Sum256(b.Bytes()[head:]), b.Len()
	return b.Bytes()
}

// noise is about size octets of base64 in lines. One in four is one of three
// that others have as well.
func noise(rnd *rand.Rand, size int) []byte {
	src := rnd
	if rnd.IntN(4) == 0 {
		src = rand.New(rand.NewPCG(7, rnd.Uint64N(3)))
	}
	raw := make([]byte, size*54/74+1)
	for i := range raw {
		raw[i] = byte(src.Uint32())
	}
	text := base64.StdEncoding.EncodeToString(raw)
	var b strings.Builder
	for len(text) > 0 {
		n := min(72, len(text))
		b.WriteString(text[:n] + "\r\n")
		text = text[n:]
	}
	return []byte(b.String())
}

// sizes are where a body changes its place: 64 KiB (a file instead of a row),
// 128 KiB (a spooled file instead of memory).
func pickSize(rnd *rand.Rand) int {
	switch n := rnd.IntN(100); {
	case n < 60:
		return 200 + rnd.IntN(6_000)
	case n < 72:
		return 30_000 + rnd.IntN(30_000)
	case n < 84:
		return 64<<10 + rnd.IntN(50_000) - 2_000
	case n < 98:
		return 128<<10 + rnd.IntN(300_000) - 2_000
	}
	return 1_000_000 + rnd.IntN(1_500_000)
}
