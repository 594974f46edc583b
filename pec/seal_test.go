// SPDX-License-Identifier: EUPL-1.2

package pec_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pecd/pec"
)

// openssl runs the tool in dir.
func openssl(t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	tool, err := exec.LookPath("openssl")
	if err != nil {
		t.Fatal("openssl is missing: apt-get install -y openssl")
	}
	cmd := exec.Command(tool, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %v: %v\n%s", args, err, out)
	}
	return out
}

// A sealed message verifies with somebody else's S/MIME, whatever the original
// looks like.
func TestSealVerifies(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	openssl(t, dir, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
		"-subj", "/CN=prova", "-keyout", "key.pem", "-out", "cert.pem")

	messages := everyMessage(t)
	header, _ := rewrittenOriginal(t)
	for _, original := range []string{"", "A: 1\r\n\r\nno line break", "A: 1\r\n\r\nbreaks\r\n\r\n\r\n", "A: 1\r\n\r\n  blanks  \r\n\t\r\n"} {
		messages = append(messages, built{name: "original", original: []byte(original),
			draft: testBuilder(t).TransportEnvelope(testMessage(), romeTime(), header, false)})
	}
	for _, b := range messages {
		var entity bytes.Buffer
		if err := b.draft.WriteEntity(&entity, bytes.NewReader(b.original)); err != nil {
			t.Fatal(err)
		}
		write("entity", entity.Bytes())
		openssl(t, dir, "cms", "-sign", "-binary", "-in", "entity", "-signer", "cert.pem", "-inkey", "key.pem",
			"-md", "sha256", "-outform", "DER", "-out", "p7s")
		p7s, err := os.ReadFile(filepath.Join(dir, "p7s"))
		if err != nil {
			t.Fatal(err)
		}
		head, tail := b.draft.Seal(p7s, "sha-256")
		write("message", slices.Concat(head, b.original, tail))
		openssl(t, dir, "cms", "-verify", "-in", "message", "-CAfile", "cert.pem", "-purpose", "any", "-out", "content")
		content, err := os.ReadFile(filepath.Join(dir, "content"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(content, entity.Bytes()) {
			t.Errorf("%s: the verified content is not the entity", b.name)
		}
	}
}

// failAt fails with the n-th write.
type failAt struct{ n int }

var errWrite = errors.New("write failed")

func (f *failAt) Write(p []byte) (int, error) {
	if f.n--; f.n < 0 {
		return 0, errWrite
	}
	return len(p), nil
}

func TestWriteEntityErrors(t *testing.T) {
	header, original := rewrittenOriginal(t)
	d := testBuilder(t).TransportEnvelope(testMessage(), romeTime(), header, false)
	for n := range 3 {
		if err := d.WriteEntity(&failAt{n}, bytes.NewReader(original)); !errors.Is(err, errWrite) {
			t.Errorf("write %d: %v", n, err)
		}
	}
}

func TestMessageOf(t *testing.T) {
	b, m := testBuilder(t), testMessage()
	header, original := rewrittenOriginal(t)
	d := b.TransportEnvelope(m, romeTime(), header, false)
	_, _, xml := checkShape(t, built{draft: d, original: original, certData: &pec.CertData{}}, seal(d, original))
	c, err := pec.ReadCertData(xml)
	if err != nil {
		t.Fatal(err)
	}
	// What the access point knows and what the recipient's provider reads make
	// the same receipt.
	here := b.Delivery(m, romeTime(), "bruno@pec.beta.example", pec.FormConcise, false)
	there := b.Delivery(pec.MessageOf(c), romeTime(), "bruno@pec.beta.example", pec.FormConcise, false)
	if !bytes.Equal(here.Outer, there.Outer) || !bytes.Equal(here.Before, there.Before) {
		t.Error("the receipts differ")
	}
}

func TestNonDeliveryCodes(t *testing.T) {
	b := testBuilder(t)
	for code, want := range map[pec.ErrorCode]pec.ErrorCode{
		pec.NoDest: pec.NoDest, pec.NoDomain: pec.NoDomain, pec.OtherError: pec.OtherError,
		pec.NoError: pec.OtherError, "": pec.OtherError, "boh": pec.OtherError,
	} {
		d := b.NonDelivery(testMessage(), romeTime(), "bruno@pec.beta.example", code, "5.2.2 - Alfa - casella piena")
		_, _, xml := checkShape(t, built{draft: d, certData: &pec.CertData{}}, seal(d, nil))
		if c, err := pec.ReadCertData(xml); err != nil || c.Error != want {
			t.Errorf("%q is written as %q (%v)", code, c.Error, err)
		}
	}
}

// The zone attribute holds whole minutes: local mean times of old are cut, the
// instant stays.
func TestZoneOfSeconds(t *testing.T) {
	at := time.Date(1860, 1, 1, 12, 0, 0, 0, time.FixedZone("", 49*60+56))
	c := fullCertData()
	c.At = at
	got, err := pec.ReadCertData(c.Encode())
	if err != nil || !got.At.Equal(at) {
		t.Errorf("%v, %v", got.At, err)
	}
}
