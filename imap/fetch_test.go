// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	imaplib "github.com/emersion/go-imap/v2"

	"pecd/storage"
)

// nested is a message with every kind of part.
const nested = "Date: Wed, 3 Jun 2026 12:15:05 +0200\r\n" +
	"From: =?utf-8?Q?Citt=C3=A0?= <comune@alfa.example>\r\n" +
	"Sender: \"Ufficio, Protocollo\" <@route.example:uff@alfa.example>\r\n" +
	"To: uno@x.example (Primo), Gruppo: due@x.example, \"tre \\\"3\\\"\" <tre@x.example>;,\r\n undisclosed-recipients: (nessuno) ;\r\n" +
	"Subject: =?utf-8?Q?Citt=C3=A0?=\r\n piegato\r\n" +
	"Message-ID: <nested@alfa.example>\r\n" +
	"In-Reply-To: <prima@x.example>\r\n" +
	"MIME-Version: 1.0\r\n" +
	"Content-Type: multipart/mixed; boundary=\"fuori\"\r\n" +
	"\r\n" +
	"preambolo\r\n" +
	"--fuori\r\n" +
	"Content-Type: multipart/alternative; boundary=fuori-1\r\n" +
	"\r\n" +
	"--fuori-1\r\n" +
	"\r\n" +
	"testo\r\nsemplice\r\n" +
	"--fuori-1\r\n" +
	"Content-Type: text/html; charset=utf-8\r\n" +
	"Content-Transfer-Encoding: quoted-printable\r\n" +
	"Content-ID: <h@x>\r\n" +
	"Content-Language: it, en\r\n" +
	"\r\n" +
	"<p>Citt=C3=A0 =\r\n=3D</p>\r\n" +
	"--fuori-1--\r\n" +
	"\r\n" +
	"--fuori\r\n" +
	"Content-Type: message/rfc822; name=\"postacert.eml\"\r\n" +
	"Content-Disposition: attachment; filename*=utf-8''citt%C3%A0.eml\r\n" +
	"\r\n" +
	"From: dentro@x.example\r\nSubject: dentro\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n" +
	"--i\r\n\r\ninterno\r\n--i--\r\n" +
	"--fuori\r\n" +
	"Content-Type: application/pdf\r\n" +
	"Content-Transfer-Encoding: base64\r\n" +
	"Content-Description: allegato\r\n" +
	"\r\n" +
	"AAECAwQF\r\nBgcICQo=\r\n" +
	"--fuori--\r\n" +
	"epilogo\r\n"

func TestFetchStructure(t *testing.T) {
	f := newFixture(t)
	f.deliver("INBOX", nested, `\Seen`, `\Flagged`, "$Forwarded")
	s := f.open("INBOX")
	got := strings.Join(s.ok("FETCH 1 (UID FLAGS INTERNALDATE RFC822.SIZE)"), "\n")
	want := fmt.Sprintf(`* 1 FETCH (UID 1 FLAGS ($Forwarded \Flagged \Seen) INTERNALDATE " 3-Jun-2026 10:15:05 +0000" RFC822.SIZE %d)`, len(nested))
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	got = strings.Join(s.ok("FETCH 1 ENVELOPE"), "\n")
	want = `* 1 FETCH (ENVELOPE ("Wed, 3 Jun 2026 12:15:05 +0200" "=?utf-8?Q?Citt=C3=A0?= piegato" ` +
		`(("=?utf-8?Q?Citt=C3=A0?=" NIL "comune" "alfa.example")) ` +
		`(("Ufficio, Protocollo" "@route.example" "uff" "alfa.example")) ` +
		`(("=?utf-8?Q?Citt=C3=A0?=" NIL "comune" "alfa.example")) ` +
		`(("Primo" NIL "uno" "x.example")(NIL NIL "Gruppo" NIL)(NIL NIL "due" "x.example")("tre \"3\"" NIL "tre" "x.example")(NIL NIL NIL NIL)` +
		`(NIL NIL "undisclosed-recipients" NIL)(NIL NIL NIL NIL)) NIL NIL "<prima@x.example>" "<nested@alfa.example>"))`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	got = strings.Join(s.ok("FETCH 1 BODYSTRUCTURE"), "\n")
	want = `* 1 FETCH (BODYSTRUCTURE ((("text" "plain" NIL NIL NIL "7bit" 15 2 NIL NIL NIL NIL)` +
		`("text" "html" ("charset" "utf-8") "<h@x>" NIL "quoted-printable" 24 2 NIL NIL ("it" "en") NIL)` +
		` "alternative" ("boundary" "fuori-1") NIL NIL NIL)` +
		`("message" "rfc822" ("name" "postacert.eml") NIL NIL "7bit" 107 (NIL "dentro" ((NIL NIL "dentro" "x.example")) ((NIL NIL "dentro" "x.example")) ((NIL NIL "dentro" "x.example")) NIL NIL NIL NIL NIL) ` +
		`(("text" "plain" NIL NIL NIL "7bit" 7 1 NIL NIL NIL NIL) "mixed" ("boundary" "i") NIL NIL NIL) 7 NIL ("attachment" ("filename*" "utf-8''citt%C3%A0.eml")) NIL NIL)` +
		`("application" "pdf" NIL NIL "allegato" "base64" 18 NIL NIL NIL NIL) "mixed" ("boundary" "fuori") NIL NIL NIL))`
	// The lengths are those of the literal text above; they are worked out here
	// so that the expectation says what they are.
	html := section(t, "<p>", "\r\n--fuori-1--")
	attached := section(t, "From: dentro", "\r\n--fuori\r\nContent-Type: application/pdf")
	want = strings.Replace(want, `"quoted-printable" 24 2`, fmt.Sprintf(`"quoted-printable" %d 2`, len(html)), 1)
	want = strings.Replace(want, `"7bit" 107 `, fmt.Sprintf(`"7bit" %d `, len(attached)), 1)
	want = strings.Replace(want, `) 7 NIL ("attachment"`, fmt.Sprintf(`) %d NIL ("attachment"`, strings.Count(attached, "\n")+1), 1)
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if l := s.ok("FETCH 1 FULL"); !strings.Contains(strings.Join(l, ""), ` BODY ((("text" "plain" NIL NIL NIL "7bit" 15 2)("text"`) {
		t.Errorf("%q", l)
	}
}

// section cuts a piece out of nested.
func section(t testing.TB, from, to string) string {
	t.Helper()
	i := strings.Index(nested, from)
	j := strings.Index(nested[i:], to)
	if i < 0 || j < 0 {
		t.Fatal("no such section")
	}
	return nested[i : i+j]
}

func TestFetchSections(t *testing.T) {
	f := newFixture(t)
	f.deliver("INBOX", nested)
	s := f.open("INBOX")
	header := section(t, "Date:", "preambolo")
	attached := section(t, "From: dentro", "\r\n--fuori\r\nContent-Type: application/pdf")
	head, body, _ := strings.Cut(attached, "\r\n\r\n")
	cases := []struct{ item, name, want string }{
		{"BODY[]", "BODY[]", nested},
		{"BODY.PEEK[]", "BODY[]", nested},
		{"RFC822", "RFC822", nested},
		{"BODY[]<0.5>", "BODY[]<0>", nested[:5]},
		{"BODY[]<7.30>", "BODY[]<7>", nested[7:37]},
		{"BODY[]<100000.5>", "BODY[]<100000>", ""},
		{"BODY[HEADER]", "BODY[HEADER]", header},
		{"RFC822.HEADER", "RFC822.HEADER", header},
		{"BODY[TEXT]", "BODY[TEXT]", nested[len(header):]},
		{"RFC822.TEXT", "RFC822.TEXT", nested[len(header):]},
		{"body[text]<3.4>", "BODY[TEXT]<3>", nested[len(header)+3 : len(header)+7]},
		{"BODY[HEADER.FIELDS (subject \"Message-Id\" X)]", "BODY[HEADER.FIELDS (subject Message-Id X)]",
			"Subject: =?utf-8?Q?Citt=C3=A0?=\r\n piegato\r\nMessage-ID: <nested@alfa.example>\r\n\r\n"},
		{"BODY[HEADER.FIELDS.NOT (From Sender To Date Content-Type MIME-Version in-reply-to message-id)]",
			"BODY[HEADER.FIELDS.NOT (From Sender To Date Content-Type MIME-Version in-reply-to message-id)]", "Subject: =?utf-8?Q?Citt=C3=A0?=\r\n piegato\r\n\r\n"},
		{"BODY[HEADER.FIELDS (X)]", "BODY[HEADER.FIELDS (X)]", "\r\n"},
		{"BODY[1]", "BODY[1]", section(t, "--fuori-1\r\n\r\n", "\r\n--fuori\r\nContent-Type: message")},
		{"BODY[1.1]", "BODY[1.1]", "testo\r\nsemplice"},
		{"BODY[1.1]<2.3>", "BODY[1.1]<2>", "sto"},
		{"BODY[1.1.MIME]", "BODY[1.1.MIME]", "\r\n"},
		{"BODY[1.2]", "BODY[1.2]", section(t, "<p>", "\r\n--fuori-1--")},
		{"BODY[1.2.MIME]", "BODY[1.2.MIME]", section(t, "Content-Type: text/html", "<p>")},
		{"BODY[2]", "BODY[2]", attached},
		{"BODY[2.HEADER]", "BODY[2.HEADER]", head + "\r\n\r\n"},
		{"BODY[2.TEXT]", "BODY[2.TEXT]", body},
		{"BODY[2.HEADER.FIELDS (Subject)]", "BODY[2.HEADER.FIELDS (Subject)]", "Subject: dentro\r\n\r\n"},
		{"BODY[2.HEADER.FIELDS.NOT (Subject From)]", "BODY[2.HEADER.FIELDS.NOT (Subject From)]", "Content-Type: multipart/mixed; boundary=i\r\n\r\n"},
		{"BODY[2.1]", "BODY[2.1]", "interno"},
		{"BODY[2.1.1]", "BODY[2.1.1]", ""},
		{"BODY[3]", "BODY[3]", "AAECAwQF\r\nBgcICQo="},
		{"BODY[4]", "BODY[4]", ""},
		{"BODY[1.HEADER]", "BODY[1.HEADER]", ""},
		{"BODY[3.TEXT]", "BODY[3.TEXT]", ""},
		{"BINARY[3]", "BINARY[3]", "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a"},
		{"BINARY.PEEK[3]<2.4>", "BINARY[3]<2>", "\x02\x03\x04\x05"},
		{"BINARY[1.2]", "BINARY[1.2]", "<p>Città =</p>"},
		{"BINARY[2]", "BINARY[2]", attached},
		{"BINARY[]", "BINARY[]", nested},
	}
	for _, c := range cases {
		if got := string(s.literal("FETCH 1 %s", c.item)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.item, got, c.want)
		}
		s.send("n UID FETCH 1 (%s)\r\n", c.item)
		l := s.line()
		if !strings.HasPrefix(l, "* 1 FETCH (UID 1 "+c.name+" ") {
			t.Errorf("%s: %q", c.item, l)
		}
		s.until("n")
	}
	if l := s.ok("FETCH 1 (BINARY.SIZE[3] BINARY.SIZE[1.1] BINARY.SIZE[9])"); l[0] != "* 1 FETCH (BINARY.SIZE[3] 11 BINARY.SIZE[1.1] 15 BINARY.SIZE[9] 0)" {
		t.Error(l)
	}
	for _, bad := range []string{"BODY[MIME]", "BODY[0]", "BODY[1.]", "BODY[1", "BODY[]<1>", "BODY[]<1.0>", "BODY[HEADER.FIELDS ()]", "BODY[HEADER.FIELDS]",
		"(ALL)", "XYZZY", "()", "(FLAGS", "FLAGS)", "(FLAGS  UID)", "BODY[1.X]", "MODSEQX", "BODY[99999999999]"} {
		s.fails("BAD", "FETCH 1 %s", bad)
	}
	for _, bad := range []string{"2", "1,2", "1:2", "0", "x", "1:", ",", "99999999999"} {
		s.fails("BAD", "FETCH %s FLAGS", bad)
	}
	s.ok("UID FETCH 5:9 FLAGS")
	s.send("l FETCH 1 BODY[HEADER.FIELDS ({7}\r\n")
	s.expect(`^\+ `)
	s.send("Subject)]\r\n")
	s.expect(`^\* 1 FETCH \(BODY\[HEADER.FIELDS \(Subject\)\] \{`)
	s.until("l")
}

func TestFetchUnknownEncoding(t *testing.T) {
	f := newFixture(t)
	f.deliver("INBOX", "Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin\r\n")
	s := f.open("INBOX")
	s.fails("NO [UNKNOWN-CTE]", "FETCH 1 BINARY[1]")
	s.ok("FETCH 1 BODY[1]")
}

// \Seen comes with the octets, not before them.
func TestFetchSetsSeen(t *testing.T) {
	f := newFixture(t)
	for range 3 {
		f.deliver("INBOX", message("x"))
	}
	s := f.open("INBOX")
	s.ok("FETCH 1:* (BODY.PEEK[] RFC822.HEADER ENVELOPE BODYSTRUCTURE BINARY.PEEK[1] BINARY.SIZE[1])")
	if n := f.folder("INBOX").Unseen; n != 3 {
		t.Errorf("%d unseen", n)
	}
	l := s.ok("FETCH 1:2 BODY[TEXT]")
	if got := strings.Join(l, "\n"); !strings.Contains(got, `* 1 FETCH (UID 1 FLAGS (\Seen))`) || !strings.Contains(got, `* 2 FETCH (UID 2 FLAGS (\Seen))`) {
		t.Error(got)
	}
	if n := f.folder("INBOX").Unseen; n != 1 {
		t.Errorf("%d unseen", n)
	}
	if l := s.ok("FETCH 1:2 BODY[TEXT]"); strings.Contains(strings.Join(l, ""), "FLAGS") {
		t.Error(l)
	}
}

// Whatever a message is, its octets come back.
func TestByteExactness(t *testing.T) {
	f := newFixture(t)
	random := make([]byte, 300<<10)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(random)
	var big strings.Builder
	big.WriteString(message("grande"))
	for big.Len() < 20<<20 {
		big.WriteString("Riga numero " + fmt.Sprint(big.Len()) + " di un messaggio di venti megabyte\r\n")
	}
	messages := map[string]string{
		"8-bit":            "Subject: Citt\xe0\r\n\r\nperch\xc3\xa9 \xff\xfe\r\n",
		"LF only":          "Subject: x\nTo: y\n\nriga\nriga\n",
		"CR only":          "Subject: x\r\rriga\r",
		"no final newline": "Subject: x\r\n\r\nriga",
		"no body":          "Subject: x\r\n",
		"no header":        "\r\nriga\r\n",
		"NUL":              "Subject: x\r\n\r\na\x00b\r\n",
		"random":           string(random),
		"just above head":  message("x") + strings.Repeat("a", 64<<10),
		"20 MB":            big.String(),
		"one octet":        "x",
		"line ends":        "\r\n\r\n\n\r\r\n",
		"long line":        "Subject: x\r\n\r\n" + strings.Repeat("x", 200000),
		"dots":             "Subject: x\r\n\r\n.\r\n..\r\n",
	}
	c := f.login(nil)
	s := f.open("INBOX")
	uid := uint32(0)
	for name, want := range messages {
		for _, how := range []string{"delivered", "appended"} {
			uid++
			if how == "delivered" {
				f.deliver("INBOX", want)
			} else {
				cmd := c.Append("INBOX", int64(len(want)), nil)
				if _, err := io.WriteString(cmd, want); err != nil {
					t.Fatal(err)
				}
				if err := cmd.Close(); err != nil {
					t.Fatal(err)
				}
				data, err := cmd.Wait()
				if err != nil || data.UID != imaplib.UID(uid) {
					t.Fatal(name, data, err)
				}
			}
			s.ok("NOOP")
			got := s.literal("UID FETCH %d BODY.PEEK[]", uid)
			if !bytes.Equal(got, []byte(want)) {
				t.Errorf("%s, %s: %d octets came back as %d others", name, how, len(want), len(got))
			}
			header := s.literal("UID FETCH %d BODY.PEEK[HEADER]", uid)
			text := s.literal("UID FETCH %d BODY.PEEK[TEXT]", uid)
			if string(header)+string(text) != want {
				t.Errorf("%s: header and text are not the message", name)
			}
			var pieces []byte
			for off := 0; len(want) < 1<<20 && off < len(want); off += 40000 {
				pieces = append(pieces, s.literal("UID FETCH %d BODY.PEEK[]<%d.40000>", uid, off)...)
			}
			if len(want) < 1<<20 && string(pieces) != want {
				t.Errorf("%s: pieces are not the message", name)
			}
		}
	}
}

// deliverLarge stores a message of about the given size without holding it.
func deliverLarge(f *fixture, size int) [32]byte {
	f.t.Helper()
	spool := f.store.NewSpool()
	defer spool.Close()
	sum := sha256.New()
	w := io.MultiWriter(spool, sum)
	_, _ = io.WriteString(w, "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	line := []byte(strings.Repeat("QUJD", 19) + "\r\n")
	for int(spool.Size()) < size {
		if _, err := w.Write(line); err != nil {
			f.t.Fatal(err)
		}
	}
	_, _ = io.WriteString(w, "--b--\r\n")
	body := &storage.NewBody{Blob: &storage.NewBlob{Spool: spool, Len: spool.Size()}}
	f.commit(body, &storage.Append{Mailbox: f.mailbox, Body: storage.BodyRef{New: body}})
	return [32]byte(sum.Sum(nil))
}

// A message of 100 MB (less with the race detector) is fetched and appended in constant memory.
func TestConstantMemory(t *testing.T) {
	f := newFixture(t)
	want := deliverLarge(f, largeMessage)
	s := f.open("INBOX")
	_ = s.conn.SetDeadline(time.Now().Add(5 * time.Minute))
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	peak := uint64(0)
	measure := func() {
		runtime.ReadMemStats(&now)
		peak = max(peak, now.HeapAlloc-min(before.HeapAlloc, now.HeapAlloc))
	}
	for _, item := range []string{"BODY.PEEK[]", "BODY.PEEK[TEXT]", "BODY.PEEK[1]", "BINARY.PEEK[1]"} {
		s.send("a FETCH 1 (%s BODYSTRUCTURE ENVELOPE)\r\n", item)
		l := s.line()
		var n int64
		if _, err := fmt.Sscanf(l[strings.LastIndexByte(l, '{'):], "{%d}", &n); err != nil {
			t.Fatal(l)
		}
		sum := sha256.New()
		for n > 0 {
			got, err := io.CopyN(sum, s.r, min(n, 4<<20))
			if err != nil {
				t.Fatal(err)
			}
			n -= got
			measure()
		}
		s.until("a")
		if item == "BODY.PEEK[]" && [32]byte(sum.Sum(nil)) != want {
			t.Error("other octets")
		}
	}
	size := largeMessage / 10 * 9
	s.send("b APPEND Bozze {%d}\r\n", size)
	s.expect(`^\+ `)
	chunk := bytes.Repeat([]byte("riga di un messaggio grande\r\n"), 4<<20/29)
	for left := size; left > 0; left -= min(left, len(chunk)) {
		if _, err := s.conn.Write(chunk[:min(left, len(chunk))]); err != nil {
			t.Fatal(err)
		}
		measure()
	}
	s.send("\r\n")
	s.until("b")
	t.Logf("peak heap above the start: %d KiB", peak>>10)
	if peak > 24<<20 {
		t.Errorf("the heap grew by %d MiB", peak>>20)
	}
	if got := f.folder("Bozze").Bytes; got != int64(size) {
		t.Errorf("%d octets appended", got)
	}
}
