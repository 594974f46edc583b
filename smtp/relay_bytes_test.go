// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pecd/pipeline"
)

func TestRelay_NothingUnsafeOnTheWire(t *testing.T) {
	m := &mailer{}
	r := relayTo(t, listen(t, m.serve), nil)
	res := send(t, r, dispatch("a\r\n", "x@beta.example>\r\nRCPT TO:<y@beta.example", "città@beta.example", "", "ok@beta.example"))
	wantKinds(t, res, "not found,not found,not found,ok")
	d := dispatch("a\r\n", "x@beta.example")
	d.Sender = "a@b>\r\nRSET"
	wantKinds(t, send(t, r, d), "invalid")
	for _, body := range []string{"a\n.\nQUIT\r\n", "a\rb\r\n", "\n", "\r", "a\r", "a\r\r\n", "\r\n\n"} {
		wantKinds(t, send(t, r, dispatch(body, "x@beta.example")), "invalid")
	}
	r.Close()
	if got := m.bodies(); len(got) != 1 {
		t.Errorf("messages with bare line ends were finished: %q", got[1:])
	}
}

type failingBody struct{}

func (failingBody) ReadAt([]byte, int64) (int, error) { return 0, errors.New("disk") }

func TestRelay_UnreadableBodyIsNeverFinished(t *testing.T) {
	var finished atomic.Bool
	addr := listen(t, func(p *peer) {
		p.say("220 x")
		for line := p.hear(); line != ""; line = p.hear() {
			if line == "DATA" {
				p.say("354 go")
				b, _ := io.ReadAll(p.br)
				if bytes.HasSuffix(b, []byte("\r\n.\r\n")) || bytes.HasPrefix(b, []byte(".\r\n")) || bytes.Contains(b, []byte("QUIT")) {
					finished.Store(true)
				}
				return
			}
			p.say("250 ok")
		}
	})
	r := relayTo(t, addr, nil)
	d := dispatch("a\r\n", "x@beta.example")
	d.Body = failingBody{}
	wantKinds(t, send(t, r, d), "temporary")
	d.Body, d.Size = strings.NewReader("a\r\n"), 100 // shorter than it says
	wantKinds(t, send(t, r, d), "temporary")
	r.Close()
	if finished.Load() {
		t.Error("half a message was finished")
	}
}

func TestRelay_EarlyRefusalIsHeard(t *testing.T) {
	addr := listen(t, func(p *peer) {
		p.say("220 x")
		for line := p.hear(); line != ""; line = p.hear() {
			if line == "DATA" {
				p.say("354 go")
				_, _ = io.CopyN(io.Discard, p.br, 1000)
				p.say("552 5.3.4 too big")
				_, _ = io.CopyN(io.Discard, p.br, 20<<20)
				return
			}
			p.say("250 ok")
		}
	})
	r := relayTo(t, addr, nil)
	d := pipeline.Dispatch{Sender: "", Recipients: []string{"x@beta.example"}, Domain: "beta.example", Size: 64 << 20, Body: zeros{}}
	wantKinds(t, send(t, r, d), "too large")
}

// zeros is an endless body of digits without line ends.
type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

// What leaves one pecd arrives at another as it was, whatever the dots.
func TestRelay_ExactBytesThroughOurServer(t *testing.T) {
	p := &fakePoint{}
	r := relayTo(t, startMX(t, p, ServerConfig{}), nil)
	line := rapid.StringMatching(`(\.|\.\.|)[a.\x00 é-]{0,20}\.?`)
	rapid.Check(t, func(t *rapid.T) {
		body := strings.Join(append(rapid.SliceOfN(line, 0, 30).Draw(t, "lines"), ""), "\r\n")
		before := len(p.messages())
		d := dispatch(body, "x@beta.example")
		res := r.Send(context.Background(), d).Results
		if res[0].Err != nil {
			t.Fatal(res[0].Err)
		}
		got := p.messages()
		if len(got) != before+1 || string(got[before].message) != body {
			t.Fatalf("%q arrived as %q", body, got[before].message)
		}
	})
	// A message without a final CRLF gets one, and nothing else.
	wantKinds(t, send(t, r, dispatch("a\r\n.", "x@beta.example")), "ok")
	if got := p.messages(); string(got[len(got)-1].message) != "a\r\n.\r\n" {
		t.Errorf("%q", got[len(got)-1].message)
	}
}

// stream is a body of n octets of lines that all start with a dot.
type stream int64

func (b stream) ReadAt(p []byte, off int64) (int, error) {
	line := "." + strings.Repeat("x", 61) + "\r\n"
	left := int64(b) - off
	n := 0
	for n < len(p) && left > 0 {
		from := (off + int64(n)) % int64(len(line))
		k := copy(p[n:], line[from:min(int64(len(line)), from+left)])
		n, left = n+k, left-int64(k)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func TestS4_035_HundredMegabytesInConstantMemory(t *testing.T) {
	const size = bulk
	sum := sha256.New()
	var octets int64
	p := &fakePoint{submit: func(_ context.Context, r io.Reader) (err error) {
		octets, err = io.CopyBuffer(sum, struct{ io.Reader }{r}, make([]byte, 32<<10))
		return err
	}}
	r := relayTo(t, startMX(t, p, ServerConfig{MaxMessage: bulk}), nil)
	d := dispatch("", "x@beta.example")

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	d.Size, d.Body = size, stream(size)
	wantKinds(t, send(t, r, d), "ok")
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	want := sha256.New()
	_, _ = io.Copy(want, io.NewSectionReader(stream(size), 0, size))
	if octets != size || !bytes.Equal(sum.Sum(nil), want.Sum(nil)) {
		t.Errorf("%d octets arrived, or not the same", octets)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
		t.Errorf("%d kB allocated on the way", grown>>10)
	} else {
		t.Logf("%d octets over TLS in %v, %d kB allocated in all by client and server", octets, took.Round(time.Millisecond), grown>>10)
	}

	// One octet more is announced and refused, or sent and refused.
	d.Size, d.Body = size+1, stream(size+1)
	wantKinds(t, send(t, r, d), "too large")
}
