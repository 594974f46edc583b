// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"pecd/scan/clamdtest"
	"pecd/scan/contents/contentstest"
	"pecd/scan/rspamdtest"
)

// shieldedPeer is a scripted provider, and alfa with clamd and rspamd, whose own
// rules let everything pass: those of the mailboxes are all that counts.
type shieldedPeer struct {
	*peerProvider
	rspamd *rspamdtest.Daemon
}

func newShieldedPeer(t testing.TB) *shieldedPeer {
	t.Helper()
	d, err := rspamdtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	clamd := clamdtest.Start(t, clamdtest.Options{})
	second := clamdtest.Start(t, clamdtest.Options{Conf: map[string]string{"AlertEncrypted": "no"}})
	key := run(t, pecd(t), "quarantine", "keygen", "--out", filepath.Join(t.TempDir(), "quarantine.key"))
	rules := ""
	for _, k := range []string{"spam", "macro", "link", "opaque"} {
		rules += fmt.Sprintf("[protection.%s]\nsubmission = \"pass\"\ncertified = \"pass\"\nordinary = \"pass\"\n", k)
	}
	return &shieldedPeer{rspamd: d, peerProvider: newPeer(t, func(_ *peerProvider, config string) string {
		return config + fmt.Sprintf("\n[scan]\nclamd = [%q]\nsecond = [%q]\n\n[protection]\nrspamd = [%q]\n%s\n", clamd.Addr, second.Addr, d.URL, rules) + string(key)
	})}
}

// exhibit is a message and what is in it.
type exhibit struct {
	name    string
	threat  string // virus, spam, macro, link, opaque; "" for nothing
	content string // behind From, To and Message-ID
}

func exhibits(t testing.TB) []exhibit {
	file := func(name string, b []byte) string {
		return attachedTo("in allegato", clamdtest.File{Name: name, Content: b})
	}
	text := clamdtest.File{Name: "x.txt", Content: []byte("buono")}
	return []exhibit{
		{"clean", "", file("x.txt", text.Content)},
		{"EICAR", "virus", file("eicar.com", clamdtest.EICAR())},
		{"archive bomb", "virus", file("b.zip", clamdtest.Bomb(t))},
		{"GTUBE", "spam", attachedTo(rspamdtest.Spam)},
		{"document with macro", "macro", file("fattura.docm", contentstest.Docm(t))},
		{"OLE document with macro", "macro", file("fattura.doc", contentstest.Doc(t))},
		{"encrypted archive", "opaque", file("c.zip", clamdtest.EncryptedZip(t, "segreta", text))},
		{"deceptive link", "link", "Subject: Prova\r\nMIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<a href=\"https://evil.example/\">https://www.banca.it/</a>\r\n"},
	}
}

// verdict is what the rules want of a message.
type verdict struct {
	folder string // "": it is in none
	tag    string
	caught string // threat, direction and action on record
	code   int    // SMTP
	told   string // receipt or notice to the sender
}

// wanted is what a mailbox's action means for an exhibit that goes a way.
func wanted(threat, way, action string) verdict {
	told := map[string][2]string{"submission": {"accettazione", "non-accettazione"}, "certified": {"avvenuta-consegna", "errore-consegna"}}[way]
	v := verdict{folder: "INBOX", code: 250, told: told[0]}
	refused := verdict{code: 250, told: told[1]}
	if way == "ordinary" {
		refused.code = 554
	}
	switch {
	case threat == "virus":
		if way == "certified" {
			refused.told = "rilevazione-virus"
		}
		return refused
	case threat == "" || action == "pass":
		return v
	case threat == "spam" && way == "certified" && action == "refuse":
		action = "folder" // a guess keeps back no certified message
	}
	if way == "submission" && action != "refuse" {
		v.caught = threat + " submission log"
		return v
	}
	v.caught = threat + " " + way + " " + action
	v.tag = map[string]string{"spam": "$Junk", "macro": "$Macro", "link": "$Phishing", "opaque": "$Opaque"}[threat]
	switch {
	case action == "refuse":
		refused.caught = v.caught
		return refused
	case action == "folder" && threat == "spam":
		v.folder = "Posta indesiderata"
	case action == "folder":
		v.folder = "Quarantena"
	}
	return v
}

// shown is one exhibit on its way.
type shown struct {
	exhibit
	way, action string
	box, id     string // id: identificativo, or the Message-ID of what has none
	code        int
}

// TestS4_066_ProtectionTable: each exhibit, each way, each rule: what comes of it
// is what the mailbox's rules say, and of every certified message there is exactly
// one delivery receipt or one notice. The short form leaves out the milder rules
// and some exhibits.
func TestS4_066_ProtectionTable(t *testing.T) {
	t.Parallel()
	p := newShieldedPeer(t)
	r := &incomingRun{TB: t, p: p.peerProvider, name: "protection", boxes: make(map[string][]string)}
	actions, spared := []string{"pass", "tag", "folder", "refuse"}, []string{}
	if !long() {
		actions, spared = []string{"folder", "refuse"}, []string{"archive bomb", "OLE document with macro"}
	}
	var all []shown
	for _, way := range []string{"submission", "certified", "ordinary"} {
		for _, action := range actions {
			box := r.box()
			p.rule(r, box, way, action)
			for _, e := range exhibits(t) {
				if slices.Contains(spared, e.name) {
					continue
				}
				s := shown{exhibit: e, way: way, action: action, box: box}
				p.show(t, &s)
				all = append(all, s)
			}
		}
	}
	p.settle(t)
	told, caught := p.told(t), p.caught(t)
	held := make(map[string]map[string]placed)
	for _, s := range all {
		if held[s.box] == nil {
			held[s.box] = p.held(t, s.box)
		}
		t.Run(strings.Join([]string{s.name, s.way, s.action}, "/"), func(t *testing.T) { s.check(t, held[s.box], told, caught) })
	}
	t.Run("counts", func(t *testing.T) { p.checkCounts(t, all) })
	t.Run("antispam stopped", p.checkStopped)
	verifyClean(t, filepath.Join(p.demo.dir, "alfa.toml"))
	t.Logf("%d messages", len(all))
}

// rule gives a mailbox one action for everything of a way, where it can be chosen.
func (p *shieldedPeer) rule(r *incomingRun, box, way, action string) {
	args := []string{"protection", "set", box}
	for _, k := range []string{"spam", "macro", "link", "opaque"} {
		a := action
		switch {
		case way == "submission" && a == "folder":
			a = "tag"
		case way == "certified" && k == "spam" && a == "refuse":
			a = "folder"
		}
		args = append(args, k+"."+way+"="+a)
	}
	r.pecd(args...)
}

// show sends an exhibit its way.
func (p *shieldedPeer) show(t *testing.T, s *shown) {
	t.Helper()
	switch s.way {
	case "certified":
		m := peerMessage{to: []string{s.box}, content: s.content}.complete()
		s.id = m.id
		s.code = p.send(t, m.from, m.to, p.bytes(t, m)).code
	case "ordinary":
		s.id = newMsgID()
		head := "From: chiunque@mail.example\r\nTo: " + s.box + "\r\nMessage-ID: " + s.id + "\r\n"
		s.code = p.send(t, "chiunque@mail.example", []string{s.box}, []byte(head+s.content)).code
	case "submission":
		s.id = newMsgID()
		to := "vera@" + peerDomain
		c := p.demo.submission(t, account{"ALFA", s.box})
		defer c.Close()
		if r := c.envelope(s.box, []string{to}); !r.positive() {
			t.Fatal(r)
		}
		s.code = c.data(strings.NewReader("From: " + s.box + "\r\nTo: " + to + "\r\nMessage-ID: " + s.id + "\r\n" + s.content)).code
	}
}

// placed is a message in a mailbox.
type placed struct {
	folder, kind string
	flags        []string
}

// held reads all of a mailbox, by identificativo of an envelope or Message-ID of
// what a receipt or an anomaly envelope is about. Every signature must hold.
func (p *shieldedPeer) held(t *testing.T, address string) map[string]placed {
	t.Helper()
	in := p.demo.openInbox(t, account{"ALFA", address})
	all := make(map[string]placed)
	for _, folder := range []string{"INBOX", "Posta indesiderata", "Quarantena"} {
		if _, err := in.client.Select(folder, nil).Wait(); err != nil {
			if folder != "Quarantena" { // is there once it was needed
				t.Fatal(err)
			}
			continue
		}
		whole := &imap.FetchItemBodySection{Peek: true}
		got, err := in.client.Fetch(imap.UIDSet{imap.UIDRange{Start: 1, Stop: 0}}, &imap.FetchOptions{
			UID: true, Flags: true, BodySection: []*imap.FetchItemBodySection{whole},
		}).Collect()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range got {
			message := mustReadPEC(t, m.FindBodySection(whole))
			message.verify(t, p.demo)
			kind, id := message.header.Get("X-Ricevuta"), message.header.Get("X-Riferimento-Message-ID")
			if kind == "" {
				kind = message.header.Get("X-Trasporto")
				if id = message.header.Get("Message-ID"); kind == "posta-certificata" {
					id = message.cert.ID
				}
			}
			if _, twice := all[id]; twice {
				t.Errorf("%s: two messages about %s", address, id)
			}
			at := placed{folder: folder, kind: kind}
			for _, f := range m.Flags {
				if strings.HasPrefix(string(f), "$") {
					at.flags = append(at.flags, string(f))
				}
			}
			all[id] = at
		}
	}
	return all
}

// caught returns what the log says was intercepted, by identificativo and
// Message-ID.
func (p *shieldedPeer) caught(t *testing.T) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	for _, kind := range []string{"intercept.spam", "intercept.contents", "intercept.virus"} {
		out := string(run(t, pecd(t), "ledger", "search", "--kind", kind, "--json", "--config", filepath.Join(p.demo.dir, "alfa.toml")))
		for line := range strings.Lines(out) {
			var r struct {
				Event struct{ ID, MsgID, Threat, Direction, Action, Virus string }
			}
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatalf("%v\n%s", err, line)
			}
			what := "virus"
			if e := r.Event; e.Virus == "" {
				what = e.Threat + " " + e.Direction + " " + e.Action
			}
			for _, id := range []string{r.Event.ID, r.Event.MsgID} {
				if id != "" && !slices.Contains(all[id], what) {
					all[id] = append(all[id], what)
				}
			}
		}
	}
	return all
}

func (s shown) check(t *testing.T, held map[string]placed, told, caught map[string][]string) {
	want := wanted(s.threat, s.way, s.action)
	if s.code != want.code {
		t.Errorf("answered %d, want %d", s.code, want.code)
	}
	record := want.caught
	if s.threat == "virus" {
		record = "virus"
	}
	if got := strings.Join(caught[s.id], ", "); got != record {
		t.Errorf("on record %q, want %q", got, record)
	}
	at, there := held[s.id]
	switch s.way {
	case "submission": // the receipt is what there is
		if at.kind != want.told || at.folder != "INBOX" {
			t.Errorf("%+v, want %s", at, want.told)
		}
		return
	case "certified":
		about := ""
		for _, line := range told[s.id] {
			if kind, _, _ := strings.Cut(line, " "); kind != "presa-in-carico" {
				about += kind
			}
		}
		if about != want.told {
			t.Errorf("the sender's provider was told %q, want %q", about, want.told)
		}
	}
	if there != (want.folder != "") || at.folder != want.folder {
		t.Errorf("in %q, want %q", at.folder, want.folder)
	}
	if got := strings.Join(at.flags, " "); got != want.tag {
		t.Errorf("marked %q, want %q", got, want.tag)
	}
}

// checkCounts: viruses and spam are counted apart, for the reports and as metrics.
func (p *shieldedPeer) checkCounts(t *testing.T, all []shown) {
	want := make(map[string]int)
	for _, s := range all {
		if v := wanted(s.threat, s.way, s.action); v.caught != "" || s.threat == "virus" {
			want[s.threat]++
		}
	}
	got, series := make(map[string]int), make(map[string]int)
	for line := range strings.Lines(string(run(t, pecd(t), "protection", "counts", "--json", "--config", filepath.Join(p.demo.dir, "alfa.toml")))) {
		var d struct{ Virus, Spam, Macro, Link, Opaque int }
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatalf("%v\n%s", err, line)
		}
		for k, n := range map[string]int{"virus": d.Virus, "spam": d.Spam, "macro": d.Macro, "link": d.Link, "opaque": d.Opaque} {
			got[k] += n // two days where the test begins before midnight
		}
	}
	need(t, "curl")
	for line := range strings.Lines(string(run(t, "curl", "-sS", "http://"+p.demo.get(t, "ALFA_METRICS")+"/metrics"))) {
		if rest, ok := strings.CutPrefix(line, "pecd_intercepted_total{"); ok {
			var n int
			_, kind, _ := strings.Cut(rest, `kind="`)
			kind, _, _ = strings.Cut(kind, `"`)
			if _, err := fmt.Sscan(rest[strings.LastIndexByte(strings.TrimSpace(rest), ' ')+1:], &n); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			series[kind] += n
		}
	}
	for k, n := range want {
		if got[k] != n || series[k] != n {
			t.Errorf("%s: %d on record, %d counted, want %d", k, got[k], series[k], n)
		}
	}
}

// checkStopped: without rspamd certified and ordinary mail pass, and the operator
// is told.
func (p *shieldedPeer) checkStopped(t *testing.T) {
	if err := p.rspamd.Stop(); err != nil {
		t.Fatal(err)
	}
	r := &incomingRun{TB: t, p: p.peerProvider, name: "stopped", boxes: make(map[string][]string)}
	box := r.box()
	r.pecd("protection", "set", box, "spam.certified=folder", "spam.ordinary=refuse")
	config := filepath.Join(p.demo.dir, "alfa.toml")
	_, shown := pecdIn(t, "", "protection", "show", box, "--config", config)
	if words := strings.Join(strings.Fields(shown), " "); !strings.Contains(words, "spam.certified folder folder spam.ordinary refuse refuse macro.submission pass -") {
		t.Errorf("rules shown as\n%s", shown)
	}
	if code, out := pecdIn(t, "", "protection", "set", box, "spam.certified=refuse", "--config", config); code != 1 || !strings.Contains(out, "spam") {
		t.Errorf("certified mail refused for spam: exit %d\n%s", code, out)
	}
	r.envelope(250, peerMessage{to: []string{box}, content: attachedTo(rspamdtest.Spam)})
	r.plain(250, "chiunque@mail.example", attachedTo(rspamdtest.Spam), box)
	r.expect(box, envelopeIn, anomalyIn)
	r.told(taken(box), delivered(box))
	p.settle(t)
	r.check(t, p.events(t), p.told(t))
	if code, out := pecdIn(t, "", "status", "--config", config); code != 1 || !strings.Contains(out, "spam_engine_down") {
		t.Errorf("status: exit %d\n%s", code, out)
	}
}
