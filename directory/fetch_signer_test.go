// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"pecd/alarm"
	"pecd/fault"
)

// unknown makes Open tell, while it is true, that there is no revocation list.
func unknown(why error, lacking *bool) func(*FetcherConfig) {
	return func(c *FetcherConfig) {
		open := c.Open
		c.Open = func(p7m []byte) (SignedIndex, error) {
			s, err := open(p7m)
			if *lacking {
				s.Unknown = why
			}
			return s, err
		}
	}
}

// TestSignerWithoutAList: an index whose signer may be revoked is used where
// there is no other one, which the log says and which is looked at again soon;
// it replaces none.
func TestSignerWithoutAList(t *testing.T) {
	p := newPress(t)
	base := national(t)
	why := fault.Say("test", fault.Temporary, "manca la lista / no list")
	lacking := true
	f, live := p.first(base, unknown(why, &lacking))
	if st := f.Status(); p.log.count("revocation of its signer is not known") != 1 || !st.Next.Equal(p.clk.Now().Add(firstRetry)) {
		t.Errorf("the first index: %+v", st)
	}
	if by := p.auth.publisher.Certificate; !live.SignedBy().Equal(by) || !f.Signer().Equal(by) || live.SignedAt().IsZero() {
		t.Errorf("signed by %v at %v; seen %v", live.SignedBy(), live.SignedAt(), f.Signer())
	}
	newer := p.auth.sign(t, ldifOf(t, more(base, "new.example")))
	for what, file := range map[string][]byte{"the same": p.file(""), "another": newer} {
		p.publishes(file)
		if _, err := f.Refresh(context.Background()); !errors.Is(err, why) || !fault.Is(err, fault.Temporary) || fault.TextOf(err) != why.Text || p.raised(alarm.IndexRefused) != "" {
			t.Errorf("%s: %v, alarms %v", what, err, p.board.Raised())
		}
	}
	// Nor is one that was put there by hand, while another is in use.
	if err := os.WriteFile(p.cfg.File, newer, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := live.Reload(context.Background()); !errors.Is(err, why) || !fault.Is(err, fault.Temporary) {
		t.Errorf("by hand: %v", err)
	}
	if _, ok := live.ProviderOfDomain("new.example"); ok {
		t.Error("taken over")
	}
	// A restart without network begins with the file.
	p.answers(http.NotFound)
	f = p.fetcher(unknown(why, &lacking))
	live, err := f.First(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := live.ProviderOfDomain("new.example"); !ok {
		t.Error("not the file")
	}
	lacking = false
	p.publishes(newer)
	if s, err := f.Refresh(context.Background()); err != nil || !s.Unchanged || !f.Status().Next.Equal(p.clk.Now().Add(defaultEvery)) {
		t.Errorf("%+v, %v, %+v", s, err, f.Status())
	}
}

// TestFrozenIndexIsStale: a server that gives out the same file for ever is
// reached every day, and the index is stale all the same.
func TestFrozenIndexIsStale(t *testing.T) {
	p := newPress(t)
	base := national(t)
	signed := func(f *Fetcher, days int) string {
		t.Helper()
		for range days {
			p.clk.Advance(24 * time.Hour)
			if _, err := f.Refresh(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		return p.raised(alarm.IndexStale)
	}
	limited := func(c *FetcherConfig) { c.MaxSignedAge = DefaultMaxSignedAge }
	f, _ := p.first(base, limited)
	if text := signed(f, 6); text != "" {
		t.Errorf("after 6 days: %s", text)
	}
	if text := signed(f, 2); !strings.Contains(text, "firmato il") || !strings.Contains(text, "no newer one is published") {
		t.Errorf("after 8 days: %q", text)
	}
	if text := signed(p.restarted(limited), 0); text == "" {
		t.Error("not told after a restart")
	}
	if text := signed(p.restarted(func(*FetcherConfig) {}), 0); text != "" {
		t.Errorf("without a limit: %s", text)
	}
	if text := signed(p.restarted(limited, func(c *FetcherConfig) {
		open := c.Open
		c.Open = func(p7m []byte) (SignedIndex, error) {
			s, err := open(p7m)
			s.SignedAt = time.Time{}
			return s, err
		}
	}), 0); text != "" {
		t.Errorf("without a time: %s", text)
	}
}

// restarted returns another fetcher of the same files, with no alarm raised before.
func (p *press) restarted(edits ...func(*FetcherConfig)) *Fetcher {
	p.t.Helper()
	p.board.Clear(alarm.IndexStale)
	f := p.fetcher(edits...)
	if _, err := f.First(context.Background()); err != nil {
		p.t.Fatal(err)
	}
	return f
}

// TestToldUntilRecorded: Loaded is told of each index taken over until it says
// so, the first one too, over restarts, in order.
func TestToldUntilRecorded(t *testing.T) {
	p := newPress(t)
	base := national(t)
	var told []Summary
	fails := errors.New("the store is not open")
	var err error
	recorder := func(c *FetcherConfig) {
		c.Loaded = func(_ context.Context, s Summary) error {
			if err == nil {
				told = append(told, s)
			}
			return err
		}
	}
	p.publishes(p.auth.sign(t, ldifOf(t, base)))
	f := p.fetcher(recorder)
	if _, e := f.First(context.Background()); e != nil || len(told) != 0 {
		t.Fatalf("%v, told %v", e, told)
	}
	err = fails
	p.publishes(p.auth.sign(t, ldifOf(t, more(base, "new.example"))))
	if _, e := f.Refresh(context.Background()); e != nil || p.log.count("not recorded yet") != 1 {
		t.Fatalf("%v", e)
	}
	err = nil
	p.run(recorder)
	if len(told) != 2 || told[0].DomainsAdded != 21 || told[1].DomainsAdded != 1 || told[1].SHA256 != digestOf(p.file("")) {
		t.Errorf("%+v", told)
	}
	p.restarted(recorder).tellAgain(context.Background())
	if len(told) != 2 {
		t.Errorf("told again: %+v", told)
	}
}

// TestFirstIndexRefused: the operator looks at it and takes it over with no index
// in use; an index that cannot be used is no obstacle either.
func TestFirstIndexRefused(t *testing.T) {
	p := newPress(t)
	file := p.auth.sign(t, ldifOf(t, national(t)[2:])) // without us
	p.publishes(file)
	if _, err := p.fetcher().First(context.Background()); !fault.Is(err, fault.Denied) {
		t.Fatal(err)
	}
	for _, broken := range []bool{false, true} {
		if broken {
			for name, b := range map[string][]byte{"": []byte("broken"), refusedSuffix: file} {
				if err := os.WriteFile(p.cfg.File+name, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		before := p.asked.Load()
		f := p.fetcher()
		live, err := f.Existing(context.Background())
		if live != nil || (err != nil) != broken || p.asked.Load() != before {
			t.Fatalf("broken %v: %v, %v", broken, live, err)
		}
		if !broken && (f.Status().Refused == nil || p.raised(alarm.IndexRefused) == "") {
			t.Errorf("%+v", f.Status())
		}
		if s, err := f.Accept(context.Background(), digestOf(file)); err != nil || s.Providers != 4 || !s.ByHand {
			t.Fatalf("broken %v: %+v, %v", broken, s, err)
		}
		if live, err = f.Existing(context.Background()); err != nil || live.Current().Len() != 4 || !bytes.Equal(p.file(""), file) {
			t.Errorf("broken %v: %v", broken, err)
		}
	}
}
