// SPDX-License-Identifier: EUPL-1.2

package thunderbird

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
)

// network is the Internet as Thunderbird sees it: an HTTP proxy that stands for
// the DNS. The names that lead somewhere lead to the demo; whatever else is
// asked is refused, and noted.
type network struct {
	t       testing.TB
	address string
	leads   map[string]string // host:port as asked, and where it leads

	mu      sync.Mutex
	reached []string // in their order
}

func newNetwork(t testing.TB, leads map[string]string) *network {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &network{t: t, address: l.Addr().String(), leads: leads}
	ctx, cancel := context.WithCancel(context.Background())
	s := &http.Server{Handler: n, BaseContext: func(net.Listener) context.Context { return ctx }}
	var wg sync.WaitGroup
	wg.Go(func() { s.Serve(l) })
	t.Cleanup(func() {
		cancel()
		s.Close()
		wg.Wait()
	})
	return n
}

// names are those that led somewhere, each once.
func (n *network) names() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.reached)
}

// ServeHTTP implements http.Handler: CONNECT for HTTPS, absolute addresses for HTTP.
func (n *network) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.Host
	if r.Method != http.MethodConnect && r.URL.Port() == "" {
		name += ":80"
	}
	to, ok := n.leads[name]
	if !ok {
		http.Error(w, "no such host", http.StatusBadGateway)
		return
	}
	n.mu.Lock()
	if !slices.Contains(n.reached, name) {
		n.reached = append(n.reached, name)
	}
	n.mu.Unlock()
	if r.Method == http.MethodConnect {
		tunnel(r.Context(), w, to)
		return
	}
	forward(w, r, to)
}

// tunnel joins the client to the server until either of them ends.
func tunnel(ctx context.Context, w http.ResponseWriter, to string) {
	server, err := net.Dial("tcp", to)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer server.Close()
	w.WriteHeader(http.StatusOK)
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	unhook := context.AfterFunc(ctx, func() { client.Close(); server.Close() })
	defer unhook()
	var wg sync.WaitGroup
	wg.Go(func() {
		io.Copy(server, buffered)
		server.Close()
	})
	io.Copy(client, server)
	client.Close()
	wg.Wait()
}

// forward passes one request on, and redirections back.
func forward(w http.ResponseWriter, r *http.Request, to string) {
	r.URL.Scheme, r.URL.Host, r.RequestURI = "http", to, ""
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	for k, v := range resp.Header {
		w.Header()[k] = v
	}
	w.WriteHeader(resp.StatusCode)
	io.Copy(w, resp.Body)
}
