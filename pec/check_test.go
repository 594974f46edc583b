// SPDX-License-Identifier: EUPL-1.2

package pec_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pecd/pec"
	"pecd/rfc822"
)

// scanAny scans a message that may have defects; LF becomes CRLF.
func scanAny(message string) *rfc822.Message {
	return scanRaw([]byte(strings.ReplaceAll(message, "\n", "\r\n")))
}

func scanRaw(message []byte) *rfc822.Message {
	s := rfc822.NewScanner(rfc822.DefaultLimits())
	s.Write(message)
	return s.Finish()
}

const goodHeader = "From: Anna <anna@pec.alfa.example>\nTo: bruno@pec.beta.example, Dora <dora@pec.beta.example>\nCc: carla@mail.example\n" +
	"Subject: Ordine\nDate: Wed, 3 Jun 2026 10:15:05 +0200\nMessage-ID: <1@x>\n"

func submission(message string) pec.Submission {
	m := scanAny(message)
	return pec.Submission{
		ReversePath: "anna@pec.alfa.example",
		Recipients:  []string{"bruno@pec.beta.example", "dora@pec.beta.example", "carla@mail.example"},
		Message:     m, Header: m.Root.Header, MaxSize: 100 << 20, MaxProduct: 300 << 20,
	}
}

func checksOf(violations []pec.Violation) []int {
	var checks []int
	for _, v := range violations {
		checks = append(checks, v.Check)
	}
	return checks
}

func TestCheckSubmission(t *testing.T) {
	nest := ""
	for i := range 200 {
		nest += fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
	}
	edit := func(old, new string) string {
		if !strings.Contains(goodHeader, old) {
			t.Fatalf("%q is not in the header", old)
		}
		return strings.Replace(goodHeader, old, new, 1) + "\nCiao.\n"
	}
	tests := []struct {
		name, message string
		change        func(*pec.Submission)
		checks        []int
		text          string // part of the first violation
	}{
		{name: "good", message: goodHeader + "\nCiao.\n"},
		{name: "good without body", message: goodHeader},
		{name: "good without a final line end", message: goodHeader + "\nCiao."},
		{name: "addresses in other case", message: goodHeader + "\n", change: func(s *pec.Submission) {
			s.ReversePath = "ANNA@PEC.alfa.example"
			s.Recipients = []string{"Bruno@Pec.Beta.Example"}
		}},
		{name: "a batch of the recipients", message: goodHeader + "\n", change: func(s *pec.Submission) { s.Recipients = s.Recipients[:1] }},
		{name: "empty Bcc", message: goodHeader + "Bcc: \n\n"},
		{name: "no Cc", message: edit("Cc: carla@mail.example\n", ""), change: func(s *pec.Submission) { s.Recipients = s.Recipients[:2] }},
		{name: "no Date", message: edit("Date: Wed, 3 Jun 2026 10:15:05 +0200\n", "")},
		{name: "multipart", message: goodHeader + "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n"},
		{name: "attached message with defects", message: goodHeader + "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\n" +
			"From bad line\nContent-Type: multipart/mixed; boundary=c\n\nx\n--b--\n"},

		{name: "NUL", message: goodHeader + "\na\x00b\n", checks: []int{1}, text: "NUL"},
		{name: "bare CR", message: goodHeader + "\na\rb\n", checks: []int{1}, text: "CR o LF"},
		{name: "998 characters", message: goodHeader + "\n" + strings.Repeat("x", 998) + "\n"},
		{name: "999 characters", message: goodHeader + "\n" + strings.Repeat("x", 999) + "\n", checks: []int{1}, text: "998"},
		{name: "line of 100 kB", message: goodHeader + "\n" + strings.Repeat("x", 100_000) + "\n", checks: []int{1}, text: "998"},
		{name: "8 bits in the header", message: edit("Ordine", "Perché"), checks: []int{1}, text: "non ASCII"},
		{name: "8 bits in the body", message: goodHeader + "\nPerché\n"},
		{name: "malformed line", message: goodHeader + "no field\n\n", checks: []int{1}, text: "intestazione"},
		{name: "blank before colon", message: goodHeader + "Bcc : x@y.example\n\n", checks: []int{1, 6}, text: "intestazione"},
		{name: "10,000 header lines", message: goodHeader + strings.Repeat("X-A: b\n", 10_000) + "\n", checks: []int{1}, text: "troppi campi"},
		{name: "header too large", message: goodHeader + strings.Repeat("X-A: "+strings.Repeat("b", 900)+"\n", 700) + "\n", checks: []int{1}, text: "troppo grande"},
		{name: "nested 200 deep", message: goodHeader + nest + "\nx\n", checks: []int{1, 1}, text: "livelli"},
		{name: "too many parts", message: goodHeader + "Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n\nx\n", 11_000) + "--b--\n",
			checks: []int{1}, text: "troppe parti"},
		{name: "unclosed multipart", message: goodHeader + "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n", checks: []int{1}, text: "non chiusa"},
		{name: "multipart without boundary", message: goodHeader + "Content-Type: multipart/mixed\n\n--b\n\nx\n", checks: []int{1}, text: "senza delimitatore"},
		{name: "empty multipart", message: goodHeader + "Content-Type: multipart/mixed; boundary=b\n\n--b--\n", checks: []int{1}, text: "vuota"},
		{name: "two Subjects", message: goodHeader + "subject: x\n\n", checks: []int{1}, text: "Subject"},
		{name: "two Message-IDs", message: goodHeader + "Message-Id: <x@y>\n\n", checks: []int{1}, text: "Message-ID"},
		{name: "two Tos", message: goodHeader + "To: x@y.example\n\n", checks: []int{1}, text: "To"},
		{name: "two Content-Types", message: goodHeader + "Content-Type: text/plain\nContent-Type: text/html\n\n", checks: []int{1}, text: "Content-Type"},

		{name: "no From", message: edit("From: Anna <anna@pec.alfa.example>\n", ""), checks: []int{2}, text: "mancante"},
		{name: "two addresses in From", message: edit("Anna <anna@pec.alfa.example>", "anna@pec.alfa.example, x@pec.alfa.example"), checks: []int{2}, text: "più di un"},
		{name: "two Froms", message: goodHeader + "From: anna@pec.alfa.example\n\n", checks: []int{1, 2}, text: "From"},
		{name: "no address in From", message: edit("Anna <anna@pec.alfa.example>", "Anna"), checks: []int{2}, text: "nessun indirizzo"},
		{name: "invalid address in From", message: edit("anna@pec.alfa.example", "anna@pec..example"), checks: []int{2}, text: "nessun indirizzo"},
		{name: "no To", message: edit("To: bruno@pec.beta.example, Dora <dora@pec.beta.example>\n", ""),
			change: func(s *pec.Submission) { s.Recipients = s.Recipients[2:] }, checks: []int{3}, text: "To mancante"},
		{name: "no address in To", message: edit("bruno@pec.beta.example, Dora <dora@pec.beta.example>", "undisclosed-recipients:;"),
			change: func(s *pec.Submission) { s.Recipients = s.Recipients[2:] }, checks: []int{3}, text: "nessun indirizzo"},
		{name: "other sender", message: goodHeader + "\n", change: func(s *pec.Submission) { s.ReversePath = "x@pec.alfa.example" }, checks: []int{4}, text: "x@pec.alfa.example"},
		{name: "null sender", message: goodHeader + "\n", change: func(s *pec.Submission) { s.ReversePath = "" }, checks: []int{4}, text: "<>"},
		{name: "recipient by RCPT alone", message: goodHeader + "\n", change: func(s *pec.Submission) { s.Recipients = append(s.Recipients, "hidden@x.example") },
			checks: []int{5}, text: "hidden@x.example"},
		{name: "many of them", message: goodHeader + "\n", change: func(s *pec.Submission) {
			for i := range 20 {
				s.Recipients = append(s.Recipients, fmt.Sprintf("h%d@x.example", i))
			}
		}, checks: []int{5}, text: "h4@x.example e altri 15"},
		{name: "no recipient", message: goodHeader + "\n", change: func(s *pec.Submission) { s.Recipients = nil }, checks: []int{5}, text: "nessun destinatario"},
		{name: "Bcc", message: goodHeader + "BCC: x@y.example\n\n", checks: []int{6}, text: "Bcc"},
		{name: "second Bcc", message: goodHeader + "Bcc:\nBcc: x@y.example\n\n", checks: []int{1, 6}, text: "Bcc"},
		{name: "size at the limit", message: goodHeader + "\n", change: func(s *pec.Submission) { s.MaxSize, s.MaxProduct = s.Message.Size, 3*s.Message.Size }},
		{name: "size", message: goodHeader + "\n", change: func(s *pec.Submission) { s.MaxSize = s.Message.Size - 1 }, checks: []int{7}, text: "dimensione"},
		{name: "size times recipients", message: goodHeader + "\n", change: func(s *pec.Submission) { s.MaxProduct = 3*s.Message.Size - 1 }, checks: []int{7}, text: "numero di destinatari"},
		{name: "no limits", message: goodHeader + "\n", change: func(s *pec.Submission) { s.MaxSize, s.MaxProduct = 0, 0 }},
		{name: "no overflow", message: goodHeader + "\n", change: func(s *pec.Submission) { s.Message.Size, s.MaxSize = 1<<62, 0 }, checks: []int{7}, text: "numero"},

		{name: "strict and good", message: goodHeader + "\n", change: func(s *pec.Submission) { s.Strict = true }},
		{name: "strict, address that is no recipient", message: goodHeader + "\n", change: func(s *pec.Submission) { s.Strict, s.Recipients = true, s.Recipients[:2] },
			checks: []int{5}, text: "carla@mail.example"},
		{name: "strict, no Date", message: edit("Date: Wed, 3 Jun 2026 10:15:05 +0200\n", ""), change: func(s *pec.Submission) { s.Strict = true }, checks: []int{1}, text: "Date"},
		{name: "nothing at all", message: "", checks: []int{2, 3, 5}, text: "From"},
		{name: "everything at once", message: "Bcc: x@y.example\n\n\x00\n", change: func(s *pec.Submission) { s.MaxSize = 1 }, checks: []int{1, 2, 3, 5, 6, 7}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := submission(tt.message)
			if tt.change != nil {
				tt.change(&s)
			}
			got := pec.CheckSubmission(s)
			if fmt.Sprint(checksOf(got)) != fmt.Sprint(tt.checks) {
				t.Fatalf("violations %+v, want checks %v", got, tt.checks)
			}
			if len(got) > 0 && !strings.Contains(got[0].Text, tt.text) {
				t.Errorf("text %q, want %q in it", got[0].Text, tt.text)
			}
			if !slices.IsSorted(checksOf(got)) {
				t.Errorf("not ordered: %+v", got)
			}
			for _, v := range got {
				if v.Text == "" || v.English == "" || strings.ContainsAny(v.Text+v.English, "\r\n\x00") || len(v.Text) > 2500 {
					t.Errorf("violation %+v", v)
				}
			}
		})
	}
}

func TestCheckSubmissionBareLF(t *testing.T) {
	s := submission(goodHeader + "\nx\n")
	s.Message = scanRaw([]byte(goodHeader + "\nx\n"))
	s.Header = s.Message.Root.Header
	if got := checksOf(pec.CheckSubmission(s)); fmt.Sprint(got) != "[1]" {
		t.Errorf("checks %v", got)
	}
	if got := checksOf(pec.CheckSubmission(pec.Submission{})); fmt.Sprint(got) != "[1]" {
		t.Errorf("checks %v without a message", got)
	}
}

func TestCheckSubmissionHostileRecipients(t *testing.T) {
	s := submission(goodHeader + "\nx\n")
	s.Recipients = []string{"a\r\nBcc: b@c", strings.Repeat("x", 10_000) + "@y", "\xff\x00@z"}
	s.ReversePath = "\r\n" + strings.Repeat("y", 100_000)
	for _, v := range pec.CheckSubmission(s) {
		if strings.ContainsAny(v.Text, "\r\n\x00") || len(v.Text) > 2000 {
			t.Errorf("%q", v.Text)
		}
	}
}

func TestPrimary(t *testing.T) {
	h := scanAny("To: A <a@x.example>, both@x.example\nTo: second@x.example\nCc: \"B, C\" <b@x.example>, Both@X.example\n\n").Root.Header
	for recipient, want := range map[string]bool{
		"a@x.example": true, "A@X.EXAMPLE": true, "second@x.example": true, "b@x.example": false, "B@x.example": false,
		"both@x.example": true, "neither@x.example": true, "": true,
	} {
		if got := pec.Primaries(h)(recipient); got != want {
			t.Errorf("%q: %v", recipient, got)
		}
	}
	if !pec.Primaries(rfc822.Header{})("a@x.example") {
		t.Error("without To and Cc")
	}
}

func TestFormFor(t *testing.T) {
	for _, tt := range []struct {
		receipt pec.ReceiptType
		primary bool
		want    pec.DeliveryForm
	}{
		{pec.ReceiptComplete, true, pec.FormComplete}, {pec.ReceiptComplete, false, pec.FormConcise},
		{pec.ReceiptBrief, true, pec.FormBrief}, {pec.ReceiptBrief, false, pec.FormConcise},
		{pec.ReceiptConcise, true, pec.FormConcise}, {pec.ReceiptConcise, false, pec.FormConcise},
		{"", true, pec.FormComplete}, {"", false, pec.FormConcise},
	} {
		if got := pec.FormFor(tt.receipt, tt.primary); got != tt.want {
			t.Errorf("%s %v: %v, want %v", tt.receipt, tt.primary, got, tt.want)
		}
	}
}

func BenchmarkCheckSubmission1000(b *testing.B) {
	var to strings.Builder
	s := submission(goodHeader)
	s.Recipients = nil
	for i := range 1000 {
		fmt.Fprintf(&to, "Destinatario %d <r%d@pec.beta.example>,\r\n ", i, i)
		s.Recipients = append(s.Recipients, fmt.Sprintf("r%d@pec.beta.example", i))
	}
	s.Message = scanRaw([]byte("From: anna@pec.alfa.example\r\nTo: " + to.String() + "x@y.example\r\n\r\n"))
	s.Header = s.Message.Root.Header
	for b.Loop() {
		if v := pec.CheckSubmission(s); v != nil {
			b.Fatal(v)
		}
	}
}
