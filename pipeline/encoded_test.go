// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pecd/fault"
	"pecd/ledger"
	"pecd/pipeline"
	"pecd/storage"
)

const encodedLimit = "pecd.Limits.EncodedParts"

// inner is a message that a part of another may hold.
func inner(text string) string {
	return "From: x@mail.example\r\nSubject: dentro\r\n\r\n" + text + "\r\n"
}

func base64Of(s string) string {
	var b strings.Builder
	for line := []byte(s); len(line) > 0; {
		n := min(len(line), 57)
		b.WriteString(base64.StdEncoding.EncodeToString(line[:n]) + "\r\n")
		line = line[n:]
	}
	return b.String()
}

// quotedOf encodes every octet, so that nothing of s is to be seen.
func quotedOf(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "=%02X", s[i])
		if i%20 == 19 {
			b.WriteString("=\r\n")
		}
	}
	return b.String() + "\r\n"
}

// part is a part of a multipart, without its boundary line.
func part(media, encoding, body string) string {
	return "Content-Type: " + media + "\r\nContent-Transfer-Encoding: " + encoding + "\r\n\r\n" + body
}

func rfc822In64(message string) string { return part("message/rfc822", "base64", base64Of(message)) }

// multi is the body of a multipart whose boundary is b.
func multi(b string, parts ...string) string {
	var s strings.Builder
	for _, p := range parts {
		s.WriteString("--" + b + "\r\n" + p + "\r\n")
	}
	return s.String() + "--" + b + "--\r\n"
}

// holding is a message of the client's that holds parts.
func holding(parts ...string) string {
	return message(anna, bruno, "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=est\r\n", multi("est", append([]string{"\r\nciao\r\n"}, parts...)...))
}

// nested is a message in messages, each but the outermost encoded.
func nested(levels int, encode func(message string) string, text string) string {
	m := inner(text)
	for range levels - 1 {
		m = "From: x@mail.example\r\nMIME-Version: 1.0\r\n" + encode(m)
	}
	return holding(encode(m))
}

func times(n int, f func(string) string, text string) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = f(inner(text))
	}
	return out
}

func quoted(message string) string {
	return part("message/rfc822", "quoted-printable", strings.ReplaceAll(message, "=", "=3D"))
}

// both is a part that is a message in clear and one in quoted-printable.
func both(text string) string {
	return "Content-Transfer-Encoding: 7bit\r\n" + quoted(text)
}

// encodedMessages are messages with what is found in them.
var encodedMessages = map[string]struct{ message, finds string }{
	"message in base64":                  {holding(rfc822In64(inner(virusMark))), virusName},
	"message in quoted-printable":        {holding(part("message/rfc822", "quoted-printable", quotedOf(inner(virusMark)))), virusName},
	"the submission itself":              {message(anna, bruno, "MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n", base64Of(inner(virusMark))), virusName},
	"the submission itself, a multipart": {message(anna, bruno, "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=q\r\nContent-Transfer-Encoding: quoted-printable\r\n", quotedOf(multi("q", "\r\n"+virusMark))+multi("q", "\r\nciao")), virusName},
	"multipart in base64":                {holding(part("multipart/mixed; boundary=q", "base64", base64Of(multi("q", "\r\n"+virusMark))+multi("q", "\r\nciao"))), virusName},
	"message/global":                     {holding(part("message/global", "base64", base64Of(inner(virusMark)))), virusName},
	"message of another kind":            {holding(part("message/delivery-status", "base64", base64Of(virusMark))), virusName},
	"by default a message":               {holding("Content-Type: multipart/digest; boundary=d\r\n\r\n" + multi("d", "Content-Transfer-Encoding: base64\r\n\r\n"+base64Of(inner(virusMark)))), virusName},
	"in a message in clear":              {holding("Content-Type: message/rfc822\r\n\r\nFrom: x@mail.example\r\nMIME-Version: 1.0\r\n" + rfc822In64(inner(virusMark))), virusName},
	"no message at all":                  {holding(rfc822In64(virusMark + "\x00\xff")), virusName},
	"capitals":                           {holding(part("Message/RFC822", "BASE64 (come altri)", base64Of(inner(virusMark)))), virusName},
	"in quotes":                          {holding(part(`"message/rfc822"`, `"base64"`, base64Of(inner(virusMark)))), virusName},
	"multipart in quotes":                {holding(part(`"multipart/mixed"; boundary=q`, "base64", base64Of(virusMark))), virusName},
	"the second of two encodings":        {holding("Content-Transfer-Encoding: 7bit\r\n" + rfc822In64(inner(virusMark))), virusName},
	"the second of two types":            {holding("Content-Type: text/plain\r\n" + rfc822In64(inner(virusMark))), virusName},
	"broken base64":                      {holding(part("message/rfc822", "base64", strings.ReplaceAll(base64Of(inner(virusMark)), "U", "!U*"))), virusName},
	"base64 without pads":                {holding(part("message/rfc822", "base64", strings.TrimRight(base64Of("a"), "=\r\n")+"="+base64Of(inner(virusMark)))), virusName},
	"text after base64":                  {holding(part("message/rfc822", "base64", base64Of(inner(virusMark))+"\r\n-- \r\nAvviso: controllato\r\n")), virusName},
	"not in base64 at all":               {holding(part("message/rfc822", "base64", "\r\n"+strings.Repeat("_", 40)+"\r\n")), ""},
	"not encoded, and in it one that is": {holding(part("message/rfc822", "base64", "From: x@mail.example\r\nMIME-Version: 1.0\r\n"+part("message/rfc822", "quoted-printable", quotedOf(inner(virusMark))))), virusName},
	"hidden by decoding":                 {holding(part("message/rfc822", "quoted-printable", "From: x@mail.example=\r\nMIME-Version: 1.0=\r\n"+rfc822In64(inner(virusMark)))), virusName},
	"hidden by decoding the multipart":   {holding(part("multipart/mixed; boundary=q", "quoted-printable", "--q=\r\nX: y=\r\n"+multi("q", "X: y=\r\n"+rfc822In64(inner(virusMark))))), virusName},
	"3 deep":                             {nested(3, rfc822In64, virusMark), virusName},
	"5 deep":                             {nested(5, rfc822In64, virusMark), virusName},
	"5 deep, clean":                      {nested(5, rfc822In64, "ciao"), ""},
	"6 deep, clean":                      {nested(6, rfc822In64, "ciao"), encodedLimit},
	"7 deep":                             {nested(7, rfc822In64, virusMark), encodedLimit},
	"100 parts":                          {holding(append(times(99, rfc822In64, "ciao"), rfc822In64(inner(virusMark)))...), virusName},
	"100 parts, clean":                   {holding(times(100, rfc822In64, "ciao")...), ""},
	"150 parts, clean":                   {holding(times(150, rfc822In64, "ciao")...), encodedLimit},
	"102 parts at two depths, clean":     {holding(times(51, func(m string) string { return rfc822In64("From: x@mail.example\r\n" + rfc822In64(m)) }, "ciao")...), encodedLimit},
	"150 parts in clear":                 {holding(times(150, func(m string) string { return part("message/rfc822", "8bit", m) }, "ciao")...), ""},
	"4 times large":                      {nested(4, quoted, strings.Repeat("ciao\r\n", 3000)), ""},
	"5 times large":                      {nested(5, quoted, strings.Repeat("ciao\r\n", 3000)), encodedLimit},
	"multiparts in each other, as some mark them": {holding(part("multipart/mixed; boundary=a", "quoted-printable", multi("a",
		part("multipart/mixed; boundary=b", "quoted-printable", multi("b", part("multipart/mixed; boundary=c", "quoted-printable", multi("c", "\r\n"+strings.Repeat("ciao\r\n", 3000)))))))), ""},
	"messages in each other, said to be both": {holding(both(both(both(inner(strings.Repeat("ciao\r\n", 3000)))))), ""},
	"more header than is read":                {holding(rfc822In64("From: x@mail.example\r\n" + strings.Repeat("X: y\r\n", 2000) + rfc822In64(inner(virusMark)))), encodedLimit},
	"more parts than are read":                {holding(rfc822In64("Content-Type: multipart/mixed; boundary=n\r\n\r\n" + multi("n", strings.Split(strings.Repeat(" ", 10100), "")...))), encodedLimit},
	"broken base64, long and clean":           {holding(part("message/rfc822", "base64", "!"+base64Of(inner(strings.Repeat("ciao\r\n", 30000))))), ""},
}

// TestRFC2045_6_4_EncodedComposites: what an engine may not decode is decoded
// for it at the access point; what is clean arrives as it was sent.
func TestRFC2045_6_4_EncodedComposites(t *testing.T) {
	w, _, _ := guarded(t)
	kept, delivered := 0, 0
	for name, c := range encodedMessages {
		t.Run(name, func(t *testing.T) {
			text := w.submit(anna, []string{bruno}, c.message)
			if c.finds != "" {
				kept++
				q := w.wantQuarantine("alfa.example", kept)[kept-1]
				if !strings.Contains(text, "non accettato per virus") || q.clear != c.message || q.Virus != c.finds {
					t.Errorf("answer %q, virus %q, kept %q", text, q.Virus, q.clear)
				}
				return
			}
			w.settle()
			delivered++
			_, body, _ := strings.Cut(c.message, "\r\n\r\n")
			inbox := w.inbox(bruno)
			if len(inbox) != delivered {
				t.Fatalf("%d messages, want %d; answer %q", len(inbox), delivered, text)
			}
			if got := inbox[delivered-1].original(); !strings.HasSuffix(got, "\r\n\r\n"+body) {
				t.Errorf("arrived as %q", got)
			}
		})
	}
	if n := strings.Count(w.kinds(anna), "non-accettazione-virus"); n != kept || delivered == 0 {
		t.Errorf("%d notices for %d messages", n, kept)
	}
	w.wantSpoolsGone()
	w.clean()
}

// wantSpoolsGone checks that nothing of what was decoded is left on disk.
func (w *world) wantSpoolsGone() {
	w.t.Helper()
	for d, p := range w.providers {
		left, err := os.ReadDir(filepath.Join(p.dir, "spool"))
		check(w.t, err)
		if len(left) > 0 {
			w.t.Errorf("%s: %d spools left", d, len(left))
		}
	}
}

// TestRFC2045_6_4_EncodedCompositesIncoming: the same in envelopes, where all of
// it lies inside the original, and in ordinary mail.
func TestRFC2045_6_4_EncodedCompositesIncoming(t *testing.T) {
	for _, name := range []string{"message in base64", "the submission itself", "multipart in base64", "3 deep", "7 deep", "150 parts, clean", "100 parts, clean"} {
		t.Run(name, func(t *testing.T) {
			c := encodedMessages[name]
			w, _, _ := guarded(t)
			w.at(anna).core.Scanner = nil
			w.submit(anna, []string{bruno}, c.message)
			w.settle()
			err := w.receive("x@mail.example", []string{carla}, []byte(strings.ReplaceAll(c.message, anna, "x@mail.example")))
			if c.finds == "" {
				check(t, err)
				w.want(bruno, "posta-certificata")
				w.wantQuarantine("beta.example", 0)
				return
			}
			w.want(bruno, "")
			w.want(carla, "")
			w.want(anna, "accettazione errore-consegna-virus")
			if got := w.inbox(anna)[1].rec.CertData.ExtendedError; got != c.finds {
				t.Errorf("notice says %q, want %q", got, c.finds)
			}
			if q := w.wantQuarantine("beta.example", 1)[0]; q.Virus != c.finds || !strings.Contains(q.clear, "X-Trasporto") {
				t.Errorf("virus %q", q.Virus)
			}
			wantKind(t, err, fault.Infected)
			if codes := fault.CodesOf(err); !strings.Contains(codes.Text, c.finds) {
				t.Errorf("%+v", codes)
			}
		})
	}
}

// TestIncoming_TreeCutShort: a message of which the reader leaves something out
// may hold there what the engine does not decode.
func TestIncoming_TreeCutShort(t *testing.T) {
	w, _, _ := guarded(t)
	err := w.receive("x@mail.example", []string{bruno}, []byte(message("x@mail.example", bruno, strings.Repeat("X: y\r\n", 2000), "ciao\r\n")))
	wantKind(t, err, fault.Infected)
	w.want(bruno, "")
}

// TestScan_OfEncodedParts: the message once, and twice each part: as a file and
// as a message. Without such parts, nothing more than the message, once.
func TestScan_OfEncodedParts(t *testing.T) {
	w, scanner, _ := guarded(t)
	store := &countingStore{Store: w.at(anna).core.Store}
	w.at(anna).core.Store = store
	for name, c := range map[string]struct {
		message       string
		scans, spools int
	}{
		"plain":                 {message(anna, bruno, "", "ciao\r\n"), 1, 1},
		"attachments":           {holding(part("application/octet-stream", "base64", base64Of(inner("x"))), part("text/plain", "quoted-printable", "x")), 1, 1},
		"messages in clear":     {holding(part("message/rfc822", "8bit", inner("x")), part("multipart/mixed; boundary=q", "binary", multi("q", "\r\nx"))), 1, 1},
		"empty ones":            {holding(part("message/rfc822", "base64", "")), 1, 1},
		"a message in base64":   {holding(rfc822In64(inner("x"))), 3, 2},
		"a multipart in base64": {holding(part("multipart/mixed; boundary=q", "base64", base64Of(multi("q", "\r\nx"))+multi("q", "\r\nx"))), 3, 2},
		"one in another":        {holding(rfc822In64("From: x@mail.example\r\n" + rfc822In64(inner("x")))), 5, 3},
		"nothing in it":         {holding(part("message/rfc822", "base64", "____\r\n")), 3, 3},
		"standing all the way":  {holding(part("multipart/mixed; boundary=q", "quoted-printable", multi("q", rfc822In64(part("multipart/mixed; boundary=r", "quoted-printable", multi("r", "\r\nx")))))), 9, 5},
		"broken":                {holding(part("message/rfc822", "base64", "!"+base64Of(inner("x")))), 5, 3},
	} {
		t.Run(name, func(t *testing.T) {
			scanner.scans, store.spools = 0, 0
			text := w.submit(anna, []string{bruno}, c.message)
			if scanner.scans != c.scans || store.spools != c.spools || !strings.HasPrefix(text, "2.0.0 accettato") {
				t.Errorf("%d scans, %d spools; want %d, %d; answer %q", scanner.scans, store.spools, c.scans, c.spools, text)
			}
		})
	}
}

type countingStore struct {
	storage.Store
	spools int
}

func (s *countingStore) NewSpool() storage.Spool {
	s.spools++
	return s.Store.NewSpool()
}

// TestScan_WorstFinding: over all that is looked at, refusing beats reporting
// beats nothing, and a failure of one look is no verdict.
func TestScan_WorstFinding(t *testing.T) {
	clean, closed, virus := rfc822In64(inner("x")), rfc822In64(inner(closedMark)), rfc822In64(inner(virusMark))
	for name, c := range map[string]struct {
		message string
		kinds   string
		reports int
	}{
		"reported, clean":    {holding(closed, clean), "accettazione", 1},
		"clean, reported":    {holding(clean, closed), "accettazione", 1},
		"reported, infected": {holding(closed, virus), "non-accettazione-virus", 0},
		"outside, inside":    {holding("\r\n"+closedMark, virus), "non-accettazione-virus", 0},
		"inside, outside":    {holding(virus, "\r\n"+closedMark), "non-accettazione-virus", 0},
	} {
		t.Run(name, func(t *testing.T) {
			w, _, _ := guarded(t)
			w.submit(anna, []string{bruno}, c.message)
			w.want(anna, c.kinds)
			e := w.logged("alfa.example", ledger.ScanReported)
			if len(e) != c.reports || len(e) > 0 && e[0].Detail != closedName {
				t.Errorf("reports %+v", e)
			}
		})
	}
	w, scanner, _ := guarded(t)
	for n := 1; n <= 5; n++ {
		w.at(anna).core.Scanner = &failingAt{scanner: scanner, n: n}
		_, err := w.trySubmit(anna, []string{bruno}, holding(closed, clean))
		wantKind(t, err, fault.Temporary)
		if codes := fault.CodesOf(err); codes.SMTP != 451 {
			t.Errorf("look %d fails: answer %d", n, codes.SMTP)
		}
		w.want(anna, "")
		w.wantSpoolsGone()
	}
}

// failingAt fails at its look n.
type failingAt struct {
	scanner pipeline.Scanner
	n       int
}

func (f *failingAt) Scan(ctx context.Context, r io.Reader) (pipeline.Finding, error) {
	if f.n--; f.n == 0 {
		return pipeline.Finding{}, errors.New("engine down")
	}
	return f.scanner.Scan(ctx, r)
}
