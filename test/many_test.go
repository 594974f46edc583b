// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bytes"
	"crypto/x509"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.mozilla.org/pkcs7"
)

// TestManyRecipients is acceptance line 5: one large message to many
// recipients. Every complete receipt is readable by IMAP and verifies, and the
// store keeps one copy of the original on each side, not one per receipt.
func TestManyRecipients(t *testing.T) {
	recipients, size, growth := 100, 5<<20, int64(30e6)
	if long() {
		recipients, size, growth = 1000, 10<<20, 60e6
	}
	d := newDemo(t, "--quiet", "--standard", strconv.Itoa(max(recipients, 40)))
	// The mailbox must hold every receipt at its full size: 64 GB (S4-031).
	sender := d.named(t, "ALFA_XL")
	l := letter{id: newMsgID(), from: sender.address, subject: "A molti", attached: []attachment{pdf((size - 4000) / 78 * 57)}}
	for n := 1; n <= recipients; n++ {
		l.to = append(l.to, d.standard(t, "BETA", n).address)
	}
	message := l.bytes()
	t.Logf("%d recipients, message of %d bytes", recipients, len(message))
	before := diskUse(t, d.dir)
	began := time.Now()
	d.submit(t, sender, l.to, message)
	t.Logf("250 after %v", time.Since(began))

	in := d.openInbox(t, sender)
	got := in.wait(time.Duration(recipients)*time.Second+2*time.Minute, recipients, "delivery receipts", about(l.id, "avvenuta-consegna"))
	t.Logf("all receipts after %v", time.Since(began))
	acceptance := mustReadPEC(t, in.body(in.one(time.Minute, "acceptance", about(l.id, "accettazione")).uid))
	if len(acceptance.cert.Recipients) != recipients {
		t.Errorf("the acceptance lists %d recipients", len(acceptance.cert.Recipients))
	}
	pool := x509.NewCertPool()
	ca, err := os.ReadFile(d.file(t, "CA_FILE"))
	if err != nil || !pool.AppendCertsFromPEM(ca) {
		t.Fatal(err)
	}
	delivered := map[string]int{}
	for i, m := range got {
		p := mustReadPEC(t, in.body(m.uid))
		delivered[p.cert.Delivery]++
		if !bytes.Equal(bodyOf(p.original), bodyOf(message)) {
			t.Fatalf("receipt %d does not carry the original", i)
		}
		signed, err := pkcs7.Parse(p.p7s)
		if err != nil {
			t.Fatalf("receipt %d: %v", i, err)
		}
		signed.Content = p.signed
		if err := signed.VerifyWithChain(pool); err != nil {
			t.Errorf("receipt %d for %s: %v", i, p.cert.Delivery, err)
		}
		if i%max(1, recipients/20) == 0 {
			p.check(t, d)
		}
	}
	for _, r := range l.to {
		if delivered[r] != 1 {
			t.Errorf("%s has %d delivery receipts", r, delivered[r])
		}
	}
	// Every recipient has the message: first, last and one in between.
	for _, n := range []int{1, recipients / 2, recipients} {
		at := d.openInbox(t, d.standard(t, "BETA", n))
		p := mustReadPEC(t, at.body(at.one(time.Minute, "transport envelope", about(l.id, "posta-certificata")).uid))
		if !bytes.Equal(bodyOf(p.original), bodyOf(message)) {
			t.Errorf("recipient %d: another original", n)
		}
	}
	if err := d.terminate(); err != nil {
		t.Fatal(err)
	}
	grown := diskUse(t, d.dir) - before
	t.Logf("the demo directory grew by %.1f MB", float64(grown)/1e6)
	if grown > growth {
		t.Errorf("the demo directory grew by %d bytes, limit %d", grown, growth)
	}
	for _, name := range []string{"alfa.toml", "beta.toml"} {
		verifyClean(t, filepath.Join(d.dir, name))
	}
}

// bodyOf is a message without its header.
func bodyOf(message []byte) []byte {
	_, body, _ := bytes.Cut(message, []byte("\r\n\r\n"))
	return body
}

// diskUse is what the files below dir occupy, as du counts it.
func diskUse(t testing.TB, dir string) (total int64) {
	t.Helper()
	out := run(t, "du", "-s", "--block-size=1", dir)
	n, err := strconv.ParseInt(strings.Fields(string(out))[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
