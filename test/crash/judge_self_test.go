// SPDX-License-Identifier: EUPL-1.2

package crash

import (
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"pecd/pec"
)

// TestJudgeFinds: what the judge is there for, one by one.
func TestJudgeFinds(t *testing.T) {
	alfa, beta := &node{name: "alfa", domain: "alfa.example"}, &node{name: "beta", domain: "beta.example"}
	s := &site{nodes: []*node{alfa, beta}, sink: &sink{got: make(map[string]map[string][][32]byte)}}
	const id, from, to = "<1@client.example>", "standard001@alfa.example", "standard002@beta.example"
	cert := func(delivery string, taken ...string) *pec.CertData {
		return &pec.CertData{Sender: from, Subject: "s", ID: "x", MsgID: id, At: time.Unix(1e9, 0),
			Recipients: []pec.Recipient{{Address: to}}, Delivery: delivery, Receptions: taken}
	}
	body := [32]byte{1}
	whole := func() []found {
		return []found{
			{box: from, kind: pec.Acceptance, ref: id, cert: cert("")},
			{box: to, kind: pec.TransportEnvelope, ref: id, cert: cert(""), body: body},
			{box: "ricevute@alfa.example", kind: pec.TakeCharge, ref: id, cert: cert("", to)},
			{box: from, kind: pec.Delivery, ref: id, cert: cert(to), body: body},
			{box: from, sent: true, ref: id, body: body},
		}
	}
	told := func(what told) sending {
		return sending{id: id, from: from, at: alfa, to: []recipient{{to, certified, beta}}, subject: "s", body: body, told: what}
	}
	brief := told(accepted)
	brief.form = "breve"
	wrong := told(accepted)
	wrong.wrong = true
	for name, c := range map[string]struct {
		e    sending
		edit func([]found) []found
		want string // part of a problem; "": none
	}{
		"all of it":              {told(accepted), nil, ""},
		"all without an answer":  {told(unknown), nil, ""},
		"nothing, unanswered":    {told(unknown), func([]found) []found { return nil }, ""},
		"nothing, refused":       {told(refused), func([]found) []found { return nil }, ""},
		"lost":                   {told(accepted), func([]found) []found { return nil }, "0 × accettazione"},
		"half, unanswered":       {told(unknown), func(l []found) []found { return l[:1] }, "0 × posta-certificata"},
		"delivered twice":        {told(accepted), func(l []found) []found { return append(l, l[1]) }, "2 × posta-certificata"},
		"two receipts":           {told(accepted), func(l []found) []found { return append(l, l[3]) }, "2 × avvenuta-consegna"},
		"no take-charge":         {told(accepted), func(l []found) []found { return append(l[:2:2], l[3:]...) }, "0 × take-charge"},
		"no sent copy":           {told(accepted), func(l []found) []found { return l[:4] }, "0 × sent copy"},
		"two sent copies":        {told(accepted), func(l []found) []found { return append(l, l[4]) }, "2 × sent copy"},
		"another's sent copy":    {told(accepted), func(l []found) []found { l[4].body[0] = 2; return l }, "not what was sent"},
		"a sent copy alone":      {told(unknown), func(l []found) []found { return l[4:] }, "0 × accettazione"},
		"refused and there":      {told(refused), nil, "not accepted"},
		"never sent and there":   {told(never), nil, "not accepted"},
		"another's body":         {told(accepted), func(l []found) []found { l[1].body[0] = 2; return l }, "not what was sent"},
		"receipt of another":     {told(accepted), func(l []found) []found { l[3].body[0] = 2; return l }, "not what was sent"},
		"brief receipt":          {brief, func(l []found) []found { l[3].body[0] = 2; return l }, ""},
		"two acceptances":        {told(accepted), func(l []found) []found { l[1].cert.At = time.Unix(1e9+1, 0); return l }, "several instants"},
		"a later delivery":       {told(accepted), func(l []found) []found { l[3].cert.At = time.Unix(1e9+1, 0); return l }, ""},
		"another's certificate":  {told(accepted), func(l []found) []found { l[3].cert.Sender = to; return l }, "daticert.xml says"},
		"two transactions":       {told(accepted), func(l []found) []found { l[3].cert.ID = "y"; return l }, "several identificativi"},
		"accepted and not to be": {wrong, nil, "0 × non-accettazione"},
	} {
		t.Run(name, func(t *testing.T) {
			list := whole()
			if c.edit != nil {
				list = c.edit(list)
			}
			got := strings.Join(s.compare(c.e, &verdict{list}), "; ")
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	outside := told(accepted)
	outside.to = append(outside.to, recipient{"carla@" + outsideDomain, ordinary, nil})
	if got := strings.Join(s.compare(outside, &verdict{whole()}), "; "); !strings.Contains(got, "nothing at carla") {
		t.Errorf("a lost relay is not found: %q", got)
	}
}

// TestKeeperFinds: a mailbox is what the answers say, or it is not.
func TestKeeperFinds(t *testing.T) {
	mail := func(m map[imap.UID]kept) map[string]map[imap.UID]kept {
		return map[string]map[imap.UID]kept{"INBOX": m}
	}
	now := shape{known: mail(map[imap.UID]kept{1: {"a", `\seen`}, 2: {"b", ""}})}
	then := shape{known: now.known, fresh: map[string][]kept{"INBOX": {{"c", ""}}}}
	k := &keeper{last: map[string]imap.UID{"INBOX": 3}}
	for name, c := range map[string]struct {
		there map[imap.UID]kept
		s     shape
		fits  bool
	}{
		"as told":           {map[imap.UID]kept{1: {"a", `\seen`}, 2: {"b", ""}}, now, true},
		"a flag lost":       {map[imap.UID]kept{1: {"a", ""}, 2: {"b", ""}}, now, false},
		"a message lost":    {map[imap.UID]kept{1: {"a", `\seen`}}, now, false},
		"one of nobody":     {map[imap.UID]kept{1: {"a", `\seen`}, 2: {"b", ""}, 4: {"c", ""}}, now, false},
		"appended":          {map[imap.UID]kept{1: {"a", `\seen`}, 2: {"b", ""}, 4: {"c", ""}}, then, true},
		"appended twice":    {map[imap.UID]kept{1: {"a", `\seen`}, 2: {"b", ""}, 4: {"c", ""}, 5: {"c", ""}}, then, false},
		"under an old UID":  {map[imap.UID]kept{1: {"a", `\seen`}, 2: {"b", ""}, 3: {"c", ""}}, then, false},
		"an append is lost": {map[imap.UID]kept{1: {"a", `\seen`}, 2: {"b", ""}}, then, false},
	} {
		if _, wrong := k.fits(c.s, mail(c.there)); (wrong == "") != c.fits {
			t.Errorf("%s: %q", name, wrong)
		}
	}
}
