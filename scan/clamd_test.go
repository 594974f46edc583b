// SPDX-License-Identifier: EUPL-1.2

package scan_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"pecd/alarm"
	"pecd/fault"
	"pecd/scan"
	"pecd/scan/clamdtest"
)

// TestS4_034_Findings: what the installed clamd finds where, over both kinds of
// socket, and what the default policy makes of it (RFC 6109 §3.1.3, §3.2.3).
func TestS4_034_Findings(t *testing.T) {
	virus := clamdtest.File{Name: "v.txt", Content: []byte(clamdtest.Virus)}
	zipped := clamdtest.File{Name: "v.zip", Content: clamdtest.Zip(t, virus)}
	secret := clamdtest.File{Name: "s.zip", Content: clamdtest.EncryptedZip(t, "parola", virus)}
	tests := []struct {
		name    string
		message func() []byte
		class   scan.Class
		finds   string
		refuse  bool
		report  bool
	}{
		{"clean", func() []byte { return clamdtest.Message(fresh()) }, scan.Clean, "", false, false},
		{"clean envelope", func() []byte { return envelope(clamdtest.Message(fresh())) }, scan.Clean, "", false, false},
		{"empty", func() []byte { return nil }, scan.Clean, "", false, false},
		{"virus in the text", func() []byte { return clamdtest.Message(clamdtest.Virus) }, scan.Virus, clamdtest.VirusName, true, false},
		{"virus without a message around it", func() []byte { return virus.Content }, scan.Virus, clamdtest.VirusName, true, false},
		{"virus attached in base64", func() []byte { return clamdtest.Message(fresh(), virus) }, scan.Virus, clamdtest.VirusName, true, false},
		{"virus in an archive", func() []byte { return clamdtest.Message(fresh(), zipped) }, scan.Virus, clamdtest.VirusName, true, false},
		{"virus in the text of postacert.eml", func() []byte { return envelope(clamdtest.Message(clamdtest.Virus)) }, scan.Virus, clamdtest.VirusName, true, false},
		{"virus attached in postacert.eml", func() []byte { return envelope(clamdtest.Message(fresh(), virus)) }, scan.Virus, clamdtest.VirusName, true, false},
		{"virus in an archive in postacert.eml", func() []byte { return envelope(clamdtest.Message(fresh(), zipped)) }, scan.Virus, clamdtest.VirusName, true, false},
		{"encrypted", func() []byte { return clamdtest.Message(fresh(), secret) }, scan.Encrypted, "Heuristics.Encrypted.Zip", false, true},
		{"encrypted in postacert.eml", func() []byte { return envelope(clamdtest.Message(fresh(), secret)) }, scan.Encrypted, "Heuristics.Encrypted.Zip", false, true},
		{"virus beside something encrypted", func() []byte { return clamdtest.Message(fresh(), secret, virus) }, scan.Virus, clamdtest.VirusName, true, false},
		{"bomb", func() []byte {
			return clamdtest.Message(fresh(), clamdtest.File{Name: "b.zip", Content: clamdtest.Bomb(t)})
		}, scan.Bomb, "Heuristics.Limits.Exceeded.MaxRecursion", true, false},
		{"messages 30 deep", func() []byte { return clamdtest.Nested(30, clamdtest.Message(fresh())) }, scan.Bomb, "Heuristics.Limits.Exceeded.MaxRecursion", true, false},
		{"virus attached 30 messages deep", func() []byte { return clamdtest.Nested(30, clamdtest.Message(fresh(), virus)) }, scan.Bomb, "Heuristics.Limits.Exceeded.MaxRecursion", true, false},
		{"messages 10 deep", func() []byte { return clamdtest.Nested(10, clamdtest.Message(fresh())) }, scan.Clean, "", false, false},
		{"virus attached 10 messages deep", func() []byte { return clamdtest.Nested(10, clamdtest.Message(fresh(), virus)) }, scan.Virus, clamdtest.VirusName, true, false},
	}
	for _, tcp := range []bool{false, true} {
		d := clamdtest.Start(t, clamdtest.Options{TCP: tcp})
		c := client(t, scan.ClamdConfig{}, d.Addr)
		s := newDesk(scan.ScannerConfig{Engine: c, Policy: scan.DefaultPolicy()})
		for _, tt := range tests {
			t.Run(fmt.Sprintf("%s/tcp=%v", tt.name, tcp), func(t *testing.T) {
				want := scan.Result{Class: tt.class, Name: tt.finds, Refuse: tt.refuse, Report: tt.report}
				if got, err := s.Scan(context.Background(), bytes.NewReader(tt.message())); err != nil || got != want {
					t.Errorf("%+v, %v; want %+v", got, err, want)
				}
			})
		}
		if err := c.Ping(context.Background()); err != nil {
			t.Error(err)
		}
		if v, err := c.Version(context.Background()); err != nil || !strings.HasPrefix(v, "ClamAV ") {
			t.Errorf("version %q, %v", v, err)
		}
	}
}

// TestBombOfSize: a member larger than clamd unpacks is a bomb, as long as
// MaxFileSize is not below MaxScanSize. Where it is, clamd cuts the member and
// calls it clean: the manual must say so.
func TestBombOfSize(t *testing.T) {
	big := make([]byte, 3<<20)
	message := func() []byte {
		member := clamdtest.File{Name: "b", Content: append([]byte(fresh()), big...)}
		return clamdtest.Message(fresh(), clamdtest.File{Name: "b.zip", Content: clamdtest.Zip(t, member)})
	}
	d := clamdtest.Start(t, clamdtest.Options{Conf: map[string]string{"MaxScanSize": "2M", "MaxFileSize": "2M"}})
	if name := look(t, client(t, scan.ClamdConfig{}, d.Addr), message()); name != "Heuristics.Limits.Exceeded.MaxScanSize" {
		t.Errorf("3 MB under a limit of 2 MB: %q", name)
	}
	d = clamdtest.Start(t, clamdtest.Options{Conf: map[string]string{"MaxScanSize": "20M", "MaxFileSize": "2M"}})
	if name := look(t, client(t, scan.ClamdConfig{}, d.Addr), message()); name != "" {
		t.Errorf("this clamd reports MaxFileSize inside archives (%q): the manual's advice can go", name)
	}
}

// TestEncodedComposites: clamd takes no encoding off a message whose own type is
// multipart or message/rfc822, and so finds nothing in it. MIME forbids one there
// (RFC 2045 §6.4, RFC 2046 §5.2.1), but a client may take it off: whoever has
// messages scanned must take it off before (ADR 0005 #11). What is attached that
// way is looked into.
func TestEncodedComposites(t *testing.T) {
	d := clamdtest.Start(t, clamdtest.Options{})
	c := client(t, scan.ClamdConfig{}, d.Addr)
	inner := clamdtest.Message(fresh(), clamdtest.File{Name: "v", Content: []byte(clamdtest.Virus)})
	head, body, _ := bytes.Cut(inner, []byte("\r\n\r\n"))
	encoded := func(head string, body []byte) []byte {
		return []byte(head + "\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString(body) + "\r\n")
	}
	for what, message := range map[string][]byte{
		"multipart":      encoded(string(head), body),
		"message/rfc822": encoded("From: a@x.example\r\nMIME-Version: 1.0\r\nContent-Type: message/rfc822", inner),
	} {
		if name := look(t, c, message); name != "" {
			t.Errorf("this clamd looks into an encoded %s (%q): it is no longer blind there", what, name)
		}
	}
	if name := look(t, c, clamdtest.Message(fresh(), clamdtest.File{Name: "v.eml", Content: inner})); name != clamdtest.VirusName {
		t.Errorf("a message attached in base64: %q", name)
	}
}

// TestBigStream: 100 MB in constant memory.
func TestBigStream(t *testing.T) {
	const size = 100 << 20
	d := clamdtest.Start(t, clamdtest.Options{})
	c := client(t, scan.ClamdConfig{}, d.Addr)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	f, err := c.Scan(context.Background(), bigMessage(size))
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	if err != nil || f.Name != "" {
		t.Fatalf("%q, %v", f.Name, err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("%d octets allocated for %d", used, size)
	}
	t.Logf("100 MB in %v, %d KB allocated", took.Round(time.Millisecond), (after.TotalAlloc-before.TotalAlloc)>>10)
}

// TestStreamMaxLength: the error names the setting, whether clamd's answer
// comes between two chunks or while one is being written.
func TestStreamMaxLength(t *testing.T) {
	for _, tcp := range []bool{false, true} {
		d := clamdtest.Start(t, clamdtest.Options{TCP: tcp, Conf: map[string]string{"StreamMaxLength": "1M"}})
		c := client(t, scan.ClamdConfig{}, d.Addr)
		for _, size := range []int64{1<<20 + 1, 3 << 20, 50 << 20} {
			_, err := c.Scan(context.Background(), bigMessage(size))
			failed(t, err, d.Addr, "StreamMaxLength")
		}
		if _, err := c.Scan(context.Background(), bigMessage(1<<20)); err != nil {
			t.Errorf("exactly the limit: %v", err)
		}
	}
}

// gate is a reader that stops in the middle until it is opened.
type gate struct {
	first  io.Reader
	middle chan struct{} // closed by Read at the stop
	open   chan struct{}
	rest   io.Reader
	once   sync.Once
}

func newGate(first, rest io.Reader) *gate {
	return &gate{first: first, rest: rest, middle: make(chan struct{}), open: make(chan struct{})}
}

func (g *gate) Read(p []byte) (int, error) {
	if n, err := g.first.Read(p); err != io.EOF {
		return n, err
	}
	g.once.Do(func() {
		close(g.middle)
		<-g.open
	})
	return g.rest.Read(p)
}

// TestS4_034_StoppedAndRestarted: without clamd there is no verdict, and the
// alarm lasts until there is one again.
func TestS4_034_StoppedAndRestarted(t *testing.T) {
	for _, tcp := range []bool{false, true} {
		d := clamdtest.Start(t, clamdtest.Options{TCP: tcp})
		s := newDesk(scan.ScannerConfig{Engine: client(t, scan.ClamdConfig{}, d.Addr), Policy: scan.DefaultPolicy()})
		check := func() (scan.Result, error) {
			return s.Scan(context.Background(), bytes.NewReader(clamdtest.Message(clamdtest.Virus)))
		}
		d.Stop()
		for range 3 {
			_, err := check()
			failed(t, err, d.Addr)
		}
		if text := s.raised(alarm.ScannerDown); !strings.Contains(text, d.Addr) {
			t.Errorf("alarm %q", text)
		}
		if n := strings.Count(s.log.String(), "msg=alarm "); n != 1 {
			t.Errorf("the alarm was logged %d times:\n%s", n, s.log)
		}
		d.Restart()
		if r, err := check(); err != nil || !r.Refuse || s.raised(alarm.ScannerDown) != "" {
			t.Errorf("after the restart: %+v, %v, alarm %q", r, err, s.raised(alarm.ScannerDown))
		}
	}
}

// TestKilledMidScan: clamd dies while the message is being sent, and while the
// verdict is awaited.
func TestKilledMidScan(t *testing.T) {
	d := clamdtest.Start(t, clamdtest.Options{})
	s := newDesk(scan.ScannerConfig{Engine: client(t, scan.ClamdConfig{}, d.Addr), Policy: scan.DefaultPolicy()})
	scanning := func(r io.Reader) chan error {
		done := make(chan error, 1)
		go func() {
			res, err := s.Scan(context.Background(), r)
			if err == nil {
				err = fmt.Errorf("a verdict: %+v", res)
			}
			done <- err
		}()
		return done
	}
	g := newGate(bigMessage(5<<20), bigMessage(20<<20))
	done := scanning(g)
	<-g.middle
	d.Kill()
	close(g.open)
	failed(t, <-done, d.Addr)
	if s.raised(alarm.ScannerDown) == "" {
		t.Error("no alarm")
	}
	d.Restart()
	// What takes clamd a second or more: thousands of attachments.
	many := make([]clamdtest.File, 8000)
	for i := range many {
		many[i] = clamdtest.File{Name: fmt.Sprint(i), Content: []byte(fresh())}
	}
	g = newGate(bytes.NewReader(clamdtest.Message(fresh(), many...)), strings.NewReader(""))
	done = scanning(g)
	<-g.middle
	close(g.open)
	select {
	case err := <-done:
		t.Fatalf("nothing to kill: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	d.Kill()
	failed(t, <-done, d.Addr)
	d.Restart()
	if r, err := s.Scan(context.Background(), bytes.NewReader(clamdtest.Message(fresh()))); err != nil || r.Class != scan.Clean {
		t.Errorf("after the restart: %+v, %v", r, err)
	}
	if s.raised(alarm.ScannerDown) != "" {
		t.Error("the alarm lasts")
	}
}

// TestFailOver: one dead address costs nothing, and gets its turn again.
func TestFailOver(t *testing.T) {
	a, b := clamdtest.Start(t, clamdtest.Options{}), clamdtest.Start(t, clamdtest.Options{TCP: true})
	c := client(t, scan.ClamdConfig{}, a.Addr, b.Addr, "unix:/nonexistent/clamd")
	for _, stopped := range []*clamdtest.Daemon{a, b} {
		stopped.Stop()
		for range 6 {
			if name := look(t, c, clamdtest.Message(clamdtest.Virus)); name != clamdtest.VirusName {
				t.Errorf("without %s: %q", stopped.Addr, name)
			}
		}
		stopped.Restart()
	}
	a.Stop()
	b.Stop()
	_, err := c.Scan(context.Background(), strings.NewReader("x"))
	failed(t, err, a.Addr, b.Addr, "/nonexistent/clamd")
	failed(t, c.Ping(context.Background()), a.Addr)
	_, err = c.Version(context.Background())
	failed(t, err, b.Addr)
}

// TestManyAtOnce: more scans than clamd has threads, all with their verdict.
func TestManyAtOnce(t *testing.T) {
	d := clamdtest.Start(t, clamdtest.Options{Conf: map[string]string{"MaxThreads": "4"}})
	c := client(t, scan.ClamdConfig{MaxConcurrent: 6}, d.Addr)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			text, want := fresh(), ""
			if i%3 == 0 {
				text, want = clamdtest.Virus, clamdtest.VirusName
			}
			f, err := c.Scan(context.Background(), bytes.NewReader(envelope(clamdtest.Message(text))))
			if err != nil || f.Name != want {
				t.Errorf("%d: %q, %v; want %q", i, f.Name, err, want)
			}
		})
	}
	wg.Wait()
}

func TestNewClamdErrors(t *testing.T) {
	for _, addrs := range [][]string{nil, {""}, {"/run/clamd"}, {"unix:clamd"}, {"unix:"}, {"tcp:host"}, {"tcp::3310"}, {"tcp:host:"},
		{"udp:host:1"}, {"unix:/a", "x"}} {
		if _, err := scan.NewClamd(scan.ClamdConfig{Addresses: addrs}); !fault.Is(err, fault.Invalid) || fault.TextOf(err) == "" {
			t.Errorf("%q: %v", addrs, err)
		}
	}
	for _, addr := range []string{"unix:/run/clamav/clamd.ctl", "tcp:127.0.0.1:3310", "tcp:[::1]:3310", "tcp:clamd.example:3310"} {
		if _, err := scan.NewClamd(scan.ClamdConfig{Addresses: []string{addr}}); err != nil {
			t.Errorf("%q: %v", addr, err)
		}
	}
}
