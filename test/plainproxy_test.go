// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"
)

// plainProxy takes TLS off in front of alfa's IMAP, for clients that speak
// without, and notes what passes.
type plainProxy struct {
	host, port string
	server     string
	config     *tls.Config
	alter      func([]byte) []byte // what the server says

	mu       sync.Mutex
	up, down int64        // octets from and to the client
	said     bytes.Buffer // by clients, its first 16 MB
}

func startPlainProxy(t testing.TB, d *demo, alter func([]byte) []byte) *plainProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	name, _ := d.hostPort(t, "ALFA_IMAPS")
	p := &plainProxy{server: d.get(t, "ALFA_IMAPS"), config: d.tls(t, name), alter: alter}
	if p.host, p.port, err = net.SplitHostPort(l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return p
}

func (p *plainProxy) serve(client net.Conn) {
	defer client.Close()
	server, err := tls.Dial("tcp", p.server, p.config)
	if err != nil {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer client.Close()
		b := make([]byte, 64<<10)
		for {
			n, err := server.Read(b)
			said := p.alter(b[:n])
			p.mu.Lock()
			p.down += int64(n)
			p.mu.Unlock()
			if _, werr := client.Write(said); err != nil || werr != nil {
				return
			}
		}
	})
	io.Copy(io.MultiWriter(server, p), client)
	server.Close()
	wg.Wait()
}

// Write notes what a client said.
func (p *plainProxy) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up += int64(len(b))
	if p.said.Len()+len(b) <= 16<<20 {
		p.said.Write(b)
	}
	return len(b), nil
}

// take returns what passed since the last time.
func (p *plainProxy) take() (up, down int64, said string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	up, down, said = p.up, p.down, p.said.String()
	p.up, p.down = 0, 0
	p.said.Reset()
	return up, down, said
}
