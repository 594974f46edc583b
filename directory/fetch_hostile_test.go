// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"pecd/alarm"
	"pecd/fault"
)

// TestRFC6109_5_6_BadIndexIsRefused: whatever a publisher, or whoever stands in
// for it, sends instead of a good index: the one in use stays byte for byte, an
// alarm says why, and a good one ends it.
func TestRFC6109_5_6_BadIndexIsRefused(t *testing.T) {
	base := national(t)
	auth, other := theAuthority(t, ours), theAuthority(t, stranger)
	good := auth.sign(t, ldifOf(t, base))
	fresh := testCertificate(t, "fresh")
	signed := func(edit func(all []Provider) []Provider) []byte { return auth.sign(t, ldifOf(t, edited(base, edit))) }
	file := func(b []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(b) }
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", code) }
	}
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
	}
	insecure := newPlainServer(t, good)
	const maxBytes = 1 << 20

	for name, c := range map[string]struct {
		answer http.HandlerFunc
		edit   func(*FetcherConfig)
		server tls.Certificate // where it is not the right one
		kind   fault.Kind
		want   string // in the error
		kept   bool   // for Accept
	}{
		"wrong signature":        {answer: file(bytes.Replace(good, []byte("comune0.g1.example"), []byte("comune0.gX.example"), 1)), kind: fault.Invalid, want: "signature"},
		"signer of another CA":   {answer: file(other.sign(t, ldifOf(t, base))), kind: fault.Invalid, want: "certificate"},
		"garbage":                {answer: file(bytes.Repeat([]byte("garbage "), 1000)), kind: fault.Invalid},
		"nothing":                {answer: file(nil), kind: fault.Invalid},
		"not signed":             {answer: file(ldifOf(t, base)), kind: fault.Invalid},
		"signed garbage":         {answer: file(auth.sign(t, []byte("<html>manutenzione</html>\n"))), kind: fault.Invalid, want: "line 1"},
		"signed, no provider":    {answer: file(auth.sign(t, []byte(rootLDIF))), kind: fault.Invalid, want: "no provider"},
		"cut off and closed":     {answer: file(good[:len(good)/2]), kind: fault.Invalid},
		"shorter than announced": {answer: announce(good[:len(good)/2], len(good)), kind: fault.Temporary, want: "unexpected EOF"},
		"too large, announced":   {answer: announce(nil, maxBytes+1), kind: fault.Invalid, want: "longer than 1048576 octets"},
		"too large, endless":     {answer: endless, kind: fault.Invalid, want: "longer than 1048576 octets"},
		"slow":                   {answer: trickle, edit: func(c *FetcherConfig) { c.Timeout = 300 * time.Millisecond }, kind: fault.Temporary, want: "deadline exceeded"},
		"404":                    {answer: status(http.StatusNotFound), kind: fault.Temporary, want: "answers 404"},
		"500":                    {answer: status(http.StatusInternalServerError), kind: fault.Temporary, want: "answers 500"},
		"204":                    {answer: func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) }, kind: fault.Temporary, want: "answers 204"},
		"redirected to http":     {answer: redirect(insecure.URL), kind: fault.Temporary, want: "redirected away from https"},
		"redirected in a circle": {answer: redirect("/igpec.ldif.p7m"), kind: fault.Temporary, want: "redirected too often"},
		"server of another CA":   {answer: file(good), server: other.server, kind: fault.Temporary, want: "unknown authority"},
		"server of another name": {answer: file(good), server: auth.client, kind: fault.Temporary, want: "x509: "},
		"no client certificate":  {answer: file(good), edit: func(c *FetcherConfig) { c.TLS = &tls.Config{RootCAs: auth.pool()} }, kind: fault.Temporary, want: "certificate required"},
		"client of another CA": {answer: file(good), edit: func(c *FetcherConfig) {
			c.TLS = &tls.Config{RootCAs: auth.pool(), GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &other.client, nil }}
		}, kind: fault.Temporary, want: "certificate"},
		"half of the providers": {answer: file(signed(func(all []Provider) []Provider { return all[:len(all)/2] })), kind: fault.Denied, want: "3 of 5 providers are gone", kept: true},
		"half of the domains": {answer: file(signed(func(all []Provider) []Provider {
			for i := range all[1:] {
				all[i+1].Domains = all[i+1].Domains[:(len(all[i+1].Domains)+1)/2]
			}
			return all
		})), kind: fault.Denied, want: "8 of 21 domains are gone", kept: true},
		"stolen domain": {answer: file(signed(func(all []Provider) []Provider {
			of(all, "Gamma").Domains = append(of(all, "Gamma").Domains, of(all, "Beta").Domains[0])
			of(all, "Beta").Domains = of(all, "Beta").Domains[1:]
			return all
		})), kind: fault.Denied, want: `domain comune0.g1.example moves from "Beta" to "Gamma"`, kept: true},
		"stolen certificate": {answer: file(signed(func(all []Provider) []Provider {
			of(all, "Gamma").Certificates = append(of(all, "Gamma").Certificates, of(all, "Beta").Certificates[0])
			of(all, "Beta").Certificates = [][]byte{fresh}
			return all
		})), kind: fault.Denied, want: `moves from "Beta" to "Gamma"`, kept: true},
		"our record is missing": {answer: file(signed(func(all []Provider) []Provider { return without(all, "Alfa") })), kind: fault.Denied, want: `our own record "Alfa" is missing`, kept: true},
		"our record is altered": {answer: file(signed(func(all []Provider) []Provider {
			of(all, "Alfa").Certificates = [][]byte{fresh}
			return all
		})), kind: fault.Denied, want: "our own record lost certificate", kept: true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPress(t)
			edit := func(cfg *FetcherConfig) { cfg.MaxBytes = maxBytes }
			_, _ = p.first(base, edit) // leaves the file in use, fetched in order
			inUse := p.file("")
			edits := []func(*FetcherConfig){edit}
			if c.edit != nil {
				edits = append(edits, c.edit)
			}
			f := p.fetcher(edits...)
			live, err := f.First(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			before := live.Current()
			p.answers(c.answer)
			if c.server.Certificate != nil {
				p.cert.Store(&c.server)
			}
			s, err := f.Refresh(context.Background())
			if !fault.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) || s != (Summary{}) {
				t.Errorf("%v (%v), %+v", err, fault.KindOf(err), s)
			}
			if !bytes.Equal(p.file(""), inUse) || live.Current() != before || len(p.summaries()) != 1 {
				t.Error("the index in use was touched")
			}
			if st := f.Status(); st.LastError == "" || !st.LastAttempt.Equal(p.clk.Now()) || (st.Refused != nil) != c.kept {
				t.Errorf("%+v", st)
			}
			p.checkAlarms(f, c.kind, c.want)
			if c.kept && !bytes.Contains(p.file(refusedSuffix), []byte("o=postacert")) {
				t.Error("the refused index was not kept")
			}

			// A good one, to who has everything it takes to fetch it.
			p.cert.Store(&p.auth.server)
			newer := p.auth.sign(t, ldifOf(t, edited(base, func(all []Provider) []Provider {
				of(all, "Beta").Domains = append(of(all, "Beta").Domains, "new.example")
				return all
			})))
			p.publishes(newer)
			mended := p.fetcher()
			if live, err = mended.First(context.Background()); err != nil {
				t.Fatal(err)
			}
			if _, err := mended.Refresh(context.Background()); err != nil {
				t.Fatal(err)
			}
			if _, ok := live.ProviderOfDomain("new.example"); !ok || !bytes.Equal(p.file(""), newer) {
				t.Error("the good index is not in use")
			}
			if a := p.board.Raised(); len(a) != 0 || mended.Status().LastError != "" {
				t.Errorf("still raised: %v", a)
			}
			if got := p.names(); got != "igpec.ldif.p7m igpec.ldif.p7m.state" {
				t.Errorf("left behind: %s", got)
			}
		})
	}
}

// checkAlarms: an index that came is refused at once; none at all is told when
// the one in use has become old.
func (p *press) checkAlarms(f *Fetcher, kind fault.Kind, want string) {
	p.t.Helper()
	refused := p.raised(alarm.IndexRefused)
	if kind != fault.Temporary {
		if it, en, ok := strings.Cut(refused, " / "); !ok || it == "" || !strings.Contains(en, want) {
			p.t.Errorf("alarm %q", refused)
		}
		return
	}
	if refused != "" || p.raised(alarm.IndexStale) != "" {
		p.t.Errorf("alarms too early: %v", p.board.Raised())
	}
	p.clk.Advance(49 * time.Hour)
	if _, err := f.Refresh(context.Background()); !fault.Is(err, kind) {
		p.t.Errorf("the second time: %v", err)
	}
	if p.raised(alarm.IndexStale) == "" {
		p.t.Error("not stale after 49 hours")
	}
}

// announce sends a body with a Content-Length of n and then hangs up.
func announce(body []byte, n int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(n))
		_, _ = w.Write(body)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// endless sends without end.
func endless(w http.ResponseWriter, r *http.Request) {
	for chunk := make([]byte, 64<<10); ; {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

// trickle sends an octet now and then.
func trickle(w http.ResponseWriter, r *http.Request) {
	for {
		if _, err := w.Write([]byte{0x30}); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}
