// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pecd/clock"
	"pecd/directory"
	"pecd/fault"
	"pecd/ledger"
	"pecd/signer"
	"pecd/signer/pki"
	"pecd/storage"
)

// fetching is a stopped node that fetches its index over HTTPS, with the index's
// authority, whose revocation list is served as well.
type fetching struct {
	*testing.T
	dir, config string
	ca          *pki.CA
	id          signer.Identity
	good        string // the LDIF of a good index

	mu       sync.Mutex
	p7m, crl []byte // nil: not found
}

func newFetching(t *testing.T) *fetching {
	t.Helper()
	f := &fetching{T: t, dir: t.TempDir()}
	f.config = filepath.Join(f.dir, "alfa.toml")
	d := &demo{dir: f.dir, cmd: &demoCmd{Standard: 2}, sides: demoSides(1000), env: &env{ctx: t.Context(), stdout: io.Discard, stderr: io.Discard, clock: clock.System{}}}
	_, err := d.prepare()
	f.must(err)
	lists := httptest.NewServer(f.serves(func() []byte { return f.crl }))
	t.Cleanup(lists.Close)
	f.ca, err = pki.NewCA("CA dell'indice", time.Now().Add(-time.Hour))
	f.must(err)
	f.id, err = f.ca.IssueSigner("Indice", "posta-certificata@igpec.example", pki.WithCRLPoints(lists.URL+"/ca.crl"))
	f.must(err)
	pair, err := f.ca.IssueTLS([]string{"127.0.0.1"})
	f.must(err)
	index := httptest.NewUnstartedServer(f.serves(func() []byte { return f.p7m }))
	index.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	index.StartTLS()
	t.Cleanup(index.Close)
	f.must(os.WriteFile(filepath.Join(f.dir, "index-ca.pem"), pki.EncodeCertificates(f.ca.Certificate()), 0o600))
	ldif, err := os.ReadFile(filepath.Join(f.dir, "alfa/index.ldif"))
	f.must(err)
	f.good = string(ldif)
	text, err := os.ReadFile(f.config)
	f.must(err)
	s := strings.Replace(string(text), "file = \"alfa/index.ldif\"\n", fmt.Sprintf("file = \"alfa/index.ldif.p7m\"\nauthorities = \"index-ca.pem\"\nurl = %q\ntls_authorities = \"index-ca.pem\"\n", index.URL+"/x.ldif.p7m"), 1)
	s = strings.Replace(s, "revocation = \"off\"", "revocation = \"grace\"", 1)
	f.must(os.WriteFile(f.config, []byte(s), 0o600))
	return f
}

func (f *fetching) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fetching) serves(file func() []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if b := file(); b != nil {
			w.Write(b)
			return
		}
		http.NotFound(w, r)
	})
}

// publish signs an index.
func (f *fetching) publish(ldif string) {
	f.Helper()
	s, err := signer.New(f.id, "Indice", "posta-certificata@igpec.example", clock.System{})
	f.must(err)
	var p7m bytes.Buffer
	f.must(s.SignOpaque(f.Context(), &p7m, strings.NewReader(ldif), int64(len(ldif)), time.Now()))
	f.mu.Lock()
	defer f.mu.Unlock()
	f.p7m = p7m.Bytes()
}

// open opens the stopped node.
func (f *fetching) open(open opener) (*node, error) {
	f.Helper()
	cfg, err := readConfig(f.config)
	f.must(err)
	return open(f.Context(), cfg, clock.System{}, slog.New(slog.DiscardHandler))
}

// does runs a command on the stopped node.
func (f *fetching) does(cmd interface{ Run(*env) error }) (string, error) {
	f.Helper()
	var out bytes.Buffer
	err := cmd.Run(&env{ctx: f.Context(), stdout: &out, stderr: io.Discard, clock: clock.System{}})
	return out.String(), err
}

// loaded are the records of indexes taken over.
func loaded(t testing.TB, n *node) (all []string) {
	t.Helper()
	err := n.store.FindRecords(t.Context(), storage.RecordQuery{Event: string(ledger.IndexLoaded)}, func(r storage.Record) error {
		all = append(all, string(r.Data))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestAcceptOfTheFirstIndex: the first index is refused, and there is none to go
// on with: the commands that the error names work, and the log has it.
func TestAcceptOfTheFirstIndex(t *testing.T) {
	f := newFetching(t)
	f.publish(strings.ReplaceAll(f.good, "providerName=Gestore Alfa S", "providerName=Gestore Omega S"))
	if _, err := f.open(openNode); !fault.Is(err, fault.Denied) || !strings.Contains(fault.TextOf(err), "accept the refused index") {
		t.Fatalf("%v", err)
	}
	flag := nodeFlag{Config: f.config}
	out, err := f.does(&indexStatusCmd{nodeFlag: flag, JSON: true})
	var st struct {
		Providers int
		Fetch     directory.FetchStatus
	}
	f.must(err)
	f.must(json.Unmarshal([]byte(out), &st))
	if st.Providers != 0 || st.Fetch.Refused == nil {
		t.Fatalf("status: %s", out)
	}
	sum := st.Fetch.Refused.SHA256
	if out, err = f.does(&indexStatusCmd{nodeFlag: flag}); err != nil || !strings.Contains(out, "no index in use") || !strings.Contains(out, "pecd index accept "+sum) {
		t.Errorf("status: %v\n%s", err, out)
	}
	if out, err = f.does(&indexAcceptCmd{nodeFlag: flag, SHA256: sum}); err != nil || !strings.Contains(out, "2 gestori") {
		t.Fatalf("accept: %v\n%s", err, out)
	}
	if out, err = f.does(&indexStatusCmd{nodeFlag: flag}); err != nil || !strings.Contains(out, "2 gestori") || strings.Contains(out, "REFUSED") {
		t.Errorf("status: %v\n%s", err, out)
	}
	n, err := f.open(openNode)
	f.must(err)
	defer n.close()
	if got := loaded(t, n); len(got) != 1 || !strings.Contains(got[0], sum) || !strings.Contains(got[0], "by hand: true") {
		t.Errorf("log: %q", got)
	}
}

// TestFirstIndexInTheLog: it is taken over before the store is open.
func TestFirstIndexInTheLog(t *testing.T) {
	f := newFetching(t)
	f.publish(f.good)
	n, err := f.open(openNode)
	f.must(err)
	defer n.close()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { n.fetcher.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	for range 1000 {
		if len(loaded(t, n)) > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if got := loaded(t, n); len(got) != 1 || !strings.Contains(got[0], "by hand: false") {
		t.Errorf("log: %q", got)
	}
}

// TestRevokedIndexSigner: the revocation of who signs the index is learned from
// the network, although it is in no provider's record. Without a list the node
// starts; a newer index waits for one.
func TestRevokedIndexSigner(t *testing.T) {
	f := newFetching(t)
	f.publish(f.good)
	n, err := f.open(openNode)
	f.must(err)
	defer func() { f.must(n.close()) }()
	f.publish(strings.Replace(f.good, "managedDomains: beta.example\n", "managedDomains: beta.example\nmanagedDomains: new.example\n", 1))
	if _, err := n.fetcher.Refresh(t.Context()); !fault.Is(err, fault.Temporary) || !strings.Contains(fault.TextOf(err), "revocation list is missing") {
		t.Fatalf("without a list: %v", err)
	}
	list := func(revoked bool) {
		t.Helper()
		der, err := f.ca.CRLAt(time.Now().Add(-time.Minute), time.Now().Add(time.Hour))
		if revoked {
			der, err = f.ca.CRLAt(time.Now().Add(-time.Second), time.Now().Add(time.Hour), f.id.Certificate.SerialNumber)
		}
		f.must(err)
		f.mu.Lock()
		f.crl = der
		f.mu.Unlock()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		crls, err := n.openRevocation([]*x509.Certificate{f.ca.Certificate()}, n.cfg.Trust.policy())
		f.must(err)
		done := make(chan struct{})
		go func() { defer close(done); crls.Run(ctx) }()
		defer func() { cancel(); <-done }()
		for range 1000 {
			got, ok := crls.RevocationList(f.ca.Certificate(), f.id.Certificate)
			if ok && bytes.Equal(got.Raw, der) {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatal("the list is not fetched")
	}
	reopen := func() error {
		f.must(n.close())
		n, err = f.open(openIndexAlone) // reads the lists that were kept
		return err
	}
	list(false)
	f.must(reopen())
	if _, err := n.fetcher.Refresh(t.Context()); err != nil {
		t.Fatalf("with a list: %v", err)
	}
	list(true)
	f.must(reopen())
	if n.index != nil {
		t.Error("an index of a revoked signer is in use")
	}
	if _, err := f.open(openNode); !strings.Contains(fault.TextOf(err), "was revoked") {
		t.Errorf("%v", err)
	}
}
