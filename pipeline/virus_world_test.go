// SPDX-License-Identifier: EUPL-1.2

package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/pipeline"
	"pecd/storage"
)

const (
	virusMark, virusName   = "QUESTO-E-UN-VIRUS", "Test.Virus-1"
	closedMark, closedName = "QUESTO-E-CIFRATO", "Heuristics.Encrypted.Zip"
)

// scriptedScanner finds its marks in what it is given, and can be down.
type scriptedScanner struct {
	mu    sync.Mutex
	down  bool
	scans int
	last  []byte // what was scanned
}

func (s *scriptedScanner) Scan(_ context.Context, r io.Reader) (pipeline.Finding, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scans++
	_, again := r.(io.Seeker)
	b, err := io.ReadAll(r)
	s.last = b
	switch {
	case err != nil || !again:
		return pipeline.Finding{}, errors.Join(err, errors.New("no second look"))
	case s.down:
		// What came before the failure is no verdict either.
		return pipeline.Finding{Name: virusName, Refuse: true}, errors.New("engine down")
	case bytes.Contains(b, []byte(virusMark)):
		return pipeline.Finding{Name: virusName, Refuse: true, Report: true}, nil
	case bytes.Contains(b, []byte(closedMark)):
		return pipeline.Finding{Name: closedName, Report: true}, nil
	}
	return pipeline.Finding{}, nil
}

// xorVault encrypts in a way that a test can undo; its ciphertext is whole only
// once closed. It can fail.
type xorVault struct{ broken bool }

const vaultEnd = "--end of ciphertext--"

func (v xorVault) Encrypt(dst io.Writer) (io.WriteCloser, error) {
	if v.broken {
		return nil, errors.New("no key")
	}
	return &xorWriter{dst}, nil
}

type xorWriter struct{ dst io.Writer }

func xor(p []byte) []byte {
	out := make([]byte, len(p))
	for i, c := range p {
		out[i] = c ^ 0xa5
	}
	return out
}

func (w *xorWriter) Write(p []byte) (int, error) { return w.dst.Write(xor(p)) }
func (w *xorWriter) Close() error                { _, err := io.WriteString(w.dst, vaultEnd); return err }

// failingStore rolls back, at the last moment, steps that fail says so of.
type failingStore struct {
	storage.Store
	fail func(*storage.Step) bool
}

func (s *failingStore) Commit(ctx context.Context, step *storage.Step) error {
	if s.fail == nil || !s.fail(step) {
		return s.Store.Commit(ctx, step)
	}
	bad := &storage.Step{Ops: append(slices.Clone(step.Ops), &storage.FinishJob{ID: 1 << 40})}
	if err := s.Store.Commit(ctx, bad); err == nil {
		panic("a step with an impossible operation was committed")
	}
	return fault.Say("test", fault.Temporary, "disk full")
}

func holds[T storage.Op](step *storage.Step) bool {
	return slices.ContainsFunc(step.Ops, func(op storage.Op) bool { _, ok := op.(T); return ok })
}

// guarded is a world whose providers look for viruses.
func guarded(t *testing.T) (w *world, alfa, beta *scriptedScanner) {
	t.Helper()
	w = newWorld(t)
	alfa, beta = new(scriptedScanner), new(scriptedScanner)
	for d, s := range map[string]*scriptedScanner{"alfa.example": alfa, "beta.example": beta} {
		w.providers[d].core.Scanner, w.providers[d].core.Vault = s, xorVault{}
	}
	return w, alfa, beta
}

// kept is one item of a quarantine with its message in clear.
type kept struct {
	storage.Quarantined
	clear string
}

func (w *world) quarantine(domain string) []kept {
	w.t.Helper()
	ctx := context.Background()
	st := w.providers[domain].store
	var out []kept
	check(w.t, st.EachQuarantined(ctx, time.Time{}, func(q storage.Quarantined) error {
		b, err := st.OpenBody(ctx, q.Body)
		if err != nil {
			return err
		}
		defer b.Close()
		raw := make([]byte, b.Size())
		if _, err := io.ReadFull(io.NewSectionReader(b, 0, b.Size()), raw); err != nil {
			return err
		}
		cipher, whole := bytes.CutSuffix(raw, []byte(vaultEnd))
		if !whole || bytes.Contains(raw, []byte(virusMark)) {
			w.t.Errorf("quarantine of %s: item %d is not a whole ciphertext", domain, q.ID)
		}
		out = append(out, kept{q, string(xor(cipher))})
		return nil
	}))
	return out
}

// logged returns what the log of a provider says of messages, or of it the kinds
// given. The set-up of a world has records of its own.
func (w *world) logged(domain string, kinds ...ledger.Kind) []ledger.Event {
	w.t.Helper()
	var out []ledger.Event
	check(w.t, w.providers[domain].store.Records(context.Background(), 1, func(r storage.Record) error {
		e, err := ledger.Decode(r.Data)
		setUp := e.Kind == ledger.DomainState || e.Kind == ledger.UserCreated || e.Kind == ledger.UserGrant ||
			e.Kind == ledger.MailboxCreated || e.Kind == ledger.MailboxState
		if err == nil && (len(kinds) == 0 && !setUp || slices.Contains(kinds, e.Kind)) {
			out = append(out, e)
		}
		return err
	}))
	return out
}

func (w *world) wantLog(domain string, kinds ...ledger.Kind) {
	w.t.Helper()
	var got []ledger.Kind
	for _, e := range w.logged(domain) {
		got = append(got, e.Kind)
	}
	if !slices.Equal(got, kinds) {
		w.t.Errorf("log of %s: %v, want %v", domain, got, kinds)
	}
}

func (w *world) wantQuarantine(domain string, n int) []kept {
	w.t.Helper()
	q := w.quarantine(domain)
	if len(q) != n {
		w.t.Fatalf("%d items in the quarantine of %s, want %d", len(q), domain, n)
	}
	return q
}

// relayed returns what waits to be relayed by a provider.
func (w *world) relayed(domain string) (n int) {
	w.t.Helper()
	check(w.t, w.providers[domain].store.Jobs(context.Background(), pipeline.JobRelay, func(storage.Job) error { n++; return nil }))
	return n
}

func wantKind(t *testing.T, err error, k fault.Kind) {
	t.Helper()
	if !fault.Is(err, k) {
		t.Errorf("answer %v, want kind %v", err, k)
	}
}

// infectedEnvelope is a transport envelope of alfa with a virus, as it travels
// to beta: alfa's antivirus does not know it.
func infectedEnvelope(t *testing.T, w *world, to ...string) []byte {
	t.Helper()
	alfa := w.providers["alfa.example"].core
	scanner := alfa.Scanner
	alfa.Scanner = nil
	defer func() { alfa.Scanner = scanner }()
	w.broken["beta.example"] = true
	defer delete(w.broken, "beta.example")
	w.submit(anna, to, message(anna, strings.Join(to, ", "), "", virusMark+"\r\n"))
	var raw []byte
	p := w.providers["alfa.example"]
	check(t, p.store.Jobs(context.Background(), pipeline.JobRelay, func(j storage.Job) error {
		b, err := p.store.OpenBody(context.Background(), j.Body)
		if err != nil {
			return err
		}
		defer b.Close()
		raw = make([]byte, b.Size())
		_, err = b.ReadAt(raw, 0)
		return err
	}))
	if raw == nil {
		t.Fatal("no envelope on its way")
	}
	return raw
}
