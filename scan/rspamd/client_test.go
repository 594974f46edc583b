// SPDX-License-Identifier: EUPL-1.2

package rspamd_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pecd/clock"
	"pecd/fault"
	"pecd/scan/rspamd"
	"pecd/scan/rspamdtest"
)

const clean = `{"is_skipped":false,"score":1.5,"required_score":15.0,"action":"no action","symbols":{}}`

func client(t *testing.T, cfg rspamd.Config, addresses ...string) *rspamd.Client {
	t.Helper()
	cfg.Addresses = addresses
	c, err := rspamd.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func ask(c *rspamd.Client, text string) (rspamd.Verdict, error) {
	return c.Check(context.Background(), rspamd.Message{From: "a@x.example"}, strings.NewReader(text), int64(len(text)))
}

// TestS4_036_S4_064_GTUBE: the installed rspamd, and what becomes of its verdicts;
// stopped and started again.
func TestS4_036_S4_064_GTUBE(t *testing.T) {
	d, err := rspamdtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	c := client(t, rspamd.Config{}, d.URL)
	message := func(text string) string {
		return "From: a@x.example\r\nTo: b@y.example\r\nSubject: Prova\r\nDate: Thu, 26 Nov 2026 10:00:00 +0100\r\nMessage-ID: <1@x.example>\r\n\r\n" + text + "\r\n"
	}
	v, err := ask(c, message(rspamdtest.Spam))
	if err != nil || !v.Spam || v.Score < 15 || v.Action != "reject" || v.Skipped != "" {
		t.Errorf("%+v, %v", v, err)
	}
	for _, text := range []string{message("Buongiorno."), "", "\x00\xff", message(strings.Repeat("testo ", 300_000))} {
		if v, err := ask(c, text); err != nil || v.Spam {
			t.Errorf("%.20q: %+v, %v", text, v, err)
		}
	}
	if err := c.Ping(context.Background()); err != nil {
		t.Error(err)
	}
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := c.Ping(context.Background()); !fault.Is(err, fault.Temporary) {
		t.Errorf("stopped: %v", err)
	}
	if v, err := ask(c, message("Buongiorno.")); !fault.Is(err, fault.Temporary) || v != (rspamd.Verdict{}) {
		t.Errorf("stopped: %+v, %v", v, err)
	}
	if err := d.Restart(); err != nil {
		t.Fatal(err)
	}
	if v, err := ask(c, message(rspamdtest.Spam)); err != nil || !v.Spam {
		t.Errorf("again: %+v, %v", v, err)
	}
}

// TestAnswers: what is no answer of rspamd is never taken for one, and every
// request tells what is known of the message.
func TestAnswers(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, c := range []struct {
		status        int
		answer        string
		spam, skipped bool
		fails         bool
	}{
		{200, clean, false, false, false},
		{200, `{"score":7,"required_score":15,"action":"add header"}`, true, false, false},
		{200, `{"score":7,"action":"rewrite subject"}`, true, false, false},
		{200, `{"score":20,"action":"reject","is_skipped":true}`, true, false, false},
		{200, `{"score":5,"action":"greylist"}`, false, false, false},
		{200, `{"score":5,"action":"soft reject"}`, false, false, false},
		{200, `{"score":0,"action":"no action","is_skipped":true}`, false, true, false},
		{200, `{"score":0,"action":"accept all"}`, false, false, true},
		{200, `{"action":"no action"}`, false, false, true},
		{200, `{"score":"x","action":"no action"}`, false, false, true},
		{200, `[]`, false, false, true},
		{200, ``, false, false, true},
		{200, clean[:30], false, false, true},
		{200, `{"score":1,"action":"no action","x":"` + strings.Repeat("x", 1<<20) + `"}`, false, false, true},
		{302, clean, false, false, true},
		{500, clean, false, false, true},
		{400, `{"error":"no"}`, false, true, false},
		{413, `{"error":"no"}`, false, true, false},
		{401, `{"error":"no"}`, false, false, true}, // not asked as it wants to be, or something else that speaks HTTP
		{403, `{"error":"no"}`, false, false, true},
		{404, `not found`, false, false, true},
		{405, ``, false, false, true},
		{429, ``, false, false, true},
	} {
		var got http.Header
		var body string
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = r.Header
			b, _ := io.ReadAll(r.Body)
			body = string(b)
			if r.Method != http.MethodPost || r.URL.Path != "/checkv2" {
				t.Errorf("%s %s", r.Method, r.URL)
			}
			w.Header().Set("Location", "http://192.0.2.1/")
			w.WriteHeader(c.status)
			io.WriteString(w, c.answer)
		}))
		cl, err := rspamd.New(rspamd.Config{Addresses: []string{srv.URL}})
		if err != nil {
			t.Fatal(err)
		}
		m := rspamd.Message{From: "a@x.example", Recipients: []string{"b@y.example", "c@y.example"}, IP: "192.0.2.9", Helo: "h\r\nX: y", User: "u", ID: "i"}
		v, err := cl.Check(context.Background(), m, strings.NewReader("testo"), 5)
		if v.Spam != c.spam || v.Skipped != "" != c.skipped || err != nil != c.fails || c.fails && !fault.Is(err, fault.Temporary) {
			t.Errorf("%d %.40s: %+v, %v", c.status, c.answer, v, err)
		}
		if body != "testo" || got.Get("From") != m.From || !slices.Equal(got.Values("Rcpt"), m.Recipients) || got.Get("IP") != m.IP ||
			got.Get("Helo") != "hX: y" || got.Get("User") != "u" || got.Get("Queue-Id") != "i" {
			t.Errorf("%q, %v", body, got)
		}
		cl.Close()
		srv.Close()
	}
}

// TestPool: an address that fails is passed over, and tried last for a while.
func TestPool(t *testing.T) {
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { asked.Add(1); io.WriteString(w, clean) }))
	defer srv.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := "http://" + l.Addr().String()
	l.Close()
	c := client(t, rspamd.Config{}, gone, srv.URL)
	for range 4 {
		if v, err := ask(c, "x"); err != nil || v.Score != 1.5 {
			t.Errorf("%+v, %v", v, err)
		}
	}
	if n := asked.Load(); n != 4 {
		t.Errorf("asked %d times", n)
	}
	if _, err := ask(client(t, rspamd.Config{}, gone), "x"); !fault.Is(err, fault.Temporary) || !strings.Contains(err.Error(), gone) || strings.Contains(err.Error(), "dial tcp") {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{"", "127.0.0.1:11333", "https://x.example", "http://x.example/y", "http://", "unix:/x"} {
		if _, err := rspamd.New(rspamd.Config{Addresses: []string{bad}}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if v, err := c.Check(context.Background(), rspamd.Message{}, strings.NewReader(""), 21<<20); err != nil || v.Skipped == "" {
		t.Errorf("too long: %+v, %v", v, err)
	}
}

// TestTimes: an engine that is silent, and places that stay taken, are errors after
// their time, on the moved clock.
func TestTimes(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	clk := clock.NewManual(time.Unix(1e9, 0))
	entered, leave := make(chan struct{}, 10), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { entered <- struct{}{}; <-leave }))
	c, err := rspamd.New(rspamd.Config{Addresses: []string{srv.URL}, Places: 1, Clock: clk, Timeout: time.Minute, Wait: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { _, err := ask(c, "x"); first <- err }()
	<-entered
	go func() { _, err := ask(c, "y"); second <- err }()
	until(t, clk, time.Second, second, "places")
	until(t, clk, time.Minute, first, "no answer within")
	ctx, cancel := context.WithCancel(context.Background())
	go func() { _, err := c.Check(ctx, rspamd.Message{}, strings.NewReader("z"), 1); first <- err }()
	<-entered
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	close(leave)
	srv.Close()
	c.Close()
}

// until moves the clock on until an error comes.
func until(t *testing.T, clk *clock.Manual, step time.Duration, failed <-chan error, want string) {
	t.Helper()
	for range 1000 {
		select {
		case err := <-failed:
			if !fault.Is(err, fault.Temporary) || !strings.Contains(fmt.Sprint(err), want) {
				t.Errorf("%v, want %s", err, want)
			}
			return
		case <-time.After(5 * time.Millisecond):
			clk.Advance(step)
		}
	}
	t.Fatal("no error")
}
