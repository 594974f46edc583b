// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"mime/quotedprintable"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"pecd/alarm"
	"pecd/clock"
	"pecd/directory"
	"pecd/guesses"
	"pecd/notify"
	"pecd/pipeline"
	"pecd/protection"
	"pecd/ratelimit"
	"pecd/storage"
	"pecd/storage/sqlite"
)

const password = "una password lunga"

// hash is that of password: deriving one for each user would take the tests' time.
var hash = sync.OnceValues(func() (string, error) { return directory.HashPassword(password) })

// house is a provider with two bodies, c_uno and c_due, each with a domain, a
// Standard "std" and a Strutturata "str"; anna may read both Strutturate, uno and
// due each the one of their body. The tokens are of each role for c_uno.
type house struct {
	t   testing.TB
	st  *sqlite.Store
	clk *clock.Manual
	dir *directory.Directory
	log *notes
	*Server
	tokens map[string]string
	spec   *spec

	contacts  *notify.Service
	texts     chan string // text messages that were handed over
	unblocked []string
}

// notify keeps contacts; its text messages go into h.texts, its mail is queued.
func (h *house) notify() *notify.Service {
	h.texts = make(chan string, 10)
	log := slog.New(slog.DiscardHandler)
	h.contacts = notify.New(notify.Config{
		Store: h.st, Directory: h.dir, Certified: func(string) bool { return false }, Clock: h.clk, Logger: log, Alarms: alarm.NewBoard(h.clk, log),
		Zone: time.UTC, From: "avvisi@uno.example", SMS: h,
	})
	return h.contacts
}

// MayReach implements notify.Gateway.
func (h *house) MayReach(string) error { return nil }

// Send implements notify.Gateway.
func (h *house) Send(_ context.Context, m notify.SMS) error {
	h.texts <- m.To + ": " + m.Text
	return nil
}

// mail waits for the queued mail number n, from 1, and returns it decoded.
func (h *house) mail(n int) string {
	h.t.Helper()
	changed, cancel := h.st.WatchQueue(pipeline.JobRelay)
	defer cancel()
	for {
		var all []storage.BodyID
		h.ok(h.st.Jobs(context.Background(), pipeline.JobRelay, func(j storage.Job) error {
			all = append(all, j.Body)
			return nil
		}))
		if len(all) < n {
			<-changed
			continue
		}
		slices.Sort(all)
		b, err := h.st.OpenBody(context.Background(), all[n-1])
		h.ok(err)
		defer b.Close()
		text, err := io.ReadAll(quotedprintable.NewReader(io.NewSectionReader(b, 0, b.Size())))
		h.ok(err)
		return string(text)
	}
}

func newHouse(t testing.TB) *house {
	t.Helper()
	clk := clock.NewManual(time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC))
	st, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{Clock: clk})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	h := &house{t: t, st: st, clk: clk, dir: directory.New(st, clk), log: new(notes), tokens: make(map[string]string)}
	ctx := t.Context()
	h.ok(h.dir.Seed(ctx))
	known, err := hash()
	h.ok(err)
	var boxes []directory.NewMailbox
	for _, body := range []string{"uno", "due"} {
		domain := body + ".example"
		h.ok(st.Commit(ctx, new(storage.Step).Add(&storage.PutCustomer{Customer: storage.Customer{Code: "c_" + body, Name: "Comune di " + body}},
			&storage.PutDomain{Domain: storage.Domain{Name: domain, State: storage.DomainCertified, Customer: "c_" + body}})))
		boxes = append(boxes,
			directory.NewMailbox{Address: "std@" + domain, Tier: "standard", User: &directory.NewUser{Hash: known}},
			directory.NewMailbox{Address: "str@" + domain, Tier: "strutturata", User: &directory.NewUser{Login: body, Hash: known}})
	}
	boxes = append(boxes, directory.NewMailbox{Address: "ricevute@uno.example", Tier: "strutturata", Service: true})
	h.ok(h.dir.CreateMailboxes(ctx, boxes))
	h.ok(h.dir.CreateUser(ctx, directory.NewUser{Login: "anna", Hash: known, Body: "c_uno"}))
	h.ok(h.dir.Grant(ctx, "anna", "str@uno.example", storage.MayRead))
	h.ok(h.dir.Grant(ctx, "anna", "str@due.example", storage.MayRead))
	for _, n := range []directory.NewToken{
		{Name: "Operatore", Role: storage.TokenProvider}, {Name: "Comune", Role: storage.TokenCustomer, Customer: "c_uno"},
		{Name: "ERP", Role: storage.TokenMailbox, Mailbox: "str@uno.example"},
	} {
		_, secret, err := h.dir.CreateToken(ctx, n)
		h.ok(err)
		h.tokens[string(n.Role)] = secret
	}
	h.Server, err = New(Config{
		Directory: h.dir, Store: st, Guesses: guesses.Alone(clk), Limits: usage{clk}, Protections: h.dir.Protections(protection.Default()),
		Contacts: h.notify(), Unblocked: func(m string) { h.unblocked = append(h.unblocked, m) }, Clock: clk, Provider: "Gestore di prova",
		Logger: slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Site: "https://pec.example",
	})
	h.ok(err)
	h.refusalTime = 0 // nobody moves the clock meanwhile
	h.spec = readSpec(t, h.Server.spec.json)
	return h
}

func (h *house) ok(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// answerOf is what the interface answered.
type answerOf struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

// ask sends a request with a token, "" for none, and checks the answer against the
// document that is served.
func (h *house) ask(token, method, path, body string, headers ...string) answerOf {
	h.t.Helper()
	r := httptest.NewRequestWithContext(context.Background(), method, Prefix+path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	a := answerOf{status: w.Code, header: w.Header(), text: w.Body.String()}
	if strings.Contains(a.header.Get("Content-Type"), "json") && a.text != "" {
		if err := json.Unmarshal([]byte(a.text), &a.body); err != nil {
			h.t.Fatalf("%s %s: %v in %s", method, path, err, a.text)
		}
	}
	h.spec.check(h.t, method, path, a)
	return a
}

// spec is the served document, with its schemas compiled as JSON Schema 2020-12,
// which is what OpenAPI 3.1 means by a schema.
type spec struct {
	doc      map[string]any
	compiler *jsonschema.Compiler
}

const specURL = "https://pec.example/openapi.json"

func readSpec(t testing.TB, text []byte) *spec {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource(specURL, doc); err != nil {
		t.Fatal(err)
	}
	return &spec{doc.(map[string]any), c}
}

// route finds the path of the document that an address is at.
func (s *spec) route(path string) string {
	path, _, _ = strings.Cut(path, "?")
	have := strings.Split(path, "/")
	for template := range s.doc["paths"].(map[string]any) {
		want := strings.Split(template, "/")
		same := len(want) == len(have)
		for i := range want {
			same = same && (want[i] == have[i] || strings.HasPrefix(want[i], "{"))
		}
		if same {
			return template
		}
	}
	return ""
}

// check wants an answer to be one that the document describes.
func (s *spec) check(t testing.TB, method, path string, a answerOf) {
	t.Helper()
	route := s.route(path)
	op, ok := s.at("paths", route, strings.ToLower(method)).(map[string]any)
	if !ok {
		if a.status != http.StatusNotFound && a.status != http.StatusMethodNotAllowed {
			t.Errorf("%s %s: %d, and is not in the document", method, path, a.status)
		}
		return
	}
	code := http.StatusText(a.status)
	responses := op["responses"].(map[string]any)
	key := jsonNumber(a.status)
	if _, ok := responses[key]; !ok {
		key = "default"
	}
	if _, ok := responses[key]; !ok || key == "default" && a.status < 400 && a.status != http.StatusOK {
		t.Errorf("%s %s: %d %s is not in the document", method, path, a.status, code)
		return
	}
	if a.text == "" {
		return
	}
	kind := a.header.Get("Content-Type")
	if s.at("paths", route, strings.ToLower(method), "responses", key, "content", kind) == nil {
		t.Errorf("%s %s: %d has the type %q, which is not in the document", method, path, a.status, kind)
		return
	}
	schema, err := s.compiler.Compile(specURL + "#" + pointer("paths", route, strings.ToLower(method), "responses", key, "content", kind, "schema"))
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(a.text))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%s %s: %d is not as the document says: %v\n%s", method, path, a.status, err, a.text)
	}
}

func (s *spec) at(keys ...string) any {
	var v any = s.doc
	for _, k := range keys {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[k]
	}
	return v
}

func jsonNumber(n int) string {
	b, _ := json.Marshal(n) // of a number
	return string(b)
}

// pointer is a JSON pointer as the fragment of an address (RFC 6901 §6).
func pointer(keys ...string) string {
	var b strings.Builder
	for _, k := range keys {
		k = strings.ReplaceAll(strings.ReplaceAll(k, "~", "~0"), "/", "~1")
		b.WriteString("/" + strings.NewReplacer("{", "%7B", "}", "%7D").Replace(k))
	}
	return b.String()
}

// records are the kinds and actors of the log's records since a number.
func (h *house) records(after int64) string {
	h.t.Helper()
	var all []string
	h.ok(h.st.Records(context.Background(), after+1, func(r storage.Record) error {
		var e struct{ Kind, Actor string }
		err := json.Unmarshal(r.Data, &e)
		all = append(all, e.Kind+" by "+e.Actor)
		return err
	}))
	return strings.Join(all, "; ")
}

func (h *house) lastRecord() int64 {
	h.t.Helper()
	st, err := h.st.LogState(context.Background())
	h.ok(err)
	return st.Last
}

// form posts a form to the page and returns status and page.
func (h *house) page(method, path, form string) (int, string) {
	h.t.Helper()
	r := httptest.NewRequestWithContext(context.Background(), method, path, strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	b, err := io.ReadAll(w.Result().Body)
	h.ok(err)
	return w.Code, string(b)
}

// usage has a mailbox that has used its minute up.
type usage struct{ clk clock.Clock }

func (u usage) Use(_ context.Context, key string, f ratelimit.Figures) (ratelimit.Use, error) {
	return ratelimit.Use{Minute: ratelimit.Count{Messages: f.PerMinute, Recipients: len(key)}, Figures: f, MinuteOpens: u.clk.Now().Add(time.Second)}, nil
}

// notes is a log that several goroutines write to.
type notes struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.Write(p)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.String()
}
