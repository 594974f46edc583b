// SPDX-License-Identifier: EUPL-1.2

package deviation

import (
	"encoding/binary"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"pecd/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// packet is an answer as RFC 5905 §7.3 lays it out; its times are the server's.
type packet struct {
	leap, mode, stratum uint8
	rootDelay, rootDisp time.Duration
	refID               string
	reference           time.Time
	origin              uint64 // echoed
	receive, transmit   time.Time
}

func (p packet) bytes() []byte {
	b := make([]byte, 48)
	b[0] = p.leap<<6 | 4<<3 | p.mode
	b[1] = p.stratum
	b[2], b[3] = 6, 0xec
	binary.BigEndian.PutUint32(b[4:], uint32(p.rootDelay*(1<<16)/time.Second))
	binary.BigEndian.PutUint32(b[8:], uint32(p.rootDisp*(1<<16)/time.Second))
	copy(b[12:16], p.refID)
	binary.BigEndian.PutUint64(b[16:], stamp(p.reference))
	binary.BigEndian.PutUint64(b[24:], p.origin)
	binary.BigEndian.PutUint64(b[32:], stamp(p.receive))
	binary.BigEndian.PutUint64(b[40:], stamp(p.transmit))
	return b
}

func stamp(t time.Time) uint64 {
	d := t.Sub(time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC))
	sec, frac := uint64(d/time.Second), uint64(d%time.Second)
	return sec<<32 | frac<<32/uint64(time.Second)
}

// script is what a server does with a question: change the good answer, or say
// something else; nil is silence.
type script func(good packet) []byte

func ahead(by time.Duration) script {
	return func(p packet) []byte {
		p.reference, p.receive, p.transmit = p.reference.Add(by), p.receive.Add(by), p.transmit.Add(by)
		return p.bytes()
	}
}

func kiss(code string) script {
	return func(p packet) []byte {
		p.leap, p.stratum, p.refID = 3, 0, code
		return p.bytes()
	}
}

func silent(packet) []byte { return nil }

// timeServer answers by a script that may be changed while it runs.
type timeServer struct {
	addr   string
	script atomic.Pointer[script]
	asked  atomic.Int64
}

func (s *timeServer) plays(f script) { s.script.Store(&f) }

// startServer serves time by clk on a loopback socket until the test ends.
func startServer(t *testing.T, clk clock.Clock, f script) *timeServer {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &timeServer{addr: c.LocalAddr().String()}
	s.plays(f)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1024)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			if n < 48 || buf[0]&7 != 3 {
				t.Errorf("not a client's question: %x", buf[:n])
				continue
			}
			s.asked.Add(1)
			now := clk.Now()
			good := packet{
				mode: 4, stratum: 2, rootDelay: 10 * time.Millisecond, rootDisp: 5 * time.Millisecond, refID: "\x0a\x00\x00\x01",
				reference: now.Add(-time.Minute), origin: binary.BigEndian.Uint64(buf[40:]), receive: now, transmit: now,
			}
			if b := (*s.script.Load())(good); b != nil {
				_, _ = c.WriteTo(b, from)
			}
		}
	}()
	t.Cleanup(func() { c.Close(); <-done })
	return s
}
