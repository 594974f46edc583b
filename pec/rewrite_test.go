// SPDX-License-Identifier: EUPL-1.2

package pec_test

import (
	"strings"
	"testing"
	"time"

	"pecd/pec"
)

func TestRewriteOriginal(t *testing.T) {
	const received = "Received: from x\r\n\tby y; now\r\n"
	const ours = "Message-ID: <id@alfa.example>\r\n"
	for name, c := range map[string]struct{ in, out, msgid string }{
		"replaced where it was": {
			"A: 1\r\nMessage-ID: <m@c>\r\nB: 2\r\n\r\n",
			"A: 1\r\n" + ours + "X-Riferimento-Message-ID: <m@c>\r\nB: 2\r\n\r\n", "<m@c>"},
		"none": {"A: 1\r\n\r\n", ours + "A: 1\r\n\r\n", ""},
		"empty": {"A: 1\r\nMessage-ID:\r\n\r\n",
			"A: 1\r\n" + ours + "\r\n", ""},
		"other case, folded": {"MESSAGE-ID:\r\n <m@c>\r\nB: 2\r\n",
			ours + "X-Riferimento-Message-ID: <m@c>\r\nB: 2\r\n\r\n", "<m@c>"},
		"blank before the colon": {"Message-Id : <m@c>\r\n\r\n",
			ours + "X-Riferimento-Message-ID: <m@c>\r\n\r\n", "<m@c>"},
		"two": {"Message-ID: <m@c>\r\nA: 1\r\nMessage-ID: <n@c>\r\n\r\n",
			ours + "X-Riferimento-Message-ID: <m@c>\r\nA: 1\r\n\r\n", "<m@c>"},
		"two, the first empty": {"Message-ID: \r\nMessage-ID: <n@c>\r\n\r\n",
			ours + "X-Riferimento-Message-ID: <n@c>\r\n\r\n", "<n@c>"},
		"reference of the client replaced": {"X-Riferimento-Message-ID: <old@c>\r\nMessage-ID: <m@c>\r\nx-riferimento-message-id:\r\n <old@c>\r\n\r\n",
			ours + "X-Riferimento-Message-ID: <m@c>\r\n\r\n", "<m@c>"},
		"reference of the client dropped": {"X-Riferimento-Message-ID: <old@c>\r\nA: 1\r\n\r\n", ours + "A: 1\r\n\r\n", ""},
		"every other octet stays": {"a:1\r\n B :\t2  \r\n\tx\r\nno field\r\nC: \xe8\x00\r\nD: =?x\r\n\r\n",
			ours + "a:1\r\n B :\t2  \r\n\tx\r\nno field\r\nC: \xe8\x00\r\nD: =?x\r\n\r\n", ""},
		"no final line break":   {"A: 1", ours + "A: 1\r\n\r\n", ""},
		"bare LF stays":         {"A: 1\nMessage-ID: <m@c>\nB: 2\n\n", "A: 1\n" + ours + "X-Riferimento-Message-ID: <m@c>\r\nB: 2\n\r\n", "<m@c>"},
		"nothing":               {"", ours + "\r\n", ""},
		"first line is a blank": {" x: 1\r\nA: 1\r\n\r\n", ours + "A: 1\r\n\r\n", ""},
		"without brackets": {"Message-ID: m@c\r\n\r\n",
			ours + "X-Riferimento-Message-ID: <m@c>\r\n\r\n", "<m@c>"},
		"with a comment": {"Message-ID: (x) <m@c> (y)\r\n\r\n",
			ours + "X-Riferimento-Message-ID: <m@c>\r\n\r\n", "<m@c>"},
		"spaces and octets": {"Message-ID: <m \xe8\x01 n@c>\r\n\r\n",
			ours + "X-Riferimento-Message-ID: <mn@c>\r\n\r\n", "<mn@c>"},
		"without @": {"Message-ID: <m>\r\n\r\n", ours + "X-Riferimento-Message-ID: <m>\r\n\r\n", "<m>"},
		"nothing usable": {"Message-ID: <\x01 \xff>\r\n\r\n",
			ours + "\r\n", ""},
		"too long": {"Message-ID: <" + strings.Repeat("m", 2000) + "@c>\r\n\r\n",
			ours + "X-Riferimento-Message-ID: <" + strings.Repeat("m", 898) + ">\r\n\r\n", "<" + strings.Repeat("m", 898) + ">"},
	} {
		t.Run(name, func(t *testing.T) {
			header, msgid := pec.RewriteOriginal(parseHeader(t, c.in), "id@alfa.example", []byte(received))
			if string(header) != received+c.out {
				t.Errorf("got  %q\nwant %q", header, received+c.out)
			}
			if msgid != c.msgid {
				t.Errorf("msgid %q, want %q", msgid, c.msgid)
			}
		})
	}
	header, _ := pec.RewriteOriginal(parseHeader(t, "A: 1\r\n"), "id@alfa.example", []byte("Received: x"))
	if !strings.HasPrefix(string(header), "Received: x\r\nMessage-ID:") {
		t.Errorf("a trace field without line break: %q", header)
	}
}

func TestNewID(t *testing.T) {
	at := time.Date(2026, 6, 3, 10, 15, 5, 999, time.UTC)
	if got, want := pec.NewID(at, [16]byte{0: 0xAB, 15: 1}, "alfa.example"),
		"pecd1.20260603101505.ab000000000000000000000000000001.1@alfa.example"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestReceiptID(t *testing.T) {
	seen := map[string]bool{"x@alfa.example": true}
	for _, id := range []string{"x@alfa.example", "y@alfa.example"} {
		for k := pec.Acceptance; k <= pec.AnomalyEnvelope; k++ {
			for _, recipient := range []string{"", "a@b.example", "a@c.example"} {
				for _, domain := range []string{"alfa.example", "beta.example"} {
					got := pec.ReceiptID(id, domain, k, recipient)
					if seen[got] {
						t.Errorf("%s twice", got)
					}
					seen[got] = true
					if got != pec.ReceiptID(id, domain, k, strings.ToUpper(recipient)) {
						t.Errorf("%s depends on the case of the recipient", got)
					}
					if !strings.HasSuffix(got, "@"+domain) || strings.ContainsAny(got, "<> ") {
						t.Errorf("%s is no identifier of %s", got, domain)
					}
				}
			}
		}
	}
	if pec.ReceiptID("a", "b.example", pec.Delivery, "c") == pec.ReceiptID("ab.example", "", pec.Delivery, "c") {
		t.Error("arguments run into each other")
	}
}

func TestKinds(t *testing.T) {
	names := map[string]bool{}
	for k := pec.None; k <= pec.AnomalyEnvelope+1; k++ {
		if k > pec.AnomalyEnvelope {
			if k.String() != pec.None.String() {
				t.Errorf("an unknown kind is called %q", k)
			}
			continue
		}
		if names[k.String()] || k.String() == "" || k.Title() == "" {
			t.Errorf("kind %d is called %q, %q", k, k, k.Title())
		}
		names[k.String()] = true
		if got, ok := pec.ParseKind(k.String()); got != k || !ok {
			t.Errorf("%q is read as %v", k, got)
		}
		if k != pec.None && (k.ReceiptHeader() == "") == (k.TransportHeader() == "") {
			t.Errorf("%s must have exactly one of X-Ricevuta and X-Trasporto", k)
		}
		if k != pec.None && !strings.HasSuffix(k.SubjectPrefix(), ": ") {
			t.Errorf("prefix %q", k.SubjectPrefix())
		}
	}
	if _, ok := pec.ParseKind("boh"); ok {
		t.Error("an unknown name is accepted")
	}
	for in, want := range map[string]pec.ReceiptType{"completa": "completa", " BREVE\t": "breve", "Sintetica": "sintetica"} {
		if got, ok := pec.ParseReceiptType(in); got != want || !ok {
			t.Errorf("%q is read as %q, %v", in, got, ok)
		}
	}
	for _, in := range []string{"", "x", "completa breve"} {
		if got, ok := pec.ParseReceiptType(in); got != pec.ReceiptComplete || ok {
			t.Errorf("%q is read as %q, %v", in, got, ok)
		}
	}
	for f := pec.FormConcise; f <= pec.FormComplete; f++ {
		if _, ok := pec.ParseReceiptType(f.String()); !ok {
			t.Errorf("form %d is called %q", f, f)
		}
	}
}
