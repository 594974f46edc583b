// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pecd/clock"
	"pecd/directory"
	"pecd/pec"
	"pecd/rfc822"
	"pecd/signer"
	"pecd/signer/pki"
)

const originalMail = "From: anna@alfa.example\r\nTo: bruno@beta.example\r\nSubject: prova\r\n\r\nciao\r\n"

// envelopeFile writes a signed transport envelope, its authority and an index.
func envelopeFile(t *testing.T) (file, ca, index string) {
	t.Helper()
	dir, now := t.TempDir(), time.Now()
	authority, err := pki.NewCA("test CA", now)
	must(t, err)
	id, err := authority.IssueSigner("Gestore Alfa", "posta-certificata@alfa.example")
	must(t, err)
	s, err := signer.New(id, "Gestore Alfa", "posta-certificata@alfa.example", clock.System{})
	must(t, err)
	h, err := rfc822.ParseHeader([]byte(originalMail[:strings.Index(originalMail, "\r\n\r\n")+4]), rfc822.DefaultLimits())
	must(t, err)
	b := pec.Builder{
		Provider: pec.Provider{Name: "Gestore Alfa", Domain: "alfa.example", ServiceAddress: "posta-certificata@alfa.example"},
		Location: time.UTC, Secret: bytes.Repeat([]byte{7}, 16),
	}
	m := pec.Message{ID: "x.1@alfa.example", Sender: "anna@alfa.example", Recipients: []pec.Recipient{{Address: "bruno@beta.example"}}, Subject: "prova", HasSubject: true}
	d := b.TransportEnvelope(m, now, h, false)
	sum := sha256.New()
	must(t, d.WriteEntity(sum, strings.NewReader(originalMail)))
	der, err := s.Sign(context.Background(), [32]byte(sum.Sum(nil)), now)
	must(t, err)
	head, tail := d.Seal(der, s.MicAlg())
	var ldif bytes.Buffer
	must(t, directory.WriteLDIF(&ldif, directory.RootEntry{}, []directory.Provider{{
		Name: "Gestore Alfa", MailReceipt: "ricevute@alfa.example", Certificates: [][]byte{id.Certificate.Raw}, Domains: []string{"alfa.example"},
	}}))
	file, ca, index = filepath.Join(dir, "busta.eml"), filepath.Join(dir, "ca.pem"), filepath.Join(dir, "index.ldif")
	must(t, os.WriteFile(file, append(append(head, originalMail...), tail...), 0o600))
	must(t, os.WriteFile(ca, pki.EncodeCertificates(authority.Certificate()), 0o600))
	must(t, os.WriteFile(index, ldif.Bytes(), 0o600))
	return file, ca, index
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func unwrapJSON(t *testing.T, args ...string) (unwrapped, int) {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(append([]string{"unwrap", "--json"}, args...), &out, &errs)
	var u unwrapped
	if code == exitDone {
		must(t, json.Unmarshal(out.Bytes(), &u))
	} else if errs.Len() == 0 {
		t.Error("failed without a word")
	}
	return u, code
}

func TestUnwrap_Verdicts(t *testing.T) {
	file, ca, index := envelopeFile(t)
	raw, err := os.ReadFile(file)
	must(t, err)
	lf, altered := filepath.Join(t.TempDir(), "lf.eml"), filepath.Join(t.TempDir(), "altered.eml")
	must(t, os.WriteFile(lf, bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n")), 0o600))
	must(t, os.WriteFile(altered, bytes.Replace(raw, []byte("ciao\r\n"), []byte("miao\r\n"), 1), 0o600))
	otherCA, _ := func() (string, string) { _, c, i := envelopeFile(t); return c, i }()
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		name    string
		args    []string
		verdict string
	}{
		{"trusted", []string{file, "--ca", ca}, "valid"},
		{"in the index", []string{file, "--ca", ca, "--index", index}, "valid"},
		{"nobody to trust", []string{file}, "intact"},
		{"line ends lost", []string{lf, "--ca", ca, "-o", "lf.out"}, "valid"},
		{"altered", []string{altered, "--ca", ca, "-o", "altered.out"}, "broken"},
		{"another authority", []string{file, "--ca", otherCA}, "untrusted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, code := unwrapJSON(t, c.args...)
			if code != exitDone || u.Kind != "posta-certificata" || u.Signature.Verdict != c.verdict || u.Provider != "Gestore Alfa" {
				t.Errorf("exit %d, %s, %s (%s), provider %q", code, u.Kind, u.Signature.Verdict, u.Signature.Text, u.Provider)
			}
		})
	}
}

// TestUnwrap_Original: the original comes out exactly, nothing is overwritten
// unasked, and the message itself survives a slip of the pen.
func TestUnwrap_Original(t *testing.T) {
	file, _, _ := envelopeFile(t)
	t.Chdir(t.TempDir())
	want := func(path, content string) {
		t.Helper()
		b, err := os.ReadFile(path)
		must(t, err)
		if string(b) != content {
			t.Errorf("%s: %q", path, b)
		}
	}
	for range 2 {
		if _, code := unwrapJSON(t, file); code != exitDone {
			t.Fatalf("exit %d", code)
		}
		want("busta.postacert.eml", originalMail)
	}
	must(t, os.WriteFile("busta.postacert.eml", []byte("mine"), 0o600))
	if _, code := unwrapJSON(t, file); code != exitFailed {
		t.Errorf("overwrote another file, exit %d", code)
	}
	want("busta.postacert.eml", "mine")
	if _, code := unwrapJSON(t, file, "-o", file); code != exitDone {
		t.Errorf("exit %d", code)
	}
	want(file, originalMail)
	var out, errs bytes.Buffer
	plain := filepath.Join(t.TempDir(), "plain.eml")
	must(t, os.WriteFile(plain, []byte(originalMail), 0o600))
	if code := run([]string{"unwrap", plain, "-o", "x"}, &out, &errs); code != exitFailed {
		t.Errorf("no original enclosed, exit %d", code)
	}
}
