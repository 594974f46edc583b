// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"pecd/fault"
)

// given returns an index in which a provider lost a domain or its certificate,
// and another one, where it is named, has it.
func given(t testing.TB, all []Provider, what, from, to string) []Provider {
	t.Helper()
	return edited(all, func(all []Provider) []Provider {
		loser := of(all, from)
		if what == "certificate" {
			old := loser.Certificates[0]
			loser.Certificates = [][]byte{testCertificate(t, "renewed")}
			if to != "" {
				of(all, to).Certificates = append(of(all, to).Certificates, old)
			}
			return all
		}
		for i, d := range loser.Domains {
			if d == what {
				loser.Domains = append(loser.Domains[:i:i], loser.Domains[i+1:]...)
			}
		}
		if to != "" {
			of(all, to).Domains = append(of(all, to).Domains, what)
		}
		return all
	})
}

// TestRFC6109_7_MoveInTwoSteps: what goes away and comes back under another
// provider's dn needs Accept, also after a restart, for 90 days. With Accept it
// is its new provider's.
func TestRFC6109_7_MoveInTwoSteps(t *testing.T) {
	base := national(t)
	for _, what := range []string{"comune0.g1.example", "certificate"} { // of Beta, then Gamma
		t.Run(what, func(t *testing.T) {
			p := newPress(t)
			f, _ := p.first(base)
			publish := func(all []Provider) (Summary, error) {
				t.Helper()
				p.publishes(p.auth.sign(t, ldifOf(t, all)))
				return f.Refresh(context.Background())
			}
			again := func() {
				t.Helper()
				f = p.fetcher()
				if _, err := f.First(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
			accepted := func(step string, all []Provider) {
				t.Helper()
				if _, err := publish(all); err != nil {
					t.Fatalf("%s: %v", step, err)
				}
			}
			refused := func(step string, all []Provider) {
				t.Helper()
				_, err := publish(all)
				if !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), `which was "Beta"'s, comes back with "Gamma"`) || !strings.Contains(fault.TextOf(err), `torna con "Gamma"`) {
					t.Fatalf("%s: %v", step, err)
				}
			}
			gone, moved := given(t, base, what, "Beta", ""), given(t, base, what, "Beta", "Gamma")
			accepted("it goes away", gone)
			refused("it comes back", moved)
			again()
			refused("it comes back after a restart", moved)
			accepted("without it", gone)
			accepted("it comes back to where it was", base)
			accepted("it goes away again", gone)
			p.clk.Advance(rememberDeparted - time.Hour)
			refused("almost 90 days later", moved)
			if _, err := f.Accept(context.Background(), ""); err != nil {
				t.Fatal(err)
			}
			if domains, certs := f.departed().returned(nil, indexOf(t, moved), p.clk.Now()); len(domains)+len(certs) != 0 {
				t.Errorf("after Accept: %v %v", domains, certs)
			}
			accepted("it goes away from its new provider", gone)
			again()
			accepted("it comes back to it", moved)
			accepted("it goes away from its new provider", gone)
			p.clk.Advance(rememberDeparted)
			again()
			accepted("after 90 days it is anyone's", base)
		})
	}
}

// TestNotRememberedNotTakenOver: an index that loses something is not taken
// over when that cannot be written down.
func TestNotRememberedNotTakenOver(t *testing.T) {
	p := newPress(t)
	base := national(t)
	f, live := p.first(base)
	full := errors.New("no space left")
	f.rename = func(from, to string) error {
		if strings.HasSuffix(to, stateSuffix) {
			return full
		}
		return os.Rename(from, to)
	}
	before := live.Current()
	p.publishes(p.auth.sign(t, ldifOf(t, given(t, base, "comune0.g1.example", "Beta", ""))))
	if _, err := f.Refresh(context.Background()); !errors.Is(err, full) || !fault.Is(err, fault.Temporary) || live.Current() != before || len(f.departed().Domains) != 0 {
		t.Errorf("%v", err)
	}
}

// TestWithoutState: a state that is lost, or cannot be read, is told in the log;
// the index is used. At the very first start there is nothing to tell.
func TestWithoutState(t *testing.T) {
	const warning = "not known whose the domains and certificates were"
	p := newPress(t)
	base := national(t)
	p.first(base)
	if n := p.log.count(warning); n != 0 {
		t.Errorf("%d warnings at the first start", n)
	}
	for i, state := range []string{"", "{", `{"departed":{"domains":7}}`} {
		if err := os.WriteFile(p.cfg.File+stateSuffix, []byte(state), 0o600); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			if err := os.Remove(p.cfg.File + stateSuffix); err != nil {
				t.Fatal(err)
			}
		}
		f := p.fetcher()
		if live, err := f.First(context.Background()); err != nil || live.Current().Len() != len(base) || p.log.count(warning) != i+1 {
			t.Errorf("%q: %v, %d warnings", state, err, p.log.count(warning))
		}
		if _, err := f.Refresh(context.Background()); err != nil {
			t.Errorf("%q: %v", state, err)
		}
	}
}

// TestDepartedIsBounded: more than is remembered is refused, and by hand it
// costs the memory of what left first. What is remembered fits the file.
func TestDepartedIsBounded(t *testing.T) {
	now := time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC)
	base := indexOf(t, national(t))
	d := departed{Domains: make(map[string]departure)}
	for i := range maxDeparted {
		d.Domains[fmt.Sprintf("d%d.example", i)] = departure{"Beta", now.Add(-time.Duration(i) * time.Second)}
	}
	if _, n := d.newest(); !d.fits() || n != 0 {
		t.Errorf("%d entries too many", n)
	}
	c := &candidate{index: base, diff: comparison{lostDomains: []moved{{what: "one.more.example", from: "Gamma"}}}}
	c.departed = d.after(base, c.diff, now)
	var f findings
	if f.departures(d, base, c, now); len(f) != 1 || !strings.Contains(f[0].en, "50001 domains and certificates are gone") {
		t.Errorf("%q", f)
	}
	kept, n := c.departed.newest()
	if _, first := kept.Domains[fmt.Sprintf("d%d.example", maxDeparted-1)]; n != 1 || first || !kept.fits() || kept.Domains["one.more.example"].From != "Gamma" {
		t.Errorf("%d left out", n)
	}
	c.diff.lostDomains, f = nil, nil
	if f.departures(d, base, c, now); len(f) != 0 { // nothing more is lost
		t.Errorf("%q", f)
	}

	long := departed{Certificates: map[string]departure{strings.Repeat("A", 40): {strings.Repeat("<", maxDepartedBytes/2-40), now}, strings.Repeat("B", 40): {strings.Repeat("<", maxDepartedBytes/2-40), now.Add(-1)}}}
	if !long.fits() {
		t.Error("does not fit")
	}
	if b, err := json.Marshal(long.with(kept)); err != nil || len(b) > maxStateBytes {
		t.Errorf("%d octets of state, %v", len(b), err)
	}
	long.Certificates[strings.Repeat("C", 40)] = departure{"x", now}
	if _, n := long.newest(); long.fits() || n != 1 {
		t.Errorf("%d left out", n)
	}
}
