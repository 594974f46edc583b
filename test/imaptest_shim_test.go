// SPDX-License-Identifier: EUPL-1.2

//go:build imaptest

package blackbox

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"
)

// startShim stands between imaptest and the implicit TLS port: it takes TLS
// off, and it tells LITERAL+ where the server tells LITERAL-, because
// imaptest's scripts are sent with non-synchronizing literals alone and it
// knows no name for those that are allowed up to 4,096 octets (RFC 7888 §5).
// Nothing else is altered.
func startShim(t *testing.T, d *demo) (host, port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	name, _ := d.hostPort(t, "ALFA_IMAPS")
	config, server := d.tls(t, name), d.get(t, "ALFA_IMAPS")
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { shim(client, server, config) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	host, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}

func shim(client net.Conn, server string, config *tls.Config) {
	defer client.Close()
	up, err := tls.Dial("tcp", server, config)
	if err != nil {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer client.Close()
		b := make([]byte, 64<<10)
		for {
			n, err := up.Read(b)
			if _, werr := client.Write(bytes.ReplaceAll(b[:n], []byte("LITERAL-"), []byte("LITERAL+"))); err != nil || werr != nil {
				return
			}
		}
	})
	io.Copy(up, client)
	up.Close()
	wg.Wait()
}
