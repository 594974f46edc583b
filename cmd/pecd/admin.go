// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// adminSocket is where a running node answers commands of this machine's
// operator: in the store's folder, which is the node's alone.
const adminSocket = "admin.sock"

// listenAdmin opens the node's admin socket. The store is held by this process,
// so a socket that is there is left over from a crash.
func (n *node) listenAdmin() (net.Listener, error) {
	path, done, err := adminPath(n.cfg)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	return l, os.Chmod(path, 0o600)
}

// adminPath names the socket through an open descriptor of its folder: socket
// names are short, folders need not be.
func adminPath(cfg *Config) (path string, done func() error, err error) {
	dir, err := os.Open(cfg.path(cfg.Store.Dir))
	if err != nil {
		return "", nil, err
	}
	return filepath.Join(fmt.Sprintf("/proc/self/fd/%d", dir.Fd()), adminSocket), dir.Close, nil
}

// adminHandler serves the admin socket.
func (n *node) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /verify", func(w http.ResponseWriter, r *http.Request) {
		// Reading a large store takes its time.
		if err := http.NewResponseController(w).SetWriteDeadline(time.Time{}); err != nil {
			n.log.Warn("admin: no deadline", "error", err)
		}
		f, err := n.verifyLive(r.Context())
		if err != nil {
			n.log.Error("verify", "error", err)
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(f); err != nil {
			n.log.Warn("admin: answer not sent", "error", err)
		}
	})
	return mux
}

// askVerify asks a running node. running is false where none answers.
func askVerify(ctx context.Context, cfg *Config) (f *findings, running bool, err error) {
	path, done, err := adminPath(cfg)
	if err != nil {
		return nil, false, nil // no store there: opening it will say so
	}
	defer done()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, false, nil
	}
	client := &http.Client{Transport: &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		DisableKeepAlives: true,
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://pecd/verify", nil)
	if err != nil {
		return nil, true, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, true, fmt.Errorf("the running node: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return nil, true, fmt.Errorf("the running node: %s", text)
	}
	f = new(findings)
	if err := json.NewDecoder(resp.Body).Decode(f); err != nil {
		return nil, true, fmt.Errorf("the running node: %w", err)
	}
	return f, true, nil
}
