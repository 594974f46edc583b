// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"pecd/clock"
	"pecd/pipeline"
	"pecd/signer/pki"
	"pecd/signer/tsatest"
)

// yesterday is a node whose clock stands at noon of the day before, with a
// time-stamping authority.
type yesterday struct {
	*testing.T
	dir, config string
	clk         *clock.Manual
	node        *node
	tsa         *tsatest.Authority
}

func newYesterday(t *testing.T) *yesterday {
	t.Helper()
	ctx := context.Background()
	legal, err := time.LoadLocation("Europe/Rome") // days of the log are days there
	if err != nil {
		t.Fatal(err)
	}
	y, m, day := time.Now().In(legal).Date()
	w := &yesterday{T: t, dir: t.TempDir(), clk: clock.NewManual(time.Date(y, m, day-1, 12, 0, 0, 0, time.UTC))}
	w.config = filepath.Join(w.dir, "alfa.toml")
	d := &demo{dir: w.dir, cmd: &demoCmd{Standard: 2}, sides: demoSides(1000), env: &env{ctx: ctx, stdout: io.Discard, stderr: io.Discard, clock: w.clk}}
	_, err = d.prepare()
	w.must(err)
	ca, err := pki.NewCA("CA delle marche", w.clk.Now())
	w.must(err)
	id, err := ca.IssueTSA("TSA di prova")
	w.must(err)
	w.tsa = tsatest.Start(t, ca, id, "sha256")
	text, err := os.ReadFile(w.config)
	w.must(err)
	w.must(os.WriteFile(w.config, fmt.Appendf(text, "\n[ledger]\ntsa = %q\ntsa_authorities = %q\n", w.tsa.URL, w.tsa.CAFile), 0o600))
	cfg, err := readConfig(w.config)
	w.must(err)
	w.node, err = openNode(ctx, cfg, w.clk, slog.New(slog.DiscardHandler))
	w.must(err)
	return w
}

func (w *yesterday) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// submit has a holder certify a message to another one and returns its identificativo.
func (w *yesterday) submit(subject string) string {
	w.Helper()
	from, to := "standard001@alfa.example", "standard002@alfa.example"
	access := &pipeline.Access{Core: w.node.core}
	text, err := access.Submit(context.Background(), pipeline.Submission{Login: from, Sender: from, Recipients: []string{to}},
		strings.NewReader("From: "+from+"\r\nTo: "+to+"\r\nSubject: "+subject+"\r\nMessage-ID: <"+subject+"@client.example>\r\n\r\nTesto.\r\n"))
	w.must(err)
	return text[strings.LastIndex(text, " ")+1:]
}

// pecd runs a command line on the node, which is closed.
func (w *yesterday) pecd(args ...string) (code int, out string) {
	w.Helper()
	var b bytes.Buffer
	code = run(append(args, "--config", w.config), &b, &b)
	return code, b.String()
}

// TestSealedDay_2_3: a day is sealed and stamped so that openssl alone proves
// it; one octet of a past event altered is named by pecd ledger verify.
func TestSealedDay_2_3(t *testing.T) {
	w := newYesterday(t)
	first := w.submit("uno")
	w.submit("due")
	w.clk.Advance(24 * time.Hour)
	third := w.submit("tre")
	w.tsa.Silence(true)
	if err := w.node.daybook.SealNow(context.Background()); err == nil {
		t.Fatal("sealed and stamped without an answer of the authority")
	}
	w.must(w.node.close())
	if code, out := w.pecd("ledger", "verify"); code != exitDone || !strings.Contains(out, "unstamped 1,") {
		t.Fatalf("unstamped: exit %d\n%s", code, out)
	}
	w.tsa.Silence(false)
	if code, out := w.pecd("ledger", "seal"); code != exitDone || !strings.Contains(out, "unstamped: 0") {
		t.Fatalf("ledger seal: exit %d\n%s", code, out)
	}
	files, err := filepath.Glob(filepath.Join(w.dir, "alfa", "store", sealFolder, "*.p7m"))
	if err != nil || len(files) != 1 {
		t.Fatalf("sealed files %v, %v", files, err)
	}
	p7m := files[0]
	w.openssl("ts", "-verify", "-data", p7m, "-in", strings.TrimSuffix(p7m, ".p7m")+".tsr", "-CAfile", w.tsa.CAFile)
	content := w.openssl("cms", "-verify", "-inform", "DER", "-in", p7m, "-CAfile", filepath.Join(w.dir, "ca.pem"), "-purpose", "any")
	if !strings.Contains(content, first) || strings.Contains(content, third) {
		t.Errorf("the sealed day holds\n%s", content)
	}
	if code, out := w.pecd("ledger", "verify"); code != exitDone || !strings.Contains(out, "log integro") || !strings.Contains(out, "testa / head ") {
		t.Fatalf("ledger verify: exit %d\n%s", code, out)
	}
	var b bytes.Buffer
	if code := run([]string{"ledger", "inspect", filepath.Dir(p7m), "--ca", filepath.Join(w.dir, "ca.pem"), "--tsa-ca", w.tsa.CAFile}, &b, &b); code != exitDone || !strings.Contains(b.String(), fmt.Sprintf("%q", w.node.cfg.Provider.Name)) {
		t.Errorf("ledger inspect: exit %d\n%s", code, b.String())
	}
	w.extracts(first)

	seq := w.alter(first)
	code, out := w.pecd("ledger", "verify")
	if code != exitFailed || strings.Count(out, "PROBLEMA") != 1 || !strings.Contains(out, fmt.Sprintf("record %d (", seq)) || !strings.Contains(out, first) {
		t.Errorf("one octet of event %d altered: exit %d\n%s", seq, code, out)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(p7m), "BROKEN")); err != nil {
		t.Error("the next start will not know of it:", err)
	}
}

func (w *yesterday) openssl(args ...string) string {
	w.Helper()
	cmd := exec.CommandContext(w.Context(), "openssl", args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		w.Fatalf("openssl %v: %v\n%s", args, err, errs.String())
	}
	return string(out)
}

// extracts: the holder's extract as CSV, the whole as JSON, each with what proves it.
func (w *yesterday) extracts(id string) {
	w.Helper()
	for _, c := range []struct {
		args []string
		rows func(b []byte) (int, error)
	}{
		{[]string{"--holder", "standard001@alfa.example"}, func(b []byte) (int, error) {
			all, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
			return len(all) - 1, err
		}},
		{[]string{"--all", "--format", "json"}, func(b []byte) (n int, err error) {
			for line := range bytes.Lines(b) {
				var v struct{ Event map[string]any }
				if err := json.Unmarshal(line, &v); err != nil || v.Event == nil {
					return n, fmt.Errorf("%w in %s", err, line)
				}
				n++
			}
			return n, nil
		}},
	} {
		out := filepath.Join(w.TempDir(), "estratto")
		code, msg := w.pecd(append([]string{"ledger", "extract", "--out", out}, c.args...)...)
		if code != exitDone {
			w.Fatalf("extract %v: exit %d\n%s", c.args, code, msg)
		}
		b, err := os.ReadFile(out)
		w.must(err)
		n, err := c.rows(b)
		w.must(err)
		var manifest struct {
			Records int
			Seals   []any
		}
		m, err := os.ReadFile(out + ".manifest.json")
		w.must(err)
		w.must(json.Unmarshal(m, &manifest))
		if n == 0 || n != manifest.Records || len(manifest.Seals) != 1 || !bytes.Contains(b, []byte(id)) {
			w.Errorf("extract %v: %d rows; manifest %s", c.args, n, m)
		}
		if code, _ := w.pecd(append([]string{"ledger", "extract", "--out", out}, c.args...)...); code != exitFailed {
			w.Error("an extract was written over")
		}
	}
}

// alter changes one octet of the acceptance of a message and returns its number.
func (w *yesterday) alter(id string) (seq int64) {
	w.Helper()
	db, err := sql.Open("sqlite", filepath.Join(w.dir, "alfa", "store", "pecd.db"))
	w.must(err)
	defer db.Close()
	var data []byte
	w.must(db.QueryRow("SELECT seq, data FROM records WHERE id = ? AND event = 'submission.accepted'", id).Scan(&seq, &data))
	at := regexp.MustCompile(`"sender":"s`).FindIndex(data)[1] - 1
	data[at] = 'S'
	_, err = db.Exec("UPDATE records SET data = ? WHERE seq = ?", data, seq)
	w.must(err)
	return seq
}
