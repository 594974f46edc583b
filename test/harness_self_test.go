// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bytes"
	"io"
	"testing"
)

// The instruments themselves: what they send must be what they were given,
// or the other tests prove nothing.

func TestInstrumentsAreExact(t *testing.T) {
	s := newSink(t)
	message := letter{id: newMsgID(), from: "anna@pec.example", to: []string{"bruno@mail.example"}, subject: "Città, perché no",
		attached: []attachment{pdf(100_000)}}.bytes()

	d := &demo{}
	if r := d.swaks(t, s.addr, "anna@pec.example", []string{"swaks@mail.example"}, message); r.code != 0 {
		t.Fatalf("swaks: exit %d\n%s%s", r.code, transcript(r.stdout), r.stderr)
	}
	c, err := dialSMTP(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.cmd("EHLO client.example")
	if r := c.envelope("anna@pec.example", []string{"plain@mail.example"}); r.code != 250 {
		t.Fatal(r)
	}
	if r := c.data(bytes.NewReader(message)); r.code != 250 {
		t.Fatal(r)
	}
	for _, to := range []string{"swaks@mail.example", "plain@mail.example"} {
		got := s.received(to)
		if len(got) != 1 || !bytes.Equal(got[0].message, message) {
			t.Errorf("%s: %d messages, not the bytes sent", to, len(got))
		}
	}
}

func TestBulkHasTheSizeAsked(t *testing.T) {
	for _, n := range []int64{2, 3, 79, 80, 81, 160, 1000, 1001, 1 << 20} {
		b, err := io.ReadAll(bulk(n))
		if err != nil || int64(len(b)) != n || !bytes.HasSuffix(b, []byte("\r\n")) {
			t.Fatalf("bulk(%d): %d bytes, %v, ends %q", n, len(b), err, b[max(0, len(b)-4):])
		}
		if bare := bytes.Count(b, []byte("\n")) - bytes.Count(b, []byte("\r\n")); bare != 0 {
			t.Errorf("bulk(%d): %d bare line feeds", n, bare)
		}
		if bytes.Count(b, []byte("\r")) != bytes.Count(b, []byte("\n")) {
			t.Errorf("bulk(%d): bare carriage returns", n)
		}
	}
}

func TestSplitParts(t *testing.T) {
	raw := "Content-Type: multipart/signed; boundary=b\r\n\r\npreamble\r\n--b\r\nA: 1\r\n\r\none\r\n--b-1\r\nstill one\r\n--b \r\n\r\ntwo\r\n\r\n--b--\r\n"
	parts, err := splitParts([]byte(raw), "b")
	if err != nil || len(parts) != 2 || string(parts[0]) != "A: 1\r\n\r\none\r\n--b-1\r\nstill one" || string(parts[1]) != "\r\ntwo\r\n" {
		t.Fatalf("%q, %v", parts, err)
	}
	if _, err := splitParts([]byte(raw[:len(raw)-7]), "b"); err == nil {
		t.Fatal("unclosed multipart accepted")
	}
}
