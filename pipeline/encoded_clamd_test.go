// SPDX-License-Identifier: EUPL-1.2

//go:build linux

package pipeline_test

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"strings"
	"testing"

	"pecd/alarm"
	"pecd/clock"
	"pecd/fault"
	"pecd/pipeline"
	"pecd/scan"
	"pecd/scan/clamdtest"
)

// clamd shows the antivirus to the pipeline.
type clamd struct{ *scan.Scanner }

func (c clamd) Scan(ctx context.Context, r io.Reader) (pipeline.Finding, error) {
	res, err := c.Scanner.Scan(ctx, r)
	return pipeline.Finding{Name: res.Name, Refuse: res.Refuse, Report: res.Report}, err
}

// startClamd starts a clamd with the default policy.
func startClamd(t *testing.T) clamd {
	d := clamdtest.Start(t, clamdtest.Options{})
	engine, err := scan.NewClamd(scan.ClamdConfig{Addresses: []string{d.Addr}})
	check(t, err)
	log := slog.New(slog.DiscardHandler)
	return clamd{scan.NewScanner(scan.ScannerConfig{
		Engine: engine, Policy: scan.DefaultPolicy(), Board: alarm.NewBoard(clock.System{}, log), Clock: clock.System{}, Logger: log,
	})}
}

// TestRFC2045_6_4_EncodedCompositesClamd: with the installed clamd. Of the forms
// marked blind it finds nothing in the message alone.
func TestRFC2045_6_4_EncodedCompositesClamd(t *testing.T) {
	engine := startClamd(t)
	const root = "MIME-Version: 1.0\r\n"
	// No two files are equal: clamd remembers what it has found clean.
	file := func(content string) clamdtest.File {
		zip := clamdtest.Zip(t, clamdtest.File{Name: rand.Text(), Content: []byte(content)})
		return clamdtest.File{Name: "a.zip", Content: zip}
	}
	attached := func(content string) string {
		return string(clamdtest.Message("testo "+rand.Text(), file(content)))
	}
	// What clamd does not take for a message when it is a file.
	headless := func(content string) string {
		return part("multipart/mixed; boundary=h", "7bit", multi("h", part("application/zip", "base64", base64Of(string(file(content).Content)))))
	}
	for name, c := range map[string]struct {
		message func(content string) string
		blind   bool
	}{
		"message in base64":                      {func(s string) string { return holding(rfc822In64(attached(s))) }, false},
		"message in base64, of few fields":       {func(s string) string { return holding(rfc822In64(headless(s))) }, true},
		"message in base64, of few fields, deep": {func(s string) string { return holding(rfc822In64(root + rfc822In64(headless(s)))) }, true},
		"the whole message in base64": {func(s string) string {
			return message(anna, bruno, root+"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n", base64Of(attached(s)))
		}, true},
		"the whole message in base64, a file": {func(s string) string {
			return message(anna, bruno, root+"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n", base64Of(string(file(s).Content)))
		}, true},
		"the whole attached message in base64": {func(s string) string {
			return holding(part("message/rfc822", "7bit", "From: x@mail.example\r\n"+root+rfc822In64(attached(s))))
		}, true},
		"another type of message in quoted-printable": {func(s string) string {
			return message(anna, bruno, root+"Content-Type: message/x-copia\r\nContent-Transfer-Encoding: quoted-printable\r\n", quotedOf(attached(s)))
		}, true},
		"multipart in base64": {func(s string) string {
			return holding(part("multipart/mixed; boundary=h", "base64", base64Of(multi("h", part("application/zip", "base64", base64Of(string(file(s).Content)))))+multi("h", "\r\nciao")))
		}, true},
		"message said to be in base64": {func(s string) string { return holding(part("message/rfc822", "base64", attached(s))) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			alone, err := engine.Scan(context.Background(), strings.NewReader(c.message(clamdtest.Virus)))
			check(t, err)
			if alone.Refuse == c.blind {
				t.Errorf("this clamd finds %q in the message alone", alone.Name)
			}
			w := newWorld(t)
			alfa, beta := w.at(anna).core, w.at(bruno).core
			alfa.Scanner, alfa.Vault = engine, xorVault{}
			w.submit(anna, []string{bruno}, c.message(clamdtest.Virus))
			w.want(anna, "non-accettazione-virus")
			w.submit(anna, []string{bruno}, c.message("ciao"))
			w.settle()
			w.want(anna, "non-accettazione-virus accettazione avvenuta-consegna")
			w.want(bruno, "posta-certificata")

			alfa.Scanner, beta.Scanner, beta.Vault = nil, engine, xorVault{}
			w.submit(anna, []string{bruno}, c.message(clamdtest.Virus))
			w.settle()
			w.want(bruno, "posta-certificata")
			w.want(anna, "non-accettazione-virus accettazione avvenuta-consegna accettazione errore-consegna-virus")
			if q := w.wantQuarantine("beta.example", 1)[0]; q.Virus != clamdtest.VirusName || !strings.Contains(q.clear, "X-Trasporto") {
				t.Errorf("virus %q", q.Virus)
			}
		})
	}
}

// TestScan_NoMessageForTheEngine: a message whose only field clamd does not know
// a message by is looked through all the same: a trace line stands before it.
func TestScan_NoMessageForTheEngine(t *testing.T) {
	engine := startClamd(t)
	zip := clamdtest.Zip(t, clamdtest.File{Name: rand.Text(), Content: []byte(clamdtest.Virus)})
	raw := part("multipart/mixed; boundary=h", "7bit", multi("h", part("application/zip", "base64", base64Of(string(zip)))))
	if alone, err := engine.Scan(context.Background(), strings.NewReader(raw)); err != nil || alone.Refuse {
		t.Errorf("this clamd finds %q in the message alone, %v", alone.Name, err)
	}
	p := newWorld(t).at(bruno)
	p.core.Scanner, p.core.Vault = engine, xorVault{}
	_, err := p.incoming.Receive(context.Background(), pipeline.Arrival{Sender: "x@mail.example", Recipients: []string{bruno}}, strings.NewReader(raw))
	if !fault.Is(err, fault.Infected) {
		t.Errorf("answered %v", err)
	}
}
