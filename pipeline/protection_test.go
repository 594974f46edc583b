// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"pecd/clock"
	"pecd/fault"
	"pecd/ledger"
	"pecd/pec"
	"pecd/pipeline"
	"pecd/protection"
	"pecd/rfc822"
	"pecd/scan/contents"
	"pecd/scan/contents/contentstest"
	"pecd/storage"
)

// shield is a provider's protection in a test: the real inspection of contents, an
// antispam that finds its mark and can be down, and rules by mailbox.
type shield struct {
	*pipeline.Protection
	rules   map[string]protection.Policy
	down    bool
	asked   int
	seen    string // what was asked about last
	suspect pipeline.Suspect
	counted []string
}

const spamMark = "QUESTO-E-SPAM"

func (s *shield) Of(_ context.Context, address string) (protection.Policy, error) {
	return s.rules[address], nil
}

func (s *shield) Check(_ context.Context, suspect pipeline.Suspect, r io.ReaderAt, size int64) ([]protection.Finding, error) {
	b := make([]byte, size)
	_, err := io.ReadFull(io.NewSectionReader(r, 0, size), b)
	s.asked, s.seen, s.suspect = s.asked+1, string(b), suspect
	switch {
	case s.down:
		return []protection.Finding{{Kind: protection.Spam, Name: "99"}}, errors.New("no answer")
	case bytes.Contains(b, []byte(spamMark)):
		return []protection.Finding{{Kind: protection.Spam, Name: "15.00"}}, err
	}
	return nil, err
}

type looks struct{ *contents.Inspection }

func (l looks) Findings() (out []protection.Finding) {
	for _, f := range l.Inspection.Findings() {
		out = append(out, protection.Finding{Kind: protection.Kind(f.Kind), Name: f.Name, Where: f.Where})
	}
	return out
}

type inspector struct{ *contents.Inspector }

func (i inspector) Begin(scratch func() storage.Spool) pipeline.ContentsInspection {
	return looks{i.Inspector.Begin(func() contents.Scratch { return scratch() })}
}

// shielded is a world whose providers protect their mailboxes.
func shielded(t *testing.T) (w *world, alfa, beta *shield) {
	t.Helper()
	w = newWorld(t)
	protect := func(d string) *shield {
		s := &shield{rules: make(map[string]protection.Policy)}
		s.Protection = &pipeline.Protection{Contents: inspector{contents.New(contents.Config{Clock: clock.System{}})}, Antispam: s, Rules: s}
		p := w.providers[d]
		p.dress = func(c *pipeline.Core) {
			c.Protection = s.Protection
			c.Intercepted = func(kind, action string) { s.counted = append(s.counted, kind+" "+action) }
		}
		p.dress(p.core)
		return s
	}
	return w, protect("alfa.example"), protect("beta.example")
}

// with is a message with a document that has a macro.
func withMacro(t testing.TB, from, to string) string {
	return "From: " + from + "\r\nTo: " + to + "\r\nMessage-ID: <m1@client.example>\r\nSubject: Citta\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=lim\r\n\r\n" +
		"--lim\r\nContent-Type: text/plain\r\n\r\nin allegato\r\n--lim\r\nContent-Type: application/octet-stream; name=segreto.docx\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		lines(contentstest.Docm(t)) + "\r\n--lim--\r\n"
}

// lines is base64 as mail has it.
func lines(b []byte) string {
	var out []string
	for text := base64.StdEncoding.EncodeToString(b); text != ""; text = text[min(76, len(text)):] {
		out = append(out, text[:min(76, len(text))])
	}
	return strings.Join(out, "\r\n")
}

func rule(k protection.Kind, d protection.Direction, a protection.Action) protection.Policy {
	return protection.Policy{}.With(k, d, a)
}

// caught lists what the log of a provider says was intercepted, "macro certified tag".
func (w *world) caught(domain string) (out []string) {
	w.t.Helper()
	for _, e := range w.logged(domain, ledger.InterceptSpam, ledger.InterceptContents) {
		if (e.Kind == ledger.InterceptSpam) != (e.Threat == "spam") || strings.Contains(string(e.Encode()), "segreto") || e.Mailbox == "" {
			w.t.Errorf("%s", e.Encode())
		}
		if s := fmt.Sprintf("%s %s %s", e.Threat, e.Direction, e.Action); !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// TestS4_066_CertifiedFromAnotherProvider: whatever a mailbox's rules are, a
// certified message is in one of its folders with its delivery receipt, or there is
// one signed notice; and its signature holds (folder checks it).
func TestS4_066_CertifiedFromAnotherProvider(t *testing.T) {
	for _, c := range []struct {
		rules  protection.Policy
		folder string // "": refused
		tags   string
		caught string
	}{
		{protection.Policy{}, "INBOX", "", ""},
		{rule(protection.Macro, protection.Certified, protection.Pass), "INBOX", "", ""},
		{rule(protection.Macro, protection.Certified, protection.Tag), "INBOX", "$Macro", "macro certified tag"},
		{rule(protection.Macro, protection.Certified, protection.Folder), "Quarantena", "$Macro", "macro certified folder"},
		{rule(protection.Macro, protection.Certified, protection.Refuse), "", "", "macro certified refuse"},
		{rule(protection.Spam, protection.Certified, protection.Tag), "INBOX", "$Junk", "spam certified tag"},
		{rule(protection.Spam, protection.Certified, protection.Folder), "Posta indesiderata", "$Junk", "spam certified folder"},
		{rule(protection.Spam, protection.Certified, protection.Refuse), "Posta indesiderata", "$Junk", "spam certified folder"},
	} {
		t.Run(fmt.Sprintf("%+v", c.rules), func(t *testing.T) {
			w, _, beta := shielded(t)
			beta.rules[bruno] = c.rules
			w.filter(bruno, `fileinto "Altrove";`) // brings nothing back that was put away
			m := strings.Replace(withMacro(t, anna, bruno+", "+carla), "in allegato", spamMark, 1)
			w.submit(anna, []string{bruno, carla}, m)
			w.settle()
			folder, receipts := c.folder, "avvenuta-consegna"
			if folder == "INBOX" {
				folder = "Altrove"
			}
			if c.folder == "" {
				receipts = "errore-consegna"
				w.holds(bruno, "")
			} else {
				w.holds(bruno, folder+" 1")
				got := w.folder(bruno, folder)
				if len(got) != 1 || got[0].rec.Kind != pec.TransportEnvelope || strings.Join(got[0].row.Flags, " ") != c.tags {
					t.Fatalf("%d messages, %v", len(got), got)
				}
				if !strings.Contains(got[0].original(), "segreto.docx") {
					t.Error("the original is not there")
				}
			}
			w.want(carla, "posta-certificata") // has no rules
			k := strings.Fields(w.kinds(anna))
			slices.Sort(k)
			want := []string{"accettazione", "avvenuta-consegna", receipts}
			slices.Sort(want)
			if !slices.Equal(k, want) {
				t.Errorf("sender has %q, want %q", k, want)
			}
			if got := strings.Join(w.caught("beta.example"), ", "); got != c.caught {
				t.Errorf("on record %q, want %q", got, c.caught)
			}
			if c.folder == "" {
				for _, g := range w.inbox(anna) {
					if d := g.rec.CertData; d.Type == "errore-consegna" && (d.Error != pec.OtherError || !strings.Contains(d.ExtendedError, "5.7.1") || !strings.Contains(d.ExtendedError, "macro") || d.Delivery != bruno) {
						t.Errorf("%+v", d)
					}
				}
			}
			w.clean()
		})
	}
}

// TestS4_066_RefusedOnce: a refusal that is interrupted, or done again, is told once.
func TestS4_066_RefusedOnce(t *testing.T) {
	for _, end := range []ending{losing, unacknowledged} {
		w, alfa, _ := shielded(t)
		alfa.rules["carla@alfa.example"] = rule(protection.Macro, protection.Certified, protection.Refuse)
		w.submit(anna, []string{"carla@alfa.example"}, withMacro(t, anna, "carla@alfa.example"))
		w.end = end
		w.settle()
		w.want(anna, "accettazione errore-consegna")
		w.want("carla@alfa.example", "")
		if got := len(w.logged("alfa.example", ledger.InterceptContents)); got != 1 {
			t.Errorf("%d records", got)
		}
		w.clean()
	}
}

// TestS4_066_Submission: refused by a signed notice that names the attachment, or
// accepted and on record.
func TestS4_066_Submission(t *testing.T) {
	w, alfa, _ := shielded(t)
	alfa.rules[anna] = rule(protection.Macro, protection.Submission, protection.Refuse)
	text := w.submit(anna, []string{bruno}, withMacro(t, anna, bruno))
	w.settle()
	w.want(anna, "non-accettazione")
	w.want(bruno, "")
	if !strings.Contains(text, "non accettato") {
		t.Errorf("answer %q", text)
	}
	g := w.inbox(anna)[0]
	if d := g.rec.CertData; d.Error != pec.OtherError || !strings.Contains(string(g.raw), "segreto.docx") {
		t.Errorf("%+v\n%s", d, g.raw)
	}
	for _, e := range w.logged("alfa.example") {
		if strings.Contains(string(e.Encode()), "segreto") {
			t.Errorf("the name of an attachment is on record: %s", e.Encode())
		}
	}
	w.wantLog("alfa.example", ledger.InterceptContents, ledger.SubmissionRefused)
	if got := w.caught("alfa.example"); !slices.Equal(got, []string{"macro submission refuse"}) || alfa.counted[0] != "macro refuse" {
		t.Errorf("%v, %v", got, alfa.counted)
	}
	alfa.rules[anna] = rule(protection.Macro, protection.Submission, protection.Tag).With(protection.Spam, protection.Submission, protection.Refuse)
	w.submit(anna, []string{bruno}, withMacro(t, anna, bruno))
	w.settle()
	w.want(anna, "non-accettazione accettazione avvenuta-consegna")
	w.want(bruno, "posta-certificata")
	if got := w.caught("alfa.example"); !slices.Equal(got, []string{"macro submission refuse", "macro submission log"}) {
		t.Errorf("%v", got)
	}
	if alfa.asked != 1 || alfa.suspect.Login != anna {
		t.Errorf("asked %d times, %+v", alfa.asked, alfa.suspect)
	}
	w.submit(anna, []string{bruno}, message(anna, bruno, "", spamMark+"\r\n"))
	w.want(anna, "non-accettazione accettazione avvenuta-consegna non-accettazione")
	alfa.down = true // certified mail does not wait
	w.submit(anna, []string{bruno}, message(anna, bruno, "", spamMark+"\r\n"))
	w.settle()
	w.want(bruno, "posta-certificata posta-certificata")
	w.clean()
}

// TestS4_036_Ordinary: all four actions, the answer, and what is on record.
func TestS4_036_Ordinary(t *testing.T) {
	for _, c := range []struct {
		action protection.Action
		holds  string
		flags  string
	}{
		{protection.Pass, "INBOX 1", "[]"}, {protection.Tag, "INBOX 1", "[$Junk]"},
		{protection.Folder, "Posta indesiderata 1", "[$Junk]"}, {protection.Refuse, "", ""},
	} {
		w, _, beta := shielded(t)
		beta.rules[bruno] = rule(protection.Spam, protection.Ordinary, c.action)
		err := w.receive("x@mail.example", []string{bruno}, []byte(message("x@mail.example", bruno, "", spamMark+"\r\n")))
		w.holds(bruno, c.holds)
		if c.action == protection.Refuse {
			wantKind(t, err, fault.Unwanted)
			if codes := fault.CodesOf(err); codes.SMTP != 554 || codes.Enhanced != [3]int{5, 7, 1} || !strings.Contains(codes.Text, "spam") {
				t.Errorf("%+v", codes)
			}
			w.wantLog("beta.example", ledger.InterceptSpam, ledger.OrdinaryRefused)
		} else {
			check(t, err)
			name, _, _ := strings.Cut(c.holds, " 1")
			if got := w.folder(bruno, name); len(got) != 1 || fmt.Sprint(got[0].row.Flags) != c.flags || got[0].rec.Kind != pec.AnomalyEnvelope {
				t.Errorf("%s: %v", c.action, got)
			}
		}
		if beta.asked != map[bool]int{true: 0, false: 1}[c.action == protection.Pass] {
			t.Errorf("%s: asked %d times", c.action, beta.asked)
		}
		w.clean()
	}
	// One of two mailboxes refuses: nobody has it, and the sender knows.
	w, _, beta := shielded(t)
	beta.rules[carla] = rule(protection.Macro, protection.Ordinary, protection.Refuse)
	wantKind(t, w.receive("x@mail.example", []string{bruno, carla}, []byte(withMacro(t, "x@mail.example", bruno))), fault.Unwanted)
	w.holds(bruno, "")
	w.holds(carla, "")
	if e := w.logged("beta.example", ledger.OrdinaryRefused); len(e) != 1 || e[0].Mailbox != carla {
		t.Errorf("%+v", e)
	}
	check(t, w.receive("x@mail.example", []string{bruno}, []byte(withMacro(t, "x@mail.example", bruno))))
	w.holds(bruno, "INBOX 1")
	w.clean()
}

// TestS4_036_AntispamDown: ordinary mail passes or waits, by choice; certified mail
// passes.
func TestS4_036_AntispamDown(t *testing.T) {
	w, _, beta := shielded(t)
	beta.rules[bruno] = rule(protection.Spam, protection.Ordinary, protection.Refuse).With(protection.Spam, protection.Certified, protection.Folder)
	beta.down = true
	raw := []byte(message("x@mail.example", bruno, "", "ciao\r\n"))
	check(t, w.receive("x@mail.example", []string{bruno}, raw))
	w.holds(bruno, "INBOX 1")
	beta.SpamRequired = true
	err := w.receive("x@mail.example", []string{bruno}, raw)
	wantKind(t, err, fault.Temporary)
	if codes := fault.CodesOf(err); codes.SMTP != 451 || !strings.Contains(codes.Text, "antispam") {
		t.Errorf("%+v", codes)
	}
	w.submit(anna, []string{bruno}, message(anna, bruno, "", spamMark+"\r\n"))
	w.settle()
	w.holds(bruno, "INBOX 2")
	w.want(anna, "accettazione avvenuta-consegna")
	beta.down = false
	check(t, w.receive("x@mail.example", []string{bruno}, raw))
	w.holds(bruno, "INBOX 3")
	if beta.suspect.Sender != "x@mail.example" || beta.suspect.Peer.Remote == "" || !slices.Equal(beta.suspect.Recipients, []string{bruno}) {
		t.Errorf("%+v", beta.suspect)
	}
	w.clean()
}

// TestPec_1_7_NeverWithoutNotice: for whom no notice could be sent, nothing is
// refused: a recipient whom the certified data call ordinary, and what a provider
// signed without due form.
func TestPec_1_7_NeverWithoutNotice(t *testing.T) {
	w, _, beta := shielded(t)
	refuse := rule(protection.Macro, protection.Certified, protection.Refuse).With(protection.Macro, protection.Ordinary, protection.Refuse)
	beta.rules[bruno] = refuse
	alfa := w.providers["alfa.example"]
	m := pec.Message{ID: "x.1@alfa.example", Sender: anna, Recipients: []pec.Recipient{{Address: bruno, External: true}}, Subject: "s", HasSubject: true}
	original := withMacro(t, anna, bruno)
	raw := w.forge(alfa, alfa.core.Builder.TransportEnvelope(m, w.clock.Now(), headerOf(t, original), false), original)
	check(t, w.receive(anna, []string{bruno}, raw))
	w.settle()
	w.holds(bruno, "Quarantena 1")
	bent := replace("X-Trasporto: posta-certificata\r\n", "X-Trasporto: altro\r\n")(raw)
	check(t, w.receive(anna, []string{bruno}, bent))
	w.settle()
	w.holds(bruno, "Quarantena 2")
	if got := w.caught("beta.example"); !slices.Equal(got, []string{"macro certified folder"}) {
		t.Errorf("%v", got)
	}
	w.clean()
}

// TestProtectionSeesTheOriginal: the antispam is shown the original with the
// certified sender; what is encoded as RFC 2045 forbids is looked into as well.
func TestProtectionSeesTheOriginal(t *testing.T) {
	w, _, beta := shielded(t)
	beta.rules[bruno] = rule(protection.Spam, protection.Certified, protection.Tag).With(protection.Macro, protection.Certified, protection.Tag)
	inner := withMacro(t, anna, bruno)
	w.submit(anna, []string{bruno}, message(anna, bruno, "", "ciao\r\n"))
	w.settle()
	s := rfc822.NewScanner(rfc822.DefaultLimits())
	s.Write([]byte(beta.seen))
	if h := s.Finish().Root.Header; h.Get("Message-ID") == "" || h.Has("X-Trasporto") || beta.suspect.Sender != anna || beta.suspect.ID == "" {
		t.Errorf("shown %.300q of %+v", beta.seen, beta.suspect)
	}
	encoded := func(kind, body string) string {
		return "From: " + anna + "\r\nTo: " + bruno + "\r\nSubject: x\r\nMessage-ID: <m2@client.example>\r\nMIME-Version: 1.0\r\nContent-Type: " + kind +
			"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + lines([]byte(body)) + "\r\n"
	}
	for i, m := range []string{
		encoded("message/rfc822", inner),
		encoded("message/rfc822", string(contentstest.Docm(t))), // no message at all
	} {
		w.submit(anna, []string{bruno}, m)
		w.settle()
		got := w.inbox(bruno)
		if len(got) != i+2 || !slices.Contains(got[i+1].row.Flags, "$Macro") {
			t.Errorf("%d: %d messages, %v", i, len(got), got[len(got)-1].row.Flags)
		}
	}
	w.clean()
}

// TestProtectionWithoutAntivirus: what cannot be taken apart is a virus only where
// somebody looks for one; here it is contents that were not examined.
func TestProtectionWithoutAntivirus(t *testing.T) {
	w, _, beta := shielded(t)
	beta.rules[bruno] = rule(protection.Opaque, protection.Certified, protection.Tag)
	parts := strings.Repeat("--b\r\n\r\nx\r\n", 10_000) + "--b--\r\n"
	w.submit(anna, []string{bruno}, message(anna, bruno, "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n", parts))
	w.settle()
	w.want(anna, "accettazione avvenuta-consegna")
	w.holds(bruno, "INBOX 1")
	if got := w.caught("beta.example"); !slices.Equal(got, []string{"opaque certified tag"}) {
		t.Errorf("on record: %q", got)
	}
	w.clean()
}
