// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"pecd/alarm"
	"pecd/fault"
)

// more returns the index with one domain more of Beta's.
func more(all []Provider, domain string) []Provider {
	return edited(all, func(all []Provider) []Provider {
		of(all, "Beta").Domains = append(of(all, "Beta").Domains, domain)
		return all
	})
}

// halved returns an index that lost too much.
func halved(all []Provider) []Provider {
	return edited(all, func(all []Provider) []Provider { return all[:len(all)/2] })
}

func TestNewFetcherChecksItsConfiguration(t *testing.T) {
	p := newPress(t)
	for name, edit := range map[string]func(*FetcherConfig){
		"http":            func(c *FetcherConfig) { c.URL = "http://127.0.0.1/x.p7m" },
		"no host":         func(c *FetcherConfig) { c.URL = "https:///x.p7m" },
		"user":            func(c *FetcherConfig) { c.URL = "https://u:p@127.0.0.1/x.p7m" },
		"no address":      func(c *FetcherConfig) { c.URL = "\x00" },
		"unsigned":        func(c *FetcherConfig) { c.File = "index.ldif" },
		"unverified":      func(c *FetcherConfig) { c.TLS = &tls.Config{InsecureSkipVerify: true} },
		"nothing to open": func(c *FetcherConfig) { c.Open = nil },
		"no board":        func(c *FetcherConfig) { c.Alarms = nil },
		"negative":        func(c *FetcherConfig) { c.Every = -1 },
		"too much":        func(c *FetcherConfig) { c.MaxBytes = maxSignedIndex + 1 },
		"no fraction":     func(c *FetcherConfig) { c.MaxLoss = 1 },
	} {
		cfg := p.cfg
		edit(&cfg)
		if _, err := NewFetcher(cfg); !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "u:p") {
			t.Errorf("%s: %v", name, err)
		}
	}
	f := p.fetcher()
	if _, err := f.Refresh(context.Background()); !fault.Is(err, fault.Internal) {
		t.Errorf("without First: %v", err)
	}
}

// TestRFC6109_4_5_Fetch: new providers, domains and renewals come in; the log
// gets the figures; a file that did not change is no news.
func TestRFC6109_4_5_Fetch(t *testing.T) {
	p := newPress(t)
	base := national(t)
	f, live := p.first(base)
	if again, err := f.First(context.Background()); err != nil || again != live {
		t.Errorf("again: %v", err)
	}
	first := p.summaries()
	if len(first) != 1 || first[0].Providers != 5 || first[0].DomainsAdded != 21 || first[0].Certificates != 6 || first[0].SHA256 != digestOf(p.file("")) ||
		time.Since(first[0].SignedAt) > time.Minute {
		t.Fatalf("%+v", first)
	}

	fresh := testCertificate(t, "fresh")
	overlap := edited(more(base, "new.example"), func(all []Provider) []Provider {
		of(all, "Gamma").Certificates = append(of(all, "Gamma").Certificates, fresh)
		return append(all, Provider{Name: "Zeta", MailReceipt: "r@zeta.example", Certificates: [][]byte{testCertificate(t, "z")}, Domains: []string{"zeta.example"}},
			Provider{Name: "Zeta", Unit: "due", MailReceipt: "r@due.zeta.example", Certificates: [][]byte{testCertificate(t, "z2")}, Domains: []string{"due.zeta.example"}})
	})
	p.publishes(p.auth.sign(t, ldifOf(t, overlap)))
	s, err := f.Refresh(context.Background())
	if want := (Changes{ProvidersAdded: 1, DomainsAdded: 3, CertificatesAdded: 3}); err != nil || s.Changes != want || s.Unchanged || s.Providers != 6 {
		t.Fatalf("%+v, %v", s, err)
	}
	if _, ok := live.ProviderByCertificate(mustParse(t, fresh)); !ok {
		t.Error("the next certificate is not known")
	}

	later := edited(overlap, func(all []Provider) []Provider {
		of(all, "Gamma").Certificates = [][]byte{fresh}
		return all
	})
	p.publishes(p.auth.sign(t, ldifOf(t, later)))
	if s, err = f.Refresh(context.Background()); err != nil || s.Changes != (Changes{CertificatesRemoved: 1}) {
		t.Fatalf("%+v, %v", s, err)
	}

	before := live.Current()
	p.clk.Advance(time.Hour)
	if s, err = f.Refresh(context.Background()); err != nil || !s.Unchanged || live.Current() != before || len(p.summaries()) != 3 {
		t.Errorf("unchanged: %+v, %v", s, err)
	}
	if st := f.Status(); !st.LastSuccess.Equal(p.clk.Now()) || !st.Next.Equal(p.clk.Now().Add(defaultEvery)) || st.LastError != "" {
		t.Errorf("%+v", st)
	}
}

// TestFetchRefusesAnOlderIndex: an index signed before the one in use, also
// after a restart and after the newer one's file was put there by hand.
func TestFetchRefusesAnOlderIndex(t *testing.T) {
	p := newPress(t)
	base := national(t)
	old := p.auth.sign(t, ldifOf(t, base))
	time.Sleep(1100 * time.Millisecond) // openssl signs to the second
	f, _ := p.first(more(base, "new.example"))
	refused := func(f *Fetcher) {
		t.Helper()
		p.publishes(old)
		if _, err := f.Refresh(context.Background()); !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), "before the one in use") {
			t.Errorf("%v", err)
		}
	}
	refused(f)
	if err := os.Remove(p.cfg.File + stateSuffix); err != nil {
		t.Fatal(err)
	}
	f = p.fetcher()
	if _, err := f.First(context.Background()); err != nil {
		t.Fatal(err)
	}
	refused(f)
	// By hand it can be had, and then stays the measure.
	s, err := f.Accept(context.Background(), digestOf(old))
	if err != nil || !s.ByHand || s.DomainsRemoved != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	if s, err = f.Refresh(context.Background()); err != nil || !s.Unchanged {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestAccept: a refused index waits beside the one in use, over a restart, until
// the operator takes it over; the signature is verified again.
func TestAccept(t *testing.T) {
	p := newPress(t)
	base := national(t)
	f, _ := p.first(base)
	if _, err := f.Accept(context.Background(), ""); !fault.Is(err, fault.NotFound) || fault.TextOf(err) == "" {
		t.Errorf("nothing to accept: %v", err)
	}
	half := p.auth.sign(t, ldifOf(t, halved(base)))
	p.publishes(half)
	if _, err := f.Refresh(context.Background()); !fault.Is(err, fault.Denied) {
		t.Fatal(err)
	}
	fetched := p.clk.Now()
	reason := p.raised(alarm.IndexRefused)

	p.clk.Advance(time.Hour)
	p.board.Clear(alarm.IndexRefused) // as a restart does
	f = p.fetcher()
	live, err := f.First(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	st := f.Status()
	if st.Refused == nil || st.Refused.SHA256 != digestOf(half) || !st.Refused.At.Equal(fetched) || st.Refused.Reason != reason || p.raised(alarm.IndexRefused) != reason || reason == "" {
		t.Fatalf("after a restart: %+v; alarms %v", st.Refused, p.board.Raised())
	}
	if !bytes.Equal(p.file(refusedSuffix), half) {
		t.Error("the refused file is another")
	}

	if _, err := f.Accept(context.Background(), strings.Repeat("0", 64)); !fault.Is(err, fault.Conflict) {
		t.Errorf("another file: %v", err)
	}
	broken := bytes.Replace(half, []byte("comune0.g1.example"), []byte("comune0.gX.example"), 1)
	if err := os.WriteFile(p.cfg.File+refusedSuffix, broken, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Accept(context.Background(), ""); !fault.Is(err, fault.Invalid) || live.Current().Len() != len(base) {
		t.Errorf("a broken signature: %v", err)
	}
	if err := os.WriteFile(p.cfg.File+refusedSuffix, half, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := f.Accept(context.Background(), strings.ToUpper(st.Refused.SHA256))
	if err != nil || !s.ByHand || s.ProvidersRemoved != 3 {
		t.Fatalf("%+v, %v", s, err)
	}
	all := p.summaries()
	if live.Current().Len() != 3 || !bytes.Equal(p.file(""), half) || len(all) != 2 || all[1] != s {
		t.Error("not taken over")
	}
	if st := f.Status(); st.Refused != nil || !st.LastSuccess.Equal(fetched) || len(p.board.Raised()) != 0 {
		t.Errorf("%+v; alarms %v", st, p.board.Raised())
	}
	if got := p.names(); got != "igpec.ldif.p7m igpec.ldif.p7m.state" {
		t.Errorf("left behind: %s", got)
	}
	if s, err := f.Refresh(context.Background()); err != nil || !s.Unchanged {
		t.Errorf("what was accepted is refused: %+v, %v", s, err)
	}
}

// TestFirst: a node without an index starts when one can be fetched, and
// otherwise tells the operator why not.
func TestFirst(t *testing.T) {
	base := national(t)
	t.Run("no server", func(t *testing.T) {
		p := newPress(t)
		_, err := p.fetcher().First(context.Background())
		text := fault.TextOf(err)
		if !fault.Is(err, fault.Temporary) || !strings.Contains(text, p.cfg.File) || !strings.Contains(text, p.cfg.URL) || !strings.Contains(text, "answers 404") || !strings.Contains(text, " / ") {
			t.Errorf("%v\n%s", err, text)
		}
		if got := p.names(); got != "" {
			t.Errorf("left behind: %s", got)
		}
	})
	t.Run("not listed", func(t *testing.T) {
		p := newPress(t)
		p.publishes(p.auth.sign(t, ldifOf(t, base[2:])))
		if _, err := p.fetcher().First(context.Background()); !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), `our own record "Alfa" is missing`) {
			t.Errorf("%v", err)
		}
		if p.raised(alarm.IndexRefused) == "" {
			t.Error("no alarm")
		}
		if _, err := p.fetcher().Accept(context.Background(), ""); err != nil { // a command, without a node
			t.Fatal(err)
		}
		p.board.Clear(alarm.IndexRefused)
		if live, err := p.fetcher().First(context.Background()); err != nil || live.Current().Len() != 4 || len(p.board.Raised()) != 0 {
			t.Errorf("accepted: %v, alarms %v", err, p.board.Raised())
		}
	})
	t.Run("not usable", func(t *testing.T) {
		p := newPress(t)
		p.publishes(p.auth.sign(t, ldifOf(t, base)))
		if err := os.WriteFile(p.cfg.File, []byte("broken"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := p.fetcher().First(context.Background())
		if !fault.Is(err, fault.Invalid) || !strings.Contains(fault.TextOf(err), "move the file away") || string(p.file("")) != "broken" || p.asked.Load() != 0 {
			t.Errorf("%v", err)
		}
	})
	t.Run("without network", func(t *testing.T) {
		p := newPress(t)
		p.first(base)
		p.answers(http.NotFound)
		p.clk.Advance(49 * time.Hour)
		if live, err := p.fetcher().First(context.Background()); err != nil || live.Current().Len() != len(base) {
			t.Errorf("%v", err)
		}
		if p.raised(alarm.IndexStale) == "" {
			t.Error("a stale index after a restart is not told")
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		p := newPress(t)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		f := p.fetcher()
		if _, err := f.First(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if st := f.Status(); st.LastError != "" || !st.LastAttempt.IsZero() {
			t.Errorf("%+v", st)
		}
	})
}

// TestAgeIsThatOfTheFile: without a state, or with one that cannot be read or
// is of the future, an index is as old as its file, and never younger than now.
func TestAgeIsThatOfTheFile(t *testing.T) {
	p := newPress(t)
	p.first(national(t))
	old := p.clk.Now().Add(-72 * time.Hour)
	if err := os.Chtimes(p.cfg.File, old, old); err != nil {
		t.Fatal(err)
	}
	for state, want := range map[string]time.Time{
		"": old, "{": old, "{}": old, `{"fetched":"2999-01-01T00:00:00Z"}`: p.clk.Now(), `{"fetched":"2020-01-01T00:00:00Z"}`: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		if err := os.WriteFile(p.cfg.File+stateSuffix, []byte(state), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := p.fetcher().Status().LastSuccess; !got.Equal(want) {
			t.Errorf("%q: %v, want %v", state, got, want)
		}
	}
}

// TestFetchTogether: many at once wait for each other.
func TestFetchTogether(t *testing.T) {
	p := newPress(t)
	f, _ := p.first(national(t))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := f.Refresh(context.Background()); err != nil {
				t.Error(err)
			}
			f.Status()
		})
	}
	wg.Wait()
}
