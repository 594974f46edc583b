// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pecd/alarm"
	"pecd/clock"
	"pecd/ledger"
	"pecd/signer"
	"pecd/signer/pki"
	"pecd/signer/tsatest"
	"pecd/storage"
)

// authorities are a CA that certifies the provider and one for time stamps.
type authorities struct {
	caFile string
	ca     *x509.Certificate
	id     signer.Identity
	tsa    *tsatest.Authority
}

// newAuthorities makes them as of two days ago: openssl stamps by the machine's time.
func newAuthorities(t *testing.T) *authorities {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	since := time.Now().Add(-48 * time.Hour)
	ca, err := pki.NewCA("CA di prova", since)
	must(err)
	stampCA, err := pki.NewCA("CA delle marche", since)
	must(err)
	a := &authorities{caFile: filepath.Join(t.TempDir(), "ca.pem"), ca: ca.Certificate()}
	write(t, a.caFile, pki.EncodeCertificates(a.ca))
	a.id, err = ca.IssueSigner(provider, "posta-certificata@alfa.example")
	must(err)
	stamps, err := stampCA.IssueTSA("TSA di prova")
	must(err)
	a.tsa = tsatest.Start(t, stampCA, stamps, "sha256")
	return a
}

// openssl runs the openssl binary and returns what it prints.
func openssl(t *testing.T, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Fatal("openssl is missing: apt-get install -y openssl")
	}
	cmd := exec.CommandContext(t.Context(), "openssl", args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, errs.Bytes())
	}
	return out.Bytes()
}

// TestRealSeal_2_3: with a real signer and a real authority for time stamps. An
// inspector who has the two files, the certificates and openssl can prove a day.
func TestRealSeal_2_3(t *testing.T) {
	a := newAuthorities(t)
	zone := rome(t)
	y, m, d := time.Now().In(zone).Date()
	clk := clock.NewManual(time.Date(y, m, d-1, 12, 0, 0, 0, zone))
	sig, err := signer.New(a.id, provider, "posta-certificata@alfa.example", clk)
	if err != nil {
		t.Fatal(err)
	}
	e := &env{TB: t, dir: t.TempDir(), zone: zone, clk: clk}
	e.board = alarm.NewBoard(clk, slog.New(slog.DiscardHandler))
	e.open()
	t.Cleanup(func() { e.store.Close() })
	e.book.cfg.Signer = sig
	e.book.cfg.Stamper = &signer.TimeStamper{URL: a.tsa.URL, Authorities: []*x509.Certificate{a.tsa.CA}, Clock: clk}
	e.write(ledger.Event{Kind: ledger.SubmissionAccepted, ID: "A@alfa.example", Sender: mario, Subject: "Città"})
	e.some(300)
	clk.Advance(time.Since(clk.Now()))

	a.tsa.Silence(true)
	if err := e.book.SealNow(context.Background()); err == nil || !strings.Contains(err.Error(), "503") {
		t.Fatalf("no stamp was had: %v", err)
	}
	a.tsa.Silence(false)
	if err := e.book.SealNow(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := len(e.seals()); n != 1 || a.tsa.Stamps() != 1 {
		t.Fatalf("%d seals, %d stamps:\n%s", n, a.tsa.Stamps(), e.days())
	}
	s := e.seals()[0]
	p7m := filepath.Join(e.folder(), s.File)
	tsr := filepath.Join(e.folder(), StampName(s.File))
	ca, tsaCA := a.caFile, a.tsa.CAFile

	openssl(t, "ts", "-verify", "-data", p7m, "-in", tsr, "-CAfile", tsaCA)
	content := openssl(t, "cms", "-verify", "-inform", "DER", "-in", p7m, "-CAfile", ca, "-purpose", "any")
	head, rest, _ := strings.Cut(string(content), "\n")
	if h, err := parseHeader([]byte(head)); err != nil || h != headerOf(s, storage.Seal{}, provider, "Europe/Rome") {
		t.Errorf("%+v, %v", h, err)
	}
	var chain [32]byte
	err = eachLine(strings.NewReader(rest), func(b []byte) error {
		l, err := parseLine(b)
		if err != nil {
			return err
		}
		if chain = ledger.Link(chain, l.seq, l.data); Hash(chain) != l.hash {
			return fmt.Errorf("record %d", l.seq)
		}
		return nil
	})
	if err != nil || chain != s.Head {
		t.Errorf("the chain of what openssl has read: %v", err)
	}

	verifier := signer.NewVerifier(signer.VerifierConfig{Roots: []*x509.Certificate{a.ca}})
	proof := ProofBy(verifier, []*x509.Certificate{a.tsa.CA})
	verify := func(proof Proof) (found []Problem) {
		t.Helper()
		report := func(p Problem) error { found = append(found, p); return nil }
		c := e.verification()
		c.Proof = proof
		if _, err := Verify(t.Context(), c, report); err != nil {
			t.Fatal(err)
		}
		if _, err := VerifyFolder(t.Context(), e.folder(), proof, report); err != nil {
			t.Fatal(err)
		}
		return found
	}
	if found := verify(proof); len(found) > 0 {
		t.Errorf("found:\n%s", lines(found))
	}
	for name, wrong := range map[string]struct {
		proof Proof
		want  string
	}{
		"another authority for stamps": {ProofBy(verifier, []*x509.Certificate{a.ca}), "the time stamp does not hold"},
		"another CA":                   {ProofBy(signer.NewVerifier(signer.VerifierConfig{Roots: []*x509.Certificate{a.tsa.CA}}), []*x509.Certificate{a.tsa.CA}), "the signature does not hold"},
	} {
		if found := verify(wrong.proof); len(found) != 2 || !strings.Contains(found[0].What, wrong.want) {
			t.Errorf("%s: found:\n%s", name, lines(found))
		}
	}
	e.flip(s.File, e.inFile(s.File, "prova"))
	if found := verify(proof); len(found) != 2 || !strings.Contains(found[1].What, "the signature does not hold") || !strings.Contains(found[1].What, "the time stamp does not hold") {
		t.Errorf("found:\n%s", lines(found))
	}
}
