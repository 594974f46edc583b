// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.mozilla.org/pkcs7"
)

// gauge reads one figure of alfa's metrics.
func (d *demo) gauge(t *testing.T, name string) float64 {
	t.Helper()
	text := run(t, "curl", "--silent", "--fail", "http://"+d.get(t, "ALFA_METRICS")+"/metrics")
	m := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("no metric %s", name)
	}
	v, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestS4_033_XLFiveThousandAMinute: 8 connections send an XL's 5,000 messages (200
// without PECD_LONG) within a minute, all of them accepted; every receipt can be
// read and its signature holds; asking for the limits takes less than 2 % of the
// processor time.
func TestS4_033_XLFiveThousandAMinute(t *testing.T) {
	need(t, "curl")
	const connections = 8
	messages, d := 200, sharedDemo
	if long() {
		messages, d = 5000, func(t testing.TB) *demo { return newDemo(t, "--quiet") }
	}
	sendXL(t, d(t), connections, messages)
}

func sendXL(t *testing.T, d *demo, connections, messages int) {
	t.Helper()
	from, to := d.named(t, "ALFA_XL"), d.standard(t, "ALFA", 30)
	cpu, checks := d.gauge(t, "process_cpu_seconds_total"), d.gauge(t, "pecd_limit_check_seconds_sum")

	var mu sync.Mutex
	var took []time.Duration
	var all sync.WaitGroup
	sessions := make([]*smtpConn, connections)
	for i := range sessions {
		sessions[i] = d.submission(t, from)
	}
	in := d.openInbox(t, from)
	before := len(in.refresh())
	begun := time.Now()
	for i, s := range sessions {
		all.Go(func() {
			for k := range messages / connections {
				sent := time.Now()
				if r := attempt(s, from, to, k); r.code != 250 {
					t.Errorf("connection %d, message %d: %v", i, k, r)
					return
				}
				mu.Lock()
				took = append(took, time.Since(sent))
				mu.Unlock()
			}
		})
	}
	all.Wait()
	lasted := time.Since(begun)
	if len(took) != messages {
		t.Fatalf("%d of %d accepted", len(took), messages)
	}
	if lasted > time.Minute {
		t.Errorf("%d messages took %v", messages, lasted)
	}
	slices.Sort(took)

	until(t, 5*time.Minute, "all receipts", func() (bool, string) {
		n := len(in.refresh()) - before
		return n == 2*messages, fmt.Sprint(n)
	})
	cpu, checks = d.gauge(t, "process_cpu_seconds_total")-cpu, d.gauge(t, "pecd_limit_check_seconds_sum")-checks
	if share := checks / cpu; share >= 0.02 {
		t.Errorf("the limits took %.1f %% of the processor time", 100*share)
	}
	kinds := readAll(t, d, in, before)
	if kinds["accettazione"] != messages || kinds["avvenuta-consegna"] != messages {
		t.Errorf("receipts: %v", kinds)
	}
	t.Logf("%d messages in %v (%.0f/s), p50 %v, p99 %v; limits %.2f ms of %.1f s of processor time (%.3f %%)", messages, lasted.Round(time.Millisecond),
		float64(messages)/lasted.Seconds(), took[len(took)/2].Round(time.Millisecond), took[len(took)*99/100].Round(time.Millisecond), 1000*checks, cpu, 100*checks/cpu)
}

// readAll reads every message of a mailbox, but for the first ones, as a receipt whose signature holds, and
// counts their kinds.
func readAll(t *testing.T, d *demo, in *inbox, from int) map[string]int {
	t.Helper()
	pool := x509.NewCertPool()
	ca, err := os.ReadFile(d.file(t, "CA_FILE"))
	if err != nil || !pool.AppendCertsFromPEM(ca) {
		t.Fatal(err)
	}
	kinds := make(map[string]int)
	for i, m := range in.refresh()[from:] {
		p := mustReadPEC(t, in.body(m.uid))
		signed, err := pkcs7.Parse(p.p7s)
		if err != nil {
			t.Fatalf("receipt %d: %v", i, err)
		}
		signed.Content = p.signed
		if err := signed.VerifyWithChain(pool); err != nil {
			t.Errorf("receipt %d: %v", i, err)
		}
		if i%500 == 0 {
			p.check(t, d)
		}
		if !bytes.Contains(p.signed, []byte("daticert.xml")) {
			t.Errorf("receipt %d has no certified data", i)
		}
		kinds[m.header.Get("X-Ricevuta")]++
	}
	return kinds
}
