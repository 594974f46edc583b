// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"pecd/pipeline"
)

// TestRememberedEnvelope: a delivery makes the same receipt, octet for octet,
// whether the accepted envelope was remembered or is read from the store after a
// restart.
func TestRememberedEnvelope(t *testing.T) {
	long := strings.Repeat("perché così città ", 300)
	for name, extra := range map[string]string{
		"plain":           "",
		"encoded subject": "Subject: =?utf-8?q?Citt=C3=A0_=E2=80=AE_gpj.exe?= =?iso-8859-1?q?=E9?=\r\n",
		"no subject":      "-",
		"empty subject":   "Subject:\r\n",
		"raw octets":      "Subject: citt\xe0 \x01\x02 \xff\r\n",
		"long subject":    "Subject: " + long[:900] + "\r\n",
		"markup":          "Subject: <b>&amp; ]]> \"'</b>\r\n",
		"reply-to":        "Reply-To: =?utf-8?q?A=2C_B?= <x@y.example>,\r\n\t<z@y.example>\r\n",
		"two reply-to":    "Reply-To: a@b.example\r\nReply-To: c@d.example\r\n",
		"brief":           "X-TipoRicevuta: breve\r\n",
		"concise":         "X-TipoRicevuta: sintetica\r\n",
		"unknown form":    "X-TipoRicevuta: tutto\r\n",
		"copy only":       "X-Copia: si\r\n",
		"message-id":      "Message-ID: <a b@c>(d)\r\n",
		"8 bit":           "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			var got [2][]got
			for i := range got {
				w := newWorld(t)
				p := w.providers["alfa.example"]
				p.core.Random = rand.NewChaCha8([32]byte{1})
				text := message("anna@alfa.example", "bruno@alfa.example", "", "Perch\xc3\xa9 no\r\n")
				switch extra {
				case "":
				case "-":
					text = without(text, "Subject:")
				default:
					field, _, _ := strings.Cut(extra, ":")
					text = extra + without(text, field+":")
				}
				w.submit("anna@alfa.example", []string{"bruno@alfa.example", "carla@alfa.example"}, strings.Replace(text, "To: bruno@alfa.example", "To: bruno@alfa.example\r\nCc: carla@alfa.example", 1))
				if i == 1 {
					p.restart()
				}
				for w.once(p, pipeline.JobDeliver) {
				}
				for _, address := range []string{"anna@alfa.example", "bruno@alfa.example", "carla@alfa.example"} {
					got[i] = append(got[i], w.inbox(address)...)
				}
			}
			refused := len(got[0]) == 1 // a notice of non-acceptance for its form
			if !refused && len(got[0]) < 4 || len(got[0]) != len(got[1]) {
				t.Fatalf("%d and %d messages", len(got[0]), len(got[1]))
			}
			for i := range got[0] {
				if !bytes.Equal(got[0][i].raw, got[1][i].raw) {
					t.Errorf("remembered:\n%.3000s\nread:\n%.3000s", got[0][i].raw, got[1][i].raw)
				}
			}
		})
	}
}

// without drops the lines that begin with a field's name.
func without(text, field string) string {
	var kept []string
	for line := range strings.SplitAfterSeq(text, "\r\n") {
		if !strings.HasPrefix(strings.ToLower(line), strings.ToLower(field)) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}
