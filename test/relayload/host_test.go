// SPDX-License-Identifier: EUPL-1.2

package relayload

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// manner is how a destination treats its visitors.
type manner int32

const (
	up       manner = iota // takes every message
	refused                // nobody listens
	mute                   // accepts connections and says nothing
	hole                   // connections are neither accepted nor refused
	putOff                 // 451 to everything after EHLO
	greylist               // the same under TLS
	silent                 // mute, on the connections that were open before, too
)

// host is the mail server of one destination, on a real socket.
type host struct {
	domain, addr string
	// latency is what it takes to answer a message on average, as a server far
	// away does.
	latency time.Duration
	tls     *tls.Config

	was    manner // from the start
	manner atomic.Int32
	dials  atomic.Int32 // connections that were tried
	fd     int          // bound and not listening; -1 once it listens
	done   sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener
	open     map[net.Conn]struct{}
	got      map[string]int // messages by their number
}

// newHost binds a port, and listens unless connections are to be refused.
func newHost(t *testing.T, domain string, m manner, cert *tls.Config) *host {
	t.Helper()
	h := &host{domain: domain, tls: cert, was: m, open: make(map[net.Conn]struct{}), got: make(map[string]int)}
	h.manner.Store(int32(m))
	var err error
	h.fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	check(t, err)
	check(t, syscall.Bind(h.fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	name, err := syscall.Getsockname(h.fd)
	check(t, err)
	h.addr = fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	if m != refused {
		h.listen(t)
	}
	t.Cleanup(h.close)
	return h
}

func (h *host) listen(t *testing.T) {
	t.Helper()
	check(t, syscall.Listen(h.fd, 128))
	f := os.NewFile(uintptr(h.fd), h.addr)
	defer f.Close()
	h.fd = -1
	l, err := net.FileListener(f)
	check(t, err)
	h.listener = l
	h.done.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			h.open[nc] = struct{}{}
			h.mu.Unlock()
			h.done.Go(func() {
				h.serve(nc)
				nc.Close()
				h.mu.Lock()
				delete(h.open, nc)
				h.mu.Unlock()
			})
		}
	})
}

func (h *host) close() {
	if h.fd >= 0 {
		syscall.Close(h.fd)
		return
	}
	h.listener.Close()
	h.mu.Lock()
	for nc := range h.open {
		nc.Close()
	}
	h.mu.Unlock()
	h.done.Wait()
}

// recover makes it a server like any other.
func (h *host) recover(t *testing.T) {
	t.Helper()
	h.manner.Store(int32(up))
	if h.fd >= 0 {
		h.listen(t)
	}
}

// dial is how the relay reaches it. Dropped SYNs cannot be had on the loopback:
// a black hole is a dial that ends with its context alone.
func (h *host) dial(ctx context.Context) (net.Conn, error) {
	h.dials.Add(1)
	if manner(h.manner.Load()) == hole {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return new(net.Dialer).DialContext(ctx, "tcp", h.addr)
}

// serve is one conversation. Where nothing is said it lasts until the visitor
// goes.
func (h *host) serve(nc net.Conn) {
	r := bufio.NewReader(nc)
	if m := manner(h.manner.Load()); m == mute || m == silent {
		_, _ = r.ReadByte()
		return
	}
	say := func(s string) bool {
		_, err := nc.Write([]byte(s + "\r\n"))
		return err == nil
	}
	ok := say("220 " + h.domain)
	for secured := false; ok; {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return
		}
		verb, _, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		m := manner(h.manner.Load())
		switch {
		case verb == "EHLO" && (secured || m == putOff):
			ok = say("250-" + h.domain + "\r\n250-PIPELINING\r\n250 8BITMIME")
		case verb == "EHLO":
			ok = say("250-" + h.domain + "\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 8BITMIME")
		case verb == "QUIT":
			return
		case m == silent:
		case m == putOff, m == greylist && secured:
			ok = say("451 4.7.1 later")
		case verb == "STARTTLS":
			ok = say("220 go")
			tc := tls.Server(nc, h.tls)
			if tc.Handshake() != nil {
				return
			}
			nc, secured = tc, true
			r.Reset(nc)
		case verb == "DATA":
			ok = say("354 go") && h.message(r) && say("250 2.0.0 taken")
		default:
			ok = say("250 ok")
		}
	}
}

// message reads a message up to its final dot.
func (h *host) message(r *bufio.Reader) bool {
	number := ""
	for {
		line, err := r.ReadSlice('\n')
		switch {
		case err != nil:
			return false
		case bytes.HasPrefix(line, []byte("X-Number: ")):
			number = strings.TrimSpace(string(line[10:]))
		case string(line) == ".\r\n":
			h.mu.Lock()
			h.got[number]++
			h.mu.Unlock()
			if h.latency > 0 { // from half of it to half as much again, or all would answer in step
				time.Sleep(h.latency/2 + rand.N(h.latency))
			}
			return true
		}
	}
}

// received returns how many different messages came, and how many of them more than once.
func (h *host) received() (all, twice int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range h.got {
		if n > 1 {
			twice++
		}
	}
	return len(h.got), twice
}
