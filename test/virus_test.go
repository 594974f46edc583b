// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pecd/scan/clamdtest"
)

// virusPeer is a scripted provider, and alfa with a real clamd.
type virusPeer struct {
	*peerProvider
	clamd    *clamdtest.Daemon
	identity string // file with the quarantine's private key
}

func newVirusPeer(t testing.TB) *virusPeer {
	t.Helper()
	v := &virusPeer{clamd: clamdtest.Start(t, clamdtest.Options{}), identity: filepath.Join(t.TempDir(), "quarantine.key")}
	second := clamdtest.Start(t, clamdtest.Options{Conf: map[string]string{"AlertEncrypted": "no"}})
	key := run(t, pecd(t), "quarantine", "keygen", "--out", v.identity)
	v.peerProvider = newPeer(t, func(_ *peerProvider, config string) string {
		return config + fmt.Sprintf("\n[scan]\nclamd = [%q]\nsecond = [%q]\n\n", v.clamd.Addr, second.Addr) + string(key)
	})
	return v
}

// attachedTo is the rest of an original behind its From, To and Message-ID: a
// text and attachments.
func attachedTo(text string, files ...clamdtest.File) string {
	_, rest, _ := strings.Cut(string(clamdtest.Message(text, files...)), "Subject: ")
	return "Subject: " + rest
}

func detected(rcpt string) string { return "rilevazione-virus " + peerReceipt + " " + rcpt }

// TestS4_034_Viruses: what the rules want of infected messages at the access
// and at the incoming point (pec-rules §9), with a real engine.
func TestS4_034_Viruses(t *testing.T) {
	v := newVirusPeer(t)
	virus := []byte(clamdtest.Virus)
	var runs []*incomingRun
	for _, c := range virusCases(t, v) {
		r := &incomingRun{TB: t, p: v.peerProvider, name: c.name, boxes: make(map[string][]string)}
		c.act(r)
		runs = append(runs, r)
	}
	v.settle(t)
	events, told := v.events(t), v.told(t)
	for _, r := range runs {
		t.Run(r.name, func(t *testing.T) { r.check(t, events, told) })
	}
	nothingElse(t, told, runs)
	t.Run("quarantine", func(t *testing.T) { v.checkQuarantine(t, virus) })
	t.Run("engine stopped", v.checkStopped)
	verifyClean(t, filepath.Join(v.demo.dir, "alfa.toml"))
}

func virusCases(t testing.TB, v *virusPeer) []incomingCase {
	infected := attachedTo("in allegato", clamdtest.File{Name: "fattura.doc", Content: []byte("prima " + clamdtest.Virus + " dopo")})
	zipped := attachedTo("in archivio", clamdtest.File{Name: "a.zip", Content: clamdtest.Zip(t, clamdtest.File{Name: "x.bin", Content: []byte(clamdtest.Virus)})})
	sealed := attachedTo("cifrato", clamdtest.File{Name: "c.zip", Content: clamdtest.EncryptedZip(t, "segreta", clamdtest.File{Name: "x.txt", Content: []byte("buono")})})
	bomb := attachedTo("bomba", clamdtest.File{Name: "b.zip", Content: clamdtest.Bomb(t)})
	detects := func(content string) func(*incomingRun) {
		return func(c *incomingRun) {
			a := c.box()
			c.envelope(250, peerMessage{to: []string{a}, content: content})
			c.told(detected(a))
			c.logged("envelope.received", "intercept.virus", "receipt.emitted", "!charge.taken", "!delivery.inbound")
		}
	}
	submit := func(code int, content string, then func(c *incomingRun, a string)) func(*incomingRun) {
		return func(c *incomingRun) {
			a := c.box()
			id := newMsgID()
			c.ids = append(c.ids, id)
			s := v.demo.submission(c, account{"ALFA", a})
			defer s.Close()
			if r := s.envelope(a, []string{a}); !r.positive() {
				c.Fatalf("%s: %v", c.name, r)
			}
			r := s.data(strings.NewReader("From: " + a + "\r\nTo: " + a + "\r\nMessage-ID: " + id + "\r\n" + content))
			if r.code != code {
				c.Errorf("%s: answered %v, want %d", c.name, r, code)
			}
			then(c, a)
		}
	}
	return []incomingCase{
		{"infected envelope", detects(infected)},
		{"infected envelope, in an archive", detects(zipped)},
		{"envelope with an archive bomb", detects(bomb)},
		{"infected envelope to two certified recipients and an ordinary one", func(c *incomingRun) {
			a, b, o := c.box(), c.box(), c.box()
			c.envelope(250, peerMessage{to: []string{a, b, o}, ordinary: map[string]bool{o: true}, content: infected})
			c.told(detected(a), detected(b))
		}},
		{"infected envelope twice", func(c *incomingRun) {
			a := c.box()
			m := peerMessage{to: []string{a}, content: infected}.complete()
			raw := c.p.bytes(c, m)
			c.message(250, m, raw)
			c.message(250, m, raw)
			c.told(detected(a))
		}},
		{"envelope with an encrypted archive", func(c *incomingRun) {
			a := c.box()
			c.envelope(250, peerMessage{to: []string{a}, content: sealed})
			c.expect(a, envelopeIn)
			c.told(taken(a), delivered(a))
			c.logged("charge.taken", "scan.reported", "!intercept.virus")
		}},
		{"clean envelope", sound(peerMessage{})},
		{"infected ordinary mail", func(c *incomingRun) {
			c.plain(554, "chiunque@mail.example", infected, c.box())
			c.logged("intercept.virus", "ordinary.refused", "!ordinary.received")
		}},
		{"infected and malformed, of a real provider", func(c *incomingRun) {
			c.envelope(554, peerMessage{to: []string{c.box()}, without: "daticert", content: infected})
		}},
		{"infected submission", submit(250, infected, func(c *incomingRun, a string) {
			c.expect(a, "non-accettazione")
			c.logged("submission.refused", "intercept.virus", "!submission.accepted")
		})},
		{"submission of an archive bomb", submit(250, bomb, func(c *incomingRun, a string) {
			c.expect(a, "non-accettazione")
			c.logged("submission.refused", "intercept.virus")
		})},
		{"submission of an encrypted archive", submit(250, sealed, func(c *incomingRun, a string) {
			c.expect(a, "accettazione", envelopeIn, "avvenuta-consegna")
			c.logged("submission.accepted", "scan.reported", "!intercept.virus")
		})},
	}
}

// quarantined is one line of `pecd quarantine list --json`.
type quarantined struct {
	ID                            int64
	Point, Message, Virus, Sender string
	Recipients                    []string
	Size                          int64
}

// checkQuarantine: what was found is kept, is not readable on the disk, and is
// taken out by the private key alone, with a trace in the log.
func (v *virusPeer) checkQuarantine(t *testing.T, virus []byte) {
	config := filepath.Join(v.demo.dir, "alfa.toml")
	var items []quarantined
	for line := range strings.Lines(string(run(t, pecd(t), "quarantine", "list", "--json", "--config", config))) {
		var q quarantined
		if err := json.Unmarshal([]byte(line), &q); err != nil {
			t.Fatalf("%v\n%s", err, line)
		}
		items = append(items, q)
	}
	// Three envelopes of one recipient, one of three, one sent twice, one malformed, two submissions.
	if len(items) != 8 {
		t.Errorf("%d items kept, want 8: %+v", len(items), items)
	}
	at := slices.IndexFunc(items, func(q quarantined) bool { return q.Virus == clamdtest.VirusName && q.Point == "access" })
	if at < 0 {
		t.Fatalf("no infected submission: %+v", items)
	}
	q := items[at]
	out := filepath.Join(t.TempDir(), "infected.eml")
	run(t, pecd(t), "quarantine", "export", fmt.Sprint(q.ID), "--identity", v.identity, "--out", out, "--config", config)
	got, err := os.ReadFile(out)
	if err != nil || int64(len(got)) != q.Size || !bytes.Contains(got, []byte("From: "+q.Sender+"\r\n")) {
		t.Errorf("%d octets of %d, %v", len(got), q.Size, err)
	}
	found := string(run(t, pecd(t), "ledger", "search", "--kind", "quarantine.read", "--json", "--config", config))
	if strings.Count(found, "\n") != 1 || !strings.Contains(found, `"actor":"`) || !strings.Contains(found, q.Message) {
		t.Errorf("log of the reading: %s", found)
	}
	other := filepath.Join(t.TempDir(), "other.key")
	run(t, pecd(t), "quarantine", "keygen", "--out", other)
	if code, msg := pecdIn(t, "", "quarantine", "export", fmt.Sprint(q.ID), "--identity", other, "--out", out+".2", "--config", config); code != 1 {
		t.Errorf("another key: exit %d\n%s", code, msg)
	}
	if _, err := os.Stat(out + ".2"); err == nil {
		t.Error("half a message was left behind")
	}
	store := filepath.Join(v.demo.dir, "alfa", "store")
	err = filepath.Walk(store, func(path string, info os.FileInfo, err error) error {
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, virus) {
			t.Errorf("%s holds the virus in clear", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// checkStopped: without an answer of the engine nothing is accepted as clean,
// and nothing is lost: what is tried again goes through.
func (v *virusPeer) checkStopped(t *testing.T) {
	c := &incomingRun{TB: t, p: v.peerProvider, name: "stopped", boxes: make(map[string][]string)}
	v.clamd.Stop()
	a, b := c.box(), c.box()
	m := peerMessage{to: []string{a}}.complete()
	raw := c.p.bytes(c, m)
	c.message(451, m, raw)
	c.plain(451, "chiunque@mail.example", "Subject: Prova\r\n\r\nTesto.\r\n", b)
	s := v.demo.submission(c, account{"ALFA", b})
	defer s.Close()
	letter := "From: " + b + "\r\nTo: vera@" + peerDomain + "\r\nSubject: Prova\r\nMessage-ID: " + newMsgID() + "\r\n\r\nTesto.\r\n"
	send := func(code int) {
		t.Helper()
		if r := s.envelope(b, []string{"vera@" + peerDomain}); !r.positive() {
			t.Fatal(r)
		}
		if r := s.data(strings.NewReader(letter)); r.code != code {
			t.Errorf("submission answered %v, want %d", r, code)
		}
	}
	send(451)
	config := filepath.Join(v.demo.dir, "alfa.toml")
	if code, out := pecdIn(t, "", "status", "--config", config); code != 1 || !strings.Contains(out, "scanner_down") {
		t.Errorf("status: exit %d\n%s", code, out)
	}
	v.clamd.Restart()
	c.message(250, m, raw)
	send(250)
	c.expect(a, envelopeIn)
	c.expect(b, "accettazione")
	c.told(taken(a), delivered(a))
	v.settle(t)
	c.check(t, v.events(t), v.told(t))
	until(t, 10*time.Second, "the alarm is cleared and both changes are in the log", func() (bool, string) {
		code, out := pecdIn(t, "", "status", "--config", config)
		log := string(run(t, pecd(t), "ledger", "search", "--json", "--config", config))
		return code == 0 && strings.Contains(log, `"alarm.raised"`) && strings.Contains(log, `"alarm.cleared"`), out
	})
}
