// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"pecd/rfc822"
	"pecd/storage"
	"pecd/summary"
)

// envelope is a transport envelope around an original.
const envelope = "X-Trasporto: posta-certificata\r\nSubject: POSTA CERTIFICATA: Offerta\r\nFrom: \"Per conto di: a@alfa.example\" <posta-certificata@alfa.example>\r\n" +
	"MIME-Version: 1.0\r\nContent-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256; boundary=s\r\n\r\n" +
	"--s\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" +
	"Messaggio di posta certificata\r\nIl giorno 03/06/2026 =E8 stato inviato =\r\nda a@alfa.example\r\n" +
	"--m\r\nContent-Type: message/rfc822; name=\"postacert.eml\"\r\nContent-Disposition: attachment\r\n\r\nSubject: Offerta\r\n\r\nIl contenuto riservato\r\n" +
	"--m--\r\n--s\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\nContent-Transfer-Encoding: base64\r\n\r\nMIIB\r\n--s--\r\n"

func TestPreview(t *testing.T) {
	st := &countedStore{}
	f := newFixture(t, func(c *Config, _ *timing) { st.Store, c.Store = c.Store, st })
	html := base64.StdEncoding.EncodeToString([]byte("<html><style>p{}</style><p>Ciao <b>Anna</b>"))
	texts := []struct{ message, want string }{
		{envelope, ""}, // a literal
		{message("uno"), `"Testo di uno"`},
		{"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n" + html + "\r\n", `"Ciao Anna"`},
		{"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\n \r\n--b\r\nContent-Type: text/html\r\n\r\n<p>solo qui\r\n--b--\r\n", `"solo qui"`},
		{"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\nContent-Transfer-Encoding: base64\r\n\r\nMIIB\r\n", `""`},
		{"Content-Transfer-Encoding: x-none\r\n\r\ntext\r\n", `""`},
		{"Subject: no body\r\n", `""`},
		{"Subject: x\r\n\r\n" + strings.Repeat("a\"\\ ", 100), `"` + strings.TrimSpace(strings.Repeat(`a\"\\ `, 50)) + `"`},
		{"To: " + strings.Repeat("\"Nome Cognome\" <nome.cognome@x.example>,\r\n ", 9000) + "z@x.example\r\n\r\nlarge", `"large"`}, // beyond MaxSummary
	}
	for i, c := range texts {
		body := &storage.NewBody{Head: []byte(c.message)}
		op := &storage.Append{Mailbox: f.mailbox, Body: storage.BodyRef{New: body}}
		var to storage.Store = st
		if i%2 == 0 {
			to = summary.Store{Store: st}
		}
		if err := to.Commit(t.Context(), new(storage.Step).Add(body, op)); err != nil {
			t.Fatal(err)
		}
	}
	s := f.open("INBOX")
	for i := range texts {
		s.answers(fmt.Sprintf("* %d FETCH (PREVIEW NIL)", i+1), "FETCH %d PREVIEW (LAZY)", i+1)
	}
	expect := func(command string) {
		t.Helper()
		const text = "Messaggio di posta certificata Il giorno 03/06/2026 è stato inviato da a@alfa.example"
		got := string(s.literal("FETCH 1 (%s)", command))
		if got != text {
			t.Errorf("%q", got)
		}
		for i, c := range texts[1:] {
			if strings.Contains(command, "LAZY") && c.want == `"large"` {
				c.want = "NIL"
			}
			s.answers(fmt.Sprintf("* %d FETCH (PREVIEW %s UID %d)", i+2, c.want, i+2), "FETCH %d (%s UID)", i+2, command)
		}
	}
	expect("PREVIEW")
	before := st.opened.Load()
	expect("PREVIEW (LAZY)")
	expect("PREVIEW")
	if n := st.opened.Load() - before; n != 1 { // the large one
		t.Errorf("%d messages opened again", n)
	}
	// What else is told does not depend on the preview beside it.
	other := f.open("INBOX")
	lines := other.ok("FETCH 2:8 (ENVELOPE BODYSTRUCTURE)")
	st.forget.Store(true)
	if want := other.ok("FETCH 2:8 (ENVELOPE BODYSTRUCTURE)"); strings.Join(lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q, want %q", lines, want)
	}
	st.damage.Store(true)
	st.forget.Store(false)
	expect("PREVIEW")
	st.damage.Store(false)
	checkPreviews(t, f, st.Store, len(texts)-1)
}

// checkPreviews counts the previews in the store.
func checkPreviews(t *testing.T, f *fixture, st storage.Store, want int) {
	t.Helper()
	n := 0
	err := st.Summaries(t.Context(), f.folder("INBOX").ID, 1, 0, func(m storage.Message, b []byte) error {
		if s, err := rfc822.ReadSummary(b, m.Size); err == nil && s.HasTree() {
			if _, ok := s.Preview(); ok {
				n++
			}
		}
		return nil
	})
	if err != nil || n != want {
		t.Errorf("%d previews, want %d; %v", n, want, err)
	}
}

func TestPreviewSyntax(t *testing.T) {
	f := newFixture(t)
	f.deliver("INBOX", message("uno"))
	s := f.open("INBOX")
	s.answers(`* 1 FETCH (PREVIEW "Testo di uno" FLAGS ())`, "FETCH 1 (PREVIEW FLAGS)")
	s.answers(`* 1 FETCH (FLAGS () PREVIEW "Testo di uno")`, "FETCH 1 (FLAGS preview (lazy))")
	for _, c := range []string{"PREVIEW ()", "PREVIEW (FUZZY)", "(PREVIEW (LAZY", "(PREVIEW(LAZY))", "PREVIEW[]", "(PREVIEW (LAZY) (LAZY))"} {
		s.fails("BAD", "FETCH 1 %s", c)
	}
	s.ok("ENABLE UTF8=ACCEPT")
	f.deliver("INBOX", "\r\nperché")
	s.ok("NOOP")
	s.answers(`* 2 FETCH (PREVIEW "perché")`, "FETCH 2 PREVIEW")
}
