// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// letters makes messages that are alike in size and all different in content:
// each has its own Message-ID, its own number in the body, and its own stretch
// of a long random text. Making one costs a copy.
type letters struct {
	run    string // sets this run's messages apart from all others
	size   int    // octets of a whole message, about
	date   string
	corpus []byte
	lines  []int // where lines of the corpus begin
}

// largeFrom is the size from which a message is a text with an attachment.
const largeFrom = 64 << 10

// newLetters draws the corpus: words for small messages, base64 for large ones.
func newLetters(run string, size int, now time.Time) *letters {
	l := &letters{run: run, size: size, date: now.Format(time.RFC1123Z)}
	rnd := rand.New(rand.NewPCG(uint64(size), 4))
	if size < largeFrom {
		l.corpus = words(rnd, 1<<20)
	} else {
		l.corpus = base64Lines(rnd, 4<<20)
	}
	for at := 0; at < len(l.corpus); {
		l.lines = append(l.lines, at)
		at += bytes.IndexByte(l.corpus[at:], '\n') + 1
	}
	return l
}

func words(rnd *rand.Rand, size int) []byte {
	vocabulary := strings.Fields(`si trasmette in allegato la documentazione relativa al procedimento amministrativo indicato in oggetto
		con preghiera di darne riscontro entro il termine di trenta giorni dal ricevimento della presente comunicazione ai sensi
		dell'articolo comma lettera legge decreto regolamento ufficio direzione settore servizio protocollo ente comune regione
		provincia responsabile dirigente istanza richiesta parere nulla osta autorizzazione concessione contratto fornitura gara
		offerta impresa società cooperativa professionista iscrizione registro pagamento fattura bilancio rendiconto delibera
		determina avviso notifica ricorso udienza termine scadenza proroga rinnovo verifica controllo cordiali saluti`)
	var b bytes.Buffer
	for b.Len() < size {
		line := 0
		for line < 66 {
			w := strings.ReplaceAll(vocabulary[rnd.IntN(len(vocabulary))], "à", "a'")
			if rnd.IntN(9) == 0 {
				w = strconv.Itoa(rnd.IntN(100000))
			}
			b.WriteString(w)
			b.WriteByte(' ')
			line += len(w) + 1
		}
		b.Truncate(b.Len() - 1)
		b.WriteString("\r\n")
	}
	return b.Bytes()
}

func base64Lines(rnd *rand.Rand, size int) []byte {
	var b bytes.Buffer
	raw, line := make([]byte, 57), make([]byte, 76)
	for b.Len() < size {
		for i := range raw {
			raw[i] = byte(rnd.Uint32())
		}
		base64.StdEncoding.Encode(line, raw)
		b.Write(line)
		b.WriteString("\r\n")
	}
	return b.Bytes()
}

// id is the Message-ID of message n, with its brackets.
func (l *letters) id(n int) string { return fmt.Sprintf("<%s.%d@bench.example>", l.run, n) }

// number is the inverse of id; -1 for a message of somebody else.
func (l *letters) number(id string) int {
	digits, ok := strings.CutPrefix(id, "<"+l.run+".")
	if !ok {
		return -1
	}
	digits, ok = strings.CutSuffix(digits, "@bench.example>")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil {
		return -1
	}
	return n
}

// write appends message n to dst, with CRLF line ends and no line that begins
// with a dot.
func (l *letters) write(dst []byte, n int, from string, to []string) []byte {
	start := len(dst)
	dst = fmt.Appendf(dst, "From: Ufficio Protocollo <%s>\r\nTo: %s\r\nSubject: Comunicazione n. %d - trasmissione atti del procedimento\r\nDate: %s\r\nMessage-ID: %s\r\n"+
		"MIME-Version: 1.0\r\nUser-Agent: pecbench\r\n", from, strings.Join(to, ",\r\n "), n, l.date, l.id(n))
	if l.size < largeFrom {
		dst = append(dst, "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"...)
		return l.body(dst, n, l.size-(len(dst)-start))
	}
	const boundary = "----=_pecbench_parte"
	dst = append(dst, "Content-Type: multipart/mixed; boundary=\""+boundary+"\"\r\n\r\n--"+boundary+
		"\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nSi trasmette l'allegato.\r\n--"+boundary+
		"\r\nContent-Type: application/pdf; name=\"atti.pdf\"\r\nContent-Disposition: attachment; filename=\"atti.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n"...)
	dst = l.body(dst, n, l.size-(len(dst)-start)-len(boundary)-8)
	return append(dst, "--"+boundary+"--\r\n"...)
}

// body appends some size octets that no other message has.
func (l *letters) body(dst []byte, n, size int) []byte {
	end := len(dst) + size
	if l.size < largeFrom {
		dst = fmt.Appendf(dst, "Protocollo %s/%d\r\n\r\n", l.run, n)
	} else {
		token := make([]byte, 57)
		copy(token, fmt.Appendf(nil, "%s/%d", l.run, n))
		dst = base64.StdEncoding.AppendEncode(dst, token)
		dst = append(dst, "\r\n"...)
	}
	at := l.lines[n*7919%len(l.lines)]
	for len(dst) < end {
		piece := l.corpus[at:]
		if more := end - len(dst); len(piece) > more {
			piece = piece[:more]
			piece = piece[:bytes.LastIndexByte(piece, '\n')+1]
			if len(piece) == 0 {
				break
			}
		}
		dst = append(dst, piece...)
		at = 0
	}
	return dst
}
